"use strict";
// Elements from data. Text is only ever set as text, never parsed as markup.
const Assay = {views: []};

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  // Properties: class, text, title, on (an object of listeners), style (an object), data (an object); the rest are attributes.
  function fill(element, properties, children) {
    for (const [name, value] of Object.entries(properties || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
      else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
      else if (name === "data") Object.assign(element.dataset, value);
      else if (name === "text") element.textContent = value;
      else element.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(Infinity)) {
      if (child === null || child === undefined || child === false) continue;
      element.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
    return element;
  }

  Assay.h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
  Assay.s = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

  Assay.number = (value, digits = 2) => {
    if (!Assay.known(value)) return "undefined";
    const text = value.toFixed(digits);
    return text.replace(/^(-?)0\./, "$1.").replace(/^-(\.?0*)$/, "$1");
  };

  // Tokens as a text to read, where the marks of word pieces (of BPE, SentencePiece and WordPiece) become spaces or none.
  Assay.written = (tokens) => {
    const marked = tokens.some((token) => /^[\u0120\u2581]/.test(token));
    return marked ? tokens.map((token) => token.replace(/^[\u0120\u2581]+/, (marks) => " ".repeat(marks.length))).join("").trim() : tokens.join(" ").replace(/ ##(?=\S)/g, "");
  };

  // What has a value: undefined ones are null in tables, and NaN in arrays.
  Assay.known = (value) => value !== null && value !== undefined && !Number.isNaN(value);

  // Enter and Space do what a click does, on what is not a button.
  Assay.pressed = (act) => ({click: act, keydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(event); } }});

  // Properties of a part of a drawing that is chosen by click, Enter or Space.
  Assay.pressable = (label, focus, choose) => ({
    tabindex: 0, role: "button", "aria-label": label, data: {focus},
    on: Assay.pressed(choose),
  });

  // A word with what it means, on hover and on focus.
  Assay.term = (text, key) => {
    const meaning = Assay.data.content.definitions[key];
    return meaning ? Assay.h("abbr", {title: meaning, tabindex: 0, "aria-label": `${text}: ${meaning}`}, text) : text;
  };

  // A table: columns are {head, key?, numeric?}, lines are arrays of cells (text or nodes).
  Assay.table = (caption, columns, lines, properties = {}) =>
    Assay.h("div", {class: "wide"},
      Assay.h("table", properties,
        Assay.h("caption", {}, caption),
        Assay.h("thead", {}, Assay.h("tr", {}, columns.map((column) =>
          Assay.h("th", {scope: "col", class: column.numeric ? "numeric" : null},
            column.key ? Assay.term(column.head, column.key) : column.head)))),
        Assay.h("tbody", {}, lines.map((line) => Assay.h("tr", {}, line.map((cell, index) =>
          Assay.h(index ? "td" : "th", {scope: index ? null : "row", class: columns[index].numeric ? "numeric" : null}, cell)))))));

  // A figure: a drawing with a caption, its data as a table for those who read rather than look, and a button to save it.
  Assay.figure = (name, caption, svg, table) => {
    svg.setAttribute("role", svg.querySelector("[tabindex]") ? "group" : "img");  // an image would hide what can be chosen in it
    svg.setAttribute("aria-label", typeof caption === "string" ? caption : name);
    return Assay.h("figure", {data: {name}},
      svg,
      Assay.h("figcaption", {}, caption, " ",
        Assay.h("button", {type: "button", class: "save", on: {click: () => Assay.save(svg, name)}}, "Save as SVG")),
      table ? Assay.folded(`${name} table`, "As a table", table) : null);
  };

  const opened = new Set();

  // What is shown on demand; it stays open when the page is drawn again.
  Assay.folded = (name, title, ...children) => Assay.h("details", {open: opened.has(name), on: {toggle: (event) => (event.target.open ? opened.add(name) : opened.delete(name))}},
    Assay.h("summary", {data: {focus: `fold ${name}`}}, title), children);

  const DRAWN = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "fill-opacity", "stroke-opacity",
    "font-family", "font-size", "font-weight", "text-anchor", "dominant-baseline"];

  // The drawing as a file of its own: with the style that the page gives it.
  Assay.save = (svg, name) => {
    const copy = svg.cloneNode(true);
    copy.setAttribute("xmlns", SVG);
    const from = [svg, ...svg.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
    from.forEach((element, index) => {
      const style = getComputedStyle(element);
      for (const property of DRAWN) to[index].setAttribute(property, style.getPropertyValue(property));
    });
    const link = Assay.h("a", {
      href: URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], {type: "image/svg+xml"})),
      download: `${name}.svg`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
})();

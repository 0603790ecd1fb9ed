"use strict";
// How far explainers, or references, agree with each other: heat maps of the ranking's view.
(() => {
  const {h} = Assay;

  // A square heat map. `pick` is told the name of a line; `picked` is the chosen one.
  function square({names, values}, caption, id, picked, pick) {
    const {known} = Assay.ranked;
    const button = (name, content, properties) => h("button", {type: "button", on: {click: () => pick(name)}, ...properties}, content);
    return h("div", {class: "wide"}, h("table", {class: "heat square", id},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, h("td", {}), names.map((name) => h("th", {scope: "col", class: "upright", title: name}, button(name, h("span", {}, name), {class: "sort", data: {focus: `${id} column ${name}`}, "aria-label": `Choose ${name}`}))))),
      h("tbody", {}, names.map((name, row) => h("tr", {class: name === picked ? "chosen" : null},
        h("th", {scope: "row", title: name}, button(name, name, {class: "text", data: {focus: `${id} row ${name}`}})),
        names.map((other, column) => {
          const value = values[row][column], shade = Assay.looks.shade(value), same = row === column;
          const title = same ? name : `${name} and ${other}: ${Assay.number(value)}`;
          return h("td", {class: same ? "cell same" : "cell"}, button(name, same ? "" : known(value) ? Assay.number(value) : "·",
            {title, "aria-label": title, tabindex: -1, data: {focus: `${id} ${name} ${other}`, row: name, column: other, value: known(value) ? value : ""}, style: same ? {} : {background: shade.background, color: shade.color}}));
        }))))));
  }

  // The pairs off the diagonal with a value, most alike first: [[name, other, value]].
  function pairs({names, values}) {
    const found = names.flatMap((name, row) => names.slice(row + 1).map((other, at) => [name, other, values[row][row + 1 + at]]));
    return found.filter(([, , value]) => Assay.ranked.known(value)).sort((one, other) => other[2] - one[2]);
  }

  const told = ([name, other, value]) => `${name} and ${other} (${Assay.number(value)})`;

  function extremes(table, floors) {
    const found = pairs(table).filter(([name, other]) => !floors.includes(name) && !floors.includes(other));
    if (!found.length) return "";
    return found.length === 1 ? `${told(found[0])}.` : `Most alike: ${told(found[0])}. Least alike: ${told(found[found.length - 1])}.`;
  }

  Assay.drawAgreement = (place, found, chosen) => {
    const table = Assay.data.content.agreement[chosen.measure];
    if (!table || table.names.length < 2) return false;
    const floors = found.floors.map((line) => line.explainer), pick = (name) => Assay.ranked.choose(found.lines.find((line) => line.explainer === name && line.kind !== "reference"));
    place.append(h("p", {}, extremes(table, floors) || "No pair of explainers has a defined agreement."),
      square(table, Assay.term("Mean rho between the scores of two explainers", "agreement"), "agreement", chosen.explainer, pick),
      h("p", {class: "note"}, "Explainers and floors in the order of the ranking. Blue: they rank the tokens alike; orange: the other way round. A dot: undefined. Click to choose the line's explainer."));
    return true;
  };

  Assay.drawReferences = (place, chosen) => {
    const table = Assay.data.content.references;
    if (!table || table.names.length < 2) return false;
    place.append(h("p", {}, extremes(table, []) || "No pair of references has a defined agreement."),
      square(table, Assay.term("Mean rho between two references", "reference_agreement"), "references", chosen.measure, (measure) => Assay.state.set({measure})),
      h("p", {class: "note"}, "Where references disagree, an explainer cannot agree with both. Click to compare with another reference."));
    return true;
  };
})();

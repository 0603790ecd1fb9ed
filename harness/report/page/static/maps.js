"use strict";
// What views of single examples share: which examples have something, how long a token may be, how a node is asked for.
(() => {
  const {h} = Assay;
  const SHOWN = 12;

  Assay.short = (token, length = 14) => ([...token].length > length ? `${[...token].slice(0, length - 1).join("")}…` : token);
  Assay.quoted = (token) => `“${token}”`;

  // The examples whose maps were kept, of single heads or of whole layers, in their order.
  Assay.mapped = (heads) => [...new Set(Assay.data.maps.filter((one) => one.layer > 0 && one.head > 0 === heads).map((one) => one.example))];

  // Buttons that choose among these examples.
  Assay.exampleButtons = (title, examples) => h("div", {class: "tools", role: "group", "aria-label": title},
    h("span", {class: "note"}, title),
    examples.slice(0, SHOWN).map((index) => {
      const {example, tokens} = Assay.data.examples[index], chosen = Assay.chosen().example === index;
      return h("button", {type: "button", "aria-pressed": chosen ? "true" : "false", title: Assay.written(tokens), data: {focus: `example ${index}`, example: index},
        on: {click: () => Assay.state.set({example: index, token: null})}}, Assay.short(`${index + 1}: ${Assay.written(tokens)}`, 24) || example);
    }),
    examples.length > SHOWN ? h("span", {class: "note"}, `and ${examples.length - SHOWN} more`) : null);

  // Arrow keys move the focus among elements with data-across and data-down, of which one can be reached by Tab.
  Assay.moves = (place) => place.addEventListener("keydown", (event) => {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    const from = event.target.closest("[data-across]");
    if (!step || !from) return;
    event.preventDefault();
    let across = Number(from.dataset.across), down = Number(from.dataset.down);
    for (let tries = 0; tries < 500; tries++) {
      across += step[0];
      down += step[1];
      const to = place.querySelector(`[data-across="${across}"][data-down="${down}"]`);
      if (!to) continue;
      from.setAttribute("tabindex", -1);
      to.setAttribute("tabindex", 0);
      to.focus();
      return;
    }
  });
})();

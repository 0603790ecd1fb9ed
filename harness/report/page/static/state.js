"use strict";
// What is chosen, in the address: #view=example&example=3&layer=2. A view that is sent opens as it was.
(() => {
  const listeners = [];
  const NUMBERS = ["example", "layer", "head", "token"];
  let chosen = {};

  const read = () => {
    chosen = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    for (const name of NUMBERS) if (name in chosen) {
      const value = Number.parseInt(chosen[name], 10);
      if (Number.isNaN(value)) delete chosen[name]; else chosen[name] = value;
    }
  };

  Assay.state = {
    // The value of a name, or what holds without a choice.
    get: (name, otherwise = null) => (name in chosen ? chosen[name] : otherwise),
    // Choose; null takes a choice back. The page is drawn again.
    set: (changes, replace = false) => {
      const next = {...chosen, ...changes};
      for (const [name, value] of Object.entries(next)) if (value === null || value === "") delete next[name];
      const hash = "#" + new URLSearchParams(next).toString();
      if (hash === location.hash) return;
      history[replace ? "replaceState" : "pushState"](null, "", hash);
      read();
      listeners.forEach((listener) => listener());
    },
    onChange: (listener) => listeners.push(listener),
  };
  for (const event of ["hashchange", "popstate"]) addEventListener(event, () => { read(); listeners.forEach((listener) => listener()); });
  read();

  // The head that stands for an explainer by head: the chosen one, or that of its best cell.
  Assay.shownHead = (explainer, chosen, lines) => {
    if (explainer === chosen.explainer) return chosen.head;
    const best = lines.find((line) => line.explainer === explainer && line.head);
    return best ? best.head : 1;
  };

  // What every view shares; a choice that this run does not have falls back to the first.
  Assay.chosen = () => {
    const {data, state} = Assay, among = (values, value) => (values.includes(value) ? value : values[0]);
    const measures = data.measures.map((one) => one.name);
    const measure = among(measures, state.get("measure"));
    const names = data.explainers.filter((one) => one.kind === "explainer" || one.kind === "floor").map((one) => one.name);
    const leader = data.ranking.find((line) => line.measure === measure && line.kind === "explainer");
    const explainer = names.includes(state.get("explainer")) ? state.get("explainer") : leader ? leader.explainer : names[0];
    const own = data.explainer(explainer);
    const layers = own ? own.layers : [0];
    const best = data.ranking.find((line) => line.measure === measure && line.explainer === explainer);
    const layer = layers.includes(state.get("layer")) ? state.get("layer") : best && layers.includes(best.layer) ? best.layer : layers[layers.length - 1];
    const head = own && own.heads ? Math.min(Math.max(state.get("head", (best && best.head) || 1), 1), own.heads) : 0;
    const example = Math.min(Math.max(state.get("example", 0), 0), Math.max(0, data.examples.length - 1));
    return {measure, explainer, layer, head, example, higher: (data.measures.find((one) => one.name === measure) || {}).higher};
  };
})();

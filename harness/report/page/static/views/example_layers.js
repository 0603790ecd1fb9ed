"use strict";
// All layers of the chosen explainer beside the reference, as in Figures 2 and 3 of Abnar & Zuidema (2020).
(() => {
  const {h, s, number} = Assay;

  function layers(all, width) {
    const {chosen, measure, base, number: index, example, own} = all, {data, state} = Assay;
    const found = data.layersOf("explainer", own.name, own.head).sort((one, other) => one - other)
      .map((layer) => Assay.example.reading(index, measure, own.kind, own.name, layer, own.head)).filter(Boolean);
    if (found.length < 2) return null;
    const shared = state.get("scale") === "one", {known} = Assay.example;
    const magnitude = ({scores}) => Math.max(...(all.ranked.length ? all.ranked : [...scores.keys()]).map((token) => Math.abs(scores[token])).filter(known), 0) || 1;
    const one = Math.max(...found.map(magnitude));
    const n = example.tokens.length, letters = Math.min(18, Math.max(6, ...example.tokens.map((_, token) => all.label(token).length)));
    const side = letters * 6.6 + 12, row = n > 60 ? 13 : 17, gap = 18, high = 32, top = 92;
    const room = width < 1152 ? width : width / Math.floor((width + 32) / 592) - 32;  // of a column of the page's grid
    const cell = Math.floor(Math.max(13, Math.min(44, (room - side - gap - 18) / (found.length + 1))));
    const x = (column) => side + (column ? gap + column * cell : 0), y = (token) => top + token * row, bottom = y(n);
    const curve = Assay.scale(-1, 1, top - 8, high);
    const heat = (reading, column) => {
      const largest = shared && column ? one : magnitude(reading);
      return example.tokens.map((_, at) => rectangle(reading, column, at, Assay.looks.shade(reading.scores[at] / largest)));
    };
    const rectangle = (reading, column, at, shade) => {
      const story = `${all.label(at)}, ${reading.title}: ${number(reading.scores[at], Assay.example.places(reading.scores[at]))}${example.ranked[at] ? `, rank ${Assay.example.shownRank(reading.ranks[at])}` : ", not ranked"}`;
      return s("rect", {x: x(column), y: y(at), width: cell - 1, height: row - 1, fill: shade.background === "transparent" ? "none" : shade.background, class: "shade", data: {score: reading.scores[at], layer: reading.layer}}, s("title", {}, story));
    };
    const choose = (layer) => () => state.set({explainer: own.name, layer});
    const column = (reading, place) => {
      const picked = reading.layer === chosen.layer, title = `${reading.title}: rho ${number(reading.rho)}`;
      return s("g", {class: `layer${picked ? " picked" : ""}`, role: "button", tabindex: 0, "aria-pressed": picked ? "true" : "false", "aria-label": title, data: {focus: `layer ${reading.layer}`, layer: reading.layer},
        on: {click: choose(reading.layer), keydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(reading.layer)(); } }}},
        s("title", {}, title),
        s("rect", {class: "behind", x: x(place) - 1, y: 4, width: cell + 1, height: bottom - 4}),
        cell > 17 || picked || reading.layer % 2 ? s("text", {x: x(place) + (cell - 1) / 2, y: 22, "text-anchor": "middle"}, cell < 26 ? String(reading.layer) : Assay.layerName(reading.layer)) : null,
        heat(reading, place),
        known(reading.rho) ? [s("line", {class: "stem", x1: x(place) + cell / 2, x2: x(place) + cell / 2, y1: curve(0), y2: curve(reading.rho)}), s("circle", {class: "knob", cx: x(place) + cell / 2, cy: curve(reading.rho), r: Math.min(3.5, cell / 5)})] : null);
    };
    const right = x(found.length) + cell;
    const names = example.tokens.map((token, at) => {
      const text = all.label(at);
      return s("text", Assay.example.ofToken(at, null, {class: example.ranked[at] ? "name" : "name unranked", x: side - 6, y: y(at) + row - 5, "text-anchor": "end"}), text.length > 18 ? `${text.slice(0, 17)}…` : text);
    });
    const at = found.findIndex((reading) => reading.layer === chosen.layer);
    const svg = Assay.drawing(right + 16, bottom + 6, names,
      s("text", {x: x(0) + cell / 2 - 1, y: top - 8, "text-anchor": "middle"}, "ref."), s("g", {class: "reference"}, s("title", {}, measure), heat(base, 0)),
      s("line", {class: "zero", x1: x(1), x2: right, y1: curve(0), y2: curve(0)}), [-1, 0, 1].map((tick) => s("text", {x: right + 3, y: curve(tick) + 4, class: "under"}, String(tick))),
      s("text", {x: side - 6, y: curve(0) + 4, "text-anchor": "end"}, "rho"),
      found.map((reading, place) => column(reading, place + 1)),
      example.source ? s("line", {class: "sides", x1: 0, x2: right, y1: y(example.source) - 0.5, y2: y(example.source) - 0.5}, s("title", {}, "source above, prefix of the target below")) : null,
      at < 0 ? null : s("rect", {class: "frame", x: x(at + 1) - 1, y: 4, width: cell + 1, height: bottom - 2}));
    const name = `${own.name}${own.head ? ` head ${own.head}` : ""}`;
    const best = found.filter((reading) => known(reading.rho)).sort((one, two) => two.rho - one.rho)[0];
    const caption = `Scores by ${name} at every layer, beside ${measure} (ref.); above, rho at each layer${best ? `, highest at ${Assay.layerName(best.layer)}: ${number(best.rho)}` : ""}. Colours are scaled ${shared ? "together over all layers" : "in each column by its largest magnitude among the ranked tokens"}.${example.source ? " The source is above the line, the prefix below." : ""} Click a layer to choose it.`;
    const table = Assay.table(`Scores by ${name}`, [{head: "token"}, {head: measure, numeric: true}, ...found.map((reading) => ({head: Assay.layerName(reading.layer), numeric: true}))],
      [...example.tokens.map((token, at) => [all.label(at), ...[base, ...found].map((reading) => number(reading.scores[at], Assay.example.places(reading.scores[at])))]), ["rho", "", ...found.map((reading) => number(reading.rho))]]);
    return h("section", {class: "layers", "aria-label": "Layers"}, h("h2", {}, `${name} at all layers`),
      h("div", {class: "tools"}, Assay.select("scale", "Colours", null, [["", "each layer's own scale"], ["one", "one scale for all layers"]], shared ? "one" : "")),
      Assay.example.scrolled(Assay.figure("layers", caption, svg, table), true));
  }

  Assay.example.layers = layers;
})();

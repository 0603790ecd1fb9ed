"use strict";
// Sentence pairs with gold links: how often explainers link a word of the target with the wrong word of the source.
(() => {
  const {h} = Assay, {known} = Assay;
  const RATES = [["aer", "alignment error rate"], ["precision", "precision"], ["recall", "recall"]];
  const KINDS = [["explainer", "Explainers"], ["floor", "Floors"], ["reference", "References"]];

  const name = (line) => `${line.explainer}${line.head ? ` head ${line.head}` : ""}`;
  const interval = (line) => (known(line.low) ? `[${Assay.number(line.low)}, ${Assay.number(line.high)}]` : "");
  const among = (values, value) => (values.includes(value) ? value : values[0]);

  // The lines of one reading of rows and one choice of links.
  function choice() {
    const {alignment} = Assay.data, {state} = Assay;
    const rows = [...new Set(alignment.map((line) => line.row))], links = [...new Set(alignment.map((line) => line.links))];
    const row = among(rows, state.get("row")), link = among(links, state.get("links"));
    return {rows, links, row, link, rate: among(RATES.map(([key]) => key), state.get("rate")), lines: alignment.filter((line) => line.row === row && line.links === link)};
  }

  // The line with the lowest error rate of a kind, or undefined.
  const lowest = (lines, kind) => lines.filter((line) => line.kind === kind && known(line.aer)).sort((one, other) => one.aer - other.aer)[0];

  function answer({lines}) {
    const best = lowest(lines, "explainer"), floor = lowest(lines, "floor");
    if (!best) return "No explainer has a defined alignment error rate.";
    const against = floor ? (best.high < floor.aer ? `, below the best floor's (${name(floor)}, ${Assay.number(floor.aer)})` : `, which is not below the best floor's (${name(floor)}, ${Assay.number(floor.aer)})`) : "";
    return `${name(best)}, ${Assay.layerName(best.layer)}, has the lowest error rate: ${Assay.number(best.aer)} ${interval(best)}${against}.`;
  }

  function draw(place) {
    const chosen = Assay.chosen(), {state} = Assay, found = choice(), {lines, rate} = found;
    const layers = [...new Set(lines.map((line) => line.layer))].sort((one, other) => one - other);
    const best = lowest(lines, "explainer"), floor = lowest(lines, "floor");
    const ordered = lines.filter((line) => known(line.aer)).sort((one, other) => one.aer - other.aer);
    const title = RATES.find(([key]) => key === rate)[1];

    const cell = (line) => {
      if (!line) return h("td", {class: "none"});
      const value = line[rate], shade = Assay.looks.shade(known(value) ? (rate === "aer" ? Math.max(0, 1 - value) : value) : null);
      const below = line.kind === "explainer" && floor && known(line.high) && line.high < floor.aer;
      const text = `${name(line)}, ${Assay.layerName(line.layer)}: error rate ${Assay.number(line.aer)} ${interval(line)}, precision ${Assay.number(line.precision)}, recall ${Assay.number(line.recall)}, ${line.sentences} sentence pairs` +
        `${line.undefined ? `, ${line.undefined} words without a link` : ""}${below ? "; better than every floor" : ""}`;
      return h("td", {class: `cell${line === best ? " best" : ""}${below ? " above" : ""}`},
        h("button", {type: "button", title: text, "aria-label": text, class: line.kind !== "reference" && line.explainer === chosen.explainer && line.layer === chosen.layer && line.head === chosen.head ? "picked" : null,
          data: {focus: `aligned ${name(line)} ${line.layer}`, explainer: line.explainer, layer: line.layer, head: line.head, value: known(value) ? value : ""},
          style: {background: shade.background, color: shade.color}, on: {click: () => state.set(line.kind === "reference" ? {measure: line.explainer} : {explainer: line.explainer, layer: line.layer, head: line.head || null})}},
        h("span", {class: "value"}, known(value) ? Assay.number(value) : "·")));
    };
    const body = ([kind, heading]) => {
      const own = new Map();
      for (const line of lines.filter((one) => one.kind === kind && (!one.head || state.get("heads") === "all" || one.head === Assay.shownHead(one.explainer, chosen, ordered)))) {
        if (!own.has(name(line))) own.set(name(line), new Map());
        own.get(name(line)).set(line.layer, line);
      }
      return own.size ? h("tbody", {}, h("tr", {class: "kind"}, h("th", {scope: "rowgroup", colspan: layers.length + 1}, heading)),
        [...own].map(([title, cells]) => h("tr", {}, h("th", {scope: "row"}, title), layers.map((layer) => cell(cells.get(layer)))))) : null;
    };

    place.append(
      h("p", {class: "lead"}, answer(found)),
      h("div", {class: "tools"},
        Assay.select("rate", "Rate", rate, RATES, rate),
        Assay.select("row", "Scores of", "alignment_row", found.rows.map((one) => [one, one]), found.row),
        Assay.select("links", "Links", "links", found.links.map((one) => [one, one]), found.link),
        lines.some((line) => line.head) ? Assay.select("heads", "Heads", null, [["", "the best or chosen one"], ["all", "every head"]], state.get("heads") === "all" ? "all" : "") : null),
      h("div", {class: "wide"}, h("table", {class: layers.length > 12 ? "heat many" : "heat", id: "alignment"},
        h("caption", {}, `${title}, ${rate === "aer" ? "lower" : "higher"} is better: the darker, the better`),
        h("thead", {}, h("tr", {}, h("th", {scope: "col"}, "explainer"), layers.map((layer) => h("th", {scope: "col"}, Assay.layerName(layer))))),
        KINDS.map(body))),
      h("p", {class: "note"}, h("b", {}, "Bold"), ": the explainers' lowest ", Assay.term("error rate", "aer"), ". ", h("span", {class: "mark above"}, "▲"), ": its ", Assay.term("interval", "interval"), " is below every floor's rate. Click a cell to choose its explainer and layer, or its reference."));
  }

  Assay.views.push({name: "alignment", title: "Alignment", order: 25, available: () => Assay.data.alignment.length > 0, draw});
})();

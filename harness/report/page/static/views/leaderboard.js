"use strict";
// Explainers by layers as a heat map; a cell opens its distribution and its examples.
(() => {
  const {h, s} = Assay;
  const STATISTICS = [
    ["mean", "rho (or the metric's value)"], ["rho_content", "rho, text's own tokens"], ["rho_all", "rho, all tokens"], ["partial", "rho given position"],
    ["tau", "Kendall's tau-b"], ["top", "top quarter found"], ["std", "standard deviation"], ["tied", "share tied"], ["saturated", "share saturated"], ["unassigned", "no token's share"],
  ];

  const lineName = (line) => (line.head ? `${line.explainer} head ${line.head}` : line.explainer);

  function available(measure) {
    const own = Assay.data.board.filter((line) => line.measure === measure);
    return STATISTICS.filter(([name]) => own.some((line) => line[name] !== null && line[name] !== undefined));
  }

  // One line per explainer and head: {name, explainer, kind, head, cells: Map(layer -> line)}.
  function grouped(measure) {
    const found = new Map();
    for (const line of Assay.data.board) {
      if (line.measure !== measure || line.kind === "reliability") continue;
      const key = JSON.stringify([line.kind, line.explainer, line.head]);
      if (!found.has(key)) found.set(key, {name: lineName(line), explainer: line.explainer, kind: line.kind, head: line.head, cells: new Map()});
      found.get(key).cells.set(line.layer, line);
    }
    return [...found.values()];
  }

  function draw(place) {
    const {data, state} = Assay, chosen = Assay.chosen();
    const statistics = available(chosen.measure);
    const statistic = (statistics.find(([name]) => name === state.get("statistic")) || statistics[0])[0];
    const filter = state.get("filter", ""), sort = state.get("sort", "table");
    const heads = state.get("heads") === "all";
    let lines = grouped(chosen.measure).filter((line) => line.name.includes(filter));
    const layers = [...new Set(lines.flatMap((line) => [...line.cells.keys()]))].sort((one, other) => one - other);
    const some = lines.some((line) => line.head);
    if (!heads) lines = lines.filter((line) => !line.head || line.head === Assay.shownHead(line.explainer, chosen, data.ranking.filter((one) => one.measure === chosen.measure)));
    const lower = chosen.higher === false;
    const value = (line, layer) => { const cell = line.cells.get(layer); return cell ? cell[statistic] : null; };
    const {known} = Assay;
    const best = (line) => { const all = layers.map((layer) => value(line, layer)).filter(known); return all.length ? (lower ? -Math.min(...all) : Math.max(...all)) : -Infinity; };
    const at = (line) => { const one = value(line, Number(sort)); return known(one) ? (lower ? -one : one) : -Infinity; };
    if (sort === "name") lines = [...lines].sort((one, other) => one.name.localeCompare(other.name));
    else if (sort === "best") lines = [...lines].sort((one, other) => best(other) - best(one));
    else if (sort !== "table") lines = [...lines].sort((one, other) => at(other) - at(one));
    const all = lines.flatMap((line) => layers.map((layer) => value(line, layer))).filter(known);
    const largest = chosen.higher === null && !["std"].includes(statistic) ? 1 : Math.max(...all.map(Math.abs), 1e-12);

    const header = (title, key, name) => h("th", {scope: "col", "aria-sort": sort === String(key) ? (key === "name" ? "ascending" : "descending") : null},
      h("button", {type: "button", class: "sort", data: {focus: `sort ${key}`}, title: `Sort by ${name}`, on: {click: () => state.set({sort: sort === String(key) ? null : String(key)})}}, title));

    const cell = (line, layer) => {
      const own = line.cells.get(layer);
      if (!own) return h("td", {class: "none"});
      const number = own[statistic], shade = Assay.looks.shade(known(number) ? number / largest : null);
      const picked = line.explainer === chosen.explainer && layer === chosen.layer && (line.head || 0) === chosen.head && line.kind !== "reference";
      const marks = `${own.best ? " best" : ""}${own.above_floors && line.kind === "explainer" ? " above" : ""}`;
      const text = own.same ? "same" : known(number) ? Assay.number(number) : "·";
      const interval = known(own.low) ? ` [${Assay.number(own.low)}, ${Assay.number(own.high)}]` : "";
      const undefinedOnes = own.undefined || own.failed ? `; ${own.undefined} undefined, ${own.failed} failed: ${own.reasons}` : "";
      const title = `${line.name}, ${Assay.layerName(layer)}: ${Assay.number(own.mean)}${interval} ± ${Assay.number(own.std)}, n ${own.n}${undefinedOnes}` +
        (own.group ? `; letters ${own.group}` : "") + (own.best ? "; among the best" : "") + (line.kind === "explainer" ? (own.above_floors ? "; above all floors" : "; not above all floors") : "");
      return h("td", {class: `cell${marks}`},
        h("button", {type: "button", class: picked ? "picked" : null, title, "aria-label": title, "aria-pressed": picked ? "true" : null,
          data: {focus: `cell ${line.name} ${layer}`, explainer: line.explainer, layer, kind: line.kind, head: line.head, value: known(number) ? number : ""},
          style: {background: shade.background, color: shade.color},
          on: {click: () => state.set(line.kind === "reference" ? {} : {explainer: line.explainer, layer, head: line.head || null})}},
          h("span", {class: "value"}, text), statistic === "mean" && own.group ? h("span", {class: "letters"}, own.group.length > 4 ? own.group.slice(0, 3) + "…" : own.group) : null));
    };

    const body = (kind, title) => {
      const own = lines.filter((line) => line.kind === kind);
      return own.length ? h("tbody", {}, h("tr", {class: "kind"}, h("th", {scope: "rowgroup", colspan: layers.length + 1}, title)),
        own.map((line) => h("tr", {}, h("th", {scope: "row", title: (data.explainer(line.explainer) || {}).description}, line.name), layers.map((layer) => cell(line, layer))))) : null;
    };

    place.append(
      h("div", {class: "tools"},
        Assay.select("statistic", "Statistic", statistic, statistics, statistic),
        h("label", {class: "choice"}, h("span", {}, "Filter"), h("input", {name: "filter", type: "search", value: filter, placeholder: "name", on: {input: (event) => state.set({filter: event.target.value}, true)}})),
        Assay.select("sort", "Order", null, [["table", "as in the run"], ["name", "by name"], ["best", "by best layer"], ...layers.map((layer) => [layer, `by ${Assay.layerName(layer)}`])], sort),
        some ? Assay.select("heads", "Heads", null, [["", "the best or chosen one"], ["all", "every head"]], heads ? "all" : "") : null),
      h("div", {class: "beside"}, h("div", {class: "first"}, h("div", {class: "wide"}, h("table", {class: layers.length > 12 ? "heat many" : "heat", id: "leaderboard"},
        h("caption", {}, `${statistics.find(([name]) => name === statistic)[1]}, ${chosen.higher === null ? `compared with ${chosen.measure}` : `${chosen.measure}, ${lower ? "lower" : "higher"} is better`}`),
        h("thead", {}, h("tr", {}, header("explainer", "name", "name"), layers.map((layer) => header(Assay.layerName(layer), layer, Assay.layerName(layer))))),
        body("explainer", "Explainers"), body("floor", Assay.term("Floors", "floor")), body("reference", Assay.term("Other references", "reference")))),
      h("p", {class: "note"}, "Blue is above zero, orange below. ", h("b", {class: "mark best"}, "Bold"), ": ", Assay.term("among the best", "best"), ". ",
        h("span", {class: "mark above"}, "▲"), ": ", Assay.term("above every floor", "above_floors"), ". Small letters: ", Assay.term("groups", "group"), ". Click a cell for its examples.")),
      examples(chosen)));
  }

  // The chosen cell: how its values are distributed, and its examples from best to worst.
  function examples(chosen) {
    const {data, state} = Assay, own = data.explainer(chosen.explainer);
    if (!own || !data.examples.length) return "";
    const values = data.values(chosen.measure, own.kind, chosen.explainer, chosen.layer, chosen.head);
    const cell = data.cell(chosen.measure, own.kind, chosen.explainer, chosen.layer, chosen.head);
    if (!values || !cell) return "";
    const name = `${chosen.explainer}${chosen.head ? ` head ${chosen.head}` : ""}, ${Assay.layerName(chosen.layer)}`;
    const defined = [...values.keys()].filter((index) => !Number.isNaN(values[index]));
    const sign = chosen.higher === false ? 1 : -1;
    const order = [...defined].sort((one, other) => sign * (values[one] - values[other]));
    const shown = state.get("all") === "yes" ? order : order.length > 40 ? [...order.slice(0, 20), ...order.slice(-20)] : order;
    const lines = shown.map((index) => {
      const one = data.examples[index];
      return [h("button", {type: "button", class: "text", data: {focus: `example ${index}`, example: index}, on: {click: () => state.set({view: "example", example: index})}}, Assay.written(one.tokens)),
        Assay.number(values[index]), String(one.ranked.filter(Boolean).length)];
    });
    return h("section", {class: "detail", "aria-label": name},
      h("h2", {}, name),
      h("p", {}, Assay.term("mean", "mean"), ` ${Assay.number(cell.mean)} `, Assay.term(`[${Assay.number(cell.low)}, ${Assay.number(cell.high)}]`, "interval"), ", ", Assay.term("std", "std"), ` ${Assay.number(cell.std)}, `, Assay.term("n", "n"), ` ${cell.n}`,
        cell.undefined || cell.failed ? `; ${cell.undefined} undefined, ${cell.failed} failed (${cell.reasons})` : ""),
      defined.length > 1 ? histogram(name, defined.map((index) => values[index]), chosen) : null,
      Assay.table(`Examples from best to worst (${order.length}${values.length > order.length ? `, ${values.length - order.length} undefined` : ""})`,
        [{head: "example"}, {head: chosen.higher === null ? "rho" : chosen.measure, numeric: true}, {head: "ranked tokens", key: "ranked", numeric: true}], lines, {class: "examples"}),
      shown.length < order.length ? h("button", {type: "button", data: {focus: "all"}, on: {click: () => state.set({all: "yes"}, true)}}, `Show all ${order.length}`) : null);
  }

  function histogram(name, values, chosen) {
    const low = chosen.higher === null ? -1 : Math.min(...values), high = chosen.higher === null ? 1 : Math.max(...values);
    const bins = 20, counts = new Array(bins).fill(0), width = 560, height = 150;
    for (const value of values) counts[Math.max(0, Math.min(bins - 1, Math.floor((value - low) / ((high - low) || 1) * bins)))]++;
    const x = Assay.scale(low, high, 44, width - 18), y = Assay.scale(0, Math.max(...counts), height - 40, 8);
    const mean = values.reduce((one, other) => one + other, 0) / values.length;
    const edges = counts.map((_, bin) => [low + bin * (high - low) / bins, low + (bin + 1) * (high - low) / bins]);
    const svg = Assay.drawing(width, height,
      counts.map((count, bin) => s("rect", {class: "bar", x: x(edges[bin][0]) + 0.5, width: Math.max(1, x(edges[bin][1]) - x(edges[bin][0]) - 1), y: y(count), height: y(0) - y(count)},
        s("title", {}, `${Assay.number(edges[bin][0])} to ${Assay.number(edges[bin][1])}: ${count}`))),
      s("line", {class: "mean", x1: x(mean), x2: x(mean), y1: 4, y2: y(0)}),
      Assay.axis({across: true, scale: x, ticks: Assay.ticks(low, high, 4), at: y(0), from: x(low), to: x(high), title: chosen.higher === null ? "rho of an example" : chosen.measure}),
      Assay.axis({scale: y, ticks: Assay.ticks(0, Math.max(...counts), 3).filter(Number.isInteger), at: 44, from: y(0), to: y(Math.max(...counts)), format: String}));
    return Assay.figure("distribution", `${name}: distribution over ${values.length} examples; the line is their mean, ${Assay.number(mean)}.`, svg,
      Assay.table("Distribution", [{head: "from"}, {head: "to", numeric: true}, {head: "examples", numeric: true}], counts.map((count, bin) => [Assay.number(edges[bin][0]), Assay.number(edges[bin][1]), String(count)])));
  }

  Assay.views.push({name: "leaderboard", title: "Leaderboard", order: 10, available: () => Assay.data.content.kind === "run", draw});
})();

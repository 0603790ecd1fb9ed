"use strict";
// Explainers at their best layer, with their intervals; a click chooses one. How far they agree and what they cost is drawn beside.
(() => {
  const {h, s} = Assay;
  const NAMED = 6;  // names in a sentence at most

  const {known} = Assay;
  const ranked = (line) => `${line.explainer}${line.head ? ` head ${line.head}` : ""}`;
  const listed = (names) => (names.length > NAMED + 1 ? `${names.slice(0, NAMED).join(", ")} and ${names.length - NAMED} more` : names.join(", "));
  const interval = (line) => (known(line.low) && known(line.high) ? `[${Assay.number(line.low)}, ${Assay.number(line.high)}]` : "");
  const numbers = (line) => `${Assay.number(line.mean)} ${interval(line)}`.trim();
  const sameGroup = (one, other) => [...(one.group || "")].some((letter) => (other.group || "").includes(letter));
  const unit = (chosen) => (chosen.higher === null ? "mean rho" : `mean ${chosen.measure}`);
  const better = (one, other, chosen) => (chosen.higher === false ? one.mean < other.mean : one.mean > other.mean);

  // The lines of the chosen measure, best first: {explainers, floors, references, floor (the best one), lines}.
  function ranking(chosen) {
    const lines = Assay.data.ranking.filter((line) => line.measure === chosen.measure && known(line.mean));
    const of = (kind) => lines.filter((line) => line.kind === kind);
    return {lines, explainers: of("explainer"), floors: of("floor"), references: of("reference"), floor: of("floor")[0] || null};
  }

  const aboveFloors = (line, floors, chosen) => floors.length > 0 && floors.every((floor) => line.group && floor.group && better(line, floor, chosen) && !sameGroup(line, floor));

  const choose = (line) => Assay.state.set({explainer: line.explainer, layer: line.layer, head: line.head || null});
  const isChosen = (line, chosen) => line.kind !== "reference" && line.explainer === chosen.explainer;

  // Floors are grey and hollow, references hollow; explainers look as everywhere.
  function look(line) {
    if (line.kind === "floor") return {marker: "circle", properties: {class: "blank"}};
    if (line.kind === "reference") return {marker: "diamond", properties: {class: "blank"}};
    const {colour, marker, hollow} = Assay.looks.ofExplainer(line.explainer);
    return {marker, properties: hollow ? {fill: "none", stroke: colour, "stroke-width": 2} : {fill: colour}};
  }

  function answer({explainers, floors, floor}, chosen) {
    if (!explainers.length) return [`No explainer is ranked by ${chosen.measure}: layers are chosen on a third of the examples and compared on the others, and one of these parts has no defined value.`];
    const [leader, ...others] = explainers;
    const tied = others.filter((line) => sameGroup(leader, line)), above = explainers.filter((line) => aboveFloors(line, floors, chosen));
    const best = floor ? ` (the best is ${ranked(floor)}, ${Assay.number(floor.mean)})` : "";
    const direction = chosen.higher === null ? `agrees best with ${chosen.measure}` : `has the ${chosen.higher ? "highest" : "lowest"} ${chosen.measure}, which is best`;
    return [
      `${ranked(leader)} ${direction}: ${unit(chosen)} ${numbers(leader)}, n ${leader.n}.`,
      tied.length ? `Not significantly different from it: ${listed(tied.map(ranked))}.` : others.length ? "Every other explainer is significantly worse." : "",
      !floors.length ? "No floor was measured, so this does not show what is better than chance."
        : !above.length ? `No explainer is significantly above every floor${best}.`
          : above.length === explainers.length ? `${above.length === 1 ? "It is" : `All ${above.length} explainers are`} significantly above every floor${best}.`
            : `Significantly above every floor${best}: ${listed(above.map(ranked))}.`,
    ];
  }

  // A line per explainer: its marker and interval, and what a reader wants to know beside them.
  function plot({lines, floors, floor}, chosen, width) {
    const {definitions} = Assay.data.content, narrow = width < 620, size = narrow ? 12 : 12.5;
    const order = [...lines.filter((line) => line.kind !== "reference"), ...lines.filter((line) => line.kind === "reference")];
    const title = (line) => `${ranked(line)}${line.kind === "explainer" ? "" : ` (${line.kind})`}`;
    const tall = narrow ? 38 : 25, top = narrow ? 8 : 30, gap = 14;
    const columns = narrow ? [] : [
      {head: "letters", key: "group", text: (line) => line.group || "–", most: 130},
      {head: "mean [95%]", key: "interval", text: numbers, most: 170},
      {head: "effect", key: "effect", text: (line) => (known(line.effect) ? Assay.number(line.effect) : "–"), most: 60},
      {head: "n", key: "n", text: (line) => String(line.n), most: 60},
    ];
    for (const column of columns) column.width = Math.min(column.most, Math.max(Assay.textWidth(column.head, 12), ...order.map((line) => Assay.textWidth(column.text(line), size)))) + 14;
    const layerWidth = 44, mark = 18, room = columns.reduce((sum, column) => sum + column.width, 0);
    const nameWidth = narrow ? 0 : Math.min(230, Math.max(...order.map((line) => Assay.textWidth(title(line), size)))) + mark;
    const left = narrow ? 14 : nameWidth + layerWidth + 6, right = width - room - 14;
    const ends = order.flatMap((line) => [line.mean, line.low, line.high]).filter(known);
    const low = chosen.higher === null ? Math.min(0, ...ends) : Math.min(...ends), high = Math.max(...ends), space = (high - low || 1) * 0.03;
    const x = Assay.scale(low - space, high + space, left, right);
    const split = order.findIndex((line) => line.kind === "reference");
    const y = (row) => top + row * tall + (split >= 0 && row >= split ? gap : 0) + tall / 2;
    const bottom = y(order.length - 1) + tall / 2 + 4, height = bottom + (floor ? 54 : 42);
    const head = (text, key, at, anchor = "start") => s("text", {x: at, y: 18, "text-anchor": anchor, class: "head"}, text, s("title", {}, definitions[key] || ""));

    const row = (line, index) => {
      const at = y(index), {marker, properties} = look(line), picked = isChosen(line, chosen), pointAt = narrow ? at + 9 : at;
      const above = line.kind === "explainer" && aboveFloors(line, floors, chosen);
      const label = `${title(line)}, ${Assay.layerName(line.layer)}: ${numbers(line)}, n ${line.n}, letters ${line.group || "none"}${known(line.effect) ? `, effect ${Assay.number(line.effect)} against ${line.floor}` : ""}` +
        (line.kind === "explainer" && floors.length ? (above ? "; above all floors" : "; not above all floors") : "");
      const press = line.kind === "reference" ? {} : Assay.pressable(label, `ranked ${line.kind} ${line.explainer}`, () => choose(line));
      const name = (limit) => [Assay.fitted(title(line), limit, size), above ? s("tspan", {class: "above", dx: 3}, "▲") : null];
      let from = right + 14;
      return s("g", {class: `row ${line.kind}${picked ? " picked" : ""}`, "aria-pressed": line.kind === "reference" ? null : String(picked), ...press,
        data: {...(press.data || {}), explainer: line.explainer, layer: line.layer, kind: line.kind, mean: line.mean}},
        s("title", {}, label),
        s("rect", {class: "band", x: 1, y: at - tall / 2 + 1, width: width - 2, height: tall - 2, rx: 3}),
        narrow ? [s("text", {x: 8, y: at - 4, "font-size": size}, name(width - 130 - layerWidth), s("tspan", {class: "quiet", dx: 8}, Assay.layerName(line.layer))),
          s("text", {x: width - 8, y: at - 4, "text-anchor": "end", "font-size": size}, Assay.number(line.mean), s("tspan", {class: "quiet", dx: 8}, Assay.fitted(line.group || "–", 70)))]
          : [s("text", {x: 6, y: at + 4, "font-size": size}, name(nameWidth - mark)), s("text", {x: nameWidth + 6, y: at + 4, "font-size": size, class: "quiet"}, Assay.layerName(line.layer))],
        known(line.low) && known(line.high) ? s("path", {class: "whisker", d: `M${x(line.low)},${pointAt}H${x(line.high)}M${x(line.low)},${pointAt - 4}v8M${x(line.high)},${pointAt - 4}v8`}) : null,
        Assay.marker(marker, x(line.mean), pointAt, 4.5, properties),
        columns.map((column) => { const text = s("text", {x: from, y: at + 4, "font-size": size}, Assay.fitted(column.text(line), column.width - 10, size)); from += column.width; return text; }));
    };
    // On a narrow page names stand above their markers: a line does not run through them.
    const upright = (name, value) => s("path", {class: name, d: narrow ? order.map((_, index) => `M${x(value)},${y(index)}v${tall / 2}`).join("") : `M${x(value)},${top}V${bottom}`});
    let from = right + 14;
    return Assay.drawing(width, height,
      narrow ? null : [head("explainer", "ranking", 6), head("layer", "layer", nameWidth + 6), columns.map((column) => { const text = head(column.head, column.key, from); from += column.width; return text; })],
      low < 0 && high > 0 ? upright("zero", 0) : null, floor ? upright("best-floor", floor.mean) : null,
      split > 0 ? s("text", {x: 6, y: y(split) - tall / 2 - 1, class: "quiet", "font-size": 11}, "Other references") : null,
      order.map(row),
      Assay.axis({across: true, scale: x, ticks: Assay.ticks(low - space, high + space, (right - left) / 48), at: bottom, from: left, to: right,
        title: `${unit(chosen)}${chosen.higher === null ? "" : chosen.higher ? " (higher is better)" : " (lower is better)"}`}),
      floor ? s("text", {x: Math.min(Math.max(x(floor.mean), 80), width - 80), y: bottom + 50, "text-anchor": "middle", class: "quiet"}, `┆ best floor: ${Assay.fitted(ranked(floor), 120)}, ${Assay.number(floor.mean)}`) : null);
  }

  const FURTHER = [["std", "std", "std"], ["mean rank", "mean_rank", "mean_rank"], ["rho, all tokens", "rho_all", "rho_all"], ["rho, text's own", "rho_content", "rho_content"],
    ["rho given position", "partial", "partial"], ["tau-b", "tau", "tau"], ["top quarter", "top", "top"], ["tied", "tied", "tied"], ["saturated", "saturated", "saturated"], ["unassigned", "unassigned", "unassigned"]];

  function table({lines}, chosen) {
    const further = FURTHER.filter(([, name]) => lines.some((line) => known(line[name])));
    const columns = [{head: "explainer"}, {head: "kind"}, {head: "layer", key: "layer"}, {head: unit(chosen), key: "mean", numeric: true}, {head: "95% interval", key: "interval", numeric: true},
      {head: "letters", key: "group"}, {head: "effect", key: "effect", numeric: true}, {head: "n", key: "n", numeric: true}, ...further.map(([head, , key]) => ({head, key, numeric: true}))];
    return Assay.table(`Ranking for ${chosen.measure}`, columns, lines.map((line) => [
      line.kind === "reference" ? ranked(line) : h("button", {type: "button", class: "text", data: {focus: `line ${line.kind} ${line.explainer}`}, on: {click: () => choose(line)}}, ranked(line)),
      line.kind, Assay.layerName(line.layer), Assay.number(line.mean), interval(line), line.group || "–", known(line.effect) ? `${Assay.number(line.effect)} (${line.floor})` : "–", String(line.n),
      ...further.map(([, name]) => (known(line[name]) ? Assay.number(line[name]) : "–"))]));
  }

  function draw(place) {
    const chosen = Assay.chosen(), found = ranking(chosen);
    const first = chosen.measure === Assay.data.measures[0].name;  // its answer stands above the views
    if (!first || !found.explainers.length) place.append(h("ul", {class: "answer says"}, answer(found, chosen).filter(Boolean).map((text) => h("li", {}, text))));
    const panels = ["Ranking", "Faithfulness against cost", "Agreement of explainers", "Agreement of references"].map((name) => h("section", {class: "panel", "aria-label": name}, h("h2", {}, name)));
    place.append(h("div", {class: "panels"}, panels));
    const [own, cost, explainers, references] = panels, fit = (panel) => Math.max(280, Math.min(1000, panel.clientWidth));
    own.classList.add("first");
    const agreement = Assay.data.content.agreement[chosen.measure];
    if (agreement && agreement.names.length > 9) explainers.classList.add("first");  // too many columns for half a page
    if (!found.lines.length) own.remove();
    else own.append(
      Assay.figure("ranking", `Each explainer at its best layer: ${unit(chosen)} with its 95% interval. Explainers that share a letter do not differ significantly.`, plot(found, chosen, fit(own)), table(found, chosen)),
      h("p", {class: "note"}, Assay.term("Best layer", "ranking"), ". Letters: ", Assay.term("groups", "group"), ". Grey circles: ", Assay.term("floors", "floor"), ". ",
        found.floors.length ? [h("span", {class: "mark above"}, "▲"), ": significantly above every floor. "] : null, Assay.term("Effect", "effect"), ". ", Assay.term("Interval", "interval"), ". Click a line to choose the explainer and its layer."));
    if (!Assay.drawCosts(cost, found, chosen, fit(cost))) cost.remove();
    if (!Assay.drawAgreement(explainers, found, chosen)) explainers.remove();
    if (!Assay.drawReferences(references, chosen)) references.remove();
  }

  Assay.ranked = {ranking, name: ranked, known, choose, isChosen, look, interval, unit, better};
  Assay.views.push({name: "ranking", title: "Ranking", order: 20, available: () => Assay.data.content.kind === "run" && Assay.data.measures.length > 0, draw});
})();

"use strict";
// How faithful explainers are against what they cost: a scatter plot of the ranking's view, with its frontier.
(() => {
  const {h, s} = Assay;
  const LEAST = 1e-6;  // seconds: what takes less is drawn here

  // Ticks of a logarithmic axis: decades, with 2 and 5 where there are few.
  function decades(from, to) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(from)); 10 ** power <= to * 1.0001; power++) ticks.push(...[1, 2, 5].map((one) => Number((one * 10 ** power).toPrecision(3))));
    const inside = ticks.filter((tick) => tick >= from * 0.9999 && tick <= to * 1.0001), whole = inside.filter((tick) => /^1(e|0*$)|^0?\.?0*1$/.test(String(tick)));
    return whole.length >= 3 ? whole : inside;
  }

  // Explainers that no other one beats: cheaper ones are worse, better ones dearer. Cheapest first.
  function frontier(points, chosen) {
    const found = [];
    for (const point of [...points].sort((one, other) => one.seconds - other.seconds || (Assay.ranked.better(one.line, other.line, chosen) ? -1 : 1)))
      if (!found.length || Assay.ranked.better(point.line, found[found.length - 1].line, chosen)) found.push(point);
    return found;
  }

  // Places for labels near their points, so that none covers another, a point or a line: [{x, y, end, far}]; null where there is no room.
  // Bold ones choose first.
  function labelled(points, lines, box) {
    const boxes = [...points.map(({x, y}) => [x - 8, y - 7, x + 8, y + 7]), ...lines];
    const free = (one) => one[0] >= box[0] && one[2] <= box[2] && one[1] >= box[1] && one[3] <= box[3] &&
      boxes.every((other) => one[2] <= other[0] || one[0] >= other[2] || one[3] <= other[1] || one[1] >= other[3]);
    const crowded = points.length > 16;
    const place = ({x, y, label, weight}) => {
      const wide = Assay.textWidth(label, 11, weight) + 3;
      for (let reach = 10; reach <= (crowded && weight < 600 ? 50 : 150); reach += 7)
        for (const angle of [0, 180, -90, 90, -45, 45, -135, 135, -20, 20, -160, 160, -70, 70, -110, 110]) {
          const dx = Math.cos(angle * Math.PI / 180), at = [x + dx * reach, y + Math.sin(angle * Math.PI / 180) * reach];
          const start = Math.abs(dx) < 0.3 ? at[0] - wide / 2 : dx > 0 ? at[0] : at[0] - wide;
          const one = [start, at[1] - 7, start + wide, at[1] + 6];
          if (free(one)) { boxes.push(one); return {x: start + 1, y: at[1] + 4, end: [Math.min(Math.max(x, start), start + wide), at[1]], far: reach > 16}; }
        }
      return null;
    };
    const places = new Map([...points].sort((one, other) => other.weight - one.weight).map((point) => [point, place(point)]));
    return points.map((point) => places.get(point));
  }

  function plot(points, edge, floor, chosen, width) {
    const height = Math.max(320, Math.min(520, width * 0.62)), left = 52, right = width - 20, top = 12, bottom = height - 44;
    const times = points.map((point) => point.seconds), means = points.map((point) => point.line.mean);
    const from = Math.min(...times) / 1.6, to = Math.max(...times) * 1.6;
    const low = Math.min(...means), high = Math.max(...means), space = (high - low || 1) * 0.08;
    const log = Assay.scale(Math.log10(from), Math.log10(to), left, right), x = (value) => log(Math.log10(value)), y = Assay.scale(low - space, high + space, bottom, top);
    const placed = points.map((point) => ({...point, x: x(point.seconds), y: y(point.line.mean), label: Assay.fitted(Assay.ranked.name(point.line), width < 500 ? 110 : 200), weight: edge.some((one) => one.line === point.line) || Assay.ranked.isChosen(point.line, chosen) ? 600 : 400}));
    const corners = edge.map((point) => [x(point.seconds), y(point.line.mean)]), drawn = floor && floor.mean >= low - space;
    const lines = [...corners.map(([at, up], index) => [at, up - 1, index + 1 < corners.length ? corners[index + 1][0] : right, up + 1]),
      ...corners.slice(1).map(([at, up], index) => [at - 1, Math.min(up, corners[index][1]), at + 1, Math.max(up, corners[index][1])]), ...(drawn ? [[left, y(floor.mean) - 1, right, y(floor.mean) + 1]] : [])];
    const labels = labelled(placed, lines, [left + 2, top - 6, right + 18, bottom - 2]);
    const step = edge.map((point, index) => `${index ? `H${x(point.seconds)}V` : `M${x(point.seconds)},`}${y(point.line.mean)}`).join("") + `H${right}`;
    const ticks = decades(from, to), most = Math.max(2, Math.floor((right - left) / 48)), every = Math.ceil(ticks.length / most);
    return Assay.drawing(width, height,
      Assay.axis({across: true, scale: x, ticks: ticks.filter((_, index) => index % every === 0), at: bottom, from: left, to: right, title: "seconds for one example (logarithmic)", format: Assay.seconds}),
      Assay.axis({scale: y, ticks: Assay.ticks(low - space, high + space, 6), at: left, from: bottom, to: top, title: `${Assay.ranked.unit(chosen)}${chosen.higher === false ? " (lower is better)" : ""}`}),
      drawn ? s("line", {class: "best-floor", x1: left, x2: right, y1: y(floor.mean), y2: y(floor.mean)}, s("title", {}, `best floor: ${Assay.ranked.name(floor)}, ${Assay.number(floor.mean)}`)) : null,
      edge.length ? s("path", {class: "frontier", d: step}) : null,
      placed.map((point, index) => {
        const {marker, properties} = Assay.ranked.look(point.line), on = edge.some((one) => one.line === point.line), label = labels[index], picked = Assay.ranked.isChosen(point.line, chosen);
        return s("g", {class: `point${on ? " on" : ""}${picked ? " picked" : ""}`, "aria-pressed": String(picked), ...Assay.pressable(describe(point, on, chosen), `cost ${point.line.explainer}`, () => Assay.ranked.choose(point.line))},
          s("title", {}, describe(point, on, chosen)),
          label && label.far ? s("line", {class: "leader", x1: point.x, y1: point.y, x2: label.end[0], y2: label.end[1]}) : null,
          s("circle", {class: "ring", cx: point.x, cy: point.y, r: 9}), Assay.marker(marker, point.x, point.y, 5, properties),
          label ? s("text", {x: label.x, y: label.y, "font-weight": point.weight}, point.label) : null);
      }));
  }

  const passes = ({cost}) => `${Assay.number(cost.forward, 1)} forward, ${Assay.number(cost.backward, 1)} backward`;
  const describe = (point, on, chosen) => `${Assay.ranked.name(point.line)}${point.line.kind === "floor" ? " (floor)" : ""}: ${Assay.ranked.unit(chosen)} ${Assay.number(point.line.mean)}, ${Assay.seconds(point.cost.seconds)} and ${passes(point)} passes for one example${on ? "; on the frontier" : ""}`;

  Assay.drawCosts = (place, found, chosen, width) => {
    const costs = new Map(Assay.data.content.costs.filter((one) => one.kind === "explainer").map((one) => [one.name, one]));
    const points = [...found.explainers, ...found.floors].filter((line) => costs.has(line.explainer)).map((line) => ({line, cost: costs.get(line.explainer), seconds: Math.max(LEAST, costs.get(line.explainer).seconds)}));
    if (points.length < 2) return false;
    const edge = frontier(points.filter((point) => point.line.kind === "explainer"), chosen);
    const shared = Assay.data.content.costs.find((one) => one.kind === "phase" && one.name === "trace");
    const own = Assay.data.content.costs.find((one) => one.kind === "reference" && one.name === chosen.measure);
    const worse = (point) => (found.floor && !Assay.ranked.better(point.line, found.floor, chosen) ? ", not better than the best floor" : "");
    const lines = points.map((point) => [h("button", {type: "button", class: "text", data: {focus: `cost line ${point.line.explainer}`}, on: {click: () => Assay.ranked.choose(point.line)}}, Assay.ranked.name(point.line)),
      Assay.number(point.line.mean), Assay.seconds(point.cost.seconds), Assay.number(point.cost.forward, 1), Assay.number(point.cost.backward, 1), edge.includes(point) ? "yes" : ""]);
    const svg = plot(points, edge, found.floor, chosen, width), unnamed = points.length - svg.querySelectorAll(".point text").length;
    place.append(
      edge.length ? h("p", {class: "says"}, "On the ", Assay.term("frontier", "frontier"), ", cheapest first: ",
        edge.map((point, index) => [index ? "; " : "", h("button", {type: "button", class: "text", data: {focus: `frontier ${point.line.explainer}`}, on: {click: () => Assay.ranked.choose(point.line)}}, Assay.ranked.name(point.line)),
          ` (${Assay.number(point.line.mean)}, ${Assay.seconds(point.cost.seconds)}${worse(point)})`]), ".") : null,
      Assay.figure("cost", "Faithfulness against cost. On the line: no other explainer is both cheaper and better. Means alone decide; they may differ by chance.", svg,
        Assay.table("Faithfulness and cost of one example", [{head: "explainer"}, {head: Assay.ranked.unit(chosen), key: "mean", numeric: true}, {head: "time", key: "seconds", numeric: true}, {head: "forward", key: "passes", numeric: true}, {head: "backward", key: "passes", numeric: true}, {head: "on the frontier", key: "frontier"}], lines)),
      h("p", {class: "note"}, Assay.term("Seconds", "seconds"), ", ", Assay.term("passes", "passes"), `.${shared ? ` The forward pass that all share takes ${Assay.seconds(shared.seconds)}.` : ""}${own ? ` ${chosen.measure} itself takes ${Assay.seconds(own.seconds)}.` : ""} Floors are grey and not on the frontier; the dashed line is the best floor's mean.${unnamed ? ` There is no room for ${unnamed} names: hover over their points, or read the table.` : ""}`));
    return true;
  };
})();

"use strict";
// Ranks of the tokens: from method to method, and against the reference's.
(() => {
  const {h, s, number} = Assay;
  const MOST = 30;  // tokens of a drawing of ranks, before it is asked for all
  const shown = (rank) => (Number.isInteger(rank) ? String(rank) : rank.toFixed(1));

  // Colour, dashes and marker of the tokens that the reference ranks first; the others are grey.
  function looks({ranked, base}) {
    const order = [...ranked].filter((token) => !Number.isNaN(base.ranks[token])).sort((one, other) => base.ranks[one] - base.ranks[other]);
    return new Map(order.slice(0, 7).map((token, index) => [token, Assay.looks.of(index)]));
  }

  const Q = ",";
  function columns(all) {
    const {state} = Assay, {readings, own, second, base} = all;
    const asked = state.get("lines") === null ? null : state.get("lines").split(Q);
    const free = readings.filter((one) => one !== own && one !== second);
    const chosen = asked ? free.filter((one) => asked.includes(one.name)) : free.filter((one) => one.kind === "explainer").slice(0, all.width < 700 ? 0 : 3);
    return {free, chosen, all: [base, own, second, ...chosen].filter(Boolean)};
  }

  function choices({free, chosen}) {
    const names = chosen.map((one) => one.name);
    const toggle = (name) => () => Assay.state.set({lines: (names.includes(name) ? names.filter((one) => one !== name) : [...names, name]).join(Q) || Q}, true);
    return free.length ? h("fieldset", {class: "toggles"}, h("legend", {}, "Also show"), free.map((one) =>
      h("label", {}, h("input", {type: "checkbox", checked: names.includes(one.name), data: {focus: `also ${one.name}`}, on: {change: toggle(one.name)}}), ` ${one.name}`))) : null;
  }

  function bump(all, width) {
    const picked = columns({...all, width}), {all: cols} = picked;
    const ranked = all.ranked.filter((token) => cols.some((one) => !Number.isNaN(one.ranks[token])));
    const near = ranked.filter((token) => cols.some((one) => one.ranks[token] <= MOST * 0.6) || token === all.token);
    const whole = Assay.state.get("all_tokens") === "yes" || ranked.length <= MOST || near.length === ranked.length;
    const tokens = whole ? ranked : near;
    const rows = Math.max(1, ...tokens.flatMap((token) => cols.map((one) => one.ranks[token] || 0)));
    const letters = Math.min(16, Math.max(4, ...tokens.map((token) => all.label(token).length)));
    const step = Math.max(92, Math.min(190, (Math.min(width, 1250) - 2 * (letters * 7 + 30)) / Math.max(1, cols.length - 1)));
    const side = letters * 7 + 30, pitch = rows > 60 ? 13 : 17, top = 48, look = looks(all);
    const x = (column) => side + column * step, y = (rank) => top + (rank - 1) * pitch;
    const total = side * 2 + step * (cols.length - 1), height = y(rows) + 16;
    // Labels of equal ranks stand one below the other, tied to their point by a line.
    const places = (column) => new Map([...tokens].filter((token) => !Number.isNaN(cols[column].ranks[token]))
      .sort((one, other) => cols[column].ranks[one] - cols[column].ranks[other] || one - other).reduce((found, token) => {
        const last = found.length ? found[found.length - 1][1] : -Infinity, group = tokens.filter((other) => cols[column].ranks[other] === cols[column].ranks[token]).length;
        found.push([token, Math.max(last + 1, cols[column].ranks[token] - (group - 1) / 2)]);
        return found;
      }, []));
    const first = places(0), last = places(cols.length - 1);
    const clipped = (text) => (text.length > 16 ? `${text.slice(0, 15)}…` : text);
    const line = (token) => {
      const own = look.get(token), known = cols.map((one, column) => [x(column), one.ranks[token]]).filter(([, rank]) => !Number.isNaN(rank));
      const story = `${all.label(token)}: ${cols.map((one) => `${shown(one.ranks[token])} by ${one.title}`).join(", ")}`;
      const label = (found, column, sign) => found.has(token) ? [
        s("path", {class: "tie", d: `M${x(column) + sign * 6},${y(cols[column].ranks[token])}L${x(column) + sign * 14},${y(found.get(token))}`}),
        s("text", {x: x(column) + sign * 17, y: y(found.get(token)) + 4, "text-anchor": sign < 0 ? "end" : "start"}, clipped(all.label(token)))] : null;
      return s("g", Assay.example.ofToken(token, story, {class: `rank${own ? "" : " plain"}`}),
        s("title", {}, story),
        s("path", {class: "wide-hit", d: `M${known.map(([at, rank]) => `${at},${y(rank)}`).join("L")}`}),
        s("path", {class: "path", d: `M${known.map(([at, rank]) => `${at},${y(rank)}`).join("L")}`, stroke: own ? own.colour : null, "stroke-dasharray": own ? own.dashes : null}),
        known.map(([at, rank]) => own ? Assay.marker(own.marker, at, y(rank), 4, {fill: own.colour}) : s("circle", {class: "dot", cx: at, cy: y(rank), r: 2.5})),
        label(first, 0, -1), cols.length > 1 ? label(last, cols.length - 1, 1) : null);
    };
    const fits = Math.floor(step / 6.6);
    const head = cols.map((one, column) => s("g", {class: "head"}, s("title", {}, one.title),
      s("text", {x: x(column), y: 14, "text-anchor": "middle"}, one.name.length > fits ? `${one.name.slice(0, fits - 1)}…` : one.name),
      s("text", {x: x(column), y: 29, "text-anchor": "middle", class: "under"}, column === 0 ? "reference" : `${one.layer ? `${Assay.layerName(one.layer)}${one.head ? ` h${one.head}` : ""}, ` : ""}${number(one.rho)}`),
      s("line", {x1: x(column), x2: x(column), y1: y(1) - 6, y2: y(rows) + 6})));
    const svg = Assay.drawing(total, height, head, [...tokens].sort((one, other) => look.has(one) - look.has(other)).map(line));
    const caption = `Ranks of the tokens, 1 on top: by ${all.measure}, then by each explainer, with its layer and rho. Colours, dashes and markers are those of the seven tokens that ${all.measure} ranks first; equal scores share a point.${whole ? "" : ` ${ranked.length - tokens.length} tokens that no column ranks among its first ${MOST * 0.6} are left out.`}`;
    const table = Assay.table("Ranks", [{head: "token"}, ...cols.map((one) => ({head: one.title, numeric: true}))], tokens.map((token) => [all.label(token), ...cols.map((one) => Number.isNaN(one.ranks[token]) ? "undefined" : shown(one.ranks[token]))]));
    return h("section", {class: "ranks", "aria-label": "Ranks"}, h("h2", {}, Assay.term("Ranks", "rank")), choices(picked),
      Assay.example.scrolled(Assay.figure("ranks", caption, svg, table)),
      whole && ranked.length <= MOST ? null : h("button", {type: "button", data: {focus: "all tokens"}, on: {click: () => Assay.state.set({all_tokens: whole ? null : "yes"}, true)}}, whole ? "Show only the first ranks" : `Show all ${ranked.length} tokens`));
  }

  // A place for a label where it covers no other; null where there is none.
  function free(taken, x, y, width) {
    const tries = [[7, 4, "start"], [-7, 4, "end"], [0, -8, "middle"], [0, 15, "middle"]];
    for (const [right, down, anchor] of tries) {
      const left = x + right - (anchor === "end" ? width : anchor === "middle" ? width / 2 : 0), box = [left, y + down - 10, left + width, y + down + 2];
      if (box[0] < 58 || box[2] > 556 || taken.some((one) => one[0] < box[2] && one[2] > box[0] && one[1] < box[3] && one[3] > box[1])) continue;
      taken.push(box);
      return {x: x + right, y: y + down, "text-anchor": anchor};
    }
    return null;
  }

  function against(all) {
    const {own, base, measure, second} = all, size = 560, n = Math.max(2, all.ranked.length);
    const x = Assay.scale(1, n, 64, size - 22), y = Assay.scale(1, n, size - 58, 14), look = looks(all);
    const tokens = all.ranked.filter((token) => !Number.isNaN(own.ranks[token]) && !Number.isNaN(base.ranks[token]));
    const distance = (token) => Math.abs(own.ranks[token] - base.ranks[token]);
    const taken = tokens.map((token) => [x(base.ranks[token]) - 4, y(own.ranks[token]) - 4, x(base.ranks[token]) + 4, y(own.ranks[token]) + 4]);
    const order = [...tokens].sort((one, other) => (other === all.token) - (one === all.token) || look.has(other) - look.has(one) || distance(other) - distance(one));
    const points = order.map((token) => {
      const at = [x(base.ranks[token]), y(own.ranks[token])], style = look.get(token), label = free(taken, ...at, all.label(token).length * 6.2);
      const story = `${all.label(token)}: rank ${shown(base.ranks[token])} by ${measure}, ${shown(own.ranks[token])} by ${own.title}`;
      return s("g", Assay.example.ofToken(token, story, {class: `point${style ? "" : " plain"}${label ? "" : " unnamed"}`}), s("title", {}, story),
        style ? Assay.marker(style.marker, ...at, 4.5, {fill: style.colour}) : s("circle", {class: "dot", cx: at[0], cy: at[1], r: 4}),
        s("text", label || {x: at[0] + 7 * (at[0] > size / 2 ? -1 : 1), y: at[1] + 4, "text-anchor": at[0] > size / 2 ? "end" : "start"}, all.label(token)));
    });
    const ticks = [...new Set([1, ...Assay.ticks(1, n, 5).filter((tick) => Number.isInteger(tick) && tick > 1)])];
    const svg = Assay.drawing(size, size,
      s("line", {class: "diagonal", x1: x(1), y1: y(1), x2: x(n), y2: y(n)}),
      Assay.axis({across: true, scale: x, ticks, at: size - 44, from: x(1), to: x(n), title: `rank by ${measure}`, format: String}),
      Assay.axis({scale: y, ticks, at: 54, from: y(1), to: y(n), title: `rank by ${own.title}`, format: String}), points);
    const fitting = `Ranks by ${own.title} against those by ${measure}: rho ${number(own.rho)} over ${tokens.length} ranked tokens. On the line both agree; below it, the explainer ranks a token higher than ${measure} does. Rank 1 is at the bottom left.`;
    return h("section", {class: "against", "aria-label": "Against the reference"}, h("h2", {}, "Against the reference"),
      Assay.figure("against", fitting, svg, Assay.table("Ranks", [{head: "token"}, {head: measure, numeric: true}, {head: own.title, numeric: true}], tokens.map((token) => [all.label(token), shown(base.ranks[token]), shown(own.ranks[token])]))));
  }

  Assay.example.ranks = bump;
  Assay.example.against = against;
  Assay.example.shownRank = shown;
})();

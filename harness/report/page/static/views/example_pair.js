"use strict";
// Two explainers: their ranks on this text, and where in the run they differ.
(() => {
  const {h, s, number} = Assay;
  const MOST = 40;  // lines of a list, before it is asked for all
  const signed = (value, digits = 2) => (value > 0 ? `+${number(value, digits)}` : number(value, digits));
  const mean = (values) => values.reduce((one, other) => one + other, 0) / values.length;

  function rho(one, other) {
    const [a, b] = [Assay.ranks(one), Assay.ranks(other)], middle = (one.length + 1) / 2;
    let across = 0, first = 0, second = 0;
    a.forEach((rank, index) => { across += (rank - middle) * (b[index] - middle); first += (rank - middle) ** 2; second += (b[index] - middle) ** 2; });
    return across / Math.sqrt(first * second);
  }

  // What examples can be told apart by: {name: [value of each example]}: tags, and how many tokens are planted or ranked.
  function facts() {
    const {examples} = Assay.data, found = new Map();
    for (const name of new Set(examples.flatMap((one) => Object.keys(one.tags)))) found.set(name, examples.map((one) => (one.tags[name] === undefined ? null : one.tags[name])));
    for (const name of new Set(examples.flatMap((one) => Object.keys(one.planted)))) {
      const counts = examples.map((one) => (one.planted[name] || []).length);
      const same = found.has(name) && found.get(name).every((value, index) => Number(value) === counts[index]);
      if (new Set(counts).size > 1 && !same) found.set(found.has(name) ? `tokens of ${name}` : name, counts);
    }
    found.set("ranked tokens", examples.map((one) => one.ranked.filter(Boolean).length));
    return found;
  }

  function byToken(all, width) {
    const {own, second, base, measure, ranked} = all, tokens = ranked.filter((token) => !Number.isNaN(own.ranks[token]) && !Number.isNaN(second.ranks[token]));
    const letters = Math.min(18, Math.max(6, ...tokens.map((token) => all.label(token).length))), side = letters * 6.6 + 14, full = Math.max(320, Math.min(600, width - 8)), row = 18, top = 26;
    const x = Assay.scale(1, Math.max(2, ranked.length), side + 8, full - 56), y = (index) => top + index * row + 9;
    const looks = [own, second].map((one) => Assay.looks.ofExplainer(one.name)), {shownRank} = Assay.example;
    const line = (token, index) => {
      const apart = own.ranks[token] - second.ranks[token], text = all.label(token);
      const story = `${text}: rank ${shownRank(own.ranks[token])} by ${own.title}, ${shownRank(second.ranks[token])} by ${second.title}, ${shownRank(base.ranks[token])} by ${measure}`;
      return s("g", Assay.example.ofToken(token, story, {class: "pair"}), s("title", {}, story),
        s("rect", {class: "behind", x: 0, y: y(index) - 9, width: full, height: row}),
        s("text", {x: side - 4, y: y(index) + 4, "text-anchor": "end"}, text.length > 18 ? `${text.slice(0, 17)}…` : text),
        s("line", {class: "span", x1: x(own.ranks[token]), x2: x(second.ranks[token]), y1: y(index), y2: y(index)}),
        s("line", {class: "mean", x1: x(base.ranks[token]), x2: x(base.ranks[token]), y1: y(index) - 7, y2: y(index) + 7}),
        [second, own].map((one) => { const look = looks[one === own ? 0 : 1]; return Assay.marker(look.marker, x(one.ranks[token]), y(index), 4.5, {fill: look.colour}); }),
        s("text", {x: full - 6, y: y(index) + 4, "text-anchor": "end", class: "under"}, apart ? signed(apart, Number.isInteger(apart) ? 0 : 1) : "0"));
    };
    const bottom = y(tokens.length - 1) + 14, ticks = [...new Set([1, ...Assay.ticks(1, Math.max(2, ranked.length), 5).filter((tick) => Number.isInteger(tick) && tick > 1)])];
    const key = (one, index, at) => [Assay.marker(looks[index].marker, at, 9, 4.5, {fill: looks[index].colour}), s("text", {x: at + 9, y: 13}, one.title.length > 24 ? `${one.title.slice(0, 23)}…` : one.title)];
    const half = (full - 80) / 2;
    const svg = Assay.drawing(full, bottom + 40, key(own, 0, 8), key(second, 1, 8 + half), s("line", {class: "mean", x1: full - 66, x2: full - 66, y1: 2, y2: 16}), s("text", {x: full - 60, y: 13}, "reference"),
      tokens.map(line), Assay.axis({across: true, scale: x, ticks, at: bottom, from: x(1), to: x(Math.max(2, ranked.length)), title: "rank", format: String}));
    const caption = `Ranks of each token by ${own.title} and by ${second.title}; the upright line is its rank by ${measure}. On the right: how many ranks ${own.name} puts it below ${second.name}.`;
    return Assay.figure("pair_tokens", caption, svg, Assay.table("Ranks", [{head: "token"}, ...[own, second].map((one) => ({head: one.title, numeric: true})), {head: measure, numeric: true}, {head: "difference", numeric: true}],
      tokens.map((token) => [all.label(token), ...[own, second, base].map((one) => shownRank(one.ranks[token])), signed(own.ranks[token] - second.ranks[token], 1)])));
  }

  // Examples in groups by a fact: by its values where they are few, by quarters of the examples where they are many.
  function grouped(indices, values, numeric) {
    const kinds = [...new Set(indices.map((index) => values[index]))].sort((one, other) => (numeric ? one - other : String(one).localeCompare(String(other))));
    if (kinds.length <= 12) return kinds.map((kind) => ({name: String(kind), own: indices.filter((index) => values[index] === kind)}));
    if (!numeric) return [];
    const order = indices.map((index) => values[index]).sort((one, other) => one - other);
    const cuts = [...new Set([1, 2, 3].map((quarter) => order[Math.floor((order.length * quarter) / 4)]))], edges = [-Infinity, ...cuts, Infinity];
    return edges.slice(0, -1).map((from, at) => indices.filter((index) => values[index] >= from && values[index] < edges[at + 1])).filter((own) => own.length)
      .map((own) => { const inside = own.map((index) => values[index]); return {name: `${Math.min(...inside)} to ${Math.max(...inside)}`, own}; });
  }

  function byFact(all, fact, values, numeric, indices, apart, groups, width) {
    const size = [Math.max(320, Math.min(600, width - 8)), 330], titles = groups.map((group) => group.name);
    const amounts = indices.map((index) => (numeric ? values[index] : titles.indexOf(String(values[index]))));
    const few = !numeric || new Set(amounts).size === groups.length, low = Math.min(...amounts), high = Math.max(...amounts), room = few ? 0.5 : 0;
    const x = Assay.scale(low - room, high + room, 60, size[0] - 20), extent = Math.max(...indices.map((index) => Math.abs(apart[index])), 0.1), y = Assay.scale(-extent, extent, size[1] - 52, 12);
    // points of one value stand beside each other, in an order that is the same each time
    const aside = (index, at) => (few && high > low ? (((index * 7919) % 11) / 11 - 0.5) * Math.min(30, ((x(high) - x(low)) / (groups.length || 1)) * 0.5) : 0) + x(amounts[at]);
    const points = indices.map((index, at) => {
      const story = `${Assay.data.examples[index].example}: ${signed(apart[index])}, ${fact} ${values[index]}`;
      return s("circle", {class: `dot example${index === all.number ? " lit" : ""}`, cx: aside(index, at), cy: y(apart[index]), r: index === all.number ? 6 : 4, data: {example: index}, on: {click: () => Assay.state.set({example: index})}}, s("title", {}, story));
    });
    const bars = few ? groups.map((group) => { const middle = x(numeric ? Number(group.name) : titles.indexOf(group.name)), level = y(mean(group.own.map((index) => apart[index]))); return s("line", {class: "mean", x1: middle - 16, x2: middle + 16, y1: level, y2: level}); }) : null;
    const clipped = (text) => (text.length > 12 ? `${text.slice(0, 11)}…` : text);
    const svg = Assay.drawing(...size, s("line", {class: "diagonal", x1: 60, x2: size[0] - 20, y1: y(0), y2: y(0)}), points, bars,
      Assay.axis({across: true, scale: x, ticks: numeric ? (few ? [...new Set(amounts)] : Assay.ticks(low, high, 6)) : titles.map((_, at) => at), at: size[1] - 44, from: 60, to: size[0] - 20, title: fact, format: (tick) => (numeric ? String(tick) : clipped(titles[tick]))}),
      Assay.axis({scale: y, ticks: Assay.ticks(-extent, extent, 4), at: 60, from: y(-extent), to: y(extent), title: "difference of rho"}));
    const steady = numeric && high > low ? rho(indices.map((index) => values[index]), indices.map((index) => apart[index])) : NaN;
    const figure = Assay.figure("pair_fact", `Rho of ${all.own.title} minus rho of ${all.second.title}, by ${fact}: a point is an example${few ? ", a bar the mean of a value" : ""}. ${Number.isNaN(steady) ? "" : `Spearman's rho between the difference and ${fact}: ${number(steady)}. `}This describes these examples and is not a test. Click a point for its text; the list below holds them too.`, svg,
      Assay.table("Differences", [{head: "example"}, {head: fact, numeric}, {head: "difference of rho", numeric: true}],
        indices.map((index) => [Assay.data.examples[index].example, String(values[index]), signed(apart[index])])));
    svg.setAttribute("role", "group");
    return figure;
  }

  function pair(all, width) {
    const {own, second, other, measure, base} = all, {data, state} = Assay;
    if (!other) return null;
    const names = data.explainers.filter((one) => one.kind !== "reference" && one.name !== own.name);
    const tools = h("div", {class: "tools"},
      Assay.select("other", "Beside it", "score", names.map((one) => [one.name, one.kind === "floor" ? `${one.name} (floor)` : one.name]), other.name, (name) => ({other: name, other_layer: null})),
      other.layers.length > 1 ? Assay.select("other_layer", "Its layer", "layer", other.layers.map((layer) => [layer, Assay.layerName(layer)]), other.layer) : null);
    const section = (...parts) => h("section", {class: "two", "aria-label": "Two explainers"}, h("h2", {}, `Two explainers: ${own.title} and ${second ? second.title : other.name}`), tools, parts);
    if (!second) return section(h("p", {}, `${other.name} has no scores for this example.`));
    const [first, last] = [own, second].map((one) => data.values(measure, one.kind, one.name, one.layer, one.head));
    if (!first || !last) return section(byToken(all, width));
    const apart = data.examples.map((_, index) => first[index] - last[index]), defined = [...apart.keys()].filter((index) => !Number.isNaN(apart[index]));
    if (!defined.length) return section(byToken(all, width), h("p", {}, "On no example are both correlations defined."));
    const known = facts(), fact = known.has(state.get("by")) ? state.get("by") : known.has("attractors") ? "attractors" : [...known.keys()].find((name) => new Set(known.get(name)).size > 1) || "ranked tokens";
    const stored = known.get(fact), numeric = stored.every((value) => value === null || (value !== "" && Number.isFinite(Number(value))));
    const values = numeric ? stored.map((value) => (value === null ? null : Number(value))) : stored, indices = defined.filter((index) => values[index] !== null);
    const groups = grouped(indices, values, numeric), kept = defined.map((index) => apart[index]), higher = kept.filter((value) => value > 0).length;
    const order = [...defined].sort((one, two) => apart[two] - apart[one]);
    const listed = state.get("all_pairs") === "yes" || order.length <= MOST ? order : [...order.slice(0, MOST / 2), ...order.slice(-MOST / 2)];
    const facing = [...known.keys()].slice(0, 4).includes(fact) ? [...known.keys()].slice(0, 4) : [fact, ...[...known.keys()].slice(0, 3)];
    const drawn = indices.length > 1 && (numeric || groups.length);
    return section(
      h("p", {class: "lead"}, `On average over ${kept.length} examples, rho with ${measure} is ${number(Math.abs(mean(kept)))} ${mean(kept) < 0 ? "lower" : "higher"} for ${own.title} than for ${second.title}; it is higher on ${higher} of them.`,
        data.examples.length > kept.length ? ` On ${data.examples.length - kept.length} more, one of the two is undefined.` : ""),
      h("div", {class: "drawings"},
        h("div", {}, h("h3", {}, "On this text"), byToken(all, width)),
        h("div", {}, h("h3", {}, "Where they differ"), h("div", {class: "tools"}, Assay.select("by", "By", null, [...known.keys()].map((name) => [name, name]), fact)),
          drawn ? byFact(all, fact, values, numeric, indices, apart, groups, width) : null,
          groups.length ? Assay.table(`Mean rho by ${fact}`, [{head: fact}, {head: "examples", numeric: true}, {head: own.title, numeric: true}, {head: second.title, numeric: true}, {head: "difference", key: "difference", numeric: true}],
            groups.map(({name, own: inside}) => [name, String(inside.length), number(mean(inside.map((index) => first[index]))), number(mean(inside.map((index) => last[index]))), signed(mean(inside.map((index) => apart[index])))]), {class: "by-fact"}) : h("p", {class: "note"}, `${fact} has too many values for groups.`))),
      Assay.table(`Examples by the difference, from ${own.name}'s best to ${second.name}'s best`,
        [{head: "example"}, {head: "difference", key: "difference", numeric: true}, {head: own.title, numeric: true}, {head: second.title, numeric: true}, ...facing.map((name) => ({head: name, numeric: true}))],
        listed.map((index) => [h("button", {type: "button", class: "text", "aria-current": index === all.number ? "true" : null, data: {focus: `pair ${index}`, example: index}, on: {click: () => state.set({example: index})}}, Assay.written(data.examples[index].tokens)),
          signed(apart[index]), number(first[index]), number(last[index]), ...facing.map((name) => { const value = known.get(name)[index]; return value === null ? "" : String(value); })]), {class: "pairs"}),
      listed.length < order.length ? h("button", {type: "button", data: {focus: "all pairs"}, on: {click: () => state.set({all_pairs: "yes"}, true)}}, `Show all ${order.length}`) : null);
  }

  Assay.example.pair = pair;
})();

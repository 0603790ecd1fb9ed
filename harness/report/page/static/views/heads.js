"use strict";
// Every head as a thumbnail and one at large (Vig 2019), and which heads attend to what is known to matter.
(() => {
  const {h, s} = Assay;
  const ROW = 18, TOP = 24, LINES = 8, MARKED = 5, LISTED = 12;

  // Methods that score single heads, the chosen one first: of all examples, or of one example's maps.
  const byHead = (names) => {
    const own = [...new Set(names)], chosen = Assay.chosen().explainer;
    return own.includes(chosen) ? chosen : own.includes("attention_by_head") ? "attention_by_head" : own[0] || null;
  };
  const scoredMethod = () => byHead(Assay.data.scored.filter((line) => line.kind === "explainer" && line.head > 0).map((line) => line.method));
  const mappedMethod = (example) => byHead(Assay.data.maps.filter((one) => one.example === example && one.head > 0).map((one) => one.method));

  // Of an encoder-decoder, the source's rows are the encoder's heads, and the prefix's the decoder's.
  function sidesOf(example, method) {
    const one = Assay.data.examples[example], source = one.source || 0, n = one.tokens.length;
    const kept = Assay.data.maps.filter((map) => map.example === example && map.method === method && map.head > 0 && map.layer > 0);
    const side = (name, title, first, after, keys) => {
      const own = kept.filter((map) => map.queries.some((query) => query >= first && query < after));
      return {name, title, first, after, keys, layers: [...new Set(own.map((map) => map.layer))].sort((x, y) => x - y), heads: Math.max(0, ...own.map((map) => map.head))};
    };
    const sides = source ? [side("encoder", "Encoder: the source reads itself", 0, source, source), side("decoder", "Decoder: the prefix reads the source and itself", source, n, n)] : [side("all", "", 0, n, n)];
    return sides.filter((one) => one.layers.length);
  }

  // The rows of one head on one side: [{query, row}].
  function rowsOf(example, method, side, layer, head) {
    const map = Assay.data.map(example, method, layer, head);
    return map ? map.queries.map((query, index) => ({query, row: map.rows[index]})).filter(({query}) => query >= side.first && query < side.after) : [];
  }

  const largestOf = (rows, keys) => Math.max(1e-12, ...rows.map(({row}) => row.subarray(0, keys).reduce((most, value) => (Math.abs(value) > most ? Math.abs(value) : most), 0)));

  const LEVELS = 48, UNDEFINED = [150, 150, 150];
  // Red, green and blue of each level from -1 to 1, in the colours of the page.
  const ramp = () => [...Array(2 * LEVELS + 1).keys()].map((level) => Assay.looks.shade(level / LEVELS - 1).background.match(/\d+/g).map(Number));

  function thumbnail(rows, keys, colours) {
    const canvas = h("canvas", {width: Math.max(1, keys), height: Math.max(1, rows.length), "aria-hidden": "true"});
    const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height), largest = largestOf(rows, keys);
    rows.forEach(({row}, down) => {
      for (let key = 0; key < keys; key++) {
        const value = row[key], at = 4 * (down * keys + key);
        const [red, green, blue] = Number.isNaN(value) ? UNDEFINED : colours[Math.round(value / largest * LEVELS) + LEVELS];
        image.data.set([red, green, blue, 255], at);
      }
    });
    context.putImageData(image, 0, 0);
    return canvas;
  }

  // What a head may attend to: {name, title, tokens(example)}.
  function targets() {
    const planted = [...new Set(Assay.data.examples.flatMap((one) => Object.keys(one.planted || {}).filter((name) => one.planted[name].length)))];
    return [...planted.map((name) => ({name, title: Assay.quoted(name), tokens: (one) => (one.planted || {})[name] || []})),
      {name: "first token", title: "the first token", tokens: () => [0]},
      {name: "explained position", title: "the explained position itself", tokens: (one) => (one.position >= 0 ? [one.position] : [])}];
  }

  const mean = (values) => { const known = values.filter((value) => !Number.isNaN(value)); return known.length ? known.reduce((one, other) => one + other, 0) / known.length : NaN; };

  const kept = new Map();
  // Each head's mean weight from the explained position to these tokens: {layer, head, here, mean, n}, the largest mean first.
  function attending(method, target, example) {
    const {data} = Assay, name = JSON.stringify([method, target.name, example]);
    if (!kept.has(name)) {
      const at = (index, layer, head) => {
        const tokens = target.tokens(data.examples[index]), scores = tokens.length ? data.scores(index, "explainer", method, layer, head) : null;
        return scores ? mean(tokens.map((token) => scores[token])) : NaN;
      };
      const lines = data.scored.filter((line) => line.kind === "explainer" && line.method === method && line.head > 0).map(({layer, head}) => {
        const values = data.examples.map((_, index) => at(index, layer, head)).filter((value) => !Number.isNaN(value));
        return {layer, head, here: at(example, layer, head), mean: mean(values), n: values.length};
      });
      const size = (line) => (Number.isNaN(line.mean) ? -Infinity : line.mean);
      kept.set(name, lines.sort((one, other) => size(other) - size(one)));
    }
    return kept.get(name);
  }

  function matrix(example, method, side, shown, choose, weights) {
    const colours = ramp(), strip = side.after - side.first < side.keys / 3;
    const found = weights ? new Map(weights.map((line, rank) => [`${line.layer} ${line.head}`, {...line, rank}])) : null;
    const cell = (layer, head, down) => {
      const rows = rowsOf(example, method, side, layer, head), own = found && found.get(`${layer} ${head}`);
      if (!rows.length) return h("td", {});
      const picked = shown.side === side && shown.layer === layer && shown.head === head;
      const title = `layer ${layer}, head ${head}${own ? `: ${Assay.number(own.here)} here, ${Assay.number(own.mean)} on average` : ""}`;
      return h("td", {class: own && own.rank < MARKED ? "marked" : null}, h("button", {type: "button", class: picked ? "picked" : null, title, "aria-label": title, "aria-pressed": picked ? "true" : "false", tabindex: picked || (shown.side !== side && !down && head === 1) ? 0 : -1,
        data: {focus: `head ${side.name} ${layer} ${head}`, across: head, down, layer, head, side: side.name}, on: {click: () => choose(side, layer, head)}},
      thumbnail(rows, side.keys, colours), own ? h("span", {}, Assay.number(own.here)) : null));
    };
    const table = h("table", {class: `heads${strip ? " strips" : ""}`, style: {"min-width": `${38 * (side.heads + 1)}px`}}, h("caption", {}, side.title || "Every head: rows are positions, columns the tokens they attend to"),
      h("thead", {}, h("tr", {}, h("td", {}), [...Array(side.heads).keys()].map((head) => h("th", {scope: "col"}, head + 1)))),
      h("tbody", {}, side.layers.map((layer, down) => h("tr", {}, h("th", {scope: "row"}, Assay.layerName(layer)), [...Array(side.heads).keys()].map((head) => cell(layer, head + 1, down))))));
    Assay.moves(table);
    return h("div", {class: "wide"}, table);
  }

  // One head at large: positions on the left, what they attend to on the right.
  function large(example, method, side, layer, head, marked, room) {
    const {state} = Assay, one = Assay.data.examples[example], rows = rowsOf(example, method, side, layer, head), {keys} = side;
    const largest = largestOf(rows, keys), beside = Math.min(120, Math.max(...one.tokens.map((token) => [...Assay.short(token)].length)) * 6.8 + 14);
    const wide = Math.max(2 * beside + 110, Math.min(2 * beside + 380, room)), left = beside, right = wide - beside - 34, tall = TOP + keys * ROW + 4, y = (token) => TOP + (token + 0.5) * ROW;
    const row = new Map(rows.map((line) => [line.query, line.row]));
    const strongest = (values, count) => [...Array(keys).keys()].filter((key) => Math.abs(values[key]) >= 0.01 * largest).sort((x, z) => Math.abs(values[z]) - Math.abs(values[x])).slice(0, count);
    const line = (query, key, bold) => {
      const score = row.get(query)[key], part = Math.abs(score) / largest;
      return s("line", {class: `edge${score < 0 ? " negative" : ""}`, "data-query": query, "data-key": key, "data-score": score.toPrecision(3), x1: left + 4, x2: right - 4, y1: y(query), y2: y(key),
        "stroke-width": (bold ? 1 + 3.4 * part : 0.5 + 2.2 * part).toFixed(2), "stroke-opacity": Math.min(1, bold ? 0.3 + 0.7 * part : 0.06 + 0.9 * part).toFixed(2)});
    };
    const edges = s("g", {class: "edges"}, rows.flatMap(({query, row: values}) => strongest(values, LINES).map((key) => line(query, key))));
    const over = s("g", {class: "over"}), shares = s("g", {}), numbers = s("g", {class: "numbers"});
    const token = state.get("token"), picked = row.has(token) ? {query: token} : null;
    const first = picked ? token : row.has(one.position) ? one.position : rows.length ? rows[0].query : 0;
    const hovered = (at) => show(at || picked);
    const label = (index, isKey) => {
      const own = !isKey && picked && index === token, explained = !isKey && index === one.position;
      const about = isKey ? `${Assay.quoted(one.tokens[index])}, attended to` : `${Assay.quoted(one.tokens[index])}${explained ? ", explained" : ""}, attends`;
      const choose = Assay.pressed(() => state.set({token: own ? null : index}));
      const at = isKey ? {key: index} : {query: index};
      return s("g", {class: `end${own ? " picked" : ""}${explained ? " explained" : ""}${isKey && marked.includes(index) ? " known" : ""}${isKey ? "" : " query"}`, role: isKey ? "img" : "button", tabindex: !isKey && index === first ? 0 : -1, "aria-label": about,
        "aria-pressed": isKey ? null : own ? "true" : "false", "data-focus": `${isKey ? "key" : "query"} ${index}`, "data-token": index, "data-across": isKey ? 1 : 0, "data-down": index,
        on: {...(isKey ? {} : choose), pointerenter: () => hovered(at), pointerleave: () => hovered(null), focus: () => hovered(at), blur: () => hovered(null)}},
      s("rect", {class: "around", x: isKey ? right : 1, y: y(index) - ROW / 2 + 0.5, width: beside - 1, height: ROW - 1, rx: 3}),
      s("text", {x: isKey ? right + 5 : left - 5, y: y(index) + 4, "text-anchor": isKey ? "start" : "end"}, Assay.short(one.tokens[index]), s("title", {}, one.tokens[index])));
    };
    const labels = [...rows.map(({query}) => label(query, false)), ...[...Array(keys).keys()].map((key) => label(key, true))];
    const svg = Assay.drawing(wide, tall, s("text", {x: left - 5, y: 14, "text-anchor": "end", class: "tick"}, "from"), s("text", {x: right + 5, y: 14, class: "tick"}, "to"),
      one.source && side.first ? s("line", {class: "between", x1: 2, x2: wide - 2, y1: TOP + one.source * ROW, y2: TOP + one.source * ROW}) : null, shares, edges, over, labels, numbers);
    svg.classList.add("graph", "head");
    Assay.moves(svg);
    const status = h("p", {class: "note reach short", "aria-live": "polite"});

    const show = (at) => {
      for (const group of [over, shares, numbers]) group.replaceChildren();
      svg.classList.toggle("some", Boolean(at));
      if (!at) {
        status.replaceChildren("Hover or focus a token to see its lines only. A click keeps it.");
        return;
      }
      const isQuery = at.query !== undefined;
      const pairs = isQuery ? strongest(row.get(at.query), keys).map((key) => [at.query, key]) : [...row.keys()].filter((query) => Math.abs(row.get(query)[at.key]) >= 0.01 * largest).map((query) => [query, at.key]);
      pairs.sort(([query, key], [otherQuery, otherKey]) => Math.abs(row.get(otherQuery)[otherKey]) - Math.abs(row.get(query)[key]));
      over.append(...[...pairs].reverse().map(([query, key]) => line(query, key, true)));
      shares.append(...pairs.map(([query, key]) => {
        const size = Math.abs(row.get(query)[key]) / largest * (beside - 2);
        return s("rect", {class: "share", x: isQuery ? right : left - size, y: y(isQuery ? key : query) - 8, width: size, height: 16});
      }));
      if (isQuery) numbers.append(...pairs.slice(0, LINES).map(([query, key]) => s("text", {x: wide - 2, y: y(key) + 4, "text-anchor": "end"}, Assay.number(row.get(query)[key]))));
      const told = pairs.slice(0, 5).map(([query, key]) => `${Assay.quoted(one.tokens[isQuery ? key : query])} ${Assay.number(row.get(query)[key])}`).join(", ");
      status.replaceChildren(h("b", {}, Assay.quoted(one.tokens[isQuery ? at.query : at.key])), isQuery ? " attends most to " : " is attended to most from ", told || "nothing", ".");
    };
    show(picked);

    const table = Assay.table(`Layer ${layer}, head ${head}: what each position attends to most`, [{head: "from"}, {head: "first"}, {head: "second"}, {head: "third"}],
      rows.map(({query, row: values}) => { const best = strongest(values, 3); return [`${query + 1}: ${one.tokens[query]}`, ...[0, 1, 2].map((at) => (at < best.length ? `${one.tokens[best[at]]} ${Assay.number(values[best[at]])}` : ""))]; }));
    const figure = Assay.figure(`head_${side.name}_${layer}_${head}`, `${method}: ${side.name === "all" ? "" : `${side.name}, `}layer ${layer}, head ${head}. Lines are relative to the head's largest, ${Assay.number(largest)}; at most ${LINES} from each position.`, svg, table);
    svg.setAttribute("role", "group");  // its tokens can be reached
    figure.querySelector("figcaption").after(status);
    return figure;
  }

  // Which head's mean weight from the explained position to the target is largest, as a sentence.
  function answer(target, lines) {
    const best = lines.find((line) => !Number.isNaN(line.mean));
    if (!best) return h("p", {}, `No example has tokens of ${target.title}.`);
    return h("p", {class: "best-head"}, "Layer ", h("b", {}, best.layer), ", head ", h("b", {}, best.head), ` attends most to ${target.title}: `, Assay.term(Assay.number(best.mean), "head_weight"), ` on average over ${best.n} ${best.n === 1 ? "example" : "examples"}.`);
  }

  // The heads in the order of that weight.
  function ranking(method, target, lines, choose) {
    const all = Assay.state.get("all") === "yes", some = lines.filter((line) => !Number.isNaN(line.mean));
    if (!some.length) return null;
    return [Assay.table(`Weight from the explained position to ${target.title} (${method})`, [{head: "head"}, {head: "this example", key: "head_weight", numeric: true}, {head: "mean over examples", key: "head_weight", numeric: true}, {head: "n", numeric: true}],
        (all ? some : some.slice(0, LISTED)).map((line) => [h("button", {type: "button", class: "text", data: {focus: `ranked ${line.layer} ${line.head}`, layer: line.layer, head: line.head}, on: {click: () => choose(line.layer, line.head)}}, `layer ${line.layer}, head ${line.head}`),
          Assay.number(line.here), Assay.number(line.mean), String(line.n)]), {class: "attending"}),
      some.length > LISTED && !all ? h("button", {type: "button", data: {focus: "all"}, on: {click: () => Assay.state.set({all: "yes"}, true)}}, `Show all ${some.length}`) : null];
  }

  function draw(place) {
    const {data, state} = Assay, chosen = Assay.chosen(), mapped = Assay.mapped(true), scored = scoredMethod();
    const one = data.examples[chosen.example], method = mapped.includes(chosen.example) ? mappedMethod(chosen.example) : null;
    const after = [h("p", {class: "note"}, "Neurons of queries and keys, the third view of Vig (2019), are out of scope here. ",
      data.content.projections ? "Queries and keys of every head are in the next view." : ["To see the queries and keys of every head, run with ", h("code", {}, "projections=10"), "."])];
    if (!scored && !mapped.length) {
      place.append(h("p", {}, "This run scored no single heads. Run it again with ", h("code", {}, "'explainers=[attention_by_head]' maps=3"), " to see every head of the first three examples."), ...after);
      return;
    }
    const options = targets(), target = options.find(({name}) => name === state.get("attends")) || options[0];
    const lines = scored ? attending(scored, target, chosen.example) : [];
    const pick = (layer, head) => state.set({explainer: method || scored, layer, head, side: null});
    place.append(h("p", {}, "Every head's attention, from every position to every token, and which heads attend to what is known to matter."),
      h("div", {class: "tools", role: "group", "aria-label": "Which head attends to"}, h("span", {class: "note"}, "Which head attends to"),
        options.map(({name, title}) => h("button", {type: "button", "aria-pressed": name === target.name ? "true" : "false", data: {focus: `target ${name}`, target: name}, on: {click: () => state.set({attends: name})}}, name))),
      scored ? answer(target, lines) : "");
    const ranked = h("section", {class: "ranked", "aria-label": "Heads in order"}, scored ? ranking(scored, target, lines, pick) : h("p", {}, "Scores of single heads were not kept."));
    if (!mapped.length) {
      place.append(ranked, h("p", {}, "No maps of single heads were kept. Run again with ", h("code", {}, "maps=3"), " to see every head of the first three examples."), ...after);
      return;
    }
    place.append(Assay.exampleButtons(method ? "Examples with maps" : "This example has no maps. These have:", mapped));
    if (!method) {
      place.append(ranked, ...after);
      return;
    }
    const sides = sidesOf(chosen.example, method), side = sides.find(({name}) => name === state.get("side")) || sides[sides.length - 1];
    const best = lines.find((line) => !Number.isNaN(line.mean)) || {layer: side.layers[0], head: 1};
    const given = state.get("head") !== null && state.get("layer") !== null ? {layer: state.get("layer"), head: state.get("head")} : chosen.explainer === method ? chosen : best;
    const layer = side.layers.includes(given.layer) ? given.layer : side.layers[0], head = Math.min(Math.max(given.head, 1), side.heads);
    const room = place.clientWidth || 1000;
    const choose = (own, ...cell) => state.set({explainer: method, layer: cell[0], head: cell[1], side: own.name === "encoder" ? "encoder" : null});
    place.append(h("div", {class: "beside"},
      h("div", {}, sides.map((own) => matrix(chosen.example, method, own, {side, layer, head}, choose, own.name !== "encoder" && scored === method ? lines : null)),
        h("p", {class: "note"}, "Each head's darkest cell is its largest weight; grey is undefined. ", scored === method ? `Numbers: ${target.title}, in this example. Framed: the ${MARKED} heads with the largest means over all kept examples.` : "")),
      large(chosen.example, method, side, layer, head, target.tokens(one), room >= 1000 ? room * 0.43 - 20 : room), ranked), ...after);
  }

  Assay.views.push({name: "heads", title: "Heads", order: 50, available: () => Assay.data.content.kind === "run", draw});
})();

"use strict";
// Scores from every position at every layer, as a layered graph over the tokens (Abnar & Zuidema 2020, Figure 1).
(() => {
  const {h, s} = Assay;
  const STRONGEST = 5, FEWEST = 2, DEEP = 12;  // edges into one node; of a model with more than DEEP layers
  const PATHS = 5, PANELS = 3, ROW = 18, TOP = 38;
  const FIRST = ["attention", "rollout", "flow"];

  const methodsOf = (example) => [...new Set(Assay.data.maps.filter((one) => one.example === example && one.head === 0 && one.layer > 0).map((one) => one.method))];

  // For attention, a key is a position one layer below, so that edges form paths; for others it is an input token.
  function hasPaths(method) {
    const {[method]: settings} = (Assay.data.content.manifest.config || {}).explainers || {};
    return method === "attention" || Boolean(settings && settings._target_ === "methods.explainers.attention.Attention");
  }

  // The scores of one method on one example. Rows of the source are those of the encoder, whose layers come first; the
  // decoder's layers read the encoder's last states. Elsewhere all rows are the decoder's, and the encoder has no layers.
  function graphOf(example, method) {
    const one = Assay.data.examples[example], n = one.tokens.length, source = one.source || 0, rows = new Map();
    let encoder = 0, decoder = 0;
    for (const kept of Assay.data.maps) {
      if (kept.example !== example || kept.method !== method || kept.head !== 0 || kept.layer === 0) continue;
      const map = Assay.data.map(example, method, kept.layer);
      map.queries.forEach((query, index) => {
        rows.set(`${kept.layer} ${query}`, map.rows[index]);
        if (query < source) encoder = Math.max(encoder, kept.layer); else decoder = Math.max(decoder, kept.layer);
      });
    }
    const layers = encoder + decoder, best = new Map();
    const graph = {
      n, source, encoder, decoder, layers, tokens: one.tokens, position: one.position, paths: hasPaths(method), method,
      row: (layer, query) => rows.get(`${layer} ${query}`),
      last: (query) => (query < source ? encoder : decoder),
      column: (layer, query) => (query < source ? layer : encoder + layer),
      // The layer of the node in which an edge into (layer, query) begins.
      below: (layer, query, key) => (query >= source && key < source ? encoder : layer - 1),
    };
    // The paths from the input to a node with the largest products of weights: [{product, path}], the input first.
    graph.strongest = (layer, query) => {
      if (layer === 0) return [{product: 1, path: [query]}];
      const name = `${layer} ${query}`;
      if (!best.has(name)) {
        const found = [];
        (graph.row(layer, query) || []).forEach((score, key) => {
          if (score > 0) for (const before of graph.strongest(graph.below(layer, query, key), key)) found.push({product: before.product * score, path: [...before.path, query]});
        });
        best.set(name, found.sort((first, second) => second.product - first.product).slice(0, PATHS));
      }
      return best.get(name);
    };
    return graph;
  }

  // What is drawn: {layer, query, key, score}, weakest first.
  function edgesOf(graph) {
    const drawn = [], count = graph.layers > DEEP ? FEWEST : STRONGEST;
    for (let query = 0; query < graph.n; query++) for (let layer = 1; layer <= graph.last(query); layer++) {
      const row = graph.row(layer, query);
      if (!row) continue;
      const known = [...row.keys()].filter((key) => !Number.isNaN(row[key]));
      const least = known.reduce((sum, key) => sum + Math.abs(row[key]), 0) / known.length * (1 - 1e-6);
      known.sort((one, other) => Math.abs(row[other]) - Math.abs(row[one]));
      for (const key of known.slice(0, count)) if (Math.abs(row[key]) >= least && row[key] !== 0) drawn.push({layer, query, key, score: row[key]});
    }
    return drawn.sort((one, other) => Math.abs(one.score) - Math.abs(other.score));
  }

  // What reaches a node: edges with their strength, and how much comes from each input token.
  function reaching(graph, layer, query) {
    const shares = new Float64Array(graph.n), edges = [];
    if (!graph.paths) {
      const row = graph.row(layer, query);
      if (row) row.forEach((score, key) => { if (!Number.isNaN(score)) { shares[key] = score; edges.push({layer, query, key, score, strength: Math.abs(score)}); } });
    } else {
      // Products add up over paths, from the node down: the decoder's layers first, then the encoder's.
      const reach = new Map([[`${layer} ${query}`, 1]]);
      const spread = (at, tokens) => {
        for (const token of tokens) {
          const own = reach.get(`${at} ${token}`), row = graph.row(at, token);
          if (!own || !row) continue;
          row.forEach((score, key) => {
            if (!(score > 0)) return;
            const name = `${graph.below(at, token, key)} ${key}`;
            reach.set(name, (reach.get(name) || 0) + own * score);
            edges.push({layer: at, query: token, key, score, strength: own * score});
          });
        }
      };
      const all = [...Array(graph.n).keys()], source = all.slice(0, graph.source), rest = all.slice(graph.source);
      if (query >= graph.source) for (let at = layer; at > 0; at--) spread(at, rest);
      for (let at = query < graph.source ? layer : graph.encoder; at > 0; at--) spread(at, source);
      for (const token of all) shares[token] = reach.get(`0 ${token}`) || 0;
    }
    const largest = Math.max(...edges.map((edge) => edge.strength), 1e-12), into = new Map();
    const strong = edges.sort((one, other) => other.strength - one.strength).filter((edge) => {
      const name = `${edge.layer} ${edge.query}`, count = into.get(name) || 0;
      into.set(name, count + 1);
      return edge.strength >= 0.01 * largest && (!graph.paths || count < STRONGEST);
    });
    return {shares, edges: strong.reverse(), largest};
  }

  const nodeName = (graph, layer, query) =>
    `${Assay.quoted(graph.tokens[query])}, ${layer === 0 ? "input" : graph.source ? `${query < graph.source ? "encoder" : "decoder"} layer ${layer}` : `layer ${layer}`}`;
  const precise = (value) => (Math.abs(value) >= 0.005 || value === 0 ? Assay.number(value) : value.toExponential(0));

  // A path as text: a token that stands at several layers, one after another, stands once, with their number.
  function pathName(graph, path) {
    const parts = [];
    for (const token of path) {
      if (parts.length && parts[parts.length - 1].token === token) parts[parts.length - 1].times++;
      else parts.push({token, times: 1});
    }
    return parts.map(({token, times}) => `${Assay.short(graph.tokens[token], 24)}${times > 1 ? ` (${times} times)` : ""}`).join(" → ");
  }

  // Inputs from the strongest down, as text.
  function told(graph, layer, query) {
    if (layer === 0) return ["It is an input token: nothing reaches it."];
    const {shares} = reaching(graph, layer, query);
    const order = [...shares.keys()].filter((token) => shares[token] !== 0).sort((one, other) => Math.abs(shares[other]) - Math.abs(shares[one])).slice(0, 5);
    if (!order.length) return ["No scores were kept from here."];
    const from = order.map((token) => `${Assay.quoted(Assay.short(graph.tokens[token], 24))} ${precise(shares[token])}`).join(", ");
    if (!graph.paths) return [`Most from ${from}.`];
    const paths = graph.strongest(layer, query).slice(0, 3).map(({path, product}) => `${pathName(graph, path)}: ${precise(product)}`);
    return [`All paths together, most from ${from}.`, `Strongest paths: ${paths.join("; ")}.`];
  }

  function panel(graph, width, picked, hovered) {
    const {state} = Assay, {method, n, layers, encoder, source} = graph;
    const beside = Math.min(120, Math.max(...graph.tokens.map((token) => [...Assay.short(token)].length)) * 6.8 + 14);
    const step = Math.max(6, Math.min(120, (width - beside - 16) / Math.max(1, layers)));
    const wide = beside + layers * step + 16, tall = TOP + n * ROW + 6;
    const x = (column) => beside + column * step, y = (token) => TOP + (token + 0.5) * ROW;
    const all = edgesOf(graph), largest = all.length ? Math.abs(all[all.length - 1].score) : 1;
    const fine = Math.min(1, Math.sqrt(12 / n)) * (layers > DEEP ? 0.6 : 1);
    const line = (edge, part, kind, widest) => s("line", {
      class: `edge${kind}${edge.score < 0 ? " negative" : ""}`, "data-query": edge.query, "data-key": edge.key, "data-layer": edge.layer, "data-score": edge.score.toPrecision(3),
      x1: x(graph.column(graph.below(edge.layer, edge.query, edge.key), edge.key)), y1: y(edge.key), x2: x(graph.column(edge.layer, edge.query)), y2: y(edge.query),
      "stroke-width": (0.4 + widest * part).toFixed(2), "stroke-opacity": Math.min(1, kind ? 0.35 + 0.65 * part : 0.1 + 0.7 * part).toFixed(2)});
    const edges = s("g", {class: "edges"}, all.filter((edge) => edge.query !== graph.position).map((edge) => line(edge, Math.abs(edge.score) / largest, "", 3 * fine)),
      all.filter((edge) => edge.query === graph.position).map((edge) => line(edge, Math.abs(edge.score) / largest, " explained", 3.4 * Math.sqrt(fine))));
    const over = s("g", {class: "over"});
    const shares = s("g", {});
    const spots = [];
    for (let token = 0; token < n; token++) for (let layer = 0; layer <= graph.last(token); layer++) spots.push([layer, token]);
    const reachable = picked && spots.some(([layer, token]) => layer === picked.layer && token === picked.token) ? picked
      : {token: graph.position >= 0 && graph.position < n ? graph.position : n - 1, layer: graph.last(graph.position >= 0 ? graph.position : n - 1)};
    const nodes = spots.map(([layer, token]) => {
      const own = picked && picked.token === token && picked.layer === layer, column = graph.column(layer, token);
      const choose = () => state.set(own ? {token: null} : {token, layer});
      return s("g", {class: `node${own ? " picked" : ""}${token === graph.position && layer > 0 ? " explained" : ""}`, role: "button", tabindex: reachable.token === token && reachable.layer === layer ? 0 : -1,
        "aria-label": `${nodeName(graph, layer, token)}, ${method}`, "aria-pressed": own ? "true" : "false", "data-focus": `node ${method} ${layer} ${token}`, "data-across": column, "data-down": token,
        "data-layer": layer, "data-token": token,
        on: {...Assay.pressed(choose), pointerenter: () => hovered({layer, token}), pointerleave: () => hovered(null), focus: () => hovered({layer, token}), blur: () => hovered(null)}},
      s("rect", {class: "around", x: x(column) - Math.min(step / 2, 9), y: y(token) - ROW / 2, width: Math.min(step, 18), height: ROW}),
      token === graph.position && layer > 0 ? Assay.marker("square", x(column), y(token), 3) : Assay.marker("circle", x(column), y(token), 2.2));
    });
    const every = Math.max(1, Math.ceil(22 / step));
    const tick = (column, text) => s("text", {x: x(column), y: TOP - 6, "text-anchor": "middle", class: "tick"}, text);
    const ticks = [tick(0, "0"), ...[...Array(encoder).keys()].filter((at) => (at + 1) % every === 0).map((at) => tick(at + 1, at + 1)),
      ...[...Array(graph.decoder).keys()].filter((at) => (at + 1) % every === 0).map((at) => tick(encoder + at + 1, at + 1))];
    const middle = (from, to) => (x(from) + x(to)) / 2;
    const title = encoder ? [s("text", {x: middle(0, encoder), y: 13, "text-anchor": "middle", class: "tick"}, "encoder"), s("text", {x: middle(encoder, layers), y: 13, "text-anchor": "middle", class: "tick"}, "decoder"),
      s("line", {class: "between", x1: 2, x2: wide - 4, y1: TOP + source * ROW, y2: TOP + source * ROW})]
      : s("text", {x: middle(0, layers), y: 13, "text-anchor": "middle", class: "tick"}, "layer (0: input)");
    const labels = graph.tokens.map((token, index) => s("text", {x: beside - 9, y: y(index) + 4, "text-anchor": "end", class: index === graph.position ? "explained" : null},
      Assay.short(token), s("title", {}, index === graph.position ? `${token} (explained)` : token)));
    const svg = Assay.drawing(wide, tall, title, ticks, shares, labels, edges, over, nodes);
    svg.classList.add("graph");
    Assay.moves(svg);
    const status = h("p", {class: "note reach", "aria-live": "polite"});

    const show = (node) => {
      const inside = node && node.token < n && node.layer <= graph.last(node.token);
      over.replaceChildren();
      shares.replaceChildren();
      svg.classList.toggle("some", Boolean(inside));
      nodes.forEach((one) => one.classList.toggle("shown", Boolean(inside) && Number(one.dataset.token) === node.token && Number(one.dataset.layer) === node.layer));
      if (!inside) {
        status.replaceChildren("Hover or focus a node to see what reaches it. A click keeps it.");
        return;
      }
      const found = reaching(graph, node.layer, node.token), most = Math.max(...found.shares.map(Math.abs), 1e-12);
      over.append(...found.edges.map((edge) => line(edge, edge.strength / found.largest, " strong", 3.4)));
      shares.append(...[...found.shares.keys()].filter((token) => found.shares[token] !== 0 && node.layer > 0).map((token) => {
        const size = Math.abs(found.shares[token]) / most * (beside - 10);
        return s("rect", {class: `share${found.shares[token] < 0 ? " negative" : ""}`, x: beside - 6 - size, y: y(token) - 7.5, width: size, height: 15});
      }));
      const [first, ...others] = told(graph, node.layer, node.token);
      status.replaceChildren(h("b", {}, nodeName(graph, node.layer, node.token)), ". ", first, ...others.flatMap((text) => [h("br"), text]));
    };

    const head = [...Array(Math.max(encoder, graph.decoder)).keys()].map((layer) => ({head: Assay.layerName(layer + 1)}));
    const strongest = (layer, query) => {
      const row = layer <= graph.last(query) ? graph.row(layer, query) : null;
      if (!row) return "";
      const key = [...row.keys()].reduce((best, one) => (Math.abs(row[one]) > Math.abs(row[best]) || Number.isNaN(row[best]) ? one : best), 0);
      return Number.isNaN(row[key]) ? "undefined" : `${graph.tokens[key]} ${Assay.number(row[key])}`;
    };
    const table = Assay.table(`${method}: the token with the largest score, from each position at each layer`, [{head: "from"}, ...head],
      graph.tokens.map((token, query) => [`${query + 1}: ${token}`, ...head.map((_, layer) => strongest(layer + 1, query))]));
    const figure = Assay.figure(`graph_${method}`, `${method}${graph.paths ? ": edges form paths" : ": edges start at input tokens and form no paths"}.`, svg, table);
    svg.setAttribute("role", "group");  // its nodes can be reached
    figure.querySelector("figcaption").after(status);
    return {figure, show};
  }

  function draw(place) {
    const {data, state} = Assay, chosen = Assay.chosen(), mapped = Assay.mapped(false);
    if (!mapped.length) {
      place.append(data.content.sample.maps_of ? h("p", {}, "This page has no room for the scores from every position that the run kept: run it again with fewer single heads or shorter texts.")
        : h("p", {}, "This run kept no scores from every position. Run it again with ", h("code", {}, "maps=3"), " to keep those of the first three examples."));
      return;
    }
    const one = data.examples[chosen.example], methods = methodsOf(chosen.example);
    place.append(h("p", {}, "Each edge is the score of one token for one position: ", Assay.term("the wider and darker, the larger", "graph_edges"), ". ",
      one && one.position >= 0 && methods.length ? [h("b", {class: "explained"}, `${Assay.quoted(one.tokens[one.position])}`), " is the explained position."] : null));
    place.append(Assay.exampleButtons(methods.length ? "Examples with maps" : "This example has no maps. These have:", mapped));
    if (!methods.length) return;
    const asked = (state.get("panels") || "").split(",").filter((name) => methods.includes(name));
    const usual = [...FIRST.filter((name) => methods.includes(name)), ...methods.filter((name) => !FIRST.includes(name))].slice(0, PANELS);
    const panels = (asked.length ? asked : usual).slice(0, PANELS);
    const toggle = (name) => {
      const next = panels.includes(name) ? panels.filter((other) => other !== name) : [...panels, name].slice(-PANELS);
      state.set({panels: next.length ? next.join(",") : null});
    };
    place.append(h("div", {class: "tools", role: "group", "aria-label": "Explainers, up to three"}, h("span", {class: "note"}, "Explainers, up to three"),
      methods.map((name) => h("button", {type: "button", "aria-pressed": panels.includes(name) ? "true" : "false", data: {focus: `panel ${name}`, panel: name}, on: {click: () => toggle(name)}}, name))));

    const room = place.clientWidth || 1000, across = Math.max(1, Math.min(panels.length, Math.floor(room / 330)));
    const token = state.get("token"), graphs = panels.map((method) => graphOf(chosen.example, method));
    const last = token === null || token < 0 || token >= one.tokens.length ? null : graphs[0].last(token);
    const picked = last === null ? null : {token, layer: Math.min(Math.max(state.get("layer", last), 0), last)};
    const drawn = [], hovered = (node) => drawn.forEach(({show}) => show(node || picked));
    for (const graph of graphs) drawn.push(panel(graph, Math.min(860, room / across - 18), picked, hovered));
    place.append(h("div", {class: "panels"}, drawn.map(({figure}) => figure)),
      h("p", {class: "note"}, `Of the edges into a node, the ${graphs[0].layers > DEEP ? FEWEST : STRONGEST} strongest are drawn, unless they are below the mean of all edges into it. Width and opacity are relative to the panel's largest. `,
        graphs.some((graph) => graph.paths) ? ["For attention, a node shows its ", Assay.term("paths back to the input", "graph_paths"), ". "] : null,
        "Dashed blue: negative scores. The shade behind a token: how much of it reaches the node.",
        one.source ? " The rule separates the source from the target's prefix; every layer of the decoder reads the encoder's last states." : ""));
    hovered(null);
  }

  Assay.views.push({name: "graph", title: "Graph", order: 40, available: () => Assay.data.content.kind === "run", draw});
})();

"use strict";
// Queries and keys of every head in a plane where nearer means more attention (Yeh et al. 2023).
(() => {
  const {h, s} = Assay;
  const FREQUENT = 6, DOTS = 250, SMALL = 96, NEAR = 18, NOTICEABLE = 0.01;
  const SIDES = ["query", "key"], MARKERS = ["circle", "up"];
  const ATTENTIONS = {self: "self-attention", encoder: "encoder", decoder: "decoder, its own", cross: "decoder to encoder"};
  const REDUCTIONS = {pca: "principal components", tsne: "t-SNE", umap: "UMAP"};

  const grey = () => getComputedStyle(document.documentElement).getPropertyValue("--quiet").trim();

  // Queries and keys of one attention, the same for all its heads: [{example, side, token}], with their category.
  function pointsOf(attention) {
    const {example, side, token} = Assay.data.content.projections.points[attention];
    return example.map((one, index) => ({example: one, side: side[index], token: token[index]}));
  }

  // The place of each of these points in one head's plane.
  const placesOf = (plane, points) => Assay.data.arrays.projections.values.subarray(2 * plane.start, 2 * (plane.start + points.length));

  // How points are coloured: {of(point) -> {name, colour}, legend: [{name, colour}]}.
  function colouring(kind, points) {
    const {examples} = Assay.data, {COLOURS} = Assay.looks, other = grey();
    if (kind === "position") {
      const last = Math.max(1, ...points.map((point) => examples[point.example].tokens.length - 1)), bins = 6;
      const bin = (token) => Math.min(bins - 1, Math.floor(token / (last + 1) * bins)), colour = (at) => Assay.looks.shade(0.3 + 0.7 * at / (bins - 1)).background;
      const name = (at) => `positions ${Math.ceil(at * (last + 1) / bins) + 1} to ${Math.ceil((at + 1) * (last + 1) / bins)}`;
      return {of: (point) => ({name: name(bin(point.token)), colour: colour(bin(point.token))}), legend: [...Array(bins).keys()].map((at) => ({name: name(at), colour: colour(at)}))};
    }
    if (kind === "token") {
      const counts = new Map();
      for (const point of points) { const token = examples[point.example].tokens[point.token]; counts.set(token, (counts.get(token) || 0) + 1); }
      const frequent = [...counts].sort((one, two) => two[1] - one[1]).slice(0, FREQUENT).map(([token]) => token);
      const of = (point) => { const at = frequent.indexOf(examples[point.example].tokens[point.token]); return at < 0 ? {name: "other tokens", colour: other} : {name: frequent[at], colour: COLOURS[at]}; };
      return {of, legend: [...frequent.map((name, at) => ({name, colour: COLOURS[at]})), {name: "other tokens", colour: other}]};
    }
    const planted = [...new Set(examples.flatMap((one) => Object.keys(one.planted || {})))];
    const names = [...planted, "explained position", "other ranked tokens", "tokens that are not ranked"];
    const colours = [...planted.map((_, at) => COLOURS[(at + 2) % COLOURS.length]), COLOURS[1], COLOURS[0], other];
    const of = ({example, token}) => {
      const one = examples[example], own = planted.findIndex((name) => ((one.planted || {})[name] || []).includes(token));
      const at = own >= 0 ? own : token === one.position ? planted.length : planted.length + (one.ranked[token] ? 1 : 2);
      return {name: names[at], colour: colours[at]};
    };
    const found = new Set(points.map((point) => of(point).name));
    return {of, legend: names.map((name, at) => ({name, colour: colours[at]})).filter(({name}) => found.has(name))};
  }

  // One scale for both directions, since distances count.
  function scaled(places, size, margin) {
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let at = 0; at < places.length; at += 2) {
      left = Math.min(left, places[at]); right = Math.max(right, places[at]);
      low = Math.min(low, places[at + 1]); high = Math.max(high, places[at + 1]);
    }
    const unit = (size - 2 * margin) / (Math.max(right - left, high - low) || 1);
    return {x: (value) => size / 2 + (value - (left + right) / 2) * unit, y: (value) => size / 2 - (value - (low + high) / 2) * unit};
  }

  function thumbnail(plane, points, looks) {
    const canvas = h("canvas", {width: SMALL, height: SMALL, "aria-hidden": "true"}), context = canvas.getContext("2d");
    const places = placesOf(plane, points), {x, y} = scaled(places, SMALL, 6), step = Math.max(1, Math.ceil(points.length / DOTS));
    for (let index = 0; index < points.length; index += step) {
      const across = x(places[2 * index]), down = y(places[2 * index + 1]);
      context.fillStyle = looks[index].colour;
      context.beginPath();
      if (points[index].side) { context.moveTo(across, down - 3.2); context.lineTo(across + 3, down + 2.4); context.lineTo(across - 3, down + 2.4); } else context.arc(across, down, 2.4, 0, 2 * Math.PI);
      context.fill();
    }
    return canvas;
  }

  const share = (value) => `${Math.round(100 * value)}%`;
  const {known} = Assay;

  function matrix(planes, points, looks, shown) {
    const layers = [...new Set(planes.map((plane) => plane.layer))], heads = [...new Set(planes.map((plane) => plane.head))];
    const cell = (layer, head, down) => {
      const plane = planes.find((one) => one.layer === layer && one.head === head);
      if (!plane) return h("td", {});
      const title = `layer ${layer}, head ${head}: agreement ${Assay.number(plane.agreement)}${known(plane.explained) ? `, ${share(plane.explained)} of the variance` : ""}`;
      return h("td", {}, h("button", {type: "button", class: plane === shown ? "picked" : null, title, "aria-label": title, "aria-pressed": plane === shown ? "true" : "false", tabindex: plane === shown ? 0 : -1,
        data: {focus: `plane ${layer} ${head}`, across: head, down, layer, head}, on: {click: () => Assay.state.set({layer, head})}}, thumbnail(plane, points, looks), h("span", {}, known(plane.agreement) ? Assay.number(plane.agreement) : "·")));
    };
    const table = h("table", {class: "heads planes", style: {"min-width": `${38 * (heads.length + 1)}px`}}, h("caption", {}, "Every head; below it, ", Assay.term("how well nearness agrees", "plane_agreement")),
      h("thead", {}, h("tr", {}, h("td", {}), heads.map((head) => h("th", {scope: "col"}, head)))),
      h("tbody", {}, layers.map((layer, down) => h("tr", {}, h("th", {scope: "row"}, Assay.layerName(layer)), heads.map((head) => cell(layer, head, down))))));
    Assay.moves(table);
    return h("div", {class: "wide"}, table);
  }

  function large(plane, points, looks, planes, size) {
    const {state, data} = Assay, chosen = Assay.chosen(), token = state.get("token"), only = state.get("only");
    const places = placesOf(plane, points), {x, y} = scaled(places, size, 24);
    const at = (index) => [x(places[2 * index]), y(places[2 * index + 1])];
    const own = (index) => points[index].example === chosen.example, picked = (index) => own(index) && points[index].token === token;
    const name = (index) => `${SIDES[points[index].side]} of ${Assay.quoted(data.examples[points[index].example].tokens[points[index].token])}`;
    const order = [...points.keys()].sort((one, other) => own(one) - own(other) || picked(one) - picked(other));
    const ring = s("circle", {class: "ring", r: 9, cx: -20, cy: -20});
    const status = h("p", {class: "note reach", "aria-live": "polite"});
    const choose = (index) => state.set({example: points[index].example, token: picked(index) ? null : points[index].token});
    const show = (index) => {
      ring.setAttribute("cx", index === null ? -20 : at(index)[0]);
      ring.setAttribute("cy", index === null ? -20 : at(index)[1]);
      if (index === null) {
        status.replaceChildren("Hover a point to read its token and its text. A click chooses them.");
        return;
      }
      const one = data.examples[points[index].example];
      status.replaceChildren(`${SIDES[points[index].side][0].toUpperCase()}${name(index).slice(1)}, ${looks[index].name}: `, ...one.tokens.flatMap((text, place) => [place === points[index].token ? h("mark", {}, text) : text, " "]));
    };
    const firstOwn = order.find((index) => picked(index)) ?? order.find(own);
    const dots = order.map((index) => {
      const mine = own(index), faint = only && looks[index].name !== only;
      return Assay.marker(MARKERS[points[index].side], ...at(index), mine ? 5 : 3.6, {
        class: `point${mine ? " own" : ""}${picked(index) ? " picked" : ""}${faint ? " faint" : ""}`, fill: looks[index].colour, "data-example": points[index].example, "data-token": points[index].token, "data-side": SIDES[points[index].side],
        ...(mine ? {role: "button", tabindex: index === firstOwn ? 0 : -1, "aria-label": `${name(index)}, ${looks[index].name}`, "aria-pressed": picked(index) ? "true" : "false",
          "data-focus": `point ${points[index].side} ${points[index].token}`, "data-across": points[index].token, "data-down": points[index].side,
          on: {focus: () => show(index), blur: () => show(null), keydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(index); } }}} : {})});
    });
    const svg = Assay.drawing(size, size, s("rect", {class: "frame", x: 0.5, y: 0.5, width: size - 1, height: size - 1}), dots, ring);
    const nearest = (event) => {
      const box = svg.getBoundingClientRect(), across = (event.clientX - box.left) * size / box.width, down = (event.clientY - box.top) * size / box.height;
      let best = null, least = NEAR;
      for (const index of order) {
        if (only && looks[index].name !== only) continue;
        const distance = Math.hypot(at(index)[0] - across, at(index)[1] - down);
        if (distance <= least) [best, least] = [index, distance];
      }
      return best;
    };
    svg.addEventListener("pointermove", (event) => show(nearest(event)));
    svg.addEventListener("pointerleave", () => show(null));
    svg.addEventListener("click", (event) => { const index = nearest(event); if (index !== null) choose(index); });
    svg.classList.add("plane");
    Assay.moves(svg);
    show(null);
    const beyond = planes.some((one) => one.left_out > NOTICEABLE);
    const table = Assay.table("Every head's plane", [{head: "head"}, {head: "variance shown", key: "plane_explained", numeric: true}, {head: "agreement", key: "plane_agreement", numeric: true}, {head: "by query", key: "plane_by_query", numeric: true}, ...(beyond ? [{head: "left out", key: "plane_left_out", numeric: true}] : [])],
      planes.map((one) => [h("button", {type: "button", class: "text", data: {focus: `plane line ${one.layer} ${one.head}`}, on: {click: () => state.set({layer: one.layer, head: one.head})}}, `layer ${one.layer}, head ${one.head}`),
        known(one.explained) ? share(one.explained) : "undefined", Assay.number(one.agreement), Assay.number(one.by_query), ...(beyond ? [Assay.number(one.left_out)] : [])]), {class: "planes"});
    const figure = Assay.figure(`plane_${plane.attention}_${plane.layer}_${plane.head}`, `${ATTENTIONS[plane.attention] || plane.attention}, layer ${plane.layer}, head ${plane.head}. Circles are queries, triangles keys; large ones are of the chosen example.`, svg, table);
    svg.setAttribute("role", "group");  // its points can be reached
    figure.querySelector("figcaption").after(status);
    return figure;
  }

  function legend(entries) {
    const only = Assay.state.get("only");
    return h("div", {class: "tools legend", role: "group", "aria-label": "Colours"}, entries.map(({name, colour}) =>
      h("button", {type: "button", "aria-pressed": only === name ? "true" : "false", title: "Show these alone", data: {focus: `only ${name}`, only: name}, on: {click: () => Assay.state.set({only: only === name ? null : name})}},
        h("span", {class: "swatch", style: {background: colour}}), Assay.short(name, 28))));
  }

  function draw(place) {
    const {data, state} = Assay, {projections} = data.content, chosen = Assay.chosen();
    const attentions = [...new Set(projections.planes.map((plane) => plane.attention))];
    const attention = attentions.includes(state.get("attention")) ? state.get("attention") : attentions[attentions.length - 1];
    const planes = projections.planes.filter((plane) => plane.attention === attention), points = pointsOf(attention);
    const best = planes.reduce((one, other) => ((other.agreement ?? -2) > (one.agreement ?? -2) ? other : one));
    const asked = planes.find((plane) => plane.layer === state.get("layer", chosen.layer) && plane.head === state.get("head", chosen.head));
    const shown = asked || best;
    const planted = data.examples.some((one) => Object.values(one.planted || {}).some((tokens) => tokens.length));
    const kinds = [["role", planted ? "what is known of a token" : "role"], ["position", "position"], ["token", "frequent tokens"]];
    const kind = kinds.some(([name]) => name === state.get("colour")) ? state.get("colour") : planted ? "role" : "position";
    const {of, legend: entries} = colouring(kind, points), looks = points.map(of);
    const examples = [...new Set(points.map((point) => point.example))];
    const method = REDUCTIONS[projections.method] || projections.method;
    place.append(
      h("p", {}, "The nearer a query is to a key, the more the head attends. Layer ", h("b", {}, shown.layer), ", head ", h("b", {}, shown.head), ": ",
        known(shown.explained) ? ["the plane shows ", Assay.term(share(shown.explained), "plane_explained"), " of the variance of its queries and keys, and "] : `in a plane of ${method}, `,
        "nearness agrees with their product at rho ", Assay.term(Assay.number(shown.agreement), "plane_agreement"), known(shown.by_query) ? [" over all pairs, ", Assay.term(Assay.number(shown.by_query), "plane_by_query"), " by query"] : null, ". ",
        shown === best ? (known(best.agreement) ? "No head agrees better." : null) : h("button", {type: "button", class: "text", data: {focus: "best"}, on: {click: () => state.set({layer: best.layer, head: best.head})}}, `The best is layer ${best.layer}, head ${best.head}: ${Assay.number(best.agreement)}.`)),
      shown.left_out > NOTICEABLE ? h("p", {class: "note"}, "This head's attention is more than the softmax of these products, for example by a position bias: ", Assay.term(`weights differ by up to ${Assay.number(shown.left_out)}`, "plane_left_out"), ".") : "",
      h("div", {class: "tools"},
        attentions.length > 1 ? Assay.select("attention", "Attention", null, attentions.map((name) => [name, ATTENTIONS[name] || name]), attention) : null,
        Assay.select("colour", "Colour", null, kinds, kind, (colour) => ({colour, only: null}))),
      legend(entries));
    const room = place.clientWidth || 1000, size = Math.round(Math.max(260, Math.min(760, room >= 1000 ? room * 0.42 : room)));
    place.append(h("div", {class: "beside"},
      h("div", {}, matrix(planes, points, looks, shown),
        h("p", {class: "note"}, `Points are the tokens of ${examples.length} ${examples.length === 1 ? "example" : "examples"}${projections.of > examples.length ? ` of the ${projections.of} that were kept` : ""}, placed by ${method}; a head has one plane for all. `,
          "Keys are centred, and queries and keys are scaled against each other, which changes no attention weight.")),
      large(shown, points, looks, planes, size)));
  }

  Assay.views.push({name: "projections", title: "Queries and keys", order: 60, available: () => Boolean(Assay.data.content.projections), draw});
})();

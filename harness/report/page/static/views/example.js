"use strict";
// One text: what is known of it, and how each method ranks its tokens. The parts of the view are in example_*.js.
(() => {
  const {h} = Assay;
  const {known} = Assay;

  // The reference that scores are compared with: a metric has no scores of its own.
  function reference(chosen) {
    const names = Assay.data.measures.filter((one) => one.higher === null).map((one) => one.name);
    return names.includes(chosen.measure) ? chosen.measure : names[0];
  }

  // Scores, ranks among the ranked tokens, and rho of one method on an example.
  function reading(example, measure, kind, name, layer, head = 0) {
    const {data} = Assay, {ranked} = data.examples[example];
    const isReference = kind === "reference";
    const scores = data.scores(example, isReference ? "reference" : "explainer", name, layer, head);
    if (!scores) return null;
    const values = isReference && name === measure ? null : data.values(measure, kind, name, layer, head);
    const title = `${name}${head ? ` head ${head}` : ""}${layer ? `, ${Assay.layerName(layer)}` : ""}`;
    return {kind, name, layer, head, title, scores, ranks: Assay.ranks(scores.map((score, token) => (ranked[token] ? score : NaN))), rho: values ? values[example] : NaN};
  }

  // The layer and head at which an explainer is shown: the chosen one's own, otherwise its best.
  function where(chosen, measure, name) {
    if (name === chosen.explainer) return {layer: chosen.layer, head: chosen.head};
    const own = Assay.data.explainer(name);
    const best = Assay.data.ranking.find((line) => line.measure === measure && line.explainer === name && line.kind !== "reference");
    return best ? {layer: best.layer, head: best.head || 0} : {layer: own.layers[own.layers.length - 1], head: own.heads ? 1 : 0};
  }

  // The explainer beside the chosen one: `other`, otherwise the best of the rest.
  function beside(chosen, measure) {
    const {data, state} = Assay;
    const names = data.explainers.filter((one) => one.kind !== "reference" && one.name !== chosen.explainer).map((one) => one.name);
    const best = data.ranking.find((line) => line.measure === measure && line.kind === "explainer" && names.includes(line.explainer));
    const name = names.includes(state.get("other")) ? state.get("other") : best ? best.explainer : names[0];
    if (!name) return null;
    const layers = data.explainer(name).layers, own = where(chosen, measure, name), layer = Number(state.get("other_layer"));
    return {name, layers, layer: state.get("other_layer") !== null && layers.includes(layer) ? layer : own.layer, head: own.head};
  }

  // All that the parts draw from: the example, and the readings of its tokens, best first.
  function told() {
    const {data} = Assay, chosen = Assay.chosen(), measure = reference(chosen), number = chosen.example, example = data.examples[number];
    const other = beside(chosen, measure);
    const readings = data.explainers.filter((one) => one.kind !== "reference").map((one) => {
      const {layer, head} = other && one.name === other.name ? other : where(chosen, measure, one.name);
      return reading(number, measure, one.kind, one.name, layer, head);
    }).filter(Boolean);
    readings.sort((one, two) => (known(two.rho) ? two.rho : -2) - (known(one.rho) ? one.rho : -2));
    const counts = new Map();
    for (const token of example.tokens) counts.set(token, (counts.get(token) || 0) + 1);
    const token = Assay.state.get("token");
    return {
      chosen, measure, number, example, readings, other,
      base: measure ? reading(number, measure, "reference", measure, 0) : null,
      references: data.measures.filter((one) => one.higher === null && one.name !== measure).map((one) => reading(number, measure, "reference", one.name, 0)).filter(Boolean),
      own: readings.find((one) => one.name === chosen.explainer) || null,
      second: other ? readings.find((one) => one.name === other.name) || null : null,
      ranked: [...example.ranked.keys()].filter((index) => example.ranked[index]),
      token: token !== null && token >= 0 && token < example.tokens.length ? token : null,
      // A token's name in drawings: with its position where it occurs more than once.
      label: (index) => (counts.get(example.tokens[index]) > 1 ? `${example.tokens[index]} (${index})` : example.tokens[index]),
    };
  }

  // Light up all that stands for a token; null for the one that was clicked.
  function light(index) {
    const view = document.getElementById("view"), lit = index === null ? Assay.state.get("token") : index;
    for (const one of view.querySelectorAll("[data-token]")) one.classList.toggle("lit", one.dataset.token === String(lit));
  }

  // Properties of whatever stands for a token: hovering or focusing lights it up, a click keeps it.
  function ofToken(index, story, properties = {}) {
    const keep = () => Assay.state.set({token: Assay.state.get("token") === index ? null : index}, true);
    const show = () => { light(index); const place = document.getElementById("readout"); if (place && story) place.textContent = story; };
    return {...properties, class: `token ${properties.class || ""}${Assay.state.get("token") === index ? " lit" : ""}`,
      data: {...properties.data, token: index},
      on: {click: keep, mouseenter: show, mouseleave: () => light(null), focus: show, blur: () => light(null),
        keydown: (event) => { if (event.currentTarget.tagName !== "BUTTON" && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); keep(); } }}};
  }

  // A figure whose drawing keeps its size and scrolls where it is too wide; `interactive` where it holds what can be clicked.
  function scrolled(figure, interactive = false) {
    const svg = figure.querySelector("svg"), box = h("div", {class: "wide"});
    svg.classList.add("natural");
    if (interactive) svg.setAttribute("role", "group");
    svg.replaceWith(box);
    box.append(svg);
    return figure;
  }

  function answer(all) {
    const {own, readings, measure, ranked} = all;
    if (!own) return h("p", {class: "lead"}, "The chosen explainer has no scores for this example.");
    if (!measure) return h("p", {class: "lead"}, `How ${own.title} scores this text. The run has no reference to compare it with.`);
    if (!known(own.rho)) return h("p", {class: "lead"}, `The correlation of ${own.title} with ${measure} is undefined on this example: all scores are equal, or fewer than three tokens are ranked.`);
    const place = readings.filter((one) => one.rho > own.rho).length + 1;
    return h("p", {class: "lead"}, h("b", {}, own.title), ": ", Assay.term("rho", "rho"), ` ${Assay.number(own.rho)} with `, h("b", {}, measure), ` over the ${ranked.length} `, Assay.term("ranked", "ranked"),
      ` tokens of this text, place ${place} of ${readings.length} explainers and floors.`);
  }

  function draw(place) {
    const all = told(), parts = Assay.example;
    const metric = all.chosen.measure !== all.measure && all.measure ? h("p", {class: "note"}, `${all.chosen.measure} is a metric and has no scores of tokens; they are compared with ${all.measure} here.`) : null;
    place.append(...[answer(all), metric, parts.facts(all), parts.lines(all)].filter(Boolean));
    if (!all.own || !all.base) return;
    place.append(h("div", {class: "drawings"}, parts.ranks(all, place.clientWidth), parts.against(all), parts.layers(all, place.clientWidth), parts.pair(all, place.clientWidth)));
  }

  Assay.example = {known, reading, where, ofToken, scrolled};
  Assay.views.push({name: "example", title: "Example", order: 30, available: () => Assay.data.content.kind === "run" && Assay.data.examples.length > 0, draw});
})();

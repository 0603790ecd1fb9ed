"use strict";
// The text once for each method, coloured by its scores.
(() => {
  const {h, number} = Assay;

  // What colours a token: its score by the largest magnitude among the ranked tokens.
  function scale({scores}, ranked) {
    const among = (ranked.length ? ranked : [...scores.keys()]).map((token) => Math.abs(scores[token])).filter(Assay.example.known);
    return Math.max(...among, 0) || 1;
  }

  const places = (value) => { const size = Math.abs(value); return size >= 100 ? 1 : size >= 1 || size === 0 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(size))); };
  const rank = (value) => (Number.isNaN(value) ? "not ranked" : `rank ${Number.isInteger(value) ? value : value.toFixed(1)}`);

  // Left and right go along the line, so that a line is one stop of the Tab key.
  function along(event) {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!step) return;
    const tokens = [...event.currentTarget.querySelectorAll("button.token")], next = tokens[tokens.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    for (const one of tokens) one.tabIndex = one === next ? 0 : -1;
    next.focus();
  }

  function line(all, reading, role) {
    const {example, ranked, base, measure, chosen} = all, largest = scale(reading, ranked), isBase = role === "base";
    const first = all.token === null ? 0 : all.token;
    const tokens = example.tokens.map((token, index) => {
      const score = reading.scores[index], shade = Assay.looks.shade(score / largest);
      const story = `${all.label(index)}: ${number(score, places(score))}, ${rank(reading.ranks[index])} by ${reading.title}${isBase || !base ? "" : `; ${rank(base.ranks[index])} by ${measure}`}`;
      return h("button", Assay.example.ofToken(index, story, {type: "button", tabindex: index === first ? 0 : -1, title: story, "aria-label": story, class: example.ranked[index] ? "" : "unranked",
        data: {focus: `token ${reading.kind} ${reading.name} ${index}`, score}, style: {background: shade.background, color: shade.color}}), token);
    });
    if (example.source) tokens.splice(example.source, 0, h("span", {class: "sides", title: "the source ends here, the prefix of the target begins"}, "|"));
    const choose = reading.kind === "reference" ? {measure: reading.name} : {explainer: reading.name, layer: reading.layer, head: reading.head || null};
    const picked = reading.kind !== "reference" && reading.name === chosen.explainer;
    const name = isBase ? h("b", {}, reading.title) : h("button", {type: "button", class: "text", "aria-pressed": picked ? "true" : "false", data: {focus: `line ${reading.kind} ${reading.name}`, line: reading.name}, on: {click: () => Assay.state.set(choose)}}, reading.title);
    return h("div", {class: `line ${role}${picked ? " picked" : ""}`, data: {kind: reading.kind, explainer: reading.name, rho: reading.rho}},
      h("div", {class: "who"}, name, h("span", {class: "rho"}, isBase ? "reference" : `${picked ? "chosen, " : ""}${reading.kind === "floor" ? "floor, " : ""}rho ${number(reading.rho)}`)),
      h("div", {class: "tokens", role: "group", "aria-label": reading.title, on: {keydown: along}}, tokens));
  }

  Assay.example.places = places;
  Assay.example.lines = (all) => {
    const {base, own, readings, references, measure} = all;
    return h("section", {class: "lines", "aria-label": "Tokens coloured by their scores"},
      h("h2", {}, "Tokens by their scores"),
      h("p", {class: "note"}, "Blue is above zero, orange below; the darkest is a line's largest magnitude among the ranked tokens. Explainers stand at the chosen or their best layer, sorted by rho on this text. A line's scores have their own unit. Click a name to choose it. ← and → go from token to token."),
      h("p", {id: "readout", class: "readout", "aria-live": "polite"}, all.token === null ? "Point at a token for its score and rank." : `${all.label(all.token)} is kept: its ranks stand out below. Click it again to let go.`),
      base ? line(all, base, "base") : null,
      own ? line(all, own, "first") : null,
      readings.filter((one) => one !== own).map((one) => line(all, one, "")),
      references.length ? [h("h3", {}, Assay.term("Other references", "reference")), references.map((one) => line(all, one, ""))] : null);
  };
})();

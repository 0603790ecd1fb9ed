"use strict";
// What is known of the example: classes, tags, and the text with everything that is marked in it.
(() => {
  const {h} = Assay, {number} = Assay;
  const UNDERLINES = ["solid", "double", "dashed", "dotted", "wavy"];

  // Each class with its probability; of many, the likeliest.
  function classes({example}) {
    const names = Assay.data.content.classes, chances = example.probabilities || [];
    const name = (index) => (names[index] === undefined ? `class ${index}` : names[index]);
    const order = [...chances.keys()].sort((one, other) => chances[other] - chances[one]);
    const shown = chances.length <= 6 ? [...chances.keys()] : [...new Set([...order.slice(0, 5), example.predicted, example.gold])].filter((index) => index >= 0 && index < chances.length);
    const line = (index) => h("li", {},
      h("span", {class: "name"}, name(index)),
      h("span", {class: "track"}, h("span", {class: "fill", style: {width: `${(100 * chances[index]).toFixed(1)}%`}})),
      h("span", {class: "numeric"}, number(chances[index])),
      h("span", {class: "said"}, [index === example.predicted && "predicted", index === example.gold && "gold", example.points_to[index] && `relies on ${example.points_to[index]}`].filter(Boolean).join(", ")));
    return h("div", {class: "chances"}, h("h3", {}, Assay.term("Output", "probability")),
      h("ul", {}, shown.map(line)),
      h("p", {class: "note"}, example.gold < 0 ? "The right class is not known." : example.gold === example.predicted ? "The model is right." : `The model is wrong: it is ${name(example.gold)}.`,
        shown.length < chances.length ? ` ${chances.length - shown.length} more classes.` : ""));
  }

  function known({example, ranked, number: index}) {
    const {tokens, source, position, planted, tags} = example;
    const fact = (name, value, key) => [h("dt", {}, key ? Assay.term(name, key) : name), h("dd", {}, value)];
    const words = (indices) => [...indices].map((one) => `${tokens[one]} (${one})`).join(", ");
    return h("div", {}, h("h3", {}, "Facts"), h("dl", {},
      fact("example", `${example.example}, number ${index}`),
      example.cluster !== example.example && fact("cluster", example.cluster, "cluster"),
      fact("tokens", `${tokens.length}, ${ranked.length} of them ranked${source ? `; source ${source}, prefix ${tokens.length - source}` : ""}`),
      fact("explained position", `${tokens[position]} (${position})`, "position"),
      Object.entries(planted).map(([name, indices]) => fact(name, indices.length ? words(indices) : "none", "planted")),
      Object.entries(tags).map(([name, value]) => fact(name, value, "tag"))));
  }

  // The marks of each token: {name, class} with a label, in text order.
  function marks({example}) {
    const {tokens, ranked, planted, referents, position, words, next_word: next, links, source} = example;
    const found = tokens.map(() => []);
    Object.entries(planted).forEach(([name, indices], index) => {
      for (const token of indices) found[token].push({name, kind: `underlined ${UNDERLINES[index % UNDERLINES.length]}`, colour: index, referent: referents.includes(name)});
    });
    if (source && links && next >= 0) for (const link of links) if (link.target === next)
      for (let token = 0; token < source; token++) if (words[token] === link.source) found[token].push({name: link.sure ? "sure link" : "possible link", kind: link.sure ? "sure" : "possible"});
    found[position].push({name: "explained", kind: "explained"});
    return found.map((own, token) => ({own, unranked: !ranked[token]}));
  }

  const styled = (mark) => (mark.colour === undefined ? null : {"text-decoration-color": Assay.looks.of(mark.colour).colour});
  const labelled = (mark) => `${mark.referent ? "◆ " : ""}${mark.name}`;

  function piece(all, token, {own, unranked}) {
    const {example} = all, line = own.find((mark) => mark.colour !== undefined);
    const word = example.source && example.words[token] >= 0 ? example.words[token] : null;
    const story = [`${example.tokens[token]}, token ${token}`, word !== null && `word ${word}`, unranked ? "not ranked" : "ranked", ...own.map((mark) => mark.name)].filter(Boolean).join("; ");
    return h("span", Assay.example.ofToken(token, null, {class: `piece${unranked ? " unranked" : ""} ${own.filter((mark) => mark.colour === undefined).map((mark) => mark.kind).join(" ")}`, title: story}),
      word === null ? null : h("sup", {}, String(word)),
      h("span", {class: line ? line.kind : null, style: line ? styled(line) : null}, example.tokens[token]),
      own.length ? h("small", {}, own.map(labelled).join(", ")) : null);
  }

  function text(all) {
    const {example} = all, found = marks(all), {source, tokens, links, next_word: next} = example;
    const run = (from, to) => h("p", {class: "text"}, [...tokens.keys()].slice(from, to).map((token) => [piece(all, token, found[token]), " "]));
    const seen = new Map();
    for (const {own} of found) for (const mark of own) seen.set(mark.name, mark);
    const legend = h("ul", {class: "legend"},
      [...seen.values()].map((mark) => h("li", {}, h("span", {class: `piece ${mark.colour === undefined ? mark.kind : ""}`}, h("span", {class: mark.colour === undefined ? null : mark.kind, style: styled(mark)}, "token")), ` ${mark.kind === "explained" ? "the explained position" : mark.name}${mark.referent ? ": ◆ a referent" : ""}`)),
      found.some((one) => one.unranked) ? h("li", {}, h("span", {class: "piece unranked"}, "token"), " not ranked") : null,
      source ? h("li", {}, h("span", {class: "piece"}, h("sup", {}, "3"), "token"), " its word's number") : null);
    const about = !source ? null : next < 0 ? "The next token ends the target." : `The next token belongs to word ${next} of the target${links ? links.some((link) => link.target === next) ? "" : ", which the gold alignment links to no word" : "; the data have no gold alignment"}.`;
    return h("div", {class: "texts"},
      source ? [h("h3", {}, "Source"), run(0, source), h("h3", {}, "Prefix of the target"), run(source, tokens.length), h("p", {class: "note"}, about)] : [h("h3", {}, "Text"), run(0, tokens.length)],
      legend);
  }

  Assay.example.facts = (all) => h("section", {class: "facts", "aria-label": "Facts"}, text(all), h("div", {class: "columns"}, classes(all), known(all)));
})();

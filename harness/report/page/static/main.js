"use strict";
// The frame: title, answer, what is chosen, and the view.
(() => {
  const {h} = Assay;

  function select(name, title, key, options, value, changes = (chosen) => ({[name]: chosen})) {
    return h("label", {class: "choice"}, h("span", {}, Assay.term(title, key)),
      h("select", {name, on: {change: (event) => Assay.state.set(changes(event.target.value))}},
        options.map(([one, text]) => h("option", {value: one, selected: String(one) === String(value)}, text))));
  }
  Assay.select = select;

  const kindName = (one) => (one.kind === "floor" ? `${one.name} (floor)` : one.name);
  Assay.layerName = (layer) => (layer === 0 ? "input" : `L${layer}`);

  function controls() {
    const chosen = Assay.chosen(), {data} = Assay, own = data.explainer(chosen.explainer);
    const competing = data.explainers.filter((one) => one.kind === "explainer" || one.kind === "floor");
    const text = (example) => `${example.example}: ${Assay.written(example.tokens.slice(0, 12))}${example.tokens.length > 12 ? " …" : ""}`;
    const last = data.examples.length - 1;
    const step = (change) => h("button", {type: "button", "aria-label": change < 0 ? "Previous example" : "Next example",
      disabled: chosen.example + change < 0 || chosen.example + change > last,
      on: {click: () => Assay.state.set({example: chosen.example + change})}}, change < 0 ? "‹" : "›");
    return h("form", {class: "choices", "aria-label": "What is shown", on: {submit: (event) => event.preventDefault()}},
      select("measure", "Compared with", "reference", data.measures.map((one) => [one.name, one.higher === null ? one.name : `${one.name} (metric)`]), chosen.measure),
      select("explainer", "Explainer", "score", competing.map((one) => [one.name, kindName(one)]), chosen.explainer, (explainer) => ({explainer, head: null})),
      own && own.layers.some((layer) => layer > 0) ? select("layer", "Layer", "layer", own.layers.map((layer) => [layer, Assay.layerName(layer)]), chosen.layer, (layer) => ({layer})) : null,
      own && own.heads ? select("head", "Head", null, [...Array(own.heads).keys()].map((head) => [head + 1, `head ${head + 1}`]), chosen.head, (head) => ({head})) : null,
      data.examples.length ? h("div", {class: "stepped"}, step(-1), select("example", "Example", "example", data.examples.map((one, index) => [index, text(one)]), chosen.example), step(1)) : null);
  }

  function header() {
    const {content} = Assay.data, {kept, of, maps, maps_of: mapsOf} = content.sample || {};
    const theme = h("button", {type: "button", class: "theme", on: {click: () => {
      document.documentElement.dataset.theme = Assay.looks.dark() ? "light" : "dark";
      draw();
    }}}, Assay.looks.dark() ? "Light" : "Dark");
    return h("header", {},
      h("div", {class: "top"}, h("h1", {}, content.title), theme),
      (content.answer || []).length ? h("ul", {class: "answer"}, content.answer.map((line) => h("li", {}, line))) : null,
      kept < of ? h("p", {class: "sample"}, `This page holds ${kept} of the ${of} examples, evenly spaced over the run${maps ? ", and those with scores from every position" : ""}. Tables are of all ${of}; distributions, lists of examples and single texts are of these ${kept}.`) : null,
      maps < mapsOf ? h("p", {class: "sample"}, `It holds the scores from every position of ${maps} of ${mapsOf} examples.`) : null);
  }

  function tabs(views, current) {
    return h("nav", {"aria-label": "Views"}, views.map((view) =>
      h("a", {href: "#", "aria-current": view === current ? "page" : null, on: {click: (event) => { event.preventDefault(); Assay.state.set({view: view.name}); }}}, view.title)));
  }

  function draw() {
    const views = Assay.views.filter((view) => view.available()).sort((one, other) => one.order - other.order);
    const view = views.find((one) => one.name === Assay.state.get("view")) || views[0];
    const focused = document.activeElement && document.activeElement.closest("[data-focus]");
    const focus = focused ? focused.dataset.focus : document.activeElement && document.activeElement.name;
    const {selectionStart: from, selectionEnd: to} = document.activeElement || {};  // where one types in a field
    const place = document.getElementById("page"), top = scrollY;
    const section = h("main", {id: "view", data: {view: view.name}, "aria-label": view.title});
    place.replaceChildren(header(), tabs(views, view), Assay.data.content.kind === "run" ? controls() : "", section);
    view.draw(section);
    place.setAttribute("aria-busy", "false");
    scrollTo(0, top);
    if (focus) {
      const again = [...document.querySelectorAll("[data-focus], [name]")].find((one) => one.dataset.focus === focus || one.getAttribute("name") === focus);
      if (again) again.focus({preventScroll: true});
      if (again && typeof from === "number") again.setSelectionRange(from, to);
    }
  }

  Assay.load().then(() => {
    document.title = `${Assay.data.content.title}: Assay`;
    Assay.state.onChange(draw);
    let width = innerWidth;
    addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; draw(); } });  // drawings fit their place
    for (const query of ["print", "(prefers-color-scheme: dark)"]) matchMedia(query).addEventListener("change", draw);  // and suit the ground
    draw();
  }).catch((error) => {
    document.getElementById("page").replaceChildren(h("p", {role: "alert"},
      `This page cannot be shown: ${error.message}. It needs a browser of 2024 or later (Chrome 120, Firefox 117, Safari 17.2).`));
    throw error;
  });
})();

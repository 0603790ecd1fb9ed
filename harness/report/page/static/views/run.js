"use strict";
// What the run was: how it was made, what it cost, what it warns of, what its methods are and what its numbers mean.
(() => {
  const {h} = Assay;
  // What the manifest's keys, and those of the definitions, are called where their own name does not say it.
  const NAMES = {
    model_name: "model", model: "identity", data: "hash", code: "hash of the code", head_size: "dimensions of a head", exclusive_classes: "classes exclude each other", causal: "causal model",
    peak_memory_mib: "peak memory, MiB", dirty: "changed after the commit", task_version: "version of the task", computed_now: "computed in the last start", rows: "correlations", run: "run's id",
    ranks: "ties", include: "ranked tokens", target: "explained class", output: "explained output", token_budget: "tokens in a batch",
  };
  const TERMS = {
    aer: "alignment error rate", tau: "Kendall's tau-b", top: "top quarter", std: "standard deviation", effect: "effect size", rho_all: "rho, all tokens", rho_content: "rho, text's own tokens",
    partial: "rho given position", reference_agreement: "agreement of references", group: "letters", interval: "95% interval",
  };
  const spaced = (name) => name.replaceAll("_", " ");
  const titled = (name) => NAMES[name] || spaced(name);
  const empty = (value) => value === null || value === undefined || value === "" || (typeof value === "object" && !Object.keys(value).length);

  // A text in which addresses are links; only those of the web.
  function linked(text) {
    return String(text).split(/(https?:\/\/[^\s<>"')\]]+[^\s<>"')\].,;:])/).map((part, index) => (index % 2 ? h("a", {href: part, rel: "noreferrer noopener", target: "_blank"}, part) : part));
  }

  // Whatever JSON holds, as text or as a list of definitions; deep ones are folded.
  function shown(value, depth = 0) {
    if (value === null || value === undefined) return h("span", {class: "quiet"}, "none");
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (typeof value === "number") return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(6)));
    if (typeof value !== "object") return linked(value);
    if (!Object.keys(value).length) return h("span", {class: "quiet"}, "none");
    if (Array.isArray(value)) return value.every((one) => one === null || typeof one !== "object") && value.join(", ").length < 80 ? value.map((one, index) => [index ? ", " : "", shown(one)]) : h("ul", {class: "plain"}, value.map((one) => h("li", {}, shown(one, depth + 1))));
    const list = definitions(Object.entries(value), depth, (name) => name);
    return depth ? h("details", {}, h("summary", {}, value._target_ ? String(value._target_) : `${Object.keys(value).length} ${Object.keys(value).length === 1 ? "entry" : "entries"}`), list) : list;
  }

  const definitions = (entries, depth, name) => h("dl", {class: "facts"}, entries.map(([key, value]) => [h("dt", {}, name(key)), h("dd", {}, shown(value, depth + 1))]));

  const LONG = ["Methods", "What the numbers mean"];  // may go on in the next column

  // A part of the page with a title; nothing where there is nothing to say.
  const part = (title, ...children) => (children.flat().some(Boolean) ? h("section", {class: LONG.includes(title) ? "part long" : "part", "aria-label": title}, h("h2", {}, title), children) : null);

  // Facts of the manifest, under their titles, and after them what the task or the model adds, under its own names.
  const facts = (title, values, added = {}) => {
    const known = (all, name) => Object.entries(all).filter(([, value]) => !empty(value)).map(([key, value]) => [name(key), value]);
    const entries = [...known(values, titled), ...known(added, spaced)];
    return entries.length ? part(title, definitions(entries, 0, (name) => name)) : null;
  };
  const chosen = (manifest, ...names) => Object.fromEntries(names.map((name) => [name, manifest[name]]));
  const folded = (of, title, value) => (empty(value) ? null : Assay.folded(`${of} ${title}`, title, shown(value)));

  function says({manifest, sample}) {
    const {warnings = [], left_out: out = {}, counts} = manifest;
    const count = (number, one) => `${number || "no"} ${one}${number === 1 ? "" : "s"}`;
    const work = `${count(Object.keys(manifest.explainers).length, "explainer")}, ${count(Object.keys(manifest.references).length, "reference")} and ${count(Object.keys(manifest.metrics).length, "metric")}`;
    const told = [count(warnings.length, "warning"), `${count(Object.keys(out).length, "method")} left out`, ...(counts ? [count(counts.failed, "failed value"), count(counts.undefined, "undefined value")] : [])];
    return h("p", {class: "says"}, `${manifest.task} with ${manifest.model_name}, seed ${manifest.seed}${manifest.shard ? `, shard ${manifest.shard}` : ""}: ${manifest.status}. ${count(sample ? sample.of : manifest.examples, "example")}: ${work}. ` +
      `There ${warnings.length === 1 ? "is" : "are"} ${told.slice(0, -1).join(", ")} and ${told[told.length - 1]}.`);
  }

  // What all examples cost, by phase and method: [{kind, name, seconds, forward, backward, example}]; `example` is the seconds of one.
  function spent({manifest, costs: known, sample}) {
    const n = sample.of || 1;
    return [...Object.entries(manifest.phases || {}).map(([name, seconds]) => ({kind: "phase", name, seconds, forward: null, backward: null, example: null})),
      ...known.map((one) => ({kind: one.kind, name: one.name, seconds: one.seconds * n, forward: Math.round(one.forward * n), backward: Math.round(one.backward * n), example: one.seconds}))];
  }

  function costs(content) {
    const lines = spent(content), most = Math.max(...lines.map((line) => line.seconds), 1e-12);
    if (!lines.length) return null;
    const passes = (value) => (value === null ? "" : value.toLocaleString("en"));
    return part("Costs", Assay.table("Time for all examples, longest first: each method as if it ran alone",
      [{head: "work"}, {head: "kind"}, {head: "time", numeric: true}, {head: ""}, {head: "per example", key: "seconds", numeric: true}, {head: "forward", key: "passes", numeric: true}, {head: "backward", key: "passes", numeric: true}],
      [...lines].sort((one, other) => other.seconds - one.seconds).map((line) => [line.name, line.kind, Assay.seconds(line.seconds), h("span", {class: "share", style: {width: `${Math.max(1, 100 * line.seconds / most)}%`}}), line.example === null ? "" : Assay.seconds(line.example), passes(line.forward), passes(line.backward)]), {class: "costs"}), h("p", {class: "note"}, "Passes are those of all examples. What methods share, such as the forward pass (trace), is a phase of its own; other work that several methods need counts for each of them."));
  }

  function methods({manifest}) {
    const groups = [["explainers", "Explainers"], ["references", "References"], ["metrics", "Metrics"]].filter(([group]) => Object.keys(manifest[group] || {}).length);
    const choose = (group, name) => group === "explainers" && Assay.data.explainer(name) ? () => Assay.state.set({explainer: name, head: null, layer: null}) : group !== "explainers" && Assay.data.measures.some((one) => one.name === name) ? () => Assay.state.set({measure: name}) : null;
    const titleOf = (group, name) => { const act = choose(group, name), kind = (Assay.data.explainer(name) || {}).kind; return [act ? h("button", {type: "button", class: "text", data: {focus: `${group} ${name}`}, on: {click: act}}, name) : name, group === "explainers" && kind === "floor" ? [" ", Assay.term("(floor)", "floor")] : ""]; };
    return part("Methods", groups.map(([group, title]) => [h("h3", {}, title), h("dl", {class: "facts methods"}, Object.entries(manifest[group]).map(([name, method]) => [
      h("dt", {}, titleOf(group, name)),
      h("dd", {}, linked(method.source || "No source given"), h("code", {}, method.description), method.reduction ? h("span", {class: "quiet"}, `Hidden dimensions are reduced by ${method.reduction}.`) : null, empty(method.files) ? null : folded(name, "Files that it reads", method.files))]))]));
  }

  function meanings({definitions: known}) {
    return part("What the numbers mean", h("dl", {class: "facts"}, Object.entries(known).map(([key, meaning]) => [h("dt", {}, TERMS[key] || spaced(key)), h("dd", {}, linked(meaning))])));
  }

  const items = (title, texts) => ((texts || []).length ? part(title, h("ul", {class: "plain"}, texts.map((text) => h("li", {}, linked(text))))) : null);

  function draw(place) {
    const {content} = Assay.data, {manifest} = content, {protocol, facts: model, data_facts: data, versions, machine, counts} = manifest;
    const out = Object.entries(manifest.left_out || {});
    const told = new Set([...(manifest.warnings || []).map((text) => `WARNING ${text}`), ...out.map(([name, why]) => `LEFT OUT ${name}: ${why}`)]);
    place.append(...[says(content), h("div", {class: "parts"},
      manifest.error ? part("Error", h("p", {class: "problem"}, manifest.error)) : null,
      items("Warnings", manifest.warnings),
      out.length ? part("Left out", definitions(out, 0, (name) => name)) : null,
      costs(content),
      items("Notes", content.notes.filter((note) => !told.has(note))),
      facts("Protocol", {...protocol, ...chosen(manifest, "seed", "shard", "task_version")}),
      facts("Model", chosen(manifest, "model_name", "causal", "head_size", "model"), model),
      facts("Data", chosen(manifest, "task", "examples", "classes", "exclusive_classes", "data"), data),
      facts("Counts", counts || {}),
      facts("Where and when", {...chosen(manifest, "status", "started", "run", "commit", "dirty", "code"), ...machine, ...chosen(manifest, "peak_memory_mib")}),
      facts("Versions", versions),
      part("Configuration", (manifest.overrides || []).length ? [h("p", {}, "Typed on the command line:"), h("pre", {class: "typed"}, manifest.overrides.join("\n"))] : null, ...chosenFolders(manifest)),
      methods(content), meanings(content))].filter(Boolean));
  }

  function chosenFolders(manifest) {
    const whole = Object.entries(manifest.config || {}), simple = Object.fromEntries(whole.filter(([, value]) => value === null || typeof value !== "object"));
    return [empty(simple) ? null : folded("configuration", "Settings", simple), whole.filter(([, value]) => value !== null && typeof value === "object").map(([name, value]) => folded("configuration", spaced(name), value)),
      folded("configuration", "Further configuration", manifest.config_dir), folded("configuration", "Overrides of the shards", manifest.joined)].flat();
  }

  Assay.views.push({name: "run", title: "Run", order: 90, available: () => Assay.data.content.kind === "run", draw});
})();

"use strict";
// The models of a sweep side by side: best layers, means by layer and by relative depth, lost runs.
(() => {
  const {h, s} = Assay;
  const KINDS = ["explainer", "floor", "reference"];

  const {known} = Assay;

  // What is chosen of this sweep; anything it does not have falls back to the first.
  function choice() {
    const {data, state} = Assay, {content} = data;
    const among = (values, value) => (values.includes(value) ? value : values[0]);
    const task = among(content.tasks.map((one) => one.name), state.get("task"));
    const measures = data.measures.filter((one) => one.task === task);
    const measure = measures.find((one) => one.name === state.get("measure")) || measures[0] || null;
    const models = content.models.filter((one) => one.task === task);
    const board = measure ? data.board.filter((line) => line.task === task && line.measure === measure.name) : [];
    const ranking = measure ? data.ranking.filter((line) => line.task === task && line.measure === measure.name) : [];
    const explainers = data.explainers.filter((one) => board.some((line) => line.explainer === one.name && line.kind === one.kind));
    const competing = explainers.filter((one) => one.kind !== "reference").map((one) => one.name);
    const leader = ranking.find((line) => line.kind === "explainer");
    const explainer = competing.includes(state.get("explainer")) ? state.get("explainer") : leader ? leader.explainer : competing[0];
    const heads = Math.max(0, ...board.filter((line) => line.explainer === explainer).map((line) => line.head));
    const best = ranking.find((line) => line.explainer === explainer && line.head);
    const head = heads ? Math.min(Math.max(state.get("head", best ? best.head : 1), 1), heads) : 0;
    const lower = Boolean(measure) && measure.higher === false;
    return {task, measures, measure, models, board, ranking, explainers, competing, explainer, heads, head, lower, relative: state.get("depth") === "relative"};
  }

  const what = (chosen) => (chosen.measure.higher === null ? `Spearman's rho with ${chosen.measure.name}` : `${chosen.measure.name} (${chosen.lower ? "lower" : "higher"} is better)`);
  const headed = (line) => (line.head ? `${line.explainer} head ${line.head}` : line.explainer);
  const depth = (model) => (model.layers ? `${model.layers} ${model.layers === 1 ? "layer" : "layers"}` : "no layers");

  function describe(line, name) {
    const interval = known(line.low) ? ` [${Assay.number(line.low)}, ${Assay.number(line.high)}]` : "";
    const missing = line.undefined || line.failed ? `; ${line.undefined} undefined, ${line.failed} failed` : "";
    const floors = line.kind === "explainer" && "above_floors" in line ? (line.above_floors ? "; above all floors" : "; not above all floors") : "";
    return `${name}, ${Assay.layerName(line.layer)}: ${Assay.number(line.mean)}${interval} ± ${Assay.number(line.std)}, n ${line.n}${missing}${line.best ? "; among the best" : ""}${floors}`;
  }

  function draw(place) {
    const chosen = choice(), {content} = Assay.data;
    place.append(h("p", {}, lead(chosen)), tools(chosen));
    if (chosen.measure) place.append(
      h("div", {class: "beside"},
        h("section", {"aria-label": "Best layers"}, h("h2", {}, "Each explainer at its best layer"), best(chosen)),
        h("section", {"aria-label": "Means by layer"}, h("h2", {}, `${chosen.explainer}${chosen.head ? ` head ${chosen.head}` : ""} in every model`), lines(chosen))),
      h("section", {"aria-label": "All layers"}, h("h2", {}, chosen.relative ? "Models by relative depth" : "Models by layer"), layers(chosen)));
    place.append(lost(content.lost), runs(content.runs), notes(content.tasks));
  }

  function lead(chosen) {
    const {content} = Assay.data, gone = content.lost.length;
    const count = `${content.runs.length} ${content.runs.length === 1 ? "run has" : "runs have"} results` + (gone ? `, ${gone} ${gone === 1 ? "has" : "have"} none` : "");
    if (!chosen.measure) return `${count}. No run of ${chosen.task} has results: the reasons are listed below.`;
    return `${count}. The models of ${chosen.task} side by side: ${what(chosen)}, mean over examples. Bold, letters and marks compare the explainers of one model. No test compares one model with another here: assay-compare does.`;
  }

  function tools(chosen) {
    const {data, state} = Assay, {tasks} = data.content;
    const several = new Set(chosen.models.filter((one) => one.layers).map((one) => one.layers)).size > 1;
    const taken = {task: null, measure: null, explainer: null, head: null};
    return h("div", {class: "tools"},
      tasks.length > 1 ? Assay.select("task", "Task", null, tasks.map((one) => [one.name, one.name]), chosen.task, (task) => ({...taken, task})) : null,
      chosen.measure ? Assay.select("measure", "Compared with", "reference", chosen.measures.map((one) => [one.name, one.higher === null ? one.name : `${one.name} (metric)`]), chosen.measure.name) : null,
      chosen.competing.length ? Assay.select("explainer", "Explainer", "score", chosen.competing.map((one) => [one, one]), chosen.explainer, (explainer) => ({explainer, head: null})) : null,
      chosen.heads ? Assay.select("head", "Head", null, [...Array(chosen.heads).keys()].map((head) => [head + 1, `head ${head + 1}`]), chosen.head, (head) => ({head})) : null,
      several || chosen.relative ? Assay.select("depth", "Layers", "depth", [["", "by number"], ["relative", "by relative depth"]], chosen.relative ? "relative" : "") : null,
      chosen.measure ? h("label", {class: "choice"}, h("span", {}, "Filter"), h("input", {name: "filter", type: "search", value: state.get("filter", ""), placeholder: "name", on: {input: (event) => state.set({filter: event.target.value}, true)}})) : null);
  }

  // Explainers by models, each at the layer that a third of the examples chose.
  function best(chosen) {
    const {state} = Assay, {models, ranking, lower} = chosen;
    const sort = models.some((one) => one.name === state.get("sort")) ? state.get("sort") : null;
    const at = new Map(ranking.map((line) => [JSON.stringify([line.kind, line.explainer, line.model]), line]));
    const of = (explainer, model) => at.get(JSON.stringify([explainer.kind, explainer.name, model]));
    const filter = state.get("filter", "");
    let shown = chosen.explainers.filter((one) => one.name.includes(filter) && models.some((model) => of(one, model.name)));
    if (!shown.length) return h("p", {class: "note"}, ranking.length ? "No explainer has such a name." : "There are too few examples to choose a layer on some and report it on the others.");
    const worth = (one) => { const line = of(one, sort); return line && known(line.mean) ? (lower ? -line.mean : line.mean) : -Infinity; };
    if (sort) shown = [...shown].sort((one, other) => worth(other) - worth(one));
    const largest = chosen.measure.higher === null ? 1 : Math.max(...ranking.map((line) => Math.abs(line.mean || 0)), 1e-12);
    const top = new Map(models.map((model) => [model.name, (ranking.find((line) => line.model === model.name && line.kind === "explainer") || {}).group || ""]));

    const cell = (explainer, model) => {
      const line = of(explainer, model.name);
      if (!line) return h("td", {class: "none"});
      const shade = Assay.looks.shade(known(line.mean) ? line.mean / largest : null), picked = explainer.name === chosen.explainer && explainer.kind !== "reference";
      const leads = explainer.kind === "explainer" && [...(line.group || "")].some((letter) => top.get(model.name).includes(letter));
      const title = `${describe(line, `${headed(line)}, ${model.name}`)}${leads ? "; does not differ significantly from the best" : ""}`;
      const where = line.layer || line.head ? `${line.layer ? Assay.layerName(line.layer) : ""}${line.head ? ` h${line.head}` : ""}` : "";
      return h("td", {class: `cell${leads ? " best" : ""}`},
        h("button", {type: "button", class: picked ? "picked" : null, title, "aria-label": title, disabled: explainer.kind === "reference",
          data: {focus: `best ${explainer.name} ${model.name}`, explainer: explainer.name, model: model.name, value: known(line.mean) ? line.mean : ""},
          style: {background: shade.background, color: shade.color},
          on: {click: () => state.set({explainer: explainer.name, head: line.head || null})}},
          h("span", {class: "value"}, known(line.mean) ? Assay.number(line.mean) : "·"), h("span", {class: "letters"}, where)));
    };

    const body = (kind, title) => {
      const own = shown.filter((one) => one.kind === kind);
      return own.length ? h("tbody", {}, h("tr", {class: "kind"}, h("th", {scope: "rowgroup", colspan: models.length + 1}, title)),
        own.map((one) => h("tr", {}, h("th", {scope: "row"}, one.name), models.map((model) => cell(one, model))))) : null;
    };

    return [
      h("div", {class: "wide"}, h("table", {class: "heat", id: "best"},
        h("caption", {}, Assay.term(`${what(chosen)}, each explainer at its best layer`, "ranking")),
        h("thead", {}, h("tr", {}, h("th", {scope: "col"}), models.map((model) => h("th", {scope: "col", class: "model", "aria-sort": sort === model.name ? "descending" : null},
          h("button", {type: "button", class: "sort", title: `${model.name}, ${depth(model)}: sort by it`, data: {focus: `sort ${model.name}`}, on: {click: () => state.set({sort: sort === model.name ? null : model.name})}}, model.name))))),
        body("explainer", "Explainers"), body("floor", Assay.term("Floors", "floor")), body("reference", Assay.term("Other references", "reference")))),
      h("p", {class: "note"}, h("b", {}, "Bold"), ": the model's best explainer, and all that do not differ significantly from it. Small: the layer. Click a cell for the explainer's lines."),
    ];
  }

  const position = (chosen, model, layer) => (chosen.relative && layer ? layer / model.layers : layer);

  // The chosen explainer: one line a model, with its intervals as a band.
  function lines(chosen) {
    const {models, explainer, head} = chosen;
    const series = models.map((model, index) => ({model, look: Assay.looks.of(index), own: chosen.board
      .filter((line) => line.model === model.name && line.explainer === explainer && line.head === head && line.kind !== "reference" && known(line.mean))
      .sort((one, other) => one.layer - other.layer)})).filter((one) => one.own.length);
    if (!series.length) return h("p", {class: "note"}, "It has no values here.");
    const all = series.flatMap(({own}) => own);
    const ends = all.flatMap((line) => [known(line.low) ? line.low : line.mean, known(line.high) ? line.high : line.mean]);
    const deepest = Math.max(...series.map(({model, own}) => Math.max(...own.map((line) => position(chosen, model, line.layer)))));
    const input = all.some((line) => line.layer === 0);
    const least = input ? 0 : chosen.relative ? 0 : 1, most = Math.max(deepest, chosen.relative ? 1 : least + 1);
    const width = Math.min(720, Math.max(340, innerWidth - 24)), bottom = 330, left = 56, right = width - 16;
    const apart = deepest === 0;  // a method without layers has one value a model
    const x = Assay.scale(apart ? -1 : least, apart ? series.length : most, left + 14, right - 14), y = Assay.scale(Math.min(0, ...ends), Math.max(...ends, 0), bottom, 12);
    const across = apart ? [] : chosen.relative ? [0.25, 0.5, 0.75, 1] : Assay.ticks(Math.max(1, least), most, 12).filter(Number.isInteger);
    const height = bottom + 50 + 20 * series.length;
    const runsOf = (own) => own.reduce((found, line) => {  // input is no neighbour of the first layer
      const last = found[found.length - 1];
      if (last && line.layer && last[last.length - 1].layer === line.layer - 1 && line.layer > 1) last.push(line); else found.push([line]);
      return found;
    }, []);
    const parts = series.map(({model, look, own}, index) => {
      const px = (line) => x(apart ? index : position(chosen, model, line.layer));
      return s("g", {data: {model: model.name}},
        runsOf(own).map((run) => {
          const banded = run.filter((line) => known(line.low));
          const band = [...banded.map((line) => `${px(line)},${y(line.high)}`), ...[...banded].reverse().map((line) => `${px(line)},${y(line.low)}`)].join(" ");
          return [
            banded.length > 1 ? s("polygon", {class: "band", points: band, fill: look.colour, "fill-opacity": 0.14, stroke: "none"}) : banded.map((line) => s("line", {x1: px(line), x2: px(line), y1: y(line.low), y2: y(line.high), stroke: look.colour, "stroke-width": 1.5})),
            s("polyline", {points: run.map((line) => `${px(line)},${y(line.mean)}`).join(" "), fill: "none", stroke: look.colour, "stroke-width": 2, "stroke-dasharray": look.dashes || null}),
          ];
        }),
        own.map((line) => {
          const marker = Assay.marker(look.marker, px(line), y(line.mean), 4, {class: line.above_floors || line.kind === "floor" ? null : "hollow", fill: look.colour, stroke: look.colour, "stroke-width": 1.5});
          marker.append(s("title", {}, describe(line, model.name)));
          return marker;
        }));
    });
    const legend = series.map(({model, look}, index) => {
      const at = bottom + 60 + 20 * index;
      return s("g", {}, s("line", {x1: left, x2: left + 34, y1: at, y2: at, stroke: look.colour, "stroke-width": 2, "stroke-dasharray": look.dashes || null}),
        Assay.marker(look.marker, left + 17, at, 4, {fill: look.colour}), s("text", {x: left + 44, y: at + 4}, `${model.name}, ${depth(model)}`));
    });
    const svg = Assay.drawing(width, height,
      s("line", {class: "zero", x1: left, x2: right, y1: y(0), y2: y(0)}),
      Assay.axis({across: true, scale: x, ticks: [...(input && !apart ? [0] : []), ...across], at: bottom, from: left, to: right, title: apart ? "models" : chosen.relative ? "layer / number of layers" : "layer", format: (tick) => (tick === 0 ? "input" : chosen.relative ? Assay.number(tick, 2) : String(tick))}),
      Assay.axis({scale: y, ticks: Assay.ticks(Math.min(0, ...ends), Math.max(...ends, 0), 6), at: left, from: bottom, to: 12, title: chosen.measure.higher === null ? "mean rho" : chosen.measure.name}),
      parts, legend);
    const caption = `${explainer}${head ? ` head ${head}` : ""}, ${what(chosen)}${apart ? ", which has no layers" : chosen.relative ? ", by relative depth" : ", by layer"}. ${apart ? "Lines" : "Bands"} are 95% intervals; a hollow marker is not significantly above every floor.`;
    return Assay.figure(`sweep_${explainer}`, caption, svg,
      Assay.table(caption, [{head: "model"}, {head: "layer", key: "layer", numeric: true}, {head: "mean", key: "mean", numeric: true}, {head: "95% interval", key: "interval", numeric: true}, {head: "n", key: "n", numeric: true}, {head: "undefined", key: "undefined", numeric: true}],
        series.flatMap(({model, own}) => own.map((line) => [model.name, Assay.layerName(line.layer), Assay.number(line.mean), known(line.low) ? `[${Assay.number(line.low)}, ${Assay.number(line.high)}]` : "", String(line.n), String(line.undefined)]))));
  }

  // Models by layers, a table for each explainer; by relative depth a column k/m shows layer ceil(k L / m) of L.
  function layers(chosen) {
    const {state} = Assay, {models, board} = chosen, filter = state.get("filter", "");
    const depths = models.map((one) => one.layers).filter(Boolean), shallow = Math.min(...depths), deep = Math.max(...depths);
    const count = depths.length ? (chosen.relative ? shallow : deep) : 0;
    const all = [...(board.some((line) => line.layer === 0) ? [0] : []), ...Array.from({length: count}, (_, index) => index + 1)];
    const layerAt = (column, model) => (chosen.relative ? Math.ceil((column * (model.layers || shallow)) / shallow - 1e-9) : column);
    const title = (column) => (column && chosen.relative ? `${column}/${shallow}` : Assay.layerName(column));
    const at = new Map(board.map((line) => [JSON.stringify([line.kind, line.explainer, line.model, line.head, line.layer]), line]));
    const largest = chosen.measure.higher === null ? 1 : Math.max(...board.map((line) => Math.abs(line.mean || 0)), 1e-12);
    const shown = KINDS.flatMap((kind) => chosen.explainers.filter((one) => one.kind === kind && one.name.includes(filter)));
    const block = (explainer) => {
      const own = board.filter((line) => line.kind === explainer.kind && line.explainer === explainer.name);
      const heads = Math.max(0, ...own.map((line) => line.head)), head = heads ? Assay.shownHead(explainer.name, chosen, chosen.ranking) : 0;
      const name = `${explainer.name}${head ? ` head ${head}` : ""}`, label = explainer.kind === "explainer" ? name : `${name} (${explainer.kind})`;
      const columns = all.filter((column) => own.some((line) => (line.layer === 0) === (column === 0)));
      return h("div", {class: "wide"}, h("table", {class: columns.length > 12 ? "heat many" : "heat", data: {explainer: explainer.name, kind: explainer.kind}},
        h("caption", {}, explainer.kind === "reference" ? label :
          h("button", {type: "button", class: "text", "aria-pressed": explainer.name === chosen.explainer ? "true" : null, data: {focus: `block ${explainer.name}`}, on: {click: () => state.set({explainer: explainer.name})}}, label)),
        h("thead", {}, h("tr", {}, h("th", {scope: "col"}), columns.map((column) => h("th", {scope: "col", class: "centre"}, title(column))))),
        h("tbody", {}, models.filter((model) => own.some((line) => line.model === model.name)).map((model) => h("tr", {}, h("th", {scope: "row", title: depth(model)}, model.name), columns.map((column) => {
          const line = at.get(JSON.stringify([explainer.kind, explainer.name, model.name, head, layerAt(column, model)]));
          if (!line) return h("td", {class: "none"});
          const shade = Assay.looks.shade(known(line.mean) ? line.mean / largest : null);
          return h("td", {class: `cell${line.best ? " best" : ""}${line.above_floors && line.kind === "explainer" ? " above" : ""}`, title: describe(line, `${name}, ${model.name}`)},
            h("div", {class: "shaded", style: {background: shade.background, color: shade.color}}, h("span", {class: "value"}, known(line.mean) ? Assay.number(line.mean) : "·")));
        }))))));
    };
    return [
      h("p", {class: "note"}, `${what(chosen)}, mean over examples. `, "Blue is above zero, orange below. ", h("b", {class: "mark best"}, "Bold"), ": ", Assay.term("among the best", "best"), " of its model. ", h("span", {class: "mark above"}, "▲"), ": ", Assay.term("above every floor", "above_floors"), ".",
        chosen.relative && count ? ` In column k/${shallow}, a model of L layers shows its layer k L / ${shallow}, rounded up.` : ""),
      h("div", {id: "layers", class: "blocks"}, shown.map(block)),
    ];
  }

  const seeded = (one) => `${one.model}, seed ${one.seed}${one.shard ? `, shard ${one.shard}` : ""}`;

  function lost(all) {
    return all.length ? h("section", {id: "lost", "aria-label": "Runs without results"}, h("h2", {}, "Runs without results"),
      Assay.table("Each can be repeated with assay resume=<its folder>.", [{head: "run"}, {head: "task"}, {head: "status"}, {head: "folder"}, {head: "why"}],
        all.map((one) => [seeded(one), one.task, one.status, one.folder, one.error]))) : "";
  }

  function runs(all) {
    return all.length ? h("section", {"aria-label": "Runs"}, h("h2", {}, "Runs"),
      Assay.table("Runs that differ only in seed or shard are pooled.", [{head: "run"}, {head: "task"}, {head: "examples", key: "example", numeric: true}, {head: "folder"}],
        all.map((one) => [seeded(one), one.task, String(one.examples), one.page ? h("a", {href: `./${one.page.split("/").map(encodeURIComponent).join("/")}`}, `${one.folder}: its page`) : one.folder]))) : "";
  }

  const notes = (tasks) => h("section", {"aria-label": "Notes"}, h("h2", {}, "Notes"), tasks.map((task) => h("details", {}, h("summary", {}, task.name),
    h("ul", {class: "answer"}, task.notes.map((line) => h("li", {}, line))))));

  Assay.views.push({name: "sweep", title: "Models", order: 10, available: () => Assay.data.content.kind === "sweep", draw});
})();

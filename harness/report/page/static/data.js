"use strict";
// The run that the page holds: unpacked once, looked up by name.
(() => {
  const KINDS = {float32: Float32Array, int32: Int32Array, uint8: Uint8Array};

  Assay.load = async () => {
    const text = document.getElementById("data").textContent;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const all = new Uint8Array(await new Response(stream).arrayBuffer());
    const size = new DataView(all.buffer).getUint32(0, true);
    const content = JSON.parse(new TextDecoder().decode(all.subarray(4, 4 + size)));
    const arrays = {};
    let start = 4 + size;
    for (const [name, {kind, shape}] of Object.entries(content.arrays)) {
      const width = KINDS[kind].BYTES_PER_ELEMENT, length = shape.reduce((one, other) => one * other, 1);
      const whole = new Uint8Array(length * width);  // stored as all first bytes, all second bytes …
      for (let byte = 0; byte < width; byte++)
        for (let index = 0; index < length; index++) whole[index * width + byte] = all[start + byte * length + index];
      arrays[name] = {values: new KINDS[kind](whole.buffer), shape};
      start += length * width;
    }
    document.getElementById("data").remove();
    Assay.data = data(content, arrays);
  };

  // A table that is stored by columns, as lines.
  const lines = (table) => {
    const names = Object.keys(table || {});
    return names.length ? table[names[0]].map((_, row) => Object.fromEntries(names.map((name) => [name, table[name][row]]))) : [];
  };

  function data(content, arrays) {
    const key = (...parts) => JSON.stringify(parts);
    const board = lines(content.board), ranking = lines(content.ranking), alignment = lines(content.alignment);
    const cells = lines(content.cells), scored = lines(content.scored);
    const ofBoard = new Map(board.map((line) => [key(line.measure, line.kind, line.explainer, line.layer, line.head), line]));
    const ofCells = new Map(cells.map((line, row) => [key(line.measure, line.kind, line.explainer, line.layer, line.head), row]));
    const ofScores = new Map(scored.map((line, row) => [key(line.kind, line.method, line.layer, line.head), row]));
    const examples = content.examples || [];
    const starts = [0];
    for (const one of examples) starts.push(starts[starts.length - 1] + one.tokens.length);
    const maps = content.maps || [];
    const ofMaps = new Map(maps.map((one) => [key(one.example, one.method, one.layer, one.head), one]));

    return {
      content, arrays, board, ranking, alignment, cells, scored, examples, maps,
      explainers: content.explainers || [],  // whatever has lines in the leaderboard: {name, kind, layers, heads, description, source}
      measures: content.measures || [],  // {name, higher}; higher is null for a reference
      layers: [...new Set(board.map((line) => line.layer))].sort((one, other) => one - other),  // 0 for methods without layers
      explainer: (name) => (content.explainers || []).find((one) => one.name === name && one.kind !== "reference") || null,
      // A line of the leaderboard, or undefined.
      cell: (measure, kind, explainer, layer, head = 0) => ofBoard.get(key(measure, kind, explainer, layer, head)),
      // rho (or the metric's value) of each kept example, [example]; null where there is no such cell.
      values: (measure, kind, explainer, layer, head = 0) => {
        const row = ofCells.get(key(measure, kind, explainer, layer, head));
        const n = examples.length;
        return row === undefined ? null : arrays.values.values.subarray(row * n, (row + 1) * n);
      },
      // The scores of an example's tokens, [token]; null where there are none. kind: "explainer" or "reference".
      scores: (example, kind, method, layer, head = 0) => {
        const row = ofScores.get(key(kind, method, layer, head));
        if (row === undefined) return null;
        const width = arrays.scores.shape[1];
        const own = arrays.scores.values.subarray(row * width + starts[example], row * width + starts[example + 1]);
        return own.every(Number.isNaN) ? null : own;
      },
      // The layers at which a method has scores; [0] for one without layers.
      layersOf: (kind, method, head = 0) => scored.filter((line) => line.kind === kind && line.method === method && line.head === head)
        .map((line) => line.layer),
      // The scores of an example from each position, {queries: [...], rows: [[token] of each query]}; null where not kept.
      map: (example, method, layer, head = 0) => {
        const one = ofMaps.get(key(example, method, layer, head));
        if (!one) return null;
        const n = examples[example].tokens.length;
        return {queries: one.queries, rows: one.queries.map((_, row) =>
          arrays.maps.values.subarray(one.start + row * n, one.start + (row + 1) * n))};
      },
    };
  }

  // Ranks from the highest score down, 1 first; equal scores share the mean of their ranks; NaN has none.
  Assay.ranks = (scores) => {
    const order = [...scores.keys()].filter((index) => !Number.isNaN(scores[index])).sort((one, other) => scores[other] - scores[one]);
    const ranks = new Float64Array(scores.length).fill(NaN);
    for (let first = 0; first < order.length;) {
      let last = first;
      while (last + 1 < order.length && scores[order[last + 1]] === scores[order[first]]) last++;
      for (let at = first; at <= last; at++) ranks[order[at]] = (first + last) / 2 + 1;
      first = last + 1;
    }
    return ranks;
  };
})();

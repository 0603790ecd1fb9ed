"use strict";
// Pieces that drawings are made of.
(() => {
  const {s} = Assay;

  // A linear scale between [from, to] and [low, high].
  Assay.scale = (from, to, low, high) => (value) => low + ((value - from) / ((to - from) || 1)) * (high - low);

  // About `count` round numbers in [from, to].
  Assay.ticks = (from, to, count = 5) => {
    const rough = (to - from) / Math.max(1, count);
    if (!(rough > 0)) return [from];
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 2.5, 5, 10].find((one) => one * unit >= rough * 0.999);
    const ticks = [];
    for (let at = Math.ceil(from / step - 1e-9); at * step <= to + step * 1e-9; at++) ticks.push(Number((at * step).toPrecision(12)));
    return ticks;
  };

  // Seconds in a unit that leaves no row of zeros.
  Assay.seconds = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "undefined";
    const [unit, name] = [[3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"]].find(([one]) => value >= one * 0.9995) || [1e-9, "ns"];
    return `${Number((value / unit).toPrecision(3))} ${name}`;
  };

  const measure = document.createElement("canvas").getContext("2d");

  // The width of a drawing's text, as drawn.
  Assay.textWidth = (text, size = 11, weight = 400) => {
    measure.font = `${weight} ${size}px ${getComputedStyle(document.documentElement).getPropertyValue("--sans") || "sans-serif"}`;
    return measure.measureText(text).width;
  };

  // A text cut to a width.
  Assay.fitted = (text, width, size = 11) => {
    if (Assay.textWidth(text, size) <= width) return text;
    const letters = [...text];
    while (letters.length > 1 && Assay.textWidth(letters.join("") + "…", size) > width) letters.pop();
    return letters.join("") + "…";
  };

  Assay.marker = (shape, x, y, size, properties) => {
    const path = {
      circle: `M${x - size},${y}a${size},${size} 0 1,0 ${2 * size},0a${size},${size} 0 1,0 ${-2 * size},0`,
      square: `M${x - size},${y - size}h${2 * size}v${2 * size}h${-2 * size}z`,
      up: `M${x},${y - size * 1.2}l${size * 1.1},${size * 2}h${-size * 2.2}z`,
      down: `M${x},${y + size * 1.2}l${size * 1.1},${-size * 2}h${-size * 2.2}z`,
      right: `M${x + size * 1.2},${y}l${-size * 2},${size * 1.1}v${-size * 2.2}z`,
      left: `M${x - size * 1.2},${y}l${size * 2},${size * 1.1}v${-size * 2.2}z`,
      diamond: `M${x},${y - size * 1.3}l${size * 1.2},${size * 1.3}l${-size * 1.2},${size * 1.3}l${-size * 1.2},${-size * 1.3}z`,
      plus: `M${x - size * 0.4},${y - size * 1.2}h${size * 0.8}v${size * 0.8}h${size * 0.8}v${size * 0.8}h${-size * 0.8}v${size * 0.8}h${-size * 0.8}v${-size * 0.8}h${-size * 0.8}v${-size * 0.8}h${size * 0.8}z`,
      cross: `M${x - size},${y - size * 0.6}l${size * 0.4},${-size * 0.4}l${size * 0.6},${size * 0.6}l${size * 0.6},${-size * 0.6}l${size * 0.4},${size * 0.4}l${-size * 0.6},${size * 0.6}l${size * 0.6},${size * 0.6}l${-size * 0.4},${size * 0.4}l${-size * 0.6},${-size * 0.6}l${-size * 0.6},${size * 0.6}l${-size * 0.4},${-size * 0.4}l${size * 0.6},${-size * 0.6}z`,
      star: `M${x},${y - size * 1.4}l${size * 0.4},${size}l${size},${size * 0.1}l${-size * 0.75},${size * 0.7}l${size * 0.25},${size}l${-size * 0.9},${-size * 0.55}l${-size * 0.9},${size * 0.55}l${size * 0.25},${-size}l${-size * 0.75},${-size * 0.7}l${size},${-size * 0.1}z`,
    }[shape];
    return s("path", {d: path, ...properties});
  };

  // An axis below (`across`) or on the left, with ticks and a title. Returns a group.
  Assay.axis = ({across, scale, ticks, at, from, to, title, format = (value) => Assay.number(value, 2)}) =>
    s("g", {class: "axis"},
      across ? s("line", {x1: from, x2: to, y1: at, y2: at}) : s("line", {x1: at, x2: at, y1: from, y2: to}),
      ticks.map((tick) => across
        ? [s("line", {x1: scale(tick), x2: scale(tick), y1: at, y2: at + 4}), s("text", {x: scale(tick), y: at + 16, "text-anchor": "middle"}, format(tick))]
        : [s("line", {x1: at - 4, x2: at, y1: scale(tick), y2: scale(tick)}), s("text", {x: at - 7, y: scale(tick) + 4, "text-anchor": "end"}, format(tick))]),
      title && (across
        ? s("text", {x: (from + to) / 2, y: at + 34, "text-anchor": "middle", class: "title"}, title)
        : s("text", {x: 0, y: 0, transform: `translate(${at - 40} ${(from + to) / 2}) rotate(-90)`, "text-anchor": "middle", class: "title"}, title)));

  // A drawing that is as wide as its place, in its own units.
  Assay.drawing = (width, height, ...children) =>
    s("svg", {viewBox: `0 0 ${width} ${height}`, width, height, class: "drawing"}, children);
})();

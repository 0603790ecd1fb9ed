"use strict";
// Colours, the same as in the figures: Okabe & Ito's, told apart by marker and dashes too.
(() => {
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B4B8A"];
  const ON_DARK = ["#4da6e0", "#f07b2b", "#1fc79a", "#de94be", "#f0b030", "#7cc7f2", "#b3a4ea"];  // the same, lighter
  const MARKERS = ["circle", "square", "up", "diamond", "down", "plus", "cross", "right", "star", "left"];
  const DASHES = ["", "6 2", "1.5 1.5", "7 2 1.5 2"];

  const parse = (colour) => [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  const mixed = (one, other, share) => one.map((value, index) => Math.round(value + (other[index] - value) * share));
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((value) => { const part = value / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };

  Assay.looks = {
    COLOURS,
    // Colour, marker and dashes of the method with this number.
    of: (index) => ({colour: (Assay.looks.dark() ? ON_DARK : COLOURS)[index % COLOURS.length], marker: MARKERS[index % MARKERS.length], dashes: DASHES[index % DASHES.length], hollow: Math.floor(index / 20) % 2 === 1}),
    ofExplainer: (name) => Assay.looks.of(Math.max(0, Assay.data.explainers.findIndex((one) => one.name === name && one.kind !== "reference"))),
    // Paper is always light.
    dark: () => matchMedia("screen").matches && (document.documentElement.dataset.theme === "dark" ||
      (document.documentElement.dataset.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches)),
    // Background and text of a cell: from paper (0) to blue (+1) or to orange (-1); darker is more on paper, lighter in the dark.
    shade: (value) => {
      const dark = Assay.looks.dark();
      if (!Assay.known(value)) return {background: "transparent", color: "inherit"};
      const paper = dark ? [32, 33, 36] : [255, 255, 255];
      const end = parse(value >= 0 ? (dark ? "#5db8ff" : "#00568a") : (dark ? "#ff9a4d" : "#a84300"));
      const colour = mixed(paper, end, Math.min(1, Math.abs(value)) * 0.92);
      const bright = luminance(colour);
      return {background: `rgb(${colour.join(" ")})`, color: (bright + 0.05) / 0.05 > 1.05 / (bright + 0.05) ? "#000000" : "#ffffff"};
    },
  };
})();

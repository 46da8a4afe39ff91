// Charts as inline SVG. Each takes an <svg> with <title> and <desc>, and draws in the pixels of the
// space that the page gives it, so that letters keep their size on a narrow screen.

const SVG = document.querySelector("svg").namespaceURI;
const MARGIN = { left: 52, right: 14, top: 14, bottom: 46 };

function short(x) {
  if (x === 0) return "0";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "–";
  const size = Math.abs(x);
  return size < 1e-3 || size >= 1e5 ? x.toExponential(2) : String(Number(x.toPrecision(4)));
}

function shape(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Axes of a chart: maps of values to pixels, and a function that adds shapes.
function frame(svg, height, { x, y, xScale, yScale, xLabel, yLabel, description }) {
  const width = Math.max(280, svg.parentElement.clientWidth);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.querySelector("desc").textContent = description;
  svg.querySelectorAll(":scope > g").forEach((group) => group.remove());
  const group = svg.appendChild(shape("g", {}));
  const inner = { width: width - MARGIN.left - MARGIN.right };
  inner.height = height - MARGIN.top - MARGIN.bottom;
  const part = (scale, [low, high]) =>
    scale === "log"
      ? (value) => Math.log(value / low) / Math.log(high / low)
      : (value) => (value - low) / (high - low);
  const [across, up] = [part(xScale, x), part(yScale, y)];
  const px = (value) => MARGIN.left + inner.width * across(value);
  const py = (value) => MARGIN.top + inner.height * (1 - up(value));
  const add = (name, attributes, text) => group.appendChild(shape(name, attributes, text));
  const [left, bottom] = [MARGIN.left, MARGIN.top + inner.height];
  for (const tick of ticks(y, yScale, inner.height / 40)) {
    add("line", { class: "grid", x1: left, x2: left + inner.width, y1: py(tick), y2: py(tick) });
    add("text", { class: "tick", x: left - 6, y: py(tick) + 4, "text-anchor": "end" }, short(tick));
  }
  if (xScale !== "none") {
    for (const tick of ticks(x, xScale, inner.width / 70)) {
      add("line", { class: "axis", x1: px(tick), x2: px(tick), y1: bottom, y2: bottom + 4 });
      add("text", { class: "tick", x: px(tick), y: bottom + 17, "text-anchor": "middle" }, short(tick));
    }
  }
  add("line", { class: "axis", x1: left, x2: left + inner.width, y1: bottom, y2: bottom });
  const middle = left + inner.width / 2;
  add("text", { class: "label", x: middle, y: height - 6, "text-anchor": "middle" }, xLabel);
  const turned = { class: "label", x: 0, y: 0, "text-anchor": "middle" };
  turned.transform = `translate(12 ${MARGIN.top + inner.height / 2}) rotate(-90)`;
  add("text", turned, yLabel);
  return { add, px, py, width, left, bottom, inner };
}

// Round numbers within a range: on a logarithmic scale the powers of ten, or also their halves and
// fifths if they are few.
function ticks([low, high], scale, count) {
  if (scale === "log") {
    const powers = (factors) => {
      const found = [];
      for (let k = Math.floor(Math.log10(low)); k <= Math.log10(high); k += 1) {
        for (const factor of factors) {
          const tick = Number(`${factor}e${k}`);
          if (tick >= low && tick <= high) found.push(tick);
        }
      }
      return found;
    };
    const tens = powers([1]);
    if (tens.length < 2) return powers([1, 2, 5]);
    const every = Math.ceil(tens.length / Math.max(1, count));
    return tens.filter((_, k) => k % every === 0);
  }
  const rough = (high - low) / Math.max(1, count);
  const power = Math.pow(10, Math.floor(Math.log10(rough)));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k += 1) {
    found.push(Number((k * step).toPrecision(12)));
  }
  return found;
}

function path(points) {
  return points.map(([x, y], k) => `${k ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
}

// Name of the layer's part in the comparison of both sides of the head.
function side(setting, l) {
  if (l === setting.depth) return "post";
  return l === setting.depth - setting.headDepth ? "pre" : "";
}

// A bar for every feature in every layer.
function drawWeights(svg, setting, layers, best) {
  const L = setting.depth;
  const d = setting.strength.length;
  const most = Math.max(...layers.slice(1).flat()) || 1;
  const { add, px, py, bottom } = frame(svg, 260, {
    x: [0.5, L + 0.5],
    y: [0, most * 1.08],
    xScale: "none",
    xLabel: "layer",
    yLabel: "weight",
    description:
      `Weights of ${d} features in ${L} ${L === 1 ? "layer" : "layers"}, as bars; ` +
      "the numbers are in the table.",
  });
  const room = (px(1.5) - px(0.5)) * 0.82;
  for (let l = 1; l <= L; l += 1) {
    const first = px(l) - room / 2;
    const step = room / d;
    layers[l].forEach((w, i) => {
      const x = first + i * step;
      const height = bottom - py(w);
      const bar = { class: `bar f${i}`, x: x + step * 0.06, y: py(w), height };
      add("rect", { ...bar, width: step * 0.88 });
      if (step > 7) {
        const mark = { class: "mark", x: x + step / 2, y: py(w) - 3, "text-anchor": "middle" };
        add("text", mark, i + 1);
      }
    });
    const words = [l, side(setting, l), l === best ? "★" : ""].filter((word) => word !== "");
    const attributes = { class: l === best ? "tick best" : "tick", "text-anchor": "middle" };
    add("text", { ...attributes, x: px(l), y: bottom + 17 }, words.join(" "));
  }
}

// The indicator of every layer; the curve between them if the start is balanced.
function drawIndicator(svg, setting, { indicators, best }, curve) {
  const L = setting.depth;
  const known = [...indicators, ...curve.map(([, value]) => value)].filter(Number.isFinite);
  const [least, most] = known.length ? [Math.min(...known), Math.max(...known)] : [1, 2];
  const pad = (most - least) * 0.12 || least * 0.1;
  const { add, px, py, bottom } = frame(svg, 240, {
    x: [-0.3, L + 0.3],
    y: [least - pad, most + pad],
    xScale: "none",
    xLabel: "layer",
    yLabel: "indicator",
    description: best
      ? `The indicator is least at layer ${best} of ${L}; the numbers are in the table.`
      : "No layer keeps the target.",
  });
  const line = curve.map(([tau, value]) => [px(tau * L), py(value)]);
  if (line.length) add("path", { class: "curve", d: path(line) });
  indicators.forEach((value, l) => {
    const name = l === 0 ? ["input", side(setting, 0)] : [l, side(setting, l)];
    const attributes = { class: l === best && best ? "tick best" : "tick", "text-anchor": "middle" };
    const words = name.filter((word) => word !== "").join(" ");
    add("text", { ...attributes, x: px(l), y: bottom + 17 }, words);
    if (!Number.isFinite(value)) return;
    const chosen = l === best && best > 0;
    const dot = { cx: px(l), cy: py(value), r: chosen ? 7 : 5 };
    add("circle", { ...dot, class: chosen ? "dot best" : "dot" });
    if (chosen) {
      const text = { class: "label best", x: px(l), y: py(value) - 12, "text-anchor": "middle" };
      add("text", text, "★ best");
    }
  });
}

// Colour of a layer: from orange, the lowest, to blue, the last one.
function layerColour(l, L) {
  const [low, high] = [
    [230, 159, 0],
    [0, 114, 178],
  ];
  const share = L === 1 ? 1 : (l - 1) / (L - 1);
  const mixed = low.map((value, k) => Math.round(value + (high[k] - value) * share));
  return `rgb(${mixed.join(" ")})`;
}

// Regions of the best layer over two numbers of a feature, and the present setting.
function drawPhase(svg, setting, plane, { strengths, values, xLabel, yLabel, at }) {
  const L = setting.depth;
  const half = (grid) => (grid[1] - grid[0]) / 2;
  const [dx, dy] = [half(strengths), half(values)];
  const { add, px, py } = frame(svg, 320, {
    x: [strengths[0] - dx, strengths[strengths.length - 1] + dx],
    y: [values[0] - dy, values[values.length - 1] + dy],
    xLabel,
    yLabel,
    description: "Regions of the best layer, and the present setting; a table has some of them.",
  });
  const widest = new Map();
  plane.forEach((row, j) => {
    const [top, bottom] = [py(values[j] + dy), py(values[j] - dy)];
    for (let from = 0, to = 0; from < row.length; from = to) {
      while (to < row.length && row[to] === row[from]) to += 1;
      const [left, right] = [px(strengths[from] - dx), px(strengths[to - 1] + dx)];
      const cells = { x: left, y: top, width: right - left + 0.3, height: bottom - top + 0.3 };
      const layer = row[from];
      if (layer > 0) add("rect", { ...cells, fill: layerColour(layer, L) });
      else add("rect", { ...cells, class: layer === 0 ? "lost" : "unknown" });
      const room = widest.get(layer) ?? { runs: [] };
      room.runs.push({ width: right - left, x: (left + right) / 2, y: (top + bottom) / 2 });
      widest.set(layer, room);
    }
  });
  const named = [];
  for (const [layer, { runs }] of widest) {
    // The middle one of the wide runs of a region has room for its name, if any has.
    const most = Math.max(...runs.map(({ width }) => width));
    const wide = runs.filter(({ width }) => width > 0.7 * most);
    const { x, y } = wide[Math.floor(wide.length / 2)];
    const taken = named.some((other) => Math.abs(other.x - x) < 60 && Math.abs(other.y - y) < 18);
    if (most < 50 || runs.length < 4 || taken) continue;
    named.push({ x, y });
    const words = layer > 0 ? `layer ${layer}` : layer === 0 ? "target lost" : "no closed form";
    add("text", { class: "region", x, y: y + 4, "text-anchor": "middle" }, words);
  }
  add("circle", { class: "present", cx: px(at[0]), cy: py(at[1]), r: 6 });
  add("circle", { class: "present-core", cx: px(at[0]), cy: py(at[1]), r: 2 });
}

// Weights over time after the head, and before it dashed.
function drawLearning(svg, setting, curves, range, now) {
  const below = setting.depth - setting.headDepth;
  const last = curves.map((curve) => curve.map(([t, layers]) => [t, layers[setting.depth]]));
  const first = curves.map((curve) => curve.map(([t, layers]) => [t, layers[below]]));
  const shown = below > 0 ? [...last, ...first] : last;
  const most = Math.max(...shown.flat().map(([, w]) => (Number.isFinite(w) ? w : 0)));
  const { add, px, py, bottom, inner } = frame(svg, 300, {
    x: range,
    y: [0, most * 1.05],
    xScale: "log",
    xLabel: "time of gradient flow",
    yLabel: "weight",
    description:
      "Weight of every feature over time, after the head and, dashed, before it; " +
      "the numbers at the chosen time are in the table.",
  });
  const line = (points, style) => {
    const known = points.filter(([, w]) => Number.isFinite(w));
    if (known.length) add("path", { class: style, d: path(known.map(([t, w]) => [px(t), py(w)])) });
  };
  if (below > 0) first.forEach((points, i) => line(points, `line before s${i}`));
  last.forEach((points, i) => {
    line(points, `line s${i}`);
    const [t, w] = points[points.length - 1];
    if (!Number.isFinite(w)) return;
    const mark = { class: "mark", x: px(t) - 4, y: py(w) - 5, "text-anchor": "end" };
    add("text", mark, i + 1);
  });
  const x = px(now);
  add("line", { class: "now", x1: x, x2: x, y1: bottom - inner.height, y2: bottom });
}

// Results: tables, sentences, and the charts beside them.

function cell(value) {
  const words = setting.digits && Number.isFinite(value) ? String(value) : short(value);
  return make("td", {}, make("data", { value: String(value) }, words));
}

function head(words, scope = "col") {
  return make("th", { scope }, ...[words].flat().map(String));
}

function fill(id, caption, columns, rows) {
  const top = make("tr", {}, ...columns.map((words) => head(words)));
  element(id).replaceChildren(make("caption", {}, caption), make("thead", {}, top), make("tbody", {}, ...rows));
}

function layerNames(best) {
  return Array.from({ length: setting.depth }, (_, k) => `layer ${k + 1}${k + 1 === best ? " ★" : ""}`);
}

// Largest over smallest of the weights that are not zero.
function spread(weights) {
  const kept = weights.filter((w) => w > 0);
  return kept.length ? Math.max(...kept) / Math.min(...kept) : NaN;
}

// One row a feature, one column a layer.
function weightRows(layers) {
  const after = layers.slice(1);
  return setting.strength.map((_, i) => {
    const name = `feature ${i + 1}${i === setting.target ? " (target)" : ""}`;
    return make("tr", {}, head(name, "row"), ...after.map((weights) => cell(weights[i])));
  });
}

function showWeights(layers, best) {
  const rows = weightRows(layers);
  rows.forEach((row, i) => row.children[0].after(cell(signalFraction(momentsOf(setting, i)))));
  const spreads = layers.slice(1).map((weights) => cell(spread(weights)));
  rows.push(make("tr", {}, head("spread", "row"), make("td"), ...spreads));
  const columns = ["", "signal fraction", ...layerNames(best)];
  fill("weights-table", "Weights; spread is the largest over the smallest.", columns, rows);
  drawWeights(element("weights"), setting, layers, best);
}

function showIndicator(layers, ranked) {
  const rows = ranked.indicators.map((value, l) => {
    const words = [side(setting, l) && `${side(setting, l)}-projection`, l === ranked.best && l > 0 && "best"];
    const row = make("tr", {}, head(l === 0 ? "input" : `layer ${l}`, "row"), cell(value));
    row.append(make("td", {}, words.filter(Boolean).join(", ")));
    if (l === ranked.best && l > 0) row.className = "best";
    return row;
  });
  const label = `Indicator for the sign of feature ${setting.target + 1}.`;
  fill("indicator-table", label, ["", "indicator", ""], rows);
  const curve = [];
  const end = layers[setting.depth];
  if (!setting.start && end[setting.target] > 0) {
    // A feature without weight is in the input and in no layer: the indicator jumps.
    const first = Math.min(...end) > 0 ? 0 : 1;
    for (let k = first; k <= 100; k += 1) curve.push([k / 100, indicator(setting, end, k / 100)]);
  }
  drawIndicator(element("indicator"), setting, ranked, curve);
}

function gridOf(low, high, count) {
  return Array.from({ length: count }, (_, k) => low + ((high - low) * k) / (count - 1));
}

let finer;

// At once in coarse cells, and in fine ones when nothing has moved for a while.
function showPhase([columns, lines] = [48, 36]) {
  clearTimeout(finer);
  if (columns < 120) finer = setTimeout(() => showPhase([120, 90]), 200);
  const { phase: i, against } = setting;
  const reach = (value, usual, most) => (value <= usual ? usual : most);
  const [least, most] = LIMITS.strength;
  const right = reach(setting.strength[i], 3, most);
  const top = against === "noise" ? reach(setting.noise[i], 3, LIMITS.noise[1]) : LIMITS.flip[1];
  const strengths = gridOf(least, right, columns);
  const values = gridOf(0, top, lines);
  const plane = phasePlane(setting, i, against, strengths, values);
  const name = against === "noise" ? "noise" : "probability of a flip";
  const axes = { strengths, values, xLabel: `strength of feature ${i + 1}`, yLabel: `${name} of feature ${i + 1}` };
  drawPhase(element("phase"), setting, plane, { ...axes, at: [setting.strength[i], setting[against][i]] });
  const colours = Array.from({ length: setting.depth }, (_, k) => {
    const swatch = make("span", { class: "swatch", style: `background: ${layerColour(k + 1, setting.depth)}` });
    return make("span", {}, swatch, `layer ${k + 1}`);
  });
  element("phase-legend").replaceChildren(...colours);
  const across = gridOf(right / 6, right, 6);
  const up = gridOf(0, top, 7).reverse();
  const some = phasePlane(setting, i, against, across, up);
  const words = (layer) => (layer > 0 ? String(layer) : layer === 0 ? "lost" : "–");
  const rows = up.map((value, j) =>
    make("tr", {}, head(short(value), "row"), ...some[j].map((layer) => make("td", {}, words(layer)))),
  );
  const caption = `Best layer by strength (across) and ${name} (down) of feature ${i + 1}.`;
  fill("phase-table", caption, [`${against} \\ strength`, ...across.map(short)], rows);
}

function showLearning() {
  const modes = modesOf(setting);
  element("learning-part").hidden = modes === null;
  element("no-learning").hidden = modes !== null;
  if (modes === null) {
    element("no-learning").textContent = LOSSES[setting.loss].flow
      ? "No closed form: the loss gives a feature no weight at all."
      : `${LOSSES[setting.loss].title} has no closed form of learning over time.`;
    return;
  }
  const range = timeRange(setting, modes);
  const layersAt = (weights) => layersOf(setting, weights);
  const now = timeAt(range, setting.time);
  const layers = layersAt(modes.map((mode) => weightAtTime(setting, mode, now)));
  const { best } = ranking(setting, layers);
  const curves = modes.map((mode) =>
    learningCurve(setting, mode, range).map(([t, s]) => [t, layersAt([s]).map(([weight]) => weight)]),
  );
  const begin = modes[0].begin;
  element("learning-note").textContent =
    `Gradient flow, all features from the weight ${short(begin)} after the last layer, a share of ` +
    `${short(setting.begin)} of the least final weight. ` +
    `Time on a logarithmic scale; the vertical line is time ${short(now)}.` +
    (setting.depth > setting.headDepth ? " Dashed: before the head." : "");
  const rows = weightRows(layers);
  const lost = make("tr", {}, head("indicator", "row"));
  lost.append(...layers.slice(1).map((weights) => cell(indicator(setting, weights))));
  const time = make("data", { value: String(now), id: "now" }, setting.digits ? String(now) : short(now));
  fill("learning-table", "", ["", ...layerNames(best)], [...rows, lost]);
  element("learning-table").caption.append("Weights and indicator at time ", time, ".");
  drawLearning(element("learning"), setting, curves, range, now);
}

// The result in words.
function sentence({ indicators, best, margin }) {
  const { depth, headDepth, target } = setting;
  if (best === 0) return `No layer keeps feature ${target + 1}: no number of labels reads its sign.`;
  const below = depth - headDepth;
  const pre = `pre-projection (${below ? `layer ${below}` : "the input"})`;
  const post = `post-projection (layer ${depth})`;
  const [before, after] = [indicators[below], indicators[depth]].map(short);
  const versus =
    margin === 0
      ? `${pre} and ${post} are equally good`
      : margin > 0
        ? `${pre} beats ${post}, with indicator ${before} against ${after}`
        : `${post} beats ${pre}, with indicator ${after} against ${before}`;
  const start = `Layer ${best} of ${depth} needs the fewest labels for the sign of feature ${target + 1}`;
  return `${start}; ${versus}.`;
}

let spoken;

function answer(words, warning) {
  const place = element("answer");
  place.classList.toggle("warning", warning);
  // A slider that moves speaks once it rests.
  clearTimeout(spoken);
  if (place.textContent === "") place.textContent = words;
  else spoken = setTimeout(() => (place.textContent = words), 150);
}

function render(ignored = []) {
  showControls();
  const problem = premise(setting);
  element("results").hidden = problem !== "";
  const skipped = ignored.length ? ` Not understood in the address: ${ignored.join(", ")}.` : "";
  element("command").textContent = command(setting);
  element("command-note").textContent =
    setting.loss === "spectral"
      ? "With --json - it prints these numbers in full."
      : "With --json - it prints these weights in full. It ranks layers for the spectral loss alone; " +
        "in Python, theory.downstream.sample_complexity takes the Grams of any loss.";
  clearTimeout(finer);
  if (problem) return answer(problem + skipped, true);
  const layers = predict(setting);
  const ranked = ranking(setting, layers);
  showWeights(layers, ranked.best);
  showIndicator(layers, ranked);
  showPhase();
  showLearning();
  element("answer").dataset.margin = String(ranked.margin);
  return answer(sentence(ranked) + skipped, ranked.best === 0 || skipped !== "");
}

let waiting = false;

// Put the setting into the address, and draw once before the next picture of the screen.
function refresh() {
  try {
    history.replaceState(null, "", `#${query(setting)}`);
  } catch {
    // Browsers limit how often the address may change; the next change puts it right.
  }
  element("copied").textContent = "";
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    render();
  });
}

function readAddress() {
  const { setting: found, ignored } = parse(location.hash.slice(1));
  setting = found;
  buildFeatures();
  render(ignored);
}

buildControls();
readAddress();
window.addEventListener("hashchange", readAddress);
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth !== width) render();
  width = window.innerWidth;
});

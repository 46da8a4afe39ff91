// The page: its setting in the address, its controls, and its tables.
// LIMITS (least and largest number of each name) and OPENING (the setting at first, as in the
// address) are printed above.

const LISTS = ["strength", "noise", "flip", "downstream"];
const LABELS = {
  strength: "strength",
  noise: "noise",
  flip: "sign flips",
  downstream: "downstream",
  depth: "layers",
  "head-depth": "head layers",
  encoder: "encoder scale",
  head: "head scale",
  temperature: "temperature",
  beta: "beta",
  begin: "start weight",
  time: "time",
};
const STEPS = { depth: 1, "head-depth": 1, target: 1, phase: 1, flip: 0.01, begin: 0.01, time: 0.005 };

const element = (id) => document.getElementById(id);

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// The setting of an address, and what of it was not understood.
function parse(text) {
  const given = new URLSearchParams(text);
  const opening = new URLSearchParams(OPENING);
  const ignored = [];
  const number = (name, part) => {
    const value = part.trim() === "" ? NaN : Number(part);
    const [low, high] = LIMITS[name];
    const whole = STEPS[name] === 1;
    return value >= low && value <= high && (!whole || Number.isInteger(value)) ? value : NaN;
  };
  const numbers = (name, query, count) => {
    const value = query.get(name);
    if (value === null) return null;
    const found = value.split(",").map((part) => number(name === "start" ? "encoder" : name, part));
    const right = count.includes(found.length) && found.every(Number.isFinite);
    if (!right && query === given) ignored.push(name);
    return right ? found : null;
  };
  const [fewest, most] = LIMITS.features;
  const counts = Array.from({ length: most - fewest + 1 }, (_, k) => fewest + k);
  const strength = numbers("strength", given, counts) ?? numbers("strength", opening, counts);
  const d = [strength.length];
  const list = (name) => numbers(name, given, d) ?? numbers(name, opening, d);
  const zeros = strength.map(() => 0);
  const one = (name, otherwise) => {
    if (given.has(name)) {
      const value = number(name, given.get(name));
      if (Number.isFinite(value)) return value;
      ignored.push(name);
    }
    return opening.has(name) ? number(name, opening.get(name)) : otherwise;
  };
  const choice = (name, choices, otherwise) => {
    if (choices.includes(given.get(name))) return given.get(name);
    if (given.has(name)) ignored.push(name);
    return choices.includes(opening.get(name)) ? opening.get(name) : otherwise;
  };
  const feature = (name, otherwise) => {
    const value = one(name, otherwise + 1);
    return value <= strength.length ? value - 1 : 0;
  };
  const target = feature("target", 0);
  const start = numbers("start", given, [2]) ?? numbers("start", opening, [2]);
  const depth = start ? 2 : one("depth", 2);
  const setting = {
    strength,
    noise: list("noise") ?? zeros,
    flip: list("flip") ?? zeros,
    downstream: list("downstream"),
    depth,
    headDepth: Math.min(depth, one("head-depth", 1)),
    target,
    start,
    loss: choice("loss", Object.keys(LOSSES), "spectral"),
    temperature: one("temperature", 1),
    beta: one("beta", 1),
    phase: feature("phase", target),
    against: choice("against", ["noise", "flip"], "noise"),
    begin: one("begin", 0.05),
    time: one("time", 0.5),
    digits: given.get("digits") === "all",
  };
  return { setting, ignored };
}

// The setting as in the address, with the names of the command line's options.
function query(setting) {
  const parts = [
    ["strength", setting.strength.join(",")],
    ["noise", setting.noise.join(",")],
    ["flip", setting.flip.join(",")],
    ["downstream", setting.downstream?.join(",")],
    ["depth", setting.depth],
    ["head-depth", setting.headDepth],
    ["target", setting.target + 1],
    ["start", setting.start?.join(",")],
    ["loss", setting.loss],
    [LOSSES[setting.loss].parameter, parameterOf(setting)],
    ["phase", setting.phase + 1],
    ["against", setting.against],
    ["begin", setting.begin],
    ["time", setting.time],
    ["digits", setting.digits ? "all" : undefined],
  ];
  return parts
    .filter(([name, value]) => name !== undefined && value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

function command(setting) {
  const some = (values) => values.some((value) => value > 0);
  const parts = ["projhead predict", `--strength ${setting.strength.join(",")}`];
  if (some(setting.flip)) parts.push(`--flip ${setting.flip.join(",")}`);
  if (some(setting.noise)) parts.push(`--noise ${setting.noise.join(",")}`);
  parts.push(`--depth ${setting.depth}`);
  if (setting.start) parts.push(`--start ${setting.start.join(",")}`);
  if (setting.loss === "spectral") {
    parts.push(`--target ${setting.target + 1}`, `--head-depth ${setting.headDepth}`);
    if (setting.downstream) parts.push(`--downstream ${setting.downstream.join(",")}`);
  } else {
    parts.push(`--loss ${setting.loss}`);
    const { parameter } = LOSSES[setting.loss];
    if (parameter) parts.push(`--${parameter} ${setting[parameter]}`);
  }
  return parts.join(" ");
}

// Controls: a slider and a field for the same number.

let setting;
const shown = [];

// Fill a row with a slider and a field of a number; `read` and `write` reach it in the setting.
function control(row, name, words, read, write) {
  const id = `${row.dataset.number}-${shown.length}`;
  const label = make("label", { for: id }, LABELS[name]);
  const [low, high] = LIMITS[name];
  const common = { min: low, max: high };
  const slider = make("input", { type: "range", id, ...common, step: STEPS[name] ?? 0.05 });
  const step = STEPS[name] === 1 ? 1 : "any";
  const field = make("input", { type: "number", ...common, step, "aria-label": `${words}, as a number` });
  slider.setAttribute("aria-label", words);
  row.replaceChildren(label, slider, field);
  const take = (input) => () => {
    const value = input.valueAsNumber;
    if (!(value >= low && value <= Number(input.max)) || (step === 1 && value % 1)) return;
    write(value);
    refresh();
  };
  slider.addEventListener("input", take(slider));
  field.addEventListener("input", take(field));
  field.addEventListener("change", () => show());
  const show = () => {
    const value = read();
    row.hidden = value === null;
    if (row.hidden) return;
    slider.value = value;
    if (document.activeElement !== field) field.value = value;
  };
  shown.push({ row, show, inputs: [slider, field] });
  return [slider, field];
}

function inList(name, i) {
  return [
    () => setting[name]?.[i] ?? null,
    (value) => setting[name].splice(i, 1, value),
  ];
}

function buildFeatures() {
  const place = element("features");
  shown.splice(0, shown.length, ...shown.filter(({ row }) => !place.contains(row)));
  place.replaceChildren();
  setting.strength.forEach((_, i) => {
    const part = element("feature").content.cloneNode(true).firstElementChild;
    const swatch = make("span", { class: `swatch f${i}` });
    part.querySelector("legend").append(swatch, `Feature ${i + 1}`);
    place.append(part);
    for (const name of LISTS) {
      const row = part.querySelector(`[data-number="${name}"]`);
      control(row, name, `${LABELS[name]} of feature ${i + 1}`, ...inList(name, i));
    }
    const target = part.querySelector("input[type=radio]");
    target.setAttribute("aria-label", `feature ${i + 1} is the target`);
    target.checked = i === setting.target;
    target.addEventListener("change", () => {
      setting.target = i;
      setting.phase = i;
      refresh();
    });
    const remove = part.querySelector(".remove");
    remove.setAttribute("aria-label", `Remove feature ${i + 1}`);
    remove.disabled = setting.strength.length <= LIMITS.features[0];
    remove.addEventListener("click", () => {
      for (const name of LISTS) setting[name]?.splice(i, 1);
      for (const name of ["target", "phase"]) {
        if (setting[name] > i || setting[name] === setting.strength.length) setting[name] -= 1;
      }
      buildFeatures();
      refresh();
      element("add").focus();
    });
  });
  element("add").disabled = setting.strength.length >= LIMITS.features[1];
  const choices = setting.strength.map((_, i) => make("option", { value: i }, String(i + 1)));
  element("phase-feature").replaceChildren(...choices);
  const legend = setting.strength.map((_, i) =>
    make("span", {}, make("span", { class: `swatch f${i}` }), `feature ${i + 1}`),
  );
  document.querySelectorAll(".legend.features").forEach((place_) => {
    place_.replaceChildren(...legend.map((entry) => entry.cloneNode(true)));
  });
}

function buildControls() {
  const row = (name) => document.querySelector(`#form [data-number="${name}"], main [data-number="${name}"]`);
  const scale = (k) => [
    () => setting.start?.[k] ?? null,
    (value) => setting.start.splice(k, 1, value),
  ];
  const simple = (name, key = name) => [() => setting[key], (value) => (setting[key] = value)];
  const ofLoss = (name) => [
    () => (LOSSES[setting.loss].parameter === name ? setting[name] : null),
    (value) => (setting[name] = value),
  ];
  const deeper = (value) => {
    setting.depth = value;
    setting.headDepth = Math.min(setting.headDepth, value);
  };
  control(row("depth"), "depth", "number of layers", () => setting.depth, deeper);
  control(row("head-depth"), "head-depth", "layers in the head", ...simple("head-depth", "headDepth"));
  control(row("encoder"), "encoder", "scale of the encoder at the start", ...scale(0));
  control(row("head"), "head", "scale of the head at the start", ...scale(1));
  control(row("temperature"), "temperature", "temperature", ...ofLoss("temperature"));
  control(row("beta"), "beta", "beta, the weight of the invariance", ...ofLoss("beta"));
  control(row("begin"), "begin", "weight at the start, as a share of the least final weight", ...simple("begin"));
  control(row("time"), "time", "time, as a share of the chart", ...simple("time"));
  element("loss").replaceChildren(
    ...Object.entries(LOSSES).map(([name, { title }]) => make("option", { value: name }, title)),
  );
  const on = (id, event, act) =>
    element(id).addEventListener(event, ({ target }) => {
      act(target);
      refresh();
    });
  on("loss", "change", ({ value }) => (setting.loss = value));
  on("start", "change", ({ value }) => {
    setting.start = value === "balanced" ? null : [1, 0.5];
    if (setting.start) deeper(2);
  });
  on("same", "change", ({ checked }) => (setting.downstream = checked ? null : [...setting.strength]));
  on("phase-feature", "change", ({ value }) => (setting.phase = Number(value)));
  on("against", "change", ({ value }) => (setting.against = value));
  on("digits", "change", ({ checked }) => (setting.digits = checked));
  on("add", "click", () => {
    const added = { strength: 1, noise: 0.5, flip: 0, downstream: 1 };
    if (LOSSES[setting.loss].noiseless) Object.assign(added, { noise: 0, flip: 0.1 });
    for (const name of LISTS) setting[name]?.push(added[name]);
    buildFeatures();
  });
  on("reset", "click", () => {
    setting = parse("").setting;
    buildFeatures();
  });
  element("copy").addEventListener("click", copy);
}

async function copy() {
  const field = element("command");
  let done = true;
  try {
    await navigator.clipboard.writeText(field.textContent);
  } catch {
    // Without leave to write to the clipboard, the user copies what is selected.
    getSelection().selectAllChildren(field);
    done = false;
  }
  element("copied").textContent = done ? "Copied." : "Selected: copy it with your keyboard.";
}

function showControls() {
  shown.forEach(({ show }) => show());
  const [depth, headDepth] = ["depth", "head-depth"].map(
    (name) => shown.find(({ row }) => row.dataset.number === name).inputs,
  );
  depth.forEach((input) => (input.disabled = setting.start !== null));
  headDepth.forEach((input) => {
    input.max = setting.depth;
    input.value = setting.headDepth;
  });
  element("start").value = setting.start ? "isotropic" : "balanced";
  element("start-note").hidden = setting.start === null;
  element("loss").value = setting.loss;
  element("same").checked = setting.downstream === null;
  element("phase-feature").value = setting.phase;
  element("against").value = setting.against;
  element("digits").checked = setting.digits;
  document.querySelectorAll("input[name=target]").forEach((input, i) => {
    input.checked = i === setting.target;
  });
}

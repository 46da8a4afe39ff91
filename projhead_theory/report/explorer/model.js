// The numbers of a setting. Every formula is one of the functions printed above from the library's
// statements; here they are only put together. Indices count from 0, `target` as well, and
// `layers` start with the input, layer 0; numbers of features that are shown count from 1.
//
// A setting: { strength, noise, flip, downstream (or null: as in training), depth, headDepth,
// target, start (null if balanced, or [encoder, head]), loss, temperature, beta, begin }.

const EPSILON = Number.EPSILON;

const LOSSES = {
  spectral: {
    title: "Spectral contrastive loss",
    weight: (moments) => spectralWeight(moments),
    flow: (moments) => moments,
  },
  vicreg: {
    title: "VICReg in squared form",
    parameter: "beta",
    weight: (moments, beta) =>
      response(moments, (lambda) => vicregResponse({ lambda, beta })),
    flow: ({ c, q }, beta) => ({ c: vicregCross({ c, q, beta }), q }),
  },
  infonce: {
    title: "InfoNCE with inner products",
    parameter: "temperature",
    weight: (moments, tau) =>
      response(moments, (lambda) => infonceResponse({ lambda, tau })),
    flow: ({ c, q }, tau) => ({ c: infonceCross({ c, tau }), q: infonceSecond({ q, tau }) }),
  },
  "infonce-distance": {
    title: "InfoNCE with distances",
    parameter: "temperature",
    bounded: true,
    weight: (moments, tau) =>
      response(moments, (lambda) => infonceDistanceResponse({ lambda, tau })),
  },
  "infonce-rademacher": {
    title: "InfoNCE of random signs",
    parameter: "temperature",
    bounded: true,
    noiseless: true,
    weight: (moments, tau) =>
      response(moments, (lambda) => infonceRademacherResponse({ lambda, tau })),
  },
  whitening: {
    title: "Whitening",
    weight: ({ q }) => Math.sqrt(whiteningSquare({ q })),
  },
  "barlow-twins": {
    title: "Unnormalised Barlow Twins",
    weight: ({ c }) => (c > 0 ? Math.sqrt(barlowTwinsSquare({ c })) : 0),
    flow: ({ c }) => ({ c, q: barlowTwinsSecond({ c }) }),
  },
};

// Weight of a feature whose response is `g(lambda)`, and zero where that is negative.
function response({ c, q }, g) {
  return responseWeight({ q, g: Math.max(0, g(signalFraction({ c, q }))) });
}

function parameterOf(setting) {
  return setting[LOSSES[setting.loss].parameter];
}

function momentsOf(setting, i) {
  const phi = setting.strength[i];
  return {
    c: crossMoment({ phi, alpha: setting.flip[i] }),
    q: secondMoment({ phi, sigma: setting.noise[i] }),
  };
}

// Why the closed form does not hold for a setting, in words; empty if it holds.
function premise(setting) {
  const loss = LOSSES[setting.loss];
  if (loss.noiseless && setting.noise.some((sigma) => sigma > 0)) {
    return `${loss.title} has a closed form for sign flips alone: set every noise to 0.`;
  }
  const clean = setting.strength.findIndex(
    (_, i) => signalFraction(momentsOf(setting, i)) >= 1 - 16 * EPSILON,
  );
  if (loss.bounded && clean >= 0) {
    return (
      `${loss.title} has no minimum, because feature ${clean + 1} is not disturbed at all: ` +
      "its weight has no bound. Give every feature noise or sign flips."
    );
  }
  return "";
}

// Weights after the last layer at the minimum of the loss.
function endWeights(setting) {
  const { weight } = LOSSES[setting.loss];
  return setting.strength.map((_, i) => weight(momentsOf(setting, i), parameterOf(setting)));
}

// Weights of the input and of every layer, from those after the last.
function layersOf(setting, end) {
  const L = setting.depth;
  if (setting.start) {
    const [a, b] = setting.start;
    const gain = (m) => (m > 0 ? gainBeforeHead({ m, a, b }) : 0);
    return [end.map(() => 1), end.map((w) => Math.sqrt(a + gain(w * w))), end];
  }
  const layers = [];
  for (let l = 0; l <= L; l += 1) {
    layers.push(end.map((w) => (l === 0 ? 1 : layerWeight({ w, L, l }))));
  }
  return layers;
}

function predict(setting) {
  return layersOf(setting, endWeights(setting));
}

// Indicator of labels needed, of one layer or at a share of the depth; infinite if the target is
// lost.
function indicator(setting, weights, tau = 1) {
  if (!(weights[setting.target] > 0)) return Infinity;
  return sampleComplexity({
    phi: setting.downstream ?? setting.strength,
    w: weights,
    tau,
    d: weights.length,
    j: setting.target + 1,
  });
}

// Relative difference of indicators that rounding may cause.
function slackOf(setting) {
  return 64 * setting.strength.length * EPSILON;
}

// Indicators of the input and every layer, the lowest of the best layers (0 if the target is lost
// in all of them), and the logarithm of the indicator after the head over that before it.
function ranking(setting, layers) {
  const indicators = layers.map((weights) => indicator(setting, weights));
  const slack = slackOf(setting);
  const least = Math.min(...indicators.slice(1));
  const best = Number.isFinite(least)
    ? indicators.findIndex((value, l) => l > 0 && value <= least * (1 + slack))
    : 0;
  const { depth, headDepth } = setting;
  const difference = Math.log(indicators[depth]) - Math.log(indicators[depth - headDepth]);
  return { indicators, best, margin: Math.abs(difference) <= slack ? 0 : difference };
}

// The setting with other numbers of one feature.
function withFeature(setting, i, numbers) {
  const changed = { ...setting };
  for (const [name, value] of Object.entries(numbers)) {
    changed[name] = setting[name].map((old, k) => (k === i ? value : old));
  }
  return changed;
}

// The best layer over strengths and noises (or flips) of a feature, row by row: 0 where the target
// is lost, -1 where there is no closed form.
function phasePlane(setting, i, knob, strengths, values) {
  return values.map((value) =>
    strengths.map((strength) => {
      const at = withFeature(setting, i, { strength, [knob]: value });
      return premise(at) ? -1 : ranking(at, predict(at)).best;
    }),
  );
}

// Learning of every feature under gradient flow, or null if the loss has no closed form of it.
// Each mode has its moments, final weight `top` and weight `begin` at the start, which is the same
// share of the smallest final weight for all.
function modesOf(setting) {
  const { flow } = LOSSES[setting.loss];
  if (!flow) return null;
  const modes = setting.strength.map((_, i) => flow(momentsOf(setting, i), parameterOf(setting)));
  if (modes.some(({ c }) => c < 0)) return null;
  const tops = modes.map((moments) => (moments.c > 0 ? spectralWeight(moments) : 0));
  const reached = tops.filter((top) => top > 0);
  if (reached.length === 0) return null;
  const begin = setting.begin * Math.min(...reached);
  return modes.map(({ c, q }, i) => ({ c, q, top: tops[i], begin }));
}

const PRIMITIVES = [
  null,
  null,
  flowPrimitive2,
  flowPrimitive3,
  flowPrimitive4,
  flowPrimitive5,
  flowPrimitive6,
];

function scalesOf(setting) {
  return setting.start && setting.start[0] + setting.start[1] > 0 ? setting.start : null;
}

// Time after which a mode with signal has the weight s, between that at the start and the last.
function timeToWeight(setting, { c, q, top, begin }, s) {
  const scales = scalesOf(setting);
  if (s <= begin) return 0;
  if (s >= top) return Infinity;
  if (scales) return startTime({ c, q, s, s_0: begin, a: scales[0], b: scales[1] });
  const L = setting.depth;
  if (L === 1) return flowTime1({ c, q, s, s_0: begin });
  // L-th root of the squared weight as a share of its final value.
  const share = (weight) => Math.pow(weight / top, 2 / L);
  return flowTime({ c, q, L, v: share(s), v_0: share(begin), G: (v) => PRIMITIVES[L]({ v }) });
}

// Weight of a mode after a time: where there is no formula for it, by bisection of the time.
// NaN for a mode without signal from a start that is not balanced.
function weightAtTime(setting, mode, t) {
  const { c, q, top, begin } = mode;
  if (t <= 0) return begin;
  if (c === 0) {
    const L = setting.depth;
    return scalesOf(setting) ? NaN : vanishingWeight({ q, s_0: begin, t, L });
  }
  if (setting.depth === 1) return logisticGrowth({ c, q, s_0: begin, t });
  let low = begin;
  let high = top;
  for (let step = 0; step < 200; step += 1) {
    const middle = high > 2 * low ? Math.sqrt(low * high) : (low + high) / 2;
    if (middle <= low || middle >= high) break;
    if (timeToWeight(setting, mode, middle) < t) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

// First and last time of the learning curves: a fifth of the first feature's time to half its
// weight, and a little more than the last one's to 99 per cent.
function timeRange(setting, modes) {
  const learned = modes.filter(({ c }) => c > 0);
  const times = (share) => learned.map((mode) => timeToWeight(setting, mode, share * mode.top));
  const half = times(Math.max(0.5, (1 + setting.begin) / 2));
  return [Math.min(...half) / 5, Math.max(...times(0.99)) * 1.5];
}

// Time at a share of the logarithmic range.
function timeAt([first, last], share) {
  return first * Math.pow(last / first, share);
}

// Points [time, weight] of a mode within a range of times.
function learningCurve(setting, mode, range) {
  const [first, last] = range;
  const ends = [first, last].map((t) => [t, weightAtTime(setting, mode, t)]);
  const inner = [];
  if (mode.c === 0) {
    for (let k = 1; k < 60; k += 1) {
      const t = timeAt(range, k / 60);
      inner.push([t, weightAtTime(setting, mode, t)]);
    }
  } else {
    // Even steps of the logarithm of s / (top - s), which is that of time at depth 1.
    const odds = (s) => Math.log(s / (mode.top - s));
    const low = odds(mode.begin);
    const high = Math.log(1e5);
    for (let k = 1; k < 150; k += 1) {
      const s = mode.top / (1 + Math.exp(-(low + ((high - low) * k) / 150)));
      const t = timeToWeight(setting, mode, s);
      if (t > first && t < last) inner.push([t, s]);
    }
  }
  return [ends[0], ...inner, ends[1]];
}

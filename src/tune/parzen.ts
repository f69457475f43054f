import { logNormalDensity, logNormalMass } from "./normal.ts";
import type { RandomStream } from "./random.ts";
import { fromScale, searchRange, stepOf, toScale } from "./scale.ts";
import type { ChoiceParameter, FloatParameter, IntegerParameter, Parameter, Scalar } from "./space.ts";

/** Observations that count in full; older ones count less, the oldest least. */
const RECENT = 25;
/** The narrowest kernel is a hundredth of the range. */
const MOST_KERNELS = 100;

/** A density over the values of one parameter, by a kernel at each observation and one over the whole range. */
export class ParzenEstimator {
  private readonly kernels: Kernels;
  /** Of the kernels, 1 in all. */
  private readonly weights: number[];

  /** @param observations values of the parameter, the oldest first */
  constructor(parameter: Parameter, observations: readonly Scalar[]) {
    const weights = [...observationWeights(observations.length), 1];
    const sum = weights.reduce((total, weight) => total + weight, 0);
    this.weights = weights.map((weight) => weight / sum);
    this.kernels =
      parameter.type === "choice"
        ? new ChoiceKernels(parameter, observations)
        : new NumberKernels(parameter, observations as readonly number[]);
  }

  /** log of the density at a value; with steps and choices, of its probability. */
  logDensity(value: Scalar): number {
    const logs = this.weights.map((weight, kernel) => Math.log(weight) + this.kernels.logDensity(kernel, value));
    const largest = Math.max(...logs);
    if (largest === Number.NEGATIVE_INFINITY) return largest;
    return largest + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - largest), 0));
  }

  /** A value drawn by this density. */
  draw(random: RandomStream): Scalar {
    return this.kernels.draw(pick(this.weights, random), random);
  }
}

/** The index of a weight, as often as it weighs. */
function pick(weights: readonly number[], random: RandomStream): number {
  let rest = random.uniform();
  const index = weights.findIndex((weight) => {
    rest -= weight;
    return rest < 0;
  });
  return index < 0 ? weights.length - 1 : index; // by rounding
}

/** Rising from 1 / count to 1 over all but the latest, which have 1. */
function observationWeights(count: number): number[] {
  const ramp = count - RECENT;
  return Array.from({ length: count }, (_, i) => {
    if (i >= ramp) return 1;
    return ramp === 1 ? 1 / count : 1 / count + (i / (ramp - 1)) * (1 - 1 / count);
  });
}

interface Kernels {
  logDensity(kernel: number, value: Scalar): number;
  draw(kernel: number, random: RandomStream): Scalar;
}

/** Each observation gives its value one more than the others have; the last kernel has all alike. */
class ChoiceKernels implements Kernels {
  private readonly probabilities: number[][];
  private readonly values: readonly Scalar[];

  constructor({ values }: ChoiceParameter, observations: readonly Scalar[]) {
    this.values = values;
    const rest = 1 / (observations.length + 1);
    const total = 1 + values.length * rest;
    const peaked = observations.map((value) => values.map((other) => (rest + (other === value ? 1 : 0)) / total));
    this.probabilities = [...peaked, values.map(() => 1 / values.length)];
  }

  logDensity(kernel: number, value: Scalar): number {
    return Math.log(this.probabilities[kernel][this.values.indexOf(value)]);
  }

  draw(kernel: number, random: RandomStream): Scalar {
    return this.values[pick(this.probabilities[kernel], random)];
  }
}

/** Normal distributions cut to the range, with steps the mass of each step. */
class NumberKernels implements Kernels {
  private readonly parameter: FloatParameter | IntegerParameter;
  private readonly low: number;
  private readonly high: number;
  private readonly means: number[];
  private readonly widths: number[];
  /** log of what each distribution has within the range. */
  private readonly masses: number[];

  constructor(parameter: FloatParameter | IntegerParameter, observations: readonly number[]) {
    this.parameter = parameter;
    const [low, high] = searchRange(parameter);
    const places = observations.map((value) => toScale(parameter, value));
    this.means = [...places, (low + high) / 2];
    this.widths = [...kernelWidths(places, low, high), high - low];
    [this.low, this.high] = [low, high];
    this.masses = this.means.map((_, kernel) => this.logMass(kernel, low, high));
  }

  private logMass(kernel: number, from: number, to: number): number {
    const [mean, width] = [this.means[kernel], this.widths[kernel]];
    return logNormalMass((from - mean) / width, (to - mean) / width);
  }

  logDensity(kernel: number, value: number): number {
    const { parameter, means, widths, masses } = this;
    const half = stepOf(parameter) / 2;
    if (half > 0)
      return this.logMass(kernel, toScale(parameter, value - half), toScale(parameter, value + half)) - masses[kernel];
    const place = toScale(parameter, value);
    const distance = (place - means[kernel]) / widths[kernel];
    return logNormalDensity(distance) - masses[kernel] - Math.log(widths[kernel]);
  }

  /** At least a third of the draws are within the range: a kernel is at most as wide, and its mean is inside. */
  draw(kernel: number, random: RandomStream): number {
    for (;;) {
      const place = this.means[kernel] + this.widths[kernel] * random.normal();
      if (place >= this.low && place <= this.high) return fromScale(this.parameter, place);
    }
  }
}

/**
 * The width of each kernel: the larger distance to its neighbours (Bergstra et al. 2011), not to the ends of the range,
 * and at least a share of the range that falls with the number of observations.
 */
function kernelWidths(places: readonly number[], low: number, high: number): number[] {
  const order = places.map((_, i) => i).sort((a, b) => places[a] - places[b]);
  const sorted = [low, ...order.map((i) => places[i]), high];
  const widths = new Array<number>(places.length);
  const isLone = places.length === 1;
  for (const [at, i] of order.entries()) {
    const [left, right] = [sorted[at + 1] - sorted[at], sorted[at + 2] - sorted[at + 1]];
    const isFirst = at === 0 && !isLone;
    const isLast = at === order.length - 1 && !isLone;
    widths[i] = isFirst ? right : isLast ? left : Math.max(left, right);
  }
  const least = (high - low) / Math.min(MOST_KERNELS, places.length + 2);
  return widths.map((width) => Math.min(high - low, Math.max(least, width)));
}

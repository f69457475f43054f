import { known, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { RandomStream } from "./random.ts";
import type { StudyView } from "./records.ts";
import { atShare, fromScale, stepOf, tidy, toScale } from "./scale.ts";
import { choose, exists, type Parameter, type Scalar, type Space } from "./space.ts";

/** What a trial is to try. */
export interface Proposal {
  values: Record<string, Scalar>;
  /** @default no budget */
  budget?: number;
  /** The trial of the same values with a smaller budget. */
  continues?: number;
}

/** What a sampler is asked with. */
export interface SamplerView extends StudyView {
  space: Space;
  /** Of the trial that it is asked for. */
  number: number;
}

/** Chooses what to try. It keeps no state: what it says follows from the trials, so that a study can go on later. */
export interface Sampler {
  readonly name: string;
  /** How many trials it proposes. @default without end */
  size?(space: Space): number;
  /** What to try next; "wait" until a trial has ended; undefined when there is nothing more. */
  propose(view: SamplerView): Proposal | "wait" | undefined;
}

/** Where random numbers begin. */
export interface SeedOptions {
  /** @default 0 */
  seed?: number;
}

function seedOf(where: string, options: SeedOptions): number {
  known(where, options, { seed: true });
  const { seed = 0 } = options;
  requireNumbers(where, { seed }, { seed: numberRules.integer });
  return seed;
}

/** Values that do not depend on other trials; the same for a seed and a number. */
export function randomSampler(options: SeedOptions = {}): Sampler {
  const seed = seedOf("randomSampler", options);
  return { name: "random", propose: ({ space, number }) => ({ values: randomValues(space, seed, number) }) };
}

/** Each parameter has numbers of its own, so that another one changes nothing about it. */
export function randomValues(space: Space, seed: number, number: number): Record<string, Scalar> {
  const places = Object.keys(space);
  return choose(space, (name, parameter) =>
    atShare(parameter, new RandomStream(seed, number, places.indexOf(name)).uniform()),
  );
}

/**
 * Values that fill the space more evenly than random ones: Halton's sequence, a prime base for each parameter, with
 * digits permuted at random (Owen 2017, arXiv:1706.02808).
 */
export function haltonSampler(options: SeedOptions = {}): Sampler {
  const seed = seedOf("haltonSampler", options);
  return {
    name: "halton",
    propose: ({ space, number }) => {
      const names = Object.keys(space);
      const bases = primes(names.length);
      const share = (name: string) => scrambledHalton(number, bases[names.indexOf(name)], seed);
      return { values: choose(space, (name, parameter) => atShare(parameter, share(name))) };
    },
  };
}

function primes(count: number): number[] {
  const list: number[] = [];
  for (let candidate = 2; list.length < count; candidate++)
    if (list.every((prime) => candidate % prime !== 0)) list.push(candidate);
  return list;
}

/** The number's digits in a base, each permuted, behind the point: as many as a double holds. */
function scrambledHalton(number: number, base: number, seed: number): number {
  let share = 0;
  let rest = number;
  const digits = Array.from({ length: base }, (_, digit) => digit);
  for (let place = 1, weight = 1 / base; weight > 2 ** -53; place++, weight /= base) {
    share += weight * new RandomStream(seed, base, place).shuffled(digits)[rest % base];
    rest = Math.floor(rest / base);
  }
  return Math.min(share, 1 - 2 ** -53);
}

/** Larger grids are no search any more. */
const MOST_GRID_POINTS = 100_000;

/** How fine a grid is. */
export interface GridOptions {
  /** Values of a real number, and most of a whole one, that have no step; at equal distances. @default 5 */
  points?: number;
}

/** Every combination of values, the last parameter changing first; those of a condition only where it holds. */
export function gridSampler(options: GridOptions = {}): Sampler {
  known("gridSampler", options, { points: true });
  const { points = 5 } = options;
  requireNumbers("gridSampler", { points }, { points: numberRules.positiveInteger });
  const grids = new WeakMap<Space, Record<string, Scalar>[]>();
  const gridOf = (space: Space) => {
    const grid = grids.get(space) ?? combinations(space, points);
    grids.set(space, grid);
    return grid;
  };
  return {
    name: "grid",
    size: (space) => gridOf(space).length,
    propose: ({ space, number }) => {
      const values = gridOf(space).at(number);
      return values && { values };
    },
  };
}

function combinations(space: Space, points: number): Record<string, Scalar>[] {
  let grid: Record<string, Scalar>[] = [{}];
  for (const [name, parameter] of Object.entries(space)) {
    const values = gridValues(parameter, points);
    grid = grid.flatMap((before) =>
      exists(parameter, before) ? values.map((value) => ({ ...before, [name]: value })) : [before],
    );
    if (grid.length > MOST_GRID_POINTS) {
      const fix = "search fewer parameters, choose fewer points, or take another sampler";
      const expected = `at most ${MOST_GRID_POINTS} points of a grid`;
      throw new OptionError({ where: "gridSampler", expected, received: `${grid.length} up to ${name}`, fix });
    }
  }
  return grid;
}

function gridValues(parameter: Parameter, points: number): Scalar[] {
  if (parameter.type === "choice") return [...parameter.values];
  const { low, high, type } = parameter;
  const step = stepOf(parameter);
  const count = step > 0 ? Math.round((high - low) / step) + 1 : points;
  const isThinned = type === "integer" && parameter.step === undefined && count > points;
  if (step > 0 && !isThinned) return Array.from({ length: count }, (_, i) => tidy(low + i * step, step));
  if (points === 1) return [atShare(parameter, 0.5)];
  const [first, last] = [toScale(parameter, low), toScale(parameter, high)];
  const at = (i: number) => fromScale(parameter, first + (i / (points - 1)) * (last - first));
  return [...new Set(Array.from({ length: points }, (_, i) => at(i)))];
}

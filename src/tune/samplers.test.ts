/** TPE beside Optuna (golden/tune.json), and what samplers reach on functions whose minimum is known. */
import { describe, expect, test } from "vitest";
import golden from "../../golden/tune.json" with { type: "json" };
import {
  choice,
  gridSampler,
  haltonSampler,
  halvingSampler,
  integer,
  logUniform,
  parseSpace,
  randomSampler,
  type Sampler,
  type Space,
  space,
  tpeSampler,
  tune,
  uniform,
  when,
} from "./index.ts";
import { logNormalMass, quantileOfT } from "./normal.ts";
import { ParzenEstimator } from "./parzen.ts";
import type { TrialRecord } from "./records.ts";
import type { Parameter, Scalar } from "./space.ts";
import { bestCandidate, splitTrials } from "./tpe.ts";

const RELATIVE = 1e-9;
const expectNear = (value: number, expected: number) =>
  expect(Math.abs(value - expected), `${value} and ${expected}`).toBeLessThanOrEqual(
    RELATIVE * Math.max(1, Math.abs(expected)),
  );
/** Optuna's numbers of choices are their places. */
const outer = (parameter: Parameter, value: number): Scalar =>
  parameter.type === "choice" ? parameter.values[value] : value;

test("the mass of the normal distribution and quantiles of Student's t are scipy's", () => {
  for (const { a, b, expected } of golden.logMasses) expectNear(logNormalMass(a, b), expected);
  for (const { degrees, probability, expected } of golden.quantiles)
    expectNear(quantileOfT(probability, degrees), expected);
});

describe("Parzen estimators are Optuna's", () => {
  test.each(golden.parzen)("$parameter, $observations.length observations", (example) => {
    const parameter = example.parameter as Parameter;
    const estimator = new ParzenEstimator(
      parameter,
      example.observations.map((value) => outer(parameter, value)),
    );
    for (const [i, point] of example.points.entries())
      expectNear(estimator.logDensity(outer(parameter, point)), example.logDensities[i]);
  });
});

describe("TPE splits trials and compares candidates as Optuna", () => {
  test.each(golden.tpe)("$direction, $trials.length trials", ({ direction, space: json, trials, below, choices }) => {
    const records = trials as unknown as TrialRecord[];
    const { good, others } = splitTrials({ direction: direction as "minimize", trials: records });
    expect(good.map(({ number }) => number)).toEqual(below);
    for (const [name, { candidates, scores, best }] of Object.entries(choices)) {
      const parameter = (json as unknown as Space)[name];
      const [l, g] = [good, others].map(
        (list) =>
          new ParzenEstimator(
            parameter,
            list.map(({ values }) => values[name]),
          ),
      );
      const values = candidates.map((value) => outer(parameter, value));
      for (const [i, value] of values.entries()) expectNear(l.logDensity(value) - g.logDensity(value), scores[i]);
      const chosen = bestCandidate(values, l, g);
      if (parameter.type === "choice")
        expectNear(scores[values.indexOf(chosen)], Math.max(...scores)); // there are ties
      else expect(chosen).toBe(best);
    }
  });
});

/** The best value of a study of one function. */
async function bestOf<S extends Space>(
  parameters: S,
  sampler: Sampler,
  trials: number,
  f: (values: Record<string, number>) => number,
): Promise<number> {
  const { best } = await tune({ space: parameters, sampler, trials, run: ({ values }) => f(values as never) });
  return best?.value as number;
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const sphere = space({ x: uniform(-5, 5), y: uniform(-5, 5), z: uniform(-5, 5) });
const branin = space({ x: uniform(-5, 10), y: uniform(0, 15) });
const training = space({
  rate: logUniform(1e-5, 1),
  layers: integer(1, 12),
  activation: choice(["relu", "gelu", "tanh", "silu"]),
  momentum: when("activation", ["gelu", "silu"], uniform(0, 1)),
});
const functions: [string, Space, (values: Record<string, never>) => number][] = [
  ["sphere", sphere, ({ x, y, z }) => (x - 1) ** 2 + (y + 2) ** 2 + (z - 3) ** 2],
  [
    "Branin",
    branin,
    ({ x, y }) =>
      (y - (5.1 / (4 * Math.PI ** 2)) * x ** 2 + (5 / Math.PI) * x - 6) ** 2 +
      10 * (1 - 1 / (8 * Math.PI)) * Math.cos(x) +
      10 -
      0.397887,
  ],
  [
    "training",
    training,
    ({ rate, layers, activation, momentum }) =>
      (Math.log10(rate) + 3) ** 2 + 0.1 * (layers - 7) ** 2 + (activation === "gelu" ? (momentum - 0.9) ** 2 : 1),
  ],
];

test.each(functions)("TPE gets nearer than random values in as many trials: %s, 20 seeds", async (_, parameters, f) => {
  const seeds = Array.from({ length: 20 }, (_, seed) => seed);
  const reached = async (sampler: (seed: number) => Sampler) =>
    median(await Promise.all(seeds.map((seed) => bestOf(parameters, sampler(seed), 60, f as never))));
  const random = await reached((seed) => randomSampler({ seed }));
  const tpe = await reached((seed) => tpeSampler({ seed }));
  expect(tpe).toBeLessThan(0.6 * random);
});

test("Halton's values leave smaller gaps than random ones", async () => {
  const line = space({ x: uniform(0, 1), y: uniform(0, 1) });
  const gaps = async (sampler: Sampler, name: "x" | "y") => {
    const { trials } = await tune({ space: line, sampler, trials: 64, run: () => 0 });
    const sorted = [0, ...trials.map(({ values }) => values[name] as number).sort((a, b) => a - b), 1];
    return Math.max(...sorted.slice(1).map((value, i) => value - sorted[i]));
  };
  for (const name of ["x", "y"] as const) {
    expect(await gaps(haltonSampler({ seed: 1 }), name)).toBeLessThan(2.5 / 64);
    expect(await gaps(randomSampler({ seed: 1 }), name)).toBeGreaterThan(3 / 64);
  }
});

test("a grid has every combination once, and those of a condition only where it holds", async () => {
  const parameters = space({
    rate: logUniform(0.001, 0.1),
    width: integer(2, 8, { step: 2 }),
    optimizer: choice(["adam", "sgd"]),
    momentum: when("optimizer", "sgd", uniform(0, 0.9, { step: 0.3 })),
  });
  const sampler = gridSampler({ points: 3 });
  const { trials, stopReason } = await tune({ space: parameters, sampler, run: () => 1 });
  expect(stopReason).toBe("exhausted");
  expect(trials).toHaveLength(3 * 4 * (1 + 4));
  expect(sampler.size?.(parameters)).toBe(60);
  expect(new Set(trials.map(({ values }) => JSON.stringify(values))).size).toBe(60);
  const rates = [...new Set(trials.map(({ values }) => values.rate))];
  for (const [i, rate] of [0.001, 0.01, 0.1].entries()) expect(rates[i]).toBeCloseTo(rate, 12);
  expect([...new Set(trials.map(({ values }) => values.momentum))]).toEqual([undefined, 0, 0.3, 0.6, 0.9]);
  expect(() => gridSampler({ points: 100 }).size?.(space({ ...sphere, w: uniform(0, 1) }))).toThrow(
    /at most 100000 points/,
  );
});

test("successive halving begins with many and gives the best ones more", async () => {
  const sampler = halvingSampler({ minBudget: 1, maxBudget: 9, candidates: 18 });
  const run = ({ values, budget }: { values: { x: number }; budget?: number }) => values.x + 1 / (budget as number);
  const { trials, best } = await tune({ space: space({ x: uniform(0, 1) }), sampler, concurrency: 4, run });
  const rungs = [1, 3, 9].map((budget) => trials.filter((trial) => trial.budget === budget));
  expect(rungs.map(({ length }) => length)).toEqual([18, 6, 2]);
  const sorted = rungs[0].toSorted((a, b) => (a.value as number) - (b.value as number));
  expect(rungs[1].map(({ continues }) => continues).sort()).toEqual(
    sorted
      .slice(0, 6)
      .map(({ number }) => number)
      .sort(),
  );
  expect(best?.budget).toBe(9);
  expect(best?.values.x).toBe(Math.min(...rungs[0].map(({ values }) => values.x)));
  const failing = ({ number, budget }: { number: number; budget?: number }) => {
    if (budget === 1 && number !== 3) throw new Error("no memory");
    return number;
  };
  const few = await tune({ space: space({ x: uniform(0, 1) }), sampler, mostFailures: 99, run: failing });
  expect(few.trials.slice(18).map(({ budget }) => budget)).toEqual([3, 9]);
  expect(() => halvingSampler({ maxBudget: 27, candidates: 4 })).toThrow(/at least 27 candidates for 4 rungs/);
});

test.each([
  [{ rate: { type: "float", low: 1, high: 0 } }, /space: rate: expected numbers low and high.*low 1, high 0/],
  [{ rate: { type: "float", low: 0, high: 1, log: true } }, /a low above 0 for a logarithm/],
  [{ rate: { type: "float", low: 0, high: 1, step: 0.3 } }, /a step above 0 that leads from low to high/],
  [{ rate: { type: "floot", low: 0, high: 1 } }, /a type of float, integer, choice/],
  [{ rate: { type: "float", lo: 0, high: 1 } }, /did you mean "low"/],
  [{ rate: { type: "integer", low: 0.5, high: 1 } }, /whole numbers low and high/],
  [{ kind: [] }, /a list of values/],
  [{ kind: ["a", "a"] }, /values that differ/],
  [{ kind: ["a"], m: { type: "float", low: 0, high: 1, when: { kin: "a" } } }, /did you mean "kind"/],
  [{ kind: ["a"], m: { type: "float", low: 0, high: 1, when: { kind: "b" } } }, /a value that kind may have/],
  [{ rate: 3 }, /expected a parameter; received 3/],
  [{}, /at least one parameter/],
])("a space that cannot be is refused: %j", (json, message) =>
  expect(() => parseSpace("space", json)).toThrow(message),
);

test("a file says the same as code", () => {
  const json = {
    rate: { type: "float", low: 1e-5, high: 1, log: true },
    layers: { type: "integer", low: 1, high: 12 },
    activation: ["relu", "gelu", "tanh", "silu"],
    momentum: { type: "float", low: 0, high: 1, when: { activation: ["gelu", "silu"] } },
  };
  expect(parseSpace("space", json)).toEqual(training);
});

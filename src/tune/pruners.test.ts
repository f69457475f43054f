/** What pruners decide about curves, beside Optuna (golden/tune.json), and what pruning spares. */
import { expect, test } from "vitest";
import golden from "../../golden/tune.json" with { type: "json" };
import {
  ashaPruner,
  type Direction,
  hyperbandPruner,
  medianPruner,
  type Pruner,
  patiencePruner,
  percentilePruner,
  space,
  type TrialRecord,
  tpeSampler,
  tune,
  uniform,
} from "./index.ts";
import { bracketSizes } from "./pruners.ts";

const { curves, cases } = golden.pruners;
const pruners: Readonly<Record<string, (options: never) => Pruner>> = {
  median: medianPruner,
  percentile: percentilePruner,
  asha: ashaPruner,
  patience: patiencePruner,
};

/** The steps at which curves are pruned, run so many at a time; null for those that reach their end. */
function decisions(pruner: Pruner, direction: Direction, together: number): (number | null)[] {
  const trials: (TrialRecord & { reports: { step: number; value: number }[] })[] = [];
  for (let start = 0; start < curves.length; start += together) {
    const group = curves.slice(start, start + together).map((curve, i) => {
      const trial = { number: start + i, state: "running", values: {}, attempts: 1, reports: [], startTime: 0 };
      trials.push(trial as never);
      return { trial: trials[start + i], curve };
    });
    for (let step = 1; step <= curves[0].length; step++) {
      for (const { trial, curve } of group) {
        if (trial.state !== "running") continue;
        trial.reports.push({ step, value: curve[step - 1] });
        if (pruner.shouldPrune(trial, { direction, trials })) trial.state = "pruned";
      }
    }
    for (const { trial, curve } of group)
      if (trial.state === "running") Object.assign(trial, { state: "complete", value: curve.at(-1) });
  }
  return trials.map(({ state, reports }) => (state === "pruned" ? reports.length : null));
}

test.each(cases)("$name $options, to $direction, prunes what Optuna prunes", (example) => {
  const pruner = pruners[example.name](example.options as never);
  for (const [together, pruned] of Object.entries(example.pruned))
    expect(decisions(pruner, example.direction as Direction, Number(together)), `${together} at a time`).toEqual(
      pruned,
    );
});

test("Hyperband's brackets have the paper's numbers of trials, and each its first rung", () => {
  expect(bracketSizes(81, 3)).toEqual([81, 34, 15, 8, 5]); // arXiv:1603.06560, table 1
  const pruned = decisions(hyperbandPruner({ maxBudget: 27 }), "minimize", 1);
  const steps = new Set(pruned.filter((step) => step !== null));
  for (const step of steps) expect([1, 3, 9, 27]).toContain(step);
  expect(steps.size).toBeGreaterThan(2);
});

const LENGTH = 81;
test.each([
  ["median", medianPruner()],
  ["asha", ashaPruner({ reduction: 3 })],
  ["hyperband", hyperbandPruner({ maxBudget: LENGTH })],
])("%s spares half of the steps, and the best is as good as without", async (_, pruner) => {
  const reached = async (options: { pruner?: Pruner }) => {
    let steps = 0;
    const { best, trials } = await tune({
      space: space({ x: uniform(-1, 1), speed: uniform(0.05, 0.5) }),
      sampler: tpeSampler({ seed: 2 }),
      trials: 60,
      ...options,
      run: async (trial) => {
        const { x, speed } = trial.values;
        const at = (step: number) => x ** 2 + Math.exp(-speed * step);
        for (let step = 1; step <= LENGTH; step++) {
          steps++;
          await trial.report(step, at(step));
          if (trial.shouldPrune) trial.prune();
        }
        return at(LENGTH);
      },
    });
    return { steps, value: best?.value as number, states: new Set(trials.map(({ state }) => state)) };
  };
  const [whole, cut] = [await reached({}), await reached({ pruner })];
  expect(whole.steps).toBe(60 * LENGTH);
  expect(cut.steps).toBeLessThan(0.5 * whole.steps);
  expect(cut.states).toEqual(new Set(["complete", "pruned"]));
  expect(cut.value).toBeLessThan(whole.value + 0.02);
});

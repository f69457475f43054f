import { known, numberRules, requireNumbers } from "../base/index.ts";
import { budgetsOf } from "./halving.ts";
import { isSound, loss, type TrialRecord } from "./records.ts";
import { type Proposal, randomSampler, type Sampler, type SamplerView } from "./samplers.ts";

/** The ladder that trials climb. */
export interface AshaSamplerOptions {
  /** Budget of the first trials: steps, epochs or rows. @default 1 */
  minBudget?: number;
  /** Budget of the last. */
  maxBudget: number;
  /** Of so many trials of a rung one goes on, with so many times the budget. @default 3 */
  reduction?: number;
  /** Chooses the values of the first trials. @default randomSampler() */
  sampler?: Sampler;
}

/**
 * Asynchronous successive halving that takes trials up again: whenever there is room, a trial that is among the best
 * 1 / reduction of those that have ended on its rung goes on with `reduction` times the budget, on the highest rung
 * that has one; otherwise a new trial begins at the bottom. Nothing waits for a rung to be full. Li et al. 2018,
 * arXiv:1810.05934, algorithm 2. A trial that goes on is a trial of its own, with `continues`, the number of the one
 * before it, whose checkpoint it goes on from. There are as many trials as the study has.
 * @throws OptionError for a budget or a reduction that cannot be
 */
export function ashaSampler(options: AshaSamplerOptions): Sampler {
  const where = "ashaSampler";
  known(where, options, { minBudget: true, maxBudget: true, reduction: true, sampler: true });
  const { minBudget = 1, maxBudget, reduction = 3, sampler = randomSampler() } = options;
  requireNumbers(
    where,
    { minBudget, maxBudget, reduction },
    {
      minBudget: numberRules.positive,
      maxBudget: { range: "of at least minBudget", isFine: (value) => Number.isFinite(value) && value >= minBudget },
      reduction: numberRules.aboveOne,
    },
  );
  const budgets = budgetsOf(minBudget, maxBudget, reduction);
  return { name: "asha", propose: (view) => promotion(view, budgets, reduction) ?? begin(view, budgets[0], sampler) };
}

/** The best trial that may climb and has not, of the highest rung that has one. */
function promotion(
  { trials, direction }: SamplerView,
  budgets: readonly number[],
  reduction: number,
): Proposal | undefined {
  const promoted = new Set(trials.map(({ continues }) => continues));
  for (let rung = budgets.length - 2; rung >= 0; rung--) {
    const ended = trials.filter(({ budget, state }) => budget === budgets[rung] && state === "complete");
    const best = ended
      .filter(isSound)
      .sort((a, b) => loss(direction, a.value) - loss(direction, b.value))
      .slice(0, Math.floor(ended.length / reduction + 1e-9));
    const next: TrialRecord | undefined = best.find(({ number }) => !promoted.has(number));
    if (next) return { values: { ...next.values }, budget: budgets[rung + 1], continues: next.number };
  }
  return undefined;
}

function begin(view: SamplerView, budget: number, sampler: Sampler): Proposal | "wait" | undefined {
  const first = view.trials.filter(({ continues }) => continues === undefined);
  const proposal = sampler.propose({ ...view, trials: first });
  return typeof proposal === "object" ? { ...proposal, budget } : proposal;
}

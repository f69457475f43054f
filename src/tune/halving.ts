import { known, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { isSound, loss, type StudyView, type TrialRecord } from "./records.ts";
import { type Proposal, randomSampler, type Sampler, type SamplerView } from "./samplers.ts";

/** How many trials begin, and what each may spend. */
export interface HalvingOptions {
  /** Budget of the first trials: steps, epochs or rows. @default 1 */
  minBudget?: number;
  /** Budget of the last. */
  maxBudget: number;
  /** Of so many trials one goes on, with so many times the budget. @default 3 */
  reduction?: number;
  /** Trials of the smallest budget. @default so many that one reaches the largest */
  candidates?: number;
  /** Chooses their values. @default randomSampler() */
  sampler?: Sampler;
}

/**
 * Successive halving: many trials with a small budget; when all have ended, the best 1 / reduction of them again with
 * `reduction` times as much, and so on. Jamieson and Talwalkar 2016, arXiv:1502.07943. A trial has `budget`, and
 * `continues`, the number of the trial before it, whose checkpoint it can go on from.
 * @throws OptionError when so few candidates begin that none reaches the largest budget
 */
export function halvingSampler(options: HalvingOptions): Sampler {
  const where = "halvingSampler";
  known(where, options, { minBudget: true, maxBudget: true, reduction: true, candidates: true, sampler: true });
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
  const { candidates = Math.round(reduction ** (budgets.length - 1)) } = options;
  requireNumbers(where, { candidates }, { candidates: numberRules.positiveInteger });
  const sizes = budgets.map((_, rung) => Math.floor(candidates / reduction ** rung + 1e-9));
  if (sizes.some((size) => size < 1)) {
    const expected = `at least ${Math.ceil(reduction ** (budgets.length - 1))} candidates for ${budgets.length} rungs`;
    const fix = "begin with more candidates, or a larger minBudget";
    throw new OptionError({ where, expected, received: String(candidates), fix });
  }
  return {
    name: "halving",
    size: () => sizes.reduce((sum, size) => sum + size, 0),
    propose: (view) => propose(view, { budgets, sizes, sampler }),
  };
}

/** From the largest down, so that it is reached exactly. Whole budgets stay whole. */
export function budgetsOf(least: number, most: number, reduction: number): number[] {
  const budgets: number[] = [];
  const isWhole = Number.isInteger(least) && Number.isInteger(most);
  for (let budget = most; budget >= least * (1 - 1e-9); budget /= reduction)
    budgets.unshift(isWhole ? Math.round(budget) : budget);
  return budgets;
}

interface Ladder {
  budgets: readonly number[];
  sizes: readonly number[];
  sampler: Sampler;
}

function propose(view: SamplerView, { budgets, sizes, sampler }: Ladder): Proposal | "wait" | undefined {
  const rungs = budgets.map((budget) => view.trials.filter((trial) => trial.budget === budget));
  if (rungs[0].length < sizes[0]) {
    const proposal = sampler.propose({ ...view, trials: rungs[0] });
    if (proposal !== undefined) return proposal === "wait" ? proposal : { ...proposal, budget: budgets[0] };
  }
  for (let rung = 1; rung < budgets.length; rung++) {
    if (rungs[rung - 1].some(({ state }) => state === "running")) return "wait";
    const taken = new Set(rungs[rung].map(({ continues }) => continues));
    const next = bestOf(rungs[rung - 1], view, sizes[rung]).find(({ number }) => !taken.has(number));
    if (next) return { values: { ...next.values }, budget: budgets[rung], continues: next.number };
  }
  return undefined;
}

/** So many of the trials that may go on. */
const bestOf = (trials: readonly TrialRecord[], { direction }: StudyView, count: number): TrialRecord[] =>
  trials
    .filter(isSound)
    .sort((a, b) => loss(direction, a.value) - loss(direction, b.value))
    .slice(0, count);

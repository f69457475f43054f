import { known, numberRules, type OptionNames, requireNumbers } from "../base/index.ts";
import { RandomStream } from "./random.ts";
import { type Direction, loss, type Report, type StudyView, type TrialRecord } from "./records.ts";

/** Ends trials that are not worth going on with. It keeps no state: what it says follows from the reports. */
export interface Pruner {
  readonly name: string;
  /** Asked after each report of a trial. */
  shouldPrune(trial: TrialRecord, view: StudyView): boolean;
}

/** When `percentilePruner` and `medianPruner` look. */
export interface MedianOptions {
  /** Complete trials before any is pruned. @default 5 */
  startupTrials?: number;
  /** Steps before a trial is pruned. @default 0 */
  warmupSteps?: number;
  /** Steps between two looks. @default 1 */
  interval?: number;
  /** Complete trials with a report of the same step that there must be. @default 1 */
  leastTrials?: number;
}

/** See MedianOptions. */
export interface PercentileOptions extends MedianOptions {
  /** Percent of the trials that go on, from 0 to 100. */
  percentile: number;
}

const medianNames: OptionNames<MedianOptions> = {
  startupTrials: true,
  warmupSteps: true,
  interval: true,
  leastTrials: true,
};
const percent = { range: "from 0 to 100", isFine: (value: number) => value >= 0 && value <= 100 };

/**
 * Ends a trial whose best report is worse than the median of what complete trials reported at the same step. Golovin et
 * al. 2017, "Google Vizier", section 3.5; as Optuna's `MedianPruner`.
 */
export function medianPruner(options: MedianOptions = {}): Pruner {
  known("medianPruner", options, medianNames);
  return { ...percentilePruner({ percentile: 50, ...options }), name: "median" };
}

/** As `medianPruner`, with another share of trials that go on. */
export function percentilePruner(options: PercentileOptions): Pruner {
  const where = "percentilePruner";
  known(where, options, { percentile: true, ...medianNames });
  const { percentile, startupTrials = 5, warmupSteps = 0, interval = 1, leastTrials = 1 } = options;
  const values = { percentile, startupTrials, warmupSteps, interval, leastTrials };
  requireNumbers(where, values, {
    percentile: percent,
    startupTrials: numberRules.wholeNumber,
    warmupSteps: numberRules.wholeNumber,
    interval: numberRules.positiveInteger,
    leastTrials: numberRules.positiveInteger,
  });
  const shouldPrune: Pruner["shouldPrune"] = ({ reports }, { trials, direction }) => {
    const complete = trials.filter(({ state }) => state === "complete");
    const step = latestStep(reports);
    if (complete.length === 0 || complete.length < startupTrials || step < warmupSteps) return false;
    const look = Math.floor((step - warmupSteps) / interval) * interval + warmupSteps;
    if (reports.some((report) => report.step !== step && report.step >= look)) return false; // it has looked already
    const best = least(losses(reports, direction));
    if (Number.isNaN(best)) return true;
    const others = complete.flatMap((trial) => lossesAt(trial.reports, step, direction));
    if (others.length < leastTrials) return false;
    return best > quantile(others, percentile / 100);
  };
  return { name: "percentile", shouldPrune };
}

const latestStep = (reports: readonly Report[]) => reports.reduce((most, { step }) => Math.max(most, step), -1);
const losses = (reports: readonly Report[], direction: Direction) => reports.map(({ value }) => loss(direction, value));
const lossesAt = (reports: readonly Report[], step: number, direction: Direction) =>
  losses(
    reports.filter((report) => report.step === step && !Number.isNaN(report.value)),
    direction,
  );
/** The least number; NaN when there is none. */
const least = (values: readonly number[]) =>
  values.reduce((best, value) => (Number.isNaN(best) || value < best ? value : best), Number.NaN);

/** Between the two nearest values, in proportion. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low === high ? low : low + (high - low) * (place - Math.floor(place));
}

/** Rungs of the ladder that trials climb. */
export interface AshaOptions {
  /** Steps up to the first rung. @default 1 */
  minBudget?: number;
  /** Of so many trials at a rung one goes on, and the next rung is so many times as far. @default 4 */
  reduction?: number;
  /** Rungs at the bottom that are left out. @default 0 */
  skipRungs?: number;
}

/**
 * Asynchronous successive halving: a trial that reaches a rung (minBudget, minBudget x reduction, ... steps) goes on
 * when it is among the best 1 / reduction of those that have reached it so far. Li et al. 2018, arXiv:1810.05934, in
 * the form that stops trials and never takes up one that was stopped; as Optuna's `SuccessiveHalvingPruner`.
 */
export function ashaPruner(options: AshaOptions = {}): Pruner {
  known("ashaPruner", options, { minBudget: true, reduction: true, skipRungs: true });
  const { minBudget = 1, reduction = 4, skipRungs = 0 } = options;
  requireNumbers(
    "ashaPruner",
    { minBudget, reduction, skipRungs },
    {
      minBudget: numberRules.positiveInteger,
      reduction: numberRules.aboveOne,
      skipRungs: numberRules.wholeNumber,
    },
  );
  return {
    name: "asha",
    shouldPrune: (trial, view) => isCut(trial, view, { minBudget: minBudget * reduction ** skipRungs, reduction }),
  };
}

/** Whether the last report of a trial ends it, at a rung that it reaches with it. */
function isCut(trial: TrialRecord, view: StudyView, ladder: { minBudget: number; reduction: number }): boolean {
  const before = rungValues(trial.reports.slice(0, -1), ladder).length;
  const reached = rungValues(trial.reports, ladder);
  const others = view.trials
    .filter(({ number }) => number !== trial.number)
    .map((other) => rungValues(other.reports, ladder, other.state));
  for (let rung = before; rung < reached.length; rung++) {
    const value = loss(view.direction, reached[rung]);
    if (Number.isNaN(value)) return true;
    const rivals = others.flatMap((values) => (rung < values.length ? [loss(view.direction, values[rung])] : []));
    const all = [...rivals, value].sort((a, b) => a - b);
    const passes = Math.max(1, Math.floor(all.length / ladder.reduction)); // of the first ones the best passes
    if (value > all[passes - 1]) return true;
  }
  return false;
}

/**
 * What a trial reported when it reached each rung. A pruned one went no further than the first that its end reached.
 */
function rungValues(
  reports: readonly Report[],
  { minBudget, reduction }: { minBudget: number; reduction: number },
  state?: TrialRecord["state"],
): number[] {
  const values: number[] = [];
  for (const [i, { step, value }] of reports.entries()) {
    const isEnd = state === "pruned" && i === reports.length - 1;
    while (step >= minBudget * reduction ** values.length) {
      values.push(value);
      if (isEnd) break;
    }
  }
  return values;
}

/** See hyperbandPruner. */
export interface HyperbandOptions {
  /** Steps up to the first rung of the first bracket. @default 1 */
  minBudget?: number;
  /** Steps of a whole trial. */
  maxBudget: number;
  /** @default 3 */
  reduction?: number;
  /** By which trials are dealt to brackets. @default 0 */
  seed?: number;
}

/**
 * Hyperband: brackets of asynchronous successive halving, each of which leaves out one more rung at the bottom, so that
 * trials that begin slowly have a chance. Trials are dealt to them at random, in the proportions of the paper's numbers
 * of trials. Li et al. 2017, arXiv:1603.06560.
 */
export function hyperbandPruner(options: HyperbandOptions): Pruner {
  known("hyperbandPruner", options, { minBudget: true, maxBudget: true, reduction: true, seed: true });
  const { minBudget = 1, maxBudget, reduction = 3, seed = 0 } = options;
  requireNumbers(
    "hyperbandPruner",
    { minBudget, maxBudget, reduction, seed },
    {
      minBudget: numberRules.positiveInteger,
      maxBudget: {
        range: "to be an integer of at least minBudget",
        isFine: (value) => Number.isInteger(value) && value >= minBudget,
      },
      reduction: numberRules.aboveOne,
      seed: numberRules.integer,
    },
  );
  const sizes = bracketSizes(maxBudget / minBudget, reduction);
  const bracketOf = (number: number) => {
    let rest = new RandomStream(seed, number).below(sizes.reduce((sum, size) => sum + size, 0));
    return sizes.findIndex((size) => {
      rest -= size;
      return rest < 0;
    });
  };
  return {
    name: "hyperband",
    shouldPrune: (trial, { direction, trials }) => {
      const bracket = bracketOf(trial.number);
      const rivals = trials.filter(({ number }) => bracketOf(number) === bracket);
      return isCut(trial, { direction, trials: rivals }, { minBudget: minBudget * reduction ** bracket, reduction });
    },
  };
}

/** Trials of each bracket: n of Algorithm 1, line 3, the bracket with the most rungs first. */
export function bracketSizes(ratio: number, reduction: number): number[] {
  let count = 1; // of brackets; a logarithm would round 3^5 to below 5
  while (reduction ** count <= ratio * (1 + 1e-9)) count++;
  return Array.from({ length: count }, (_, bracket) => {
    const halvings = count - 1 - bracket;
    return Math.ceil((count * reduction ** halvings) / (halvings + 1));
  });
}

/** See patiencePruner. */
export interface PatienceOptions {
  /** Reports without an improvement that are borne. */
  patience: number;
  /** What counts as one. @default 0 */
  minImprovement?: number;
}

/**
 * Ends a trial that has not improved for `patience` reports, whatever other trials do; as Optuna's `PatientPruner` by
 * itself.
 */
export function patiencePruner(options: PatienceOptions): Pruner {
  known("patiencePruner", options, { patience: true, minImprovement: true });
  const { patience, minImprovement = 0 } = options;
  requireNumbers(
    "patiencePruner",
    { patience, minImprovement },
    {
      patience: numberRules.wholeNumber,
      minImprovement: numberRules.notNegative,
    },
  );
  return {
    name: "patience",
    shouldPrune: ({ reports }, { direction }) => {
      const values = losses(
        reports.toSorted((a, b) => a.step - b.step),
        direction,
      );
      const recent = patience + 1;
      if (values.length <= recent) return false;
      return least(values.slice(0, -recent)) + minImprovement < least(values.slice(-recent));
    },
  };
}

import { known, numberRules, requireNumbers } from "../base/index.ts";
import { ParzenEstimator } from "./parzen.ts";
import { RandomStream } from "./random.ts";
import { loss, type StudyView, type TrialRecord, violation } from "./records.ts";
import { type Proposal, randomValues, type Sampler, type SamplerView } from "./samplers.ts";
import { choose, type Scalar } from "./space.ts";

/** How the tree-structured Parzen estimator searches. */
export interface TpeOptions {
  /** @default 0 */
  seed?: number;
  /** Trials that must have ended before densities say anything; until then values are random. @default 10 */
  startupTrials?: number;
  /** Values of each parameter that are drawn and compared. @default 24 */
  candidates?: number;
}

/** A tenth of the trials is good, and at most so many (Optuna's gamma). */
const MOST_GOOD = 25;

/**
 * Tree-structured Parzen estimator: each parameter's values in good trials and in the others have densities l and g,
 * and of values drawn by l the one with the largest l / g is tried. Bergstra et al. 2011, "Algorithms for
 * Hyper-Parameter Optimization", section 4; numbers and clipping as Optuna has them, each parameter by itself. Trials
 * that run count among the others, so that those of one time do not try the same; failed ones do not count.
 */
export function tpeSampler(options: TpeOptions = {}): Sampler {
  known("tpeSampler", options, { seed: true, startupTrials: true, candidates: true });
  const { seed = 0, startupTrials = 10, candidates = 24 } = options;
  requireNumbers(
    "tpeSampler",
    { seed, startupTrials, candidates },
    {
      seed: numberRules.integer,
      startupTrials: numberRules.wholeNumber,
      candidates: numberRules.positiveInteger,
    },
  );
  return { name: "tpe", propose: (view) => propose(view, { seed, startupTrials, candidates }) };
}

function propose(view: SamplerView, { seed, startupTrials, candidates }: Required<TpeOptions>): Proposal {
  const { space, number } = view;
  const ended = view.trials.filter(({ state }) => state === "complete" || state === "pruned");
  if (ended.length === 0 || ended.length < startupTrials) return { values: randomValues(space, seed, number) };
  const { good, others } = splitTrials(view);
  const names = Object.keys(space);
  const values = choose(space, (name, parameter) => {
    const [below, above] = [good, others].map((trials) => new ParzenEstimator(parameter, valuesOf(trials, name)));
    const random = new RandomStream(seed, number, names.indexOf(name));
    const drawn = Array.from({ length: candidates }, () => below.draw(random));
    return bestCandidate(drawn, below, above);
  });
  return { values };
}

const valuesOf = (trials: readonly TrialRecord[], name: string): Scalar[] =>
  trials.flatMap(({ values }) => (name in values ? [values[name]] : []));

/** The first with the largest l / g. */
export function bestCandidate(
  candidates: readonly Scalar[],
  below: Pick<ParzenEstimator, "logDensity">,
  above: Pick<ParzenEstimator, "logDensity">,
): Scalar {
  const scores = candidates.map((value) => below.logDensity(value) - above.logDensity(value));
  return candidates[scores.indexOf(Math.max(...scores))];
}

/** Trials that are good, and the others, both by number. */
export function splitTrials({ trials, direction }: StudyView): { good: TrialRecord[]; others: TrialRecord[] } {
  const ended = trials.filter(({ state }) => state === "complete" || state === "pruned");
  const count = Math.min(Math.ceil(0.1 * ended.length), MOST_GOOD);
  const good = new Set(ended.toSorted((a, b) => compare(rank(a, direction), rank(b, direction))).slice(0, count));
  const others = trials.filter((trial) => trial.state !== "failed" && !good.has(trial));
  return { good: trials.filter((trial) => good.has(trial)), others };
}

/** Complete trials by their values, then pruned ones, the furthest first, then those that break a constraint. */
function rank(trial: TrialRecord, direction: StudyView["direction"]): number[] {
  const broken = violation(trial);
  if (broken > 0) return [2, broken];
  if (trial.state === "complete") return [0, loss(direction, trial.value as number)];
  const last = trial.reports.reduce<TrialRecord["reports"][number] | undefined>(
    (latest, report) => (latest && latest.step > report.step ? latest : report),
    undefined,
  );
  return last ? [1, -last.step, loss(direction, last.value)] : [1, 1, 0];
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}

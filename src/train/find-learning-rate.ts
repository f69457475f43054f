/** A range test of learning rates. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { Source } from "../data/index.ts";
import type { Optimizer } from "../optim/index.ts";
import { randomKey, tensor } from "../tensor/index.ts";
import { keepingState } from "./keep-state.ts";
import type { Objective } from "./objective.ts";
import { type BatchArgument, compileTrainStep, type StepOptions } from "./step.ts";

/** What is tested, and between which rates. */
export interface FindLearningRateOptions<B> extends Pick<StepOptions, "precision" | "checkpointActivations"> {
  objective: Objective<B>;
  optimizer: Optimizer;
  trainData: Source<B>;
  /** Rates that are tried, each in one step: 10 or more. @default 100 */
  steps?: number;
  /** @default 1e-7 */
  lowest?: number;
  /** @default 1 */
  highest?: number;
  /** Share of the earlier losses in each smoothed one, below 1. @default 0.9 */
  smoothing?: number;
  /** The test ends when the smoothed loss is so many times the least, above 1. @default 4 */
  divergence?: number;
  /** @default 1 */
  clipNorm?: number;
  /** Of dropout. @default 0 */
  seed?: number;
  /** Called after each rate with the share of them that is tried, 0 to 1. */
  onProgress?: (fraction: number) => void;
  /** Ends the step under way: the signal's reason is thrown. */
  signal?: AbortSignal;
}

/** A rate and the losses at it. */
export interface RateTrial {
  learningRate: number;
  loss: number;
  /** Mean of the losses up to it, the last counting most. */
  smoothed: number;
}

/** What the test says. */
export interface LearningRateRange {
  trials: readonly RateTrial[];
  /** Where the smoothed loss falls most as the rate is multiplied: a rate to train with. */
  steepest: number;
  /** A tenth of the rate with the least smoothed loss: the largest that is safe. */
  tenthOfMinimum: number;
  /** Whether it ended before the highest rate, since the loss had grown. */
  hasDiverged: boolean;
}

const names = [
  ...(["objective", "optimizer", "trainData", "steps", "lowest", "highest", "smoothing", "divergence"] as const),
  ...(["clipNorm", "seed", "onProgress", "signal", "precision", "checkpointActivations"] as const),
] satisfies (keyof FindLearningRateOptions<never>)[];

/** The first losses hang on their batches alone. */
const SKIPPED_SHARE = 0.1;
const LEAST_TRIALS = 4;

/**
 * Trains with rates that rise by the same factor from step to step, until the loss grows, and suggests one; the weights
 * and the optimizer's state are as before then, to the bit. Smith 2015, arXiv:1506.01186, section 3.3.
 * @throws OptionError for options that are wrong, and when the loss is no number from the first rates on
 */
export async function findLearningRate<B>(options: FindLearningRateOptions<B>): Promise<LearningRateRange> {
  checkOptions("findLearningRate", options, names);
  const { steps = 100, lowest = 1e-7, highest = 1, smoothing = 0.9, divergence = 4 } = options;
  requireNumbers(
    "findLearningRate",
    { steps, lowest, smoothing, divergence },
    {
      steps: numberRules.positiveInteger,
      lowest: numberRules.positive,
      smoothing: numberRules.share,
      divergence: numberRules.aboveOne,
    },
  );
  if (!(highest > lowest) || steps < 10) {
    const [expected, received] =
      steps < 10 ? ["10 steps or more", String(steps)] : [`highest above lowest (${lowest})`, String(highest)];
    throw new OptionError({ where: "findLearningRate", expected, received, fix: "try a wider range of rates" });
  }
  const { objective, optimizer } = options;
  const trials = await keepingState(objective, optimizer, () =>
    rising(options, { steps, lowest, highest, smoothing, divergence }),
  );
  return suggestion(trials, trials.length < steps);
}

interface Range {
  steps: number;
  lowest: number;
  highest: number;
  smoothing: number;
  divergence: number;
}

async function rising<B>(
  options: FindLearningRateOptions<B>,
  { steps, lowest, highest, smoothing, divergence }: Range,
): Promise<RateTrial[]> {
  const { objective, optimizer, trainData, clipNorm = 1, seed = 0, signal, onProgress } = options;
  const { precision, checkpointActivations } = options;
  const step = compileTrainStep(objective, optimizer, {
    ...{ clipNorm, precision, checkpointActivations },
    key: randomKey(seed),
  });
  const trials: RateTrial[] = [];
  let [mean, least] = [0, Number.POSITIVE_INFINITY];
  try {
    for (let i = 0; i < steps; i++) {
      signal?.throwIfAborted();
      const learningRate = lowest * (highest / lowest) ** (i / (steps - 1));
      const first = await trainData.batch(trainData.count === undefined ? i : i % trainData.count);
      const batch = (await objective.prepare?.(first, { step: i, signal })) ?? first;
      const at = tensor(i, { dtype: "i32" });
      const result = await step.withSignal(signal)(batch as BatchArgument<B>, learningRate, at);
      const loss = await result.loss.item();
      mean = smoothing * mean + (1 - smoothing) * loss;
      const smoothed = mean / (1 - smoothing ** (i + 1)); // as if all before the first were the mean
      if (!Number.isFinite(smoothed) || smoothed > divergence * least) break;
      least = Math.min(least, smoothed);
      trials.push({ learningRate, loss, smoothed });
      onProgress?.((i + 1) / steps);
    }
  } finally {
    step.dispose();
  }
  return trials;
}

function suggestion(trials: readonly RateTrial[], hasDiverged: boolean): LearningRateRange {
  if (trials.length < LEAST_TRIALS) {
    throw new OptionError({
      where: "findLearningRate",
      expected: "losses that are numbers at the lowest rates",
      received: `${trials.length} of them before the loss grew or was none`,
      fix: "begin with a lower rate, or look at the data and the loss",
    });
  }
  const minimum = trials.reduce((best, trial) => (trial.smoothed < best.smoothed ? trial : best));
  const from = Math.min(Math.floor(SKIPPED_SHARE * trials.length), trials.length - LEAST_TRIALS);
  let [steepest, fall] = [minimum.learningRate / 10, 0];
  for (let i = Math.max(1, from); i < trials.length - 1; i++) {
    const change = (trials[i + 1].smoothed - trials[i - 1].smoothed) / 2; // rates are evenly spread by their logarithm
    if (change >= fall) continue;
    fall = change;
    steepest = trials[i].learningRate;
  }
  return { trials, steepest, tenthOfMinimum: minimum.learningRate / 10, hasDiverged };
}

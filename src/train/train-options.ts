/** What a run is made of, and how its options are checked. */
import { checkOptions, type FloatDType, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { Source } from "../data/index.ts";
import type { Optimizer, Schedule } from "../optim/index.ts";
import { type BestOptions, checkBest } from "./best.ts";
import type { TrainCallback } from "./events.ts";
import type { Objective } from "./objective.ts";
import { checkSpikes, type SpikeOptions } from "./spikes.ts";

/** A run: what is trained, on what, how, and for how long. */
export interface TrainOptions<B> extends BestOptions {
  /** What is trained, and by which loss. */
  objective: Objective<B>;
  /** Of the parameters that the objective trains. */
  optimizer: Optimizer;
  schedule: Schedule;
  /** Step number i takes batch number i, or begins anew where there are no more. */
  trainData: Source<B>;
  /** @default none, and nothing is measured */
  validationData?: Source<B>;
  /** Folder of checkpoint/, best/, checkpoints/ and metrics.jsonl. */
  folder: string;
  /** Steps in all sessions. */
  steps: number;
  /**
   * Batches of a step. Their gradients are added up, each counted by how many things its loss is the mean of, so that
   * the step is that of one batch with all their examples. @default 1
   */
  accumulation?: number;
  /**
   * The steps before which parameters stay as they are, by the objective's names: gradual unfreezing. Howard and Ruder
   * 2018, arXiv:1801.06146. @default all are trained from step 0 on
   */
  frozenUntil?: ReadonlyMap<string, number>;
  /** Largest norm of the gradients, above 0. Infinity clips nothing. @default 1 */
  clipNorm?: number;
  /** Each number of a gradient is held to plus or minus this first, above 0. @default Infinity: no limit */
  clipValue?: number;
  /**
   * Dtype of products; weights and optimizer state stay in f32. With f16, steps whose gradients overflow change only
   * the loss' scale. @default "f32"
   */
  precision?: FloatDType;
  /**
   * What a layer computes is not kept for its gradient, but computed again: about a third more time, much less memory.
   * @default false
   */
  checkpointActivations?: boolean;
  /** Seed of dropout, an integer. @default 0 */
  seed?: number;
  /** Steps between measurements of the validation loss. Infinity: only the last. @default 100 */
  evaluationInterval?: number;
  /** Most batches per measurement. @default all of validation data that ends, 8 of other */
  evaluationBatches?: number;
  /** Steps between checkpoints. Infinity: only the last. @default 500 */
  checkpointInterval?: number;
  /** Batches that are read ahead while the device computes. @default 2 */
  prefetch?: number;
  /** What is done when the loss leaps up. @default only a loss that is not finite ends training */
  spikes?: SpikeOptions;
  /** A step that makes a NaN fails, and names the operation and its module. Slower. @default false */
  detectAnomaly?: boolean;
  /** See each event before the caller of `train` does, and may stop, save or evaluate. */
  callbacks?: readonly TrainCallback[];
  /**
   * Training stops after this many seconds, above 0, in all sessions, with a checkpoint. The schedule is asked for the
   * step that fits the time that is gone, where that is later, so that it ends when training does. @default no limit
   */
  maxSeconds?: number;
  /** What the run is trained on: sha256 by name. A checkpoint of another is refused. */
  fingerprint?: Readonly<Record<string, string>>;
  /** Stops after the step under way, with a checkpoint. */
  signal?: AbortSignal;
  /**
   * Ends the step under way: `train` throws the signal's reason, and the last checkpoint stays. A checkpoint that is
   * being written is written to its end.
   */
  cancelSignal?: AbortSignal;
}

const names: readonly (keyof TrainOptions<unknown>)[] = [
  ...([
    "objective",
    "optimizer",
    "schedule",
    "trainData",
    "validationData",
    "folder",
    "steps",
    "frozenUntil",
    "accumulation",
  ] as const),
  ...([
    "clipNorm",
    "clipValue",
    "precision",
    "checkpointActivations",
    "seed",
    "evaluationInterval",
    "evaluationBatches",
  ] as const),
  ...(["checkpointInterval", "prefetch", "spikes", "detectAnomaly", "callbacks", "maxSeconds"] as const),
  ...(["monitor", "earlyStopping", "keepBest", "restoreBest", "keepCheckpoints", "maxCheckpointBytes"] as const),
  ...(["fingerprint", "signal", "cancelSignal"] as const),
];

/** @throws OptionError for what cannot be trained as it is asked for, before anything is written */
export function checkTrainOptions<B>(options: TrainOptions<B>): void {
  checkOptions("train", options, names);
  requireTrainNumbers(options);
  checkBest(options);
  checkSpikes(options.spikes);
  requireTrained(options);
  requireUnfrozen(options);
  requireBatches(options);
}

/** @throws OptionError for a number that is NaN or out of its range */
function requireTrainNumbers<B>(options: TrainOptions<B>): void {
  const { steps, clipNorm = 1, seed = 0, evaluationInterval = 100, checkpointInterval = 500 } = options;
  const { maxSeconds = Number.POSITIVE_INFINITY, clipValue = Number.POSITIVE_INFINITY } = options;
  const { evaluationBatches = 1, accumulation = 1, prefetch = 2 } = options;
  const { wholeNumber, integer, interval, limit, positiveInteger } = numberRules;
  requireNumbers(
    "train",
    {
      ...{ steps, clipNorm, clipValue, seed, evaluationInterval, checkpointInterval, maxSeconds, evaluationBatches },
      ...{ accumulation, prefetch },
    },
    {
      steps: wholeNumber,
      clipNorm: limit,
      clipValue: limit,
      seed: integer,
      evaluationInterval: interval,
      checkpointInterval: interval,
      maxSeconds: limit,
      evaluationBatches: positiveInteger,
      accumulation: positiveInteger,
      prefetch: positiveInteger,
    },
  );
}

/** @throws OptionError when the optimizer updates other parameters than the objective trains */
function requireTrained<B>({ objective: { trained }, optimizer: { parameters } }: TrainOptions<B>): void {
  const expected = new Set<object>(trained.values());
  const strange = [...parameters].find(([, parameter]) => !expected.has(parameter));
  if (!strange && parameters.size === trained.size) return;
  throw new OptionError({
    where: "train",
    expected: `an optimizer of the ${trained.size} parameters that the objective trains`,
    received: `one of ${parameters.size}${strange ? `, with ${strange[0]}` : ""}`,
    fix: "make it of objective.trained",
  });
}

/** @throws OptionError for names that the objective does not train, or when nothing is trained at step 0 */
function requireUnfrozen<B>({ objective: { trained }, frozenUntil }: TrainOptions<B>): void {
  if (!frozenUntil) return;
  const strange = [...frozenUntil.keys()].find((name) => !trained.has(name));
  const isIdle = [...trained.keys()].every((name) => (frozenUntil.get(name) ?? 0) > 0);
  if (strange === undefined && !isIdle) return;
  throw new OptionError({
    where: "train, frozenUntil",
    expected: isIdle ? "a parameter that is trained from step 0 on" : "names of parameters that the objective trains",
    received: isIdle ? "none" : (strange as string),
    fix: "correct the names, or the steps",
  });
}

/** @throws OptionError for data of no batch at all */
function requireBatches<B>({ trainData, validationData }: TrainOptions<B>): void {
  const counts = { trainData: trainData.count, validationData: validationData?.count };
  for (const [name, count] of Object.entries(counts)) {
    if (count === undefined || count >= 1) continue;
    throw new OptionError({
      where: "train",
      expected: `${name} of a batch or more`,
      received: String(count),
      fix: "give more",
    });
  }
}

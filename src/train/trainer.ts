import { join } from "node:path";
import { checkOptions, type FloatDType, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { Source } from "../data/index.ts";
import { makeFolder, withWriteErrors } from "../files/index.ts";
import type { Optimizer, Schedule } from "../optim/index.ts";
import { LossScaler, randomKey, tensor, type Variable } from "../tensor/index.ts";
import { findCheckpoint, loadCheckpoint, type SavedState, saveCheckpoint, type TrainingState } from "./checkpoint.ts";
import { DivergedError, firstNonFinite } from "./diverged.ts";
import { compileEvaluation, type Evaluation, measure } from "./evaluation.ts";
import { type MetricsEntry, MetricsLog, numbersOf } from "./metrics.ts";
import type { Objective } from "./objective.ts";
import { type BatchArgument, compileTrainStep, type TrainStep } from "./step.ts";

/** A run: what is trained, on what, how, and for how long. */
export interface TrainOptions<B> {
  /** What is trained, and by which loss. */
  objective: Objective<B>;
  /** Of the parameters that the objective trains. */
  optimizer: Optimizer;
  schedule: Schedule;
  /** Step number i takes batch number i, or begins anew where there are no more. */
  trainData: Source<B>;
  /** @default none, and nothing is measured */
  validationData?: Source<B>;
  /** Folder of checkpoint/ and metrics.jsonl. */
  folder: string;
  /** Steps in all sessions. */
  steps: number;
  /** Largest norm of the gradients, above 0. Infinity clips nothing. @default 1 */
  clipNorm?: number;
  /**
   * Dtype of products; weights and optimizer state stay in f32. With f16, steps whose gradients overflow change only
   * the loss' scale. @default "f32"
   */
  precision?: FloatDType;
  /** Seed of dropout, an integer. @default 0 */
  seed?: number;
  /** Steps between measurements of the validation loss. Infinity: only the last. @default 100 */
  evaluationInterval?: number;
  /** Most batches per measurement. @default all of validation data that ends, 8 of other */
  evaluationBatches?: number;
  /** Steps between checkpoints. Infinity: only the last. @default 500 */
  checkpointInterval?: number;
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

const trainOptions: readonly (keyof TrainOptions<unknown>)[] = [
  ...(["objective", "optimizer", "schedule", "trainData", "validationData", "folder", "steps"] as const),
  ...(["clipNorm", "precision", "seed", "evaluationInterval", "evaluationBatches", "checkpointInterval"] as const),
  ...(["maxSeconds", "fingerprint", "signal", "cancelSignal"] as const),
];

/**
 * What happens in training, in the order in which it happens: steps are counted from 1 when they are done, losses are
 * means.
 */
export type TrainEvent =
  | { type: "resumed"; step: number; validationLoss: number | null }
  | {
      type: "step";
      step: number;
      loss: number;
      gradientNorm: number;
      learningRate: number;
      /** Of the objective, by name. */
      metrics: Readonly<Record<string, number>>;
      /** In the objective's unit per second, such as tokens. */
      throughput: number;
      elapsedSeconds: number;
    }
  | { type: "evaluation"; step: number; validationLoss: number; metrics: Readonly<Record<string, number>> }
  | { type: "checkpoint"; step: number; path: string }
  | {
      type: "finished";
      step: number;
      reason: StopReason;
      /** Null without validation data. */
      validationLoss: number | null;
      validationStep: number | null;
    };

/** All steps are done; `maxSeconds` are over; the signal was given. */
export type StopReason = "steps" | "time" | "aborted";

/** State up to this size is kept twice, so that a step that diverges can be undone and looked into. */
const ROLLBACK_BYTES = 512 << 20;
/** With f16: halvings of the loss' scale in a row after which it is not the scale that makes gradients overflow. */
const MOST_OVERFLOWS = 30;
const CORRECT_SCHEDULE = "correct the schedule";
/** Parameters are kept with two moments each. */
const STATE_COPIES = 3;

/**
 * Trains what an objective says, and reports what happens as it happens. A checkpoint found in the folder is resumed:
 * batches and dropout are functions of the step, and so is the learning rate without `maxSeconds`, so a resumed run is
 * the run that was not interrupted.
 * @throws DivergedError when the loss is not finite; the last good state is then the checkpoint. DataError for a
 *   checkpoint that is damaged or of other data. OptionError for wrong options. WriteError when the disk is full. The
 *   reason of `cancelSignal`
 */
export async function* train<B>(options: TrainOptions<B>): AsyncGenerator<TrainEvent, void, void> {
  checkOptions("train", options, trainOptions);
  requireTrainNumbers(options);
  requireTrained(options);
  requireBatches(options);
  const { folder, steps, trainData, validationData, evaluationInterval = 100, checkpointInterval = 500 } = options;
  await withWriteErrors(folder, () => makeFolder(folder));
  const session = new Session(options);
  try {
    yield* session.resume();
    const batchOf = (step: number): Promise<B> => {
      const batch = trainData.batch(step % (trainData.count ?? Number.POSITIVE_INFINITY));
      batch.catch(() => {}); // reported when it is awaited
      return batch;
    };
    let next = batchOf(session.state.step);
    let reason: StopReason | undefined;
    for (reason = session.stopReason(); !reason; reason = session.stopReason()) {
      const started = performance.now();
      const batch = await next;
      next = batchOf(session.state.step + 1); // read while the device computes
      const result = await session.step(batch);
      yield await session.advance(batch, result, (performance.now() - started) / 1000);
      const { step } = session.state;
      if (validationData && step % evaluationInterval === 0 && step < steps)
        yield await session.evaluate(validationData);
      if (step % checkpointInterval === 0 && step < steps) yield await session.save();
    }
    const { step, validationStep } = session.state;
    options.cancelSignal?.throwIfAborted();
    const isMeasured = validationStep === step || (reason === "aborted" && validationStep !== null);
    if (validationData && !isMeasured) yield await session.evaluate(validationData);
    if (session.savedStep !== step) yield await session.save();
    const { validationLoss } = session.state;
    yield { type: "finished", step, reason, validationLoss, validationStep: session.state.validationStep };
  } finally {
    await session.close();
  }
}

/** @throws OptionError for a number that is NaN or out of its range */
function requireTrainNumbers<B>(options: TrainOptions<B>): void {
  const { steps, clipNorm = 1, seed = 0, evaluationInterval = 100, checkpointInterval = 500 } = options;
  const { maxSeconds = Number.POSITIVE_INFINITY, evaluationBatches = 1 } = options;
  const { wholeNumber, integer, interval, limit, positiveInteger } = numberRules;
  requireNumbers(
    "train",
    { steps, clipNorm, seed, evaluationInterval, checkpointInterval, maxSeconds, evaluationBatches },
    {
      steps: wholeNumber,
      clipNorm: limit,
      seed: integer,
      evaluationInterval: interval,
      checkpointInterval: interval,
      maxSeconds: limit,
      evaluationBatches: positiveInteger,
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

interface StepNumbers {
  loss: number;
  gradientNorm: number;
  learningRate: number;
  metrics: Record<string, number>;
}

/** What lives as long as one call of `train`: the compiled functions, the position, the metrics. */
class Session<B> {
  state: TrainingState = { step: 0, validationLoss: null, validationStep: null, elapsedSeconds: 0 };
  /** Step of the checkpoint on disk. */
  savedStep: number | undefined;
  private readonly options: TrainOptions<B>;
  private readonly checkpointPath: string;
  private readonly scaler: LossScaler | undefined;
  private readonly canRollBack: boolean;
  private readonly trainStep: TrainStep<B>;
  private readonly evaluation: Evaluation<B>;
  private metrics: MetricsLog | undefined;
  private overflows = 0; // in a row

  constructor(options: TrainOptions<B>) {
    const { objective, optimizer, folder, clipNorm = 1, precision = "f32", seed = 0, fingerprint } = options;
    this.options = options;
    this.checkpointPath = join(folder, "checkpoint");
    if (fingerprint) this.state = { ...this.state, fingerprint };
    this.scaler = precision === "f16" ? new LossScaler() : undefined;
    this.canRollBack = stateBytes(objective) <= ROLLBACK_BYTES;
    this.trainStep = compileTrainStep(objective, optimizer, {
      clipNorm,
      key: randomKey(seed),
      keepPreviousState: this.canRollBack,
      precision,
      scaler: this.scaler,
    });
    this.evaluation = compileEvaluation(objective);
  }

  /** Goes on from the checkpoint in the folder, where there is one. */
  async *resume(): AsyncGenerator<TrainEvent, void, void> {
    const checkpoint = await findCheckpoint(this.checkpointPath);
    if (checkpoint) {
      const { objective, fingerprint } = this.options;
      this.state = await loadCheckpoint(checkpoint, { objective, optimizer: this.learned(), fingerprint });
      this.savedStep = this.state.step;
    }
    const { step, validationLoss } = this.state;
    this.metrics = await MetricsLog.open(join(this.options.folder, "metrics.jsonl"), step);
    if (checkpoint) yield { type: "resumed", step, validationLoss };
  }

  stopReason(): StopReason | undefined {
    const { steps, maxSeconds = Number.POSITIVE_INFINITY, signal } = this.options;
    if (this.state.step >= steps) return "steps";
    if (signal?.aborted) return "aborted";
    return this.state.elapsedSeconds >= maxSeconds ? "time" : undefined;
  }

  /** @throws DivergedError when the loss is not finite */
  async step(batch: B): Promise<StepNumbers> {
    const { step, elapsedSeconds } = this.state;
    const { schedule, steps, maxSeconds, cancelSignal } = this.options;
    const learningRate = schedule(maxSeconds ? Math.max(step, (steps * elapsedSeconds) / maxSeconds) : step);
    requireNumbers(
      `train, step ${step}`,
      { learningRate },
      { learningRate: numberRules.notNegative },
      CORRECT_SCHEDULE,
    );
    const result = await this.trainStep.withSignal(cancelSignal)(
      batch as BatchArgument<B>,
      learningRate,
      tensor(step, { dtype: "i32" }),
    );
    const loss = await result.loss.item();
    const gradientNorm = await result.gradientNorm.item();
    this.overflows = Number.isFinite(gradientNorm) ? 0 : this.overflows + 1;
    const mostOverflows = this.scaler ? MOST_OVERFLOWS : 0;
    if (Number.isFinite(loss) && this.overflows <= mostOverflows)
      return { loss, gradientNorm, learningRate, metrics: await numbersOf(result.metrics) };
    const { options, trainStep, canRollBack, checkpointPath } = this;
    throw await diverged({
      options,
      step,
      loss,
      trainStep,
      canRollBack,
      batch,
      checkpoint: await findCheckpoint(checkpointPath),
    });
  }

  /** Counts a step that is done. */
  async advance(batch: B, numbers: StepNumbers, seconds: number): Promise<TrainEvent> {
    const { objective } = this.options;
    this.state = { ...this.state, step: this.state.step + 1, elapsedSeconds: this.state.elapsedSeconds + seconds };
    const { step, elapsedSeconds } = this.state;
    const { loss, gradientNorm, learningRate, metrics } = numbers;
    const throughput = objective.count(batch) / seconds;
    const speed = { [`${objective.unit}PerSecond`]: throughput };
    await this.metrics?.write({ step, loss, gradientNorm, learningRate, ...speed, ...named(metrics) });
    return { type: "step", step, ...numbers, throughput, elapsedSeconds };
  }

  async evaluate(source: Source<B>): Promise<TrainEvent> {
    const { evaluationBatches: batches, cancelSignal: signal } = this.options;
    const { loss: validationLoss, metrics } = await measure(this.evaluation, { source, batches, signal });
    const { step } = this.state;
    this.state = { ...this.state, validationLoss, validationStep: step };
    await this.metrics?.write({ step, validationLoss, ...named(metrics) });
    return { type: "evaluation", step, validationLoss, metrics };
  }

  async save(): Promise<TrainEvent> {
    const { objective } = this.options;
    const { checkpointPath: path, state } = this;
    await this.metrics?.sync();
    await saveCheckpoint(path, { objective, optimizer: this.learned(), state });
    this.savedStep = state.step;
    return { type: "checkpoint", step: state.step, path };
  }

  async close(): Promise<void> {
    this.trainStep.dispose();
    this.evaluation.dispose();
    this.scaler?.dispose();
    await this.metrics?.close();
  }

  /** All state that is learned besides the objective's. */
  private learned(): SavedState {
    return { state: new Map<string, Variable>([...this.options.optimizer.state, ...(this.scaler?.state ?? [])]) };
  }
}

/** Metrics in a line of metrics.jsonl, where there are any. */
const named = (metrics: Readonly<Record<string, number>>): MetricsEntry =>
  Object.keys(metrics).length > 0 ? { metrics } : {};

/** What a step changes, moments included. */
function stateBytes({ trained }: Objective<never>): number {
  const count = [...trained.values()].reduce((total, { shape }) => total + shape.reduce((a, b) => a * b, 1), 0);
  return count * 4 * STATE_COPIES;
}

interface Divergence<B> {
  options: TrainOptions<B>;
  step: number;
  loss: number;
  trainStep: TrainStep<B>;
  canRollBack: boolean;
  batch: B;
  checkpoint: string | undefined;
}

/** Undoes the step where that is possible, finds the tensor that went first, and says how to go on. */
async function diverged<B>({
  options: { objective },
  step,
  loss,
  trainStep,
  canRollBack,
  batch,
  checkpoint,
}: Divergence<B>): Promise<DivergedError> {
  if (canRollBack) trainStep.rollback();
  const first = await firstNonFinite(
    [...[...objective.trained.values()].map((parameter) => parameter.value), objective.loss(batch, {}).loss],
    objective.state,
  );
  return new DivergedError({
    where: `training step ${step}`,
    expected: "a finite loss",
    received: `${loss}${first ? `; the first tensor to go was ${first}` : "; the forward pass is finite, so a gradient overflowed"}`,
    fix: `lower the learning rate or the clip norm${checkpoint ? `, and resume from ${checkpoint}` : ""}`,
  });
}

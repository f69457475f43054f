import { join } from "node:path";
import { checkOptions, type FloatDType } from "../base/index.ts";
import type { TokenDataset } from "../data/index.ts";
import { makeFolder, withWriteErrors } from "../files/index.ts";
import type { CausalLM } from "../models/index.ts";
import type { Optimizer, Schedule } from "../optim/index.ts";
import { LossScaler, randomKey, type Tensor, tensor, type Variable } from "../tensor/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { findCheckpoint, loadCheckpoint, type SavedState, saveCheckpoint, type TrainingState } from "./checkpoint.ts";
import { DivergedError, firstNonFinite } from "./diverged.ts";
import { compileEvaluation, type Evaluation, evaluationLoss } from "./evaluation.ts";
import { MetricsLog } from "./metrics.ts";
import { compileTrainStep, type TrainStep } from "./step.ts";

export interface TrainOptions {
  model: CausalLM;
  optimizer: Optimizer;
  tokenizer: Tokenizer;
  trainData: TokenDataset;
  validationData: TokenDataset;
  schedule: Schedule;
  /** Folder of checkpoint/ and metrics.jsonl. */
  folder: string;
  steps: number;
  batchSize: number;
  contextLength: number;
  /** Largest norm of the gradients. @default 1 */
  clipNorm?: number;
  /**
   * Dtype of products; weights and optimizer state stay in f32. With f16, steps whose gradients overflow change only
   * the loss' scale. @default "f32"
   */
  precision?: FloatDType;
  /** Seed of dropout. @default 0 */
  seed?: number;
  /** Steps between measurements of the validation loss. @default 100 */
  evaluationInterval?: number;
  /** Batches per measurement. @default 8 */
  evaluationBatches?: number;
  /** Steps between checkpoints. @default 500 */
  checkpointInterval?: number;
  /**
   * Training stops after this many seconds in all sessions, with a checkpoint. The schedule is asked for the step that
   * fits the time that is gone, where that is later, so that it ends when training does. @default no limit
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

const trainOptions: readonly (keyof TrainOptions)[] = [
  ...([
    "model",
    "optimizer",
    "tokenizer",
    "trainData",
    "validationData",
    "schedule",
    "folder",
    "steps",
    "batchSize",
    "contextLength",
  ] as const),
  ...([
    "clipNorm",
    "precision",
    "seed",
    "evaluationInterval",
    "evaluationBatches",
    "checkpointInterval",
    "maxSeconds",
    "fingerprint",
  ] as const),
  ...(["signal", "cancelSignal"] as const),
];

export type TrainEvent =
  | { type: "resumed"; step: number; validationLoss: number | null }
  | {
      type: "step";
      step: number;
      loss: number;
      gradientNorm: number;
      learningRate: number;
      tokensPerSecond: number;
      elapsedSeconds: number;
    }
  | { type: "evaluation"; step: number; validationLoss: number }
  | { type: "checkpoint"; step: number; path: string }
  | {
      type: "finished";
      step: number;
      reason: StopReason;
      validationLoss: number | null;
      validationStep: number | null;
    };

/** All steps are done; `maxSeconds` are over; the signal was given. */
export type StopReason = "steps" | "time" | "aborted";

/** State up to this size is kept twice, so that a step that diverges can be undone and looked into. */
const ROLLBACK_BYTES = 512 << 20;
/** With f16: halvings of the loss' scale in a row after which it is not the scale that makes gradients overflow. */
const MOST_OVERFLOWS = 30;
/** Parameters are kept with two moments each. */
const STATE_COPIES = 3;

/**
 * Trains a language model and reports what happens as it happens. A checkpoint found in the folder is resumed: batches
 * and dropout are functions of the step, and so is the learning rate without `maxSeconds`, so a resumed run is the run
 * that was not interrupted.
 * @throws DivergedError when the loss is not finite; the last good state is then the checkpoint. DataError for a
 *   checkpoint that is damaged or of other data. WriteError when the disk is full. The reason of `cancelSignal`
 */
export async function* train(options: TrainOptions): AsyncGenerator<TrainEvent, void, void> {
  checkOptions("train", options, trainOptions);
  const {
    folder,
    steps,
    batchSize,
    contextLength,
    trainData,
    evaluationInterval = 100,
    checkpointInterval = 500,
  } = options;
  await withWriteErrors(folder, () => makeFolder(folder));
  const session = new Session(options);
  try {
    yield* session.resume();
    let next = trainData.batch(session.state.step, batchSize);
    next.catch(() => {}); // reported when it is awaited
    let reason: StopReason | undefined;
    for (reason = session.stopReason(); !reason; reason = session.stopReason()) {
      const started = performance.now();
      const { inputs, targets } = await next;
      next = trainData.batch(session.state.step + 1, batchSize); // read while the device computes
      next.catch(() => {});
      const shape = [batchSize, contextLength];
      const result = await session.step(tensor(inputs, { shape }), tensor(targets, { shape }));
      const seconds = (performance.now() - started) / 1000;
      yield await session.advance(result, seconds);
      const { step } = session.state;
      if (step % evaluationInterval === 0 && step < steps) yield await session.evaluate();
      if (step % checkpointInterval === 0 && step < steps) yield await session.save();
    }
    const { step, validationStep } = session.state;
    options.cancelSignal?.throwIfAborted();
    const isMeasured = validationStep === step || (reason === "aborted" && validationStep !== null);
    if (!isMeasured) yield await session.evaluate();
    if (session.savedStep !== step) yield await session.save();
    const { validationLoss } = session.state;
    yield { type: "finished", step, reason, validationLoss, validationStep: session.state.validationStep };
  } finally {
    await session.close();
  }
}

interface StepNumbers {
  loss: number;
  gradientNorm: number;
  learningRate: number;
}

/** What lives as long as one call of `train`: the compiled functions, the position, the metrics. */
class Session {
  state: TrainingState = { step: 0, validationLoss: null, validationStep: null, elapsedSeconds: 0 };
  /** Step of the checkpoint on disk. */
  savedStep: number | undefined;
  private readonly options: TrainOptions;
  private readonly checkpointPath: string;
  private readonly scaler: LossScaler | undefined;
  private readonly canRollBack: boolean;
  private readonly trainStep: TrainStep;
  private readonly evaluation: Evaluation;
  private metrics: MetricsLog | undefined;
  private overflows = 0; // in a row

  constructor(options: TrainOptions) {
    const { model, optimizer, folder, clipNorm = 1, precision = "f32", seed = 0, fingerprint } = options;
    this.options = options;
    this.checkpointPath = join(folder, "checkpoint");
    if (fingerprint) this.state = { ...this.state, fingerprint };
    this.scaler = precision === "f16" ? new LossScaler() : undefined;
    this.canRollBack = model.parameterCount() * 4 * STATE_COPIES <= ROLLBACK_BYTES;
    this.trainStep = compileTrainStep(model, optimizer, {
      clipNorm,
      key: randomKey(seed),
      keepPreviousState: this.canRollBack,
      precision,
      scaler: this.scaler,
    });
    this.evaluation = compileEvaluation(model);
  }

  /** Goes on from the checkpoint in the folder, where there is one. */
  async *resume(): AsyncGenerator<TrainEvent, void, void> {
    const checkpoint = await findCheckpoint(this.checkpointPath);
    if (checkpoint) {
      const { model, fingerprint } = this.options;
      this.state = await loadCheckpoint(checkpoint, { model, optimizer: this.learned(), fingerprint });
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
  async step(inputs: Tensor<"i32">, targets: Tensor<"i32">): Promise<StepNumbers> {
    const { step, elapsedSeconds } = this.state;
    const { schedule, steps, maxSeconds, cancelSignal } = this.options;
    const learningRate = schedule(maxSeconds ? Math.max(step, (steps * elapsedSeconds) / maxSeconds) : step);
    const result = await this.trainStep.withSignal(cancelSignal)(
      inputs,
      targets,
      learningRate,
      tensor(step, { dtype: "i32" }),
    );
    const loss = await result.loss.item();
    const gradientNorm = await result.gradientNorm.item();
    this.overflows = Number.isFinite(gradientNorm) ? 0 : this.overflows + 1;
    const mostOverflows = this.scaler ? MOST_OVERFLOWS : 0;
    if (Number.isFinite(loss) && this.overflows <= mostOverflows) return { loss, gradientNorm, learningRate };
    const { options, trainStep, canRollBack, checkpointPath } = this;
    throw await diverged({
      options,
      step,
      loss,
      trainStep,
      canRollBack,
      inputs,
      targets,
      checkpoint: await findCheckpoint(checkpointPath),
    });
  }

  /** Counts a step that is done. */
  async advance({ loss, gradientNorm, learningRate }: StepNumbers, seconds: number): Promise<TrainEvent> {
    const { batchSize, contextLength } = this.options;
    this.state = { ...this.state, step: this.state.step + 1, elapsedSeconds: this.state.elapsedSeconds + seconds };
    const { step, elapsedSeconds } = this.state;
    const tokensPerSecond = (batchSize * contextLength) / seconds;
    await this.metrics?.write({ step, loss, gradientNorm, learningRate, tokensPerSecond });
    return { type: "step", step, loss, gradientNorm, learningRate, tokensPerSecond, elapsedSeconds };
  }

  async evaluate(): Promise<TrainEvent> {
    const validationLoss = await evaluationLoss(this.evaluation, {
      ...this.options,
      signal: this.options.cancelSignal,
    });
    const { step } = this.state;
    this.state = { ...this.state, validationLoss, validationStep: step };
    await this.metrics?.write({ step, validationLoss });
    return { type: "evaluation", step, validationLoss };
  }

  async save(): Promise<TrainEvent> {
    const { model, tokenizer } = this.options;
    const { checkpointPath: path, state } = this;
    await this.metrics?.sync();
    await saveCheckpoint(path, { model, tokenizer, optimizer: this.learned(), state });
    this.savedStep = state.step;
    return { type: "checkpoint", step: state.step, path };
  }

  async close(): Promise<void> {
    this.trainStep.dispose();
    this.evaluation.dispose();
    this.scaler?.dispose();
    await this.metrics?.close();
  }

  /** All state that is learned besides the model's. */
  private learned(): SavedState {
    return { state: new Map<string, Variable>([...this.options.optimizer.state, ...(this.scaler?.state ?? [])]) };
  }
}

interface Divergence {
  options: TrainOptions;
  step: number;
  loss: number;
  trainStep: TrainStep;
  canRollBack: boolean;
  inputs: Tensor<"i32">;
  targets: Tensor<"i32">;
  checkpoint: string | undefined;
}

/** Undoes the step where that is possible, finds the tensor that went first, and says how to go on. */
async function diverged({
  options,
  step,
  loss,
  trainStep,
  canRollBack,
  inputs,
  targets,
  checkpoint,
}: Divergence): Promise<DivergedError> {
  if (canRollBack) trainStep.rollback();
  const { model } = options;
  const lossTensor = model.loss(inputs, targets);
  const first = await firstNonFinite(
    [...model.parameters().map((parameter) => parameter.value), lossTensor],
    model.namedState(),
  );
  return new DivergedError({
    where: `training step ${step}`,
    expected: "a finite loss",
    received: `${loss}${first ? `; the first tensor to go was ${first}` : "; the forward pass is finite, so a gradient overflowed"}`,
    fix: `lower the learning rate or the clip norm${checkpoint ? `, and resume from ${checkpoint}` : ""}`,
  });
}

import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { TokenDataset } from "../data/index.ts";
import { checkOptions, type FloatDType } from "../ir/index.ts";
import type { CausalLM } from "../models/index.ts";
import type { Optimizer, Schedule } from "../optim/index.ts";
import { type CompiledFunction, compile, LossScaler, randomKey, type Tensor, tensor, type Variable } from "../tensor/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import { findCheckpoint, loadCheckpoint, saveCheckpoint, type TrainingState } from "./checkpoint.ts";
import { DivergedError, firstNonFinite } from "./diverged.ts";
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
  /** Dtype of products; weights and optimizer state stay in f32. With f16, steps whose gradients overflow change only the loss' scale. @default "f32" */
  precision?: FloatDType;
  /** Seed of dropout. @default 0 */
  seed?: number;
  /** Steps between measurements of the validation loss. @default 100 */
  evaluationInterval?: number;
  /** Batches per measurement. @default 8 */
  evaluationBatches?: number;
  /** Steps between checkpoints. @default 500 */
  checkpointInterval?: number;
  /** Training stops after this many seconds in all sessions, with a checkpoint. @default no limit */
  maxSeconds?: number;
  /** Stops after the step under way, with a checkpoint. */
  signal?: AbortSignal;
}

const trainOptions: readonly (keyof TrainOptions)[] = [
  ...(["model", "optimizer", "tokenizer", "trainData", "validationData", "schedule", "folder", "steps", "batchSize", "contextLength"] as const),
  ...(["clipNorm", "precision", "seed", "evaluationInterval", "evaluationBatches", "checkpointInterval", "maxSeconds", "signal"] as const),
];

export type TrainEvent =
  | { type: "resumed"; step: number }
  | { type: "step"; step: number; loss: number; gradientNorm: number; learningRate: number; tokensPerSecond: number; elapsedSeconds: number }
  | { type: "evaluation"; step: number; validationLoss: number }
  | { type: "checkpoint"; step: number; path: string }
  | { type: "finished"; step: number; reason: "steps" | "time" | "aborted"; validationLoss: number | null };

/** State up to this size is kept twice, so that a step that diverges can be undone and looked into. */
const ROLLBACK_BYTES = 512 << 20;
/** With f16: halvings of the loss' scale in a row after which it is not the scale that makes gradients overflow. */
const MOST_OVERFLOWS = 30;
/** Parameters are kept with two moments each. */
const STATE_COPIES = 3;

/**
 * Trains a language model and reports what happens as it happens. A checkpoint found in the folder is resumed: batches,
 * dropout and learning rates are functions of the step, so a resumed run is the run that was not interrupted.
 * @throws DivergedError when the loss is not finite; the last good state is then the checkpoint
 */
export async function* train(options: TrainOptions): AsyncGenerator<TrainEvent, void, void> {
  checkOptions("train", options, trainOptions);
  const { model, optimizer, trainData, schedule, folder, steps, batchSize, contextLength, signal } = options;
  const { clipNorm = 1, precision = "f32", seed = 0, evaluationInterval = 100, checkpointInterval = 500, maxSeconds = Number.POSITIVE_INFINITY } = options;
  const checkpointPath = join(folder, "checkpoint");
  await mkdir(folder, { recursive: true });

  const scaler = precision === "f16" ? new LossScaler() : undefined;
  const mostOverflows = scaler ? MOST_OVERFLOWS : 0;
  const kept = { ...options, optimizer: { state: new Map<string, Variable>([...optimizer.state, ...(scaler?.state ?? [])]) } };
  let state: TrainingState = { step: 0, validationLoss: null, elapsedSeconds: 0 };
  const found = await findCheckpoint(checkpointPath);
  if (found) {
    state = await loadCheckpoint(found, kept);
    yield { type: "resumed", step: state.step };
  }
  const canRollBack = model.parameterCount() * 4 * STATE_COPIES <= ROLLBACK_BYTES;
  const trainStep = compileTrainStep(model, optimizer, { clipNorm, key: randomKey(seed), keepPreviousState: canRollBack, precision, scaler });
  const evaluate = compileEvaluation(model);
  const save = async () => {
    await saveCheckpoint(checkpointPath, { ...kept, state });
    return { type: "checkpoint", step: state.step, path: checkpointPath } as const;
  };
  const measure = async () => {
    const validationLoss = await evaluationLoss(evaluate, options);
    state = { ...state, validationLoss };
    await log(folder, { step: state.step, validationLoss });
    return { type: "evaluation", step: state.step, validationLoss } as const;
  };

  try {
    let next = trainData.batch(state.step, batchSize);
    let reason: "steps" | "time" | "aborted" = "steps";
    let overflows = 0; // in a row
    while (state.step < steps) {
      if (signal?.aborted || state.elapsedSeconds >= maxSeconds) {
        reason = signal?.aborted ? "aborted" : "time";
        break;
      }
      const started = performance.now();
      const batch = await next;
      next = trainData.batch(state.step + 1, batchSize); // read while the device computes
      next.catch(() => {}); // reported when it is awaited
      const learningRate = schedule(state.step);
      const shape = [batchSize, contextLength];
      const inputs = tensor(batch.inputs, { shape });
      const targets = tensor(batch.targets, { shape });
      const result = await trainStep(inputs, targets, learningRate, tensor(state.step, { dtype: "i32" }));
      const loss = await result.loss.item();
      const gradientNorm = await result.gradientNorm.item();
      overflows = Number.isFinite(gradientNorm) ? 0 : overflows + 1;
      if (!Number.isFinite(loss) || overflows > mostOverflows) {
        throw await diverged({ options, step: state.step, loss, trainStep, canRollBack, inputs, targets, checkpoint: await findCheckpoint(checkpointPath) });
      }
      const seconds = (performance.now() - started) / 1000;
      state = { ...state, step: state.step + 1, elapsedSeconds: state.elapsedSeconds + seconds };
      const { step, elapsedSeconds } = state;
      const tokensPerSecond = (batchSize * contextLength) / seconds;
      await log(folder, { step, loss, gradientNorm, learningRate, tokensPerSecond });
      yield { type: "step", step, loss, gradientNorm, learningRate, tokensPerSecond, elapsedSeconds };
      if (step % evaluationInterval === 0 && step < steps) yield await measure();
      if (step % checkpointInterval === 0 && step < steps) yield await save();
    }
    if (reason !== "aborted" || state.validationLoss === null) yield await measure();
    yield await save();
    yield { type: "finished", step: state.step, reason, validationLoss: state.validationLoss };
  } finally {
    trainStep.dispose();
    evaluate.dispose();
    scaler?.dispose();
  }
}

type Evaluation = CompiledFunction<[Tensor<"i32">, Tensor<"i32">], Tensor<"f32">>;

/** The loss without dropout and without an update. */
export function compileEvaluation(model: CausalLM): Evaluation {
  return compile((inputs: Tensor<"i32">, targets: Tensor<"i32">) => model.loss(inputs, targets));
}

/** Mean loss over evenly spread validation windows. */
export async function evaluationLoss(
  evaluate: Evaluation,
  {
    validationData,
    batchSize,
    contextLength,
    evaluationBatches = 8,
  }: Pick<TrainOptions, "validationData" | "batchSize" | "contextLength" | "evaluationBatches">,
): Promise<number> {
  let total = 0;
  let count = 0;
  const shape = [batchSize, contextLength];
  for await (const { inputs, targets } of validationData.evaluationBatches(batchSize, evaluationBatches)) {
    total += await (await evaluate(tensor(inputs, { shape }), tensor(targets, { shape }))).item();
    count++;
  }
  return total / count;
}

async function log(folder: string, entry: Record<string, number>): Promise<void> {
  await appendFile(join(folder, "metrics.jsonl"), `${JSON.stringify(entry)}\n`);
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
async function diverged({ options, step, loss, trainStep, canRollBack, inputs, targets, checkpoint }: Divergence): Promise<DivergedError> {
  if (canRollBack) trainStep.rollback();
  const { model } = options;
  const lossTensor = model.loss(inputs, targets);
  const first = await firstNonFinite([...model.parameters().map((parameter) => parameter.value), lossTensor], model.namedState());
  return new DivergedError({
    where: `training step ${step}`,
    expected: "a finite loss",
    received: `${loss}${first ? `; the first tensor to go was ${first}` : "; the forward pass is finite, so a gradient overflowed"}`,
    fix: `lower the learning rate or the clip norm${checkpoint ? `, and resume from ${checkpoint}` : ""}`,
  });
}

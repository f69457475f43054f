/** What a config comes to, before it is trained. */
import { bytesPerElement, OptionError } from "../base/index.ts";
import { parameterCount } from "../nn/index.ts";
import type { Optimizer, Schedule } from "../optim/index.ts";
import { randomKey, tensor } from "../tensor/index.ts";
import { type BatchArgument, compileTrainStep, type TrainOptions } from "../train/index.ts";
import { checkpointsActivations, type SharedConfig } from "./config/schema.ts";
import type { AnyPreparedMethod } from "./method.ts";
import { makeOptimizer, makeSchedule } from "./parts/optimizer.ts";

/** How many steps there are, and what is done every so many of them. */
export interface Pace {
  steps: number;
  evaluationInterval: number;
  checkpointInterval: number;
}

const DEFAULT_EPOCHS = 3;
const MOST_BETWEEN_EVALUATIONS = 500;
const FAST_STEPS = 3;

/** The pace of a config for data of so many batches. */
function paceOf({ training, evaluation, checkpoints }: SharedConfig, batchesPerEpoch: number): Pace {
  const { accumulation, epochs = DEFAULT_EPOCHS, steps: stated, fastDevRun } = training;
  const perEpoch = Math.max(1, Math.ceil(batchesPerEpoch / accumulation));
  const steps = fastDevRun ? FAST_STEPS : (stated ?? Math.max(1, Math.ceil((epochs * batchesPerEpoch) / accumulation)));
  const evaluationInterval = evaluation.interval ?? Math.min(perEpoch, MOST_BETWEEN_EVALUATIONS, Math.max(1, steps));
  return { steps, evaluationInterval, checkpointInterval: checkpoints.interval ?? evaluationInterval };
}

/** Metrics of which less is better. */
const LESS_IS_BETTER = /loss|error|perplexity|bits|^(wer|cer|mae|mse|rmse|mape|brier|ece)$/i;

/** Whether less or more of what is monitored is better. */
export const monitorOf = ({
  evaluation: { monitor, mode },
}: SharedConfig): NonNullable<TrainOptions<never>["monitor"]> => ({
  metric: monitor,
  mode: mode ?? (LESS_IS_BETTER.test(monitor) ? "min" : "max"),
});

/** What is made of a config and its data, ready for `train`. */
export interface Assembled {
  pace: Pace;
  optimizer: Optimizer;
  schedule: Schedule;
  learningRate: number;
  trainData: AnyPreparedMethod["trainData"];
  validationData: AnyPreparedMethod["validationData"];
}

/**
 * The optimizer, the schedule and the data as the config has them.
 * @throws OptionError for samples of a method that writes no texts
 */
export function assemble(config: SharedConfig, prepared: AnyPreparedMethod): Assembled {
  requireSampler(config, prepared);
  const pace = paceOf(config, prepared.batchesPerEpoch);
  const { overfitBatches, fastDevRun } = config.training;
  const { learningRate = 1e-4 } = config.optimizer;
  const { mode } = monitorOf(config);
  const { trainData } = prepared;
  const few = overfitBatches === undefined ? trainData : { batch: (i: number) => trainData.batch(i % overfitBatches) };
  const measuredFew = overfitBatches === undefined ? prepared.validationData : { ...few, count: overfitBatches };
  const validationData =
    fastDevRun && measuredFew ? { batch: measuredFew.batch.bind(measuredFew), count: 1 } : measuredFew;
  return {
    pace,
    optimizer: makeOptimizer(config.optimizer, prepared.objective.trained),
    schedule: makeSchedule(config.schedule, { learningRate, steps: pace.steps, mode }),
    learningRate,
    trainData: few,
    validationData,
  };
}

function requireSampler({ samples }: SharedConfig, { sample }: AnyPreparedMethod): void {
  if (!samples || sample) return;
  throw new OptionError({
    where: "config, samples",
    expected: "none: such a model does not go on with a text",
    received: `${samples.prompts.length} prompts`,
    fix: "leave them out",
  });
}

/** What a training will take. */
export interface Plan {
  parameters: number;
  trainedParameters: number;
  steps: number;
  batchesPerEpoch: number;
  /** Bytes of weights, gradients that are kept, and what the optimizer remembers. */
  stateBytes: number;
  /** Most bytes of what a step computes. */
  stepBytes: number;
  /** Of a step, measured; undefined where none was run. */
  secondsPerStep?: number;
  facts: Readonly<Record<string, string | number>>;
}

/**
 * What a training takes. With `isTimed` two steps are run to see how long they take, which changes the weights in
 * memory.
 */
export async function planOf(
  config: SharedConfig,
  prepared: AnyPreparedMethod,
  { isTimed = false }: { isTimed?: boolean } = {},
): Promise<Plan> {
  const { pace, optimizer, trainData, learningRate } = assemble(config, prepared);
  const { objective, model } = prepared;
  const { precision, clipNorm, accumulation } = config.training;
  const step = compileTrainStep(objective, optimizer, {
    clipNorm,
    precision,
    checkpointActivations: checkpointsActivations(config),
    key: randomKey(0),
  });
  const first = await trainData.batch(0);
  const batch = (await objective.prepare?.(first, { step: 0 })) ?? first;
  const at = (i: number) => tensor(i, { dtype: "i32" });
  const { peakBytes } = step.memory(batch as BatchArgument<unknown>, learningRate, at(0));
  const variables = new Set([...objective.state.values(), ...optimizer.state.values()]);
  const bytes = [...variables].reduce(
    (total, variable) => total + parameterCount([variable]) * bytesPerElement[variable.stored],
    0,
  );
  const trainedCount = parameterCount(objective.trained.values());
  let secondsPerStep: number | undefined;
  for (let i = 0; isTimed && i < 2; i++) {
    const started = performance.now();
    const { loss } = await step(batch as BatchArgument<unknown>, 0, at(i));
    await loss.item();
    secondsPerStep = (accumulation * (performance.now() - started)) / 1000;
  }
  step.dispose();
  for (const variable of optimizer.state.values()) variable.dispose();
  return {
    parameters: model.parameterCount(),
    trainedParameters: trainedCount,
    steps: pace.steps,
    batchesPerEpoch: prepared.batchesPerEpoch,
    stateBytes: bytes + (accumulation > 1 ? 4 * trainedCount : 0),
    stepBytes: peakBytes,
    secondsPerStep,
    facts: prepared.facts,
  };
}

/** What `kindling train config.yaml --find-lr` and `--find-batch-size` do, and say. */
import { freemem } from "node:os";
import { type BatchSizes, findBatchSize, findLearningRate, type LearningRateRange } from "../train/index.ts";
import type { ResolvedConfig } from "./config/read.ts";
import { checkpointsActivations } from "./config/schema.ts";
import type { AnyPreparedMethod, MethodContext } from "./method.ts";
import { assemble } from "./plan.ts";

/** How a search is watched and ended. */
export interface FindOptions extends Pick<MethodContext, "onWarning" | "onProgress" | "signal"> {
  /** Most bytes of a step with all that is kept. @default 0.8 of the memory that is free when it begins */
  limitBytes?: number;
  /** Rates that are tried. @default 100 */
  steps?: number;
}

/** A result, and what is printed of it. */
export interface Finding<T> {
  result: T;
  text: string;
}

/** Share of the free memory that training may take; the rest is for what the runtime's memory is larger. */
const USABLE = 0.8;
/** Batches of which the largest is tried: those of like lengths are together, and in any order. */
const SEEN_BATCHES = 8;

/**
 * The learning rate for a config: its model, data and optimizer, with rates from 1e-7 to 1. Writes nothing.
 * @throws as the method's `prepare` and `findLearningRate`
 */
export async function findConfigLearningRate(
  { method, config, folder }: ResolvedConfig,
  { steps, limitBytes: _, ...context }: FindOptions,
): Promise<Finding<LearningRateRange>> {
  const prepared = await method.prepare(config, { folder, ...context });
  try {
    const { optimizer, trainData } = assemble(config, prepared);
    const { precision, clipNorm, seed } = config.training;
    const result = await findLearningRate({
      ...{ objective: prepared.objective, optimizer, trainData },
      ...{ precision, checkpointActivations: checkpointsActivations(config), clipNorm, seed, signal: context.signal },
      ...(steps !== undefined && { steps }),
    });
    for (const variable of optimizer.state.values()) variable.dispose();
    return { result, text: rateText(result) };
  } finally {
    await prepared.close();
  }
}

const shown = (rate: number) => rate.toExponential(1);

function rateText({ trials, steepest, tenthOfMinimum, hasDiverged }: LearningRateRange): string {
  const every = Math.max(1, Math.floor(trials.length / 12));
  const rows = trials
    .filter((_, i) => i % every === 0)
    .map(({ learningRate, smoothed }) => `${shown(learningRate).padStart(8)}  ${smoothed.toFixed(4)}`);
  const last = trials[trials.length - 1].learningRate;
  return [
    "    rate  smoothed loss",
    ...rows,
    hasDiverged ? `above ${shown(last)} the loss grows` : `up to ${shown(last)} the loss does not grow`,
    `steepest fall at ${shown(steepest)}; a tenth of the rate with the least loss: ${shown(tenthOfMinimum)}`,
    `optimizer.learningRate=${shown(Math.min(steepest, tenthOfMinimum))} is safe, ${shown(Math.max(steepest, tenthOfMinimum))} is fast`,
    "",
  ].join("\n");
}

/**
 * The batch size for a config: the fastest whose step fits into memory. Writes nothing.
 * @throws as the method's `prepare` and `findBatchSize`
 */
export async function findConfigBatchSize(
  { method, config, folder }: ResolvedConfig,
  { limitBytes = USABLE * freemem(), steps: _, ...context }: FindOptions,
): Promise<Finding<BatchSizes>> {
  const prepareFor = (batchSize: number) =>
    method.prepare({ ...config, training: { ...config.training, batchSize } }, { folder, ...context });
  const prepared = await prepareFor(1);
  try {
    const { optimizer } = assemble(config, prepared);
    const { precision, clipNorm } = config.training;
    const result = await findBatchSize({
      ...{ objective: prepared.objective, optimizer, limitBytes },
      ...{ precision, checkpointActivations: checkpointsActivations(config), clipNorm, signal: context.signal },
      largest: largestSize(prepared),
      batch: async (size) => {
        const sized = size === 1 ? prepared : await prepareFor(size);
        const batch = await largestBatch(sized);
        if (sized !== prepared) {
          sized.model.dispose();
          await sized.close();
        }
        return batch;
      },
    });
    for (const variable of optimizer.state.values()) variable.dispose();
    return { result, text: batchText(result, prepared.objective.unit, limitBytes) };
  } finally {
    await prepared.close();
  }
}

/** No more than there are examples: a batch of each is one. */
const largestSize = ({ batchesPerEpoch }: AnyPreparedMethod) => Math.max(1, Math.min(1024, batchesPerEpoch));

async function largestBatch({ objective, trainData, batchesPerEpoch }: AnyPreparedMethod): Promise<unknown> {
  let [largest, most] = [await trainData.batch(0), 0];
  for (let i = 0; i < Math.min(SEEN_BATCHES, batchesPerEpoch); i++) {
    const batch = await trainData.batch(i);
    const count = objective.count(batch);
    if (count > most) [largest, most] = [batch, count];
  }
  return largest;
}

function batchText({ trials, batchSize }: BatchSizes, unit: string, limitBytes: number): string {
  const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  const rows = trials.map(({ batchSize: size, bytes, itemsPerSecond }) => {
    const speed = itemsPerSecond === undefined ? "does not fit" : `${itemsPerSecond.toFixed(1)} ${unit}/s`;
    return `${String(size).padStart(6)}  ${mebibytes(bytes).padStart(10)}  ${speed}`;
  });
  return [
    `  size      memory  of ${mebibytes(limitBytes)}`,
    ...rows,
    `training.batchSize=${batchSize} is the fastest that fits`,
    "",
  ].join("\n");
}

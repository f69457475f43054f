/** What `kindling train config.yaml --find-lr` and `--find-batch-size` do, and say. */
import { mkdtemp, rm } from "node:fs/promises";
import { freemem, tmpdir } from "node:os";
import { join } from "node:path";
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
/** Rows of the table of rates, and columns of its bars. */
const [MOST_ROWS, BAR_COLUMNS] = [24, 40];

/** Prepares a config's method, with another size of batches if it is said, and lets go of it after `use`. */
type WithPrepared = <T>(use: (prepared: AnyPreparedMethod) => Promise<T>, batchSize?: number) => Promise<T>;

/** Has a method prepared in a temporary folder, which is removed in the end: the folder of its run stays as it is. */
async function inTemporaryFolder<T>(
  { method, config, folder }: ResolvedConfig,
  context: Omit<MethodContext, "folder">,
  find: (withPrepared: WithPrepared) => Promise<T>,
): Promise<T> {
  const temporary = await mkdtemp(join(tmpdir(), "kindling-find-"));
  try {
    return await find(async (use, batchSize = config.training.batchSize) => {
      const sized = { ...config, output: folder, training: { ...config.training, batchSize } };
      const prepared = await method.prepare(sized, { ...context, folder: temporary });
      try {
        return await use(prepared);
      } finally {
        prepared.model.dispose();
        await prepared.close();
      }
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/**
 * The learning rate for a config: its model, data and optimizer, with rates from 1e-7 to 1. Leaves no file.
 * @throws as the method's `prepare` and `findLearningRate`
 */
export function findConfigLearningRate(
  resolved: ResolvedConfig,
  { steps, limitBytes: _, ...context }: FindOptions,
): Promise<Finding<LearningRateRange>> {
  const { config } = resolved;
  const { precision, clipNorm, seed } = config.training;
  const checkpointActivations = checkpointsActivations(config);
  const find = async (prepared: AnyPreparedMethod) => {
    const { optimizer, trainData } = assemble(config, prepared);
    const result = await findLearningRate({
      ...{ objective: prepared.objective, optimizer, trainData },
      ...{ precision, checkpointActivations, clipNorm, seed, signal: context.signal },
      onProgress: (fraction) => context.onProgress?.("trying learning rates", fraction),
      ...(steps !== undefined && { steps }),
    });
    for (const variable of optimizer.state.values()) variable.dispose();
    return { result, text: rateText(result) };
  };
  return inTemporaryFolder(resolved, context, (withPrepared) => withPrepared(find));
}

const shown = (rate: number) => rate.toExponential(1);

function rateText({ trials, steepest, tenthOfMinimum, hasDiverged }: LearningRateRange): string {
  const every = Math.max(1, Math.ceil(trials.length / MOST_ROWS));
  const rows = trials.filter((_, i) => i % every === 0);
  const losses = rows.map(({ smoothed }) => smoothed);
  const [least, most] = [Math.min(...losses), Math.max(...losses)];
  const bar = (loss: number) => "█".repeat(1 + Math.round(((BAR_COLUMNS - 1) * (loss - least)) / (most - least || 1)));
  const last = trials[trials.length - 1].learningRate;
  return [
    "    rate  smoothed loss",
    ...rows.map(
      ({ learningRate, smoothed }) => `${shown(learningRate).padStart(8)}  ${smoothed.toFixed(4)}  ${bar(smoothed)}`,
    ),
    hasDiverged ? `above ${shown(last)} the loss grows` : `up to ${shown(last)} the loss does not grow`,
    `steepest fall at ${shown(steepest)}; a tenth of the rate with the least loss: ${shown(tenthOfMinimum)}`,
    `optimizer.learningRate=${shown(Math.min(steepest, tenthOfMinimum))} is safe, ${shown(Math.max(steepest, tenthOfMinimum))} is fast`,
    "",
  ].join("\n");
}

/**
 * The batch size for a config: the fastest whose step fits into memory. Leaves no file.
 * @throws as the method's `prepare` and `findBatchSize`
 */
export function findConfigBatchSize(
  resolved: ResolvedConfig,
  { limitBytes = USABLE * freemem(), steps: _, ...context }: FindOptions,
): Promise<Finding<BatchSizes>> {
  const { config } = resolved;
  const { precision, clipNorm } = config.training;
  const find = async (prepared: AnyPreparedMethod, withPrepared: WithPrepared) => {
    const { optimizer } = assemble(config, prepared);
    const result = await findBatchSize({
      ...{ objective: prepared.objective, optimizer, limitBytes },
      ...{ precision, checkpointActivations: checkpointsActivations(config), clipNorm, signal: context.signal },
      largest: largestSize(prepared),
      onTrial: (size) => context.onProgress?.(`trying batches of ${size}`, 0),
      batch: async (size) => (size === 1 ? largestBatch(prepared) : withPrepared(largestBatch, size)),
    });
    for (const variable of optimizer.state.values()) variable.dispose();
    return { result, text: batchText(result, prepared.objective.unit, limitBytes) };
  };
  return inTemporaryFolder(resolved, context, (withPrepared) =>
    withPrepared((prepared) => find(prepared, withPrepared), 1),
  );
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

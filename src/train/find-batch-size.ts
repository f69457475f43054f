/** The largest batch that fits, and the fastest one. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { Optimizer } from "../optim/index.ts";
import { randomKey, tensor, type Variable } from "../tensor/index.ts";
import { keepingState } from "./keep-state.ts";
import type { Objective } from "./objective.ts";
import { type BatchArgument, compileTrainStep, type StepOptions } from "./step.ts";

/** What is tried, and within which memory. */
export interface FindBatchSizeOptions<B> extends Pick<StepOptions, "precision" | "checkpointActivations"> {
  objective: Objective<B>;
  optimizer: Optimizer;
  /** A batch of so many examples, of the longest that there are. */
  batch(size: number): Promise<B>;
  /** Most bytes of weights, of what the optimizer keeps and of what a step computes. */
  limitBytes: number;
  /** The first size; each is twice the one before. @default 1 */
  smallest?: number;
  /** @default 1024 */
  largest?: number;
  /** Least growth of the throughput for which a size is doubled once more. @default 0.05 */
  leastGain?: number;
  /** @default 1 */
  clipNorm?: number;
  /** Called before each size that is tried. */
  onTrial?: (batchSize: number) => void;
  /** Ends the step under way: the signal's reason is thrown. */
  signal?: AbortSignal;
}

/** A size of batches, its memory, and its speed. */
export interface BatchTrial {
  batchSize: number;
  /** Of weights, the optimizer's state and a step, before it is run. */
  bytes: number;
  /** Tokens or examples a second; undefined where it does not fit and was not run. */
  itemsPerSecond?: number;
}

/** What was seen. */
export interface BatchSizes {
  trials: readonly BatchTrial[];
  /** The fastest that fits; of those that are equally fast the smallest. */
  batchSize: number;
}

const names = [
  ...(["objective", "optimizer", "batch", "limitBytes", "smallest", "largest", "leastGain"] as const),
  ...(["clipNorm", "onTrial", "signal", "precision", "checkpointActivations"] as const),
] satisfies (keyof FindBatchSizeOptions<never>)[];

const TIMED_STEPS = 2;

/**
 * Doubles the batch while its memory, which is told from the graph before anything is run, stays below a limit, and
 * while throughput grows. Weights and the optimizer's state are as before then, to the bit.
 * @throws OptionError for options that are wrong, and when the smallest batch does not fit
 */
export async function findBatchSize<B>(options: FindBatchSizeOptions<B>): Promise<BatchSizes> {
  checkOptions("findBatchSize", options, names);
  const { objective, optimizer, limitBytes, smallest = 1, largest = 1024, leastGain = 0.05 } = options;
  const positive = numberRules.positiveInteger;
  requireNumbers(
    "findBatchSize",
    { limitBytes, smallest, largest, leastGain },
    { limitBytes: numberRules.positive, smallest: positive, largest: positive, leastGain: numberRules.notNegative },
  );
  const trials: BatchTrial[] = [];
  let fastest = 0;
  let batchSize = 0;
  await keepingState(objective, optimizer, async () => {
    for (let size = smallest; size <= largest; size *= 2) {
      options.signal?.throwIfAborted();
      options.onTrial?.(size);
      const trial = await tryBatch(options, size);
      trials.push(trial);
      const { itemsPerSecond } = trial;
      if (itemsPerSecond === undefined || itemsPerSecond < (1 + leastGain) * fastest) break;
      fastest = itemsPerSecond;
      batchSize = size;
    }
  });
  if (batchSize > 0) return { trials, batchSize };
  throw new OptionError({
    where: "findBatchSize",
    expected: `a batch of ${smallest} within ${limitBytes} bytes`,
    received: `${trials[0]?.bytes ?? 0} bytes`,
    fix: "shorten the examples, checkpoint activations, train an adapter, or allow more memory",
  });
}

async function tryBatch<B>(options: FindBatchSizeOptions<B>, size: number): Promise<BatchTrial> {
  const { objective, optimizer, limitBytes, clipNorm = 1, precision, checkpointActivations, signal } = options;
  const first = await options.batch(size);
  const batch = (await objective.prepare?.(first, { step: 0, signal })) ?? first;
  const step = compileTrainStep(objective, optimizer, {
    ...{ clipNorm, precision, checkpointActivations },
    key: randomKey(0),
  });
  try {
    const at = (i: number) => tensor(i, { dtype: "i32" });
    const { peakBytes } = step.memory(batch as BatchArgument<B>, 0, at(0));
    const bytes = peakBytes + bytesOf([...objective.state.values(), ...optimizer.state.values()]);
    if (bytes > limitBytes) return { batchSize: size, bytes };
    const run = async (i: number) => {
      const { loss } = await step.withSignal(signal)(batch as BatchArgument<B>, 0, at(i));
      await loss.item();
    };
    await run(0); // compiles
    const started = performance.now();
    for (let i = 1; i <= TIMED_STEPS; i++) await run(i);
    const seconds = (performance.now() - started) / 1000;
    return { batchSize: size, bytes, itemsPerSecond: (TIMED_STEPS * objective.count(batch)) / seconds };
  } finally {
    step.dispose();
  }
}

const widths: Readonly<Record<string, number>> = { i64: 8, f16: 2, bf16: 2, u8: 1, i8: 1, bool: 1 };
const bytesOf = (variables: readonly Variable[]) =>
  [...new Set(variables)].reduce(
    (total, { shape, stored }) => total + shape.reduce((a, b) => a * b, widths[stored] ?? 4),
    0,
  );

import { checkOptions, OptionError } from "../base/index.ts";
import { foldKeyOnHost } from "../ops/index.ts";
import { lengthGroupedOrder } from "./length-groups.ts";
import { permute } from "./permute.ts";
import type { Rows } from "./rows/rows.ts";
import type { Source } from "./source.ts";

/** How examples become batches. */
export interface BatchOptions<E, B> {
  batchSize: number;
  /**
   * Makes tensors of the examples of a batch. `samples` are their numbers, counted over all epochs: what random changes
   * of an example are keyed by, so that a run that was resumed sees the same ones.
   */
  collate: (examples: readonly E[], samples: readonly number[]) => B | Promise<B>;
  /**
   * For training: without end, each epoch in an order of its own. Otherwise in the order of the examples, each once:
   * the last batch may be smaller. @default true
   */
  isShuffled?: boolean;
  /** Of the order. @default 0 */
  seed?: number;
  /**
   * Lengths of the examples: batches are shuffled so that those of one are similar, and little is padded.
   * @default any order
   */
  lengths?: ArrayLike<number>;
}

/**
 * Batches of examples that are in memory, of rows that are read when they are asked for, or that `collate` reads.
 * @throws OptionError when there are no examples, or for wrong options
 *
 * @example
 * const collate = (xs) => ({ x: tensor([...xs]) });
 * const source = batchesOf([1, 2, 3, 4], { batchSize: 2, collate, isShuffled: false });
 * const { x } = await source.batch(1);
 * await x.toArray(); // [3, 4]
 */
export function batchesOf<E, B>(examples: readonly E[] | Rows<E>, options: BatchOptions<E, B>): Source<B> {
  checkOptions("batchesOf", options, ["batchSize", "collate", "isShuffled", "seed", "lengths"]);
  const { batchSize, collate, isShuffled = true } = options;
  const size = "row" in examples ? examples.count : examples.length;
  if (size === 0 || !(Number.isSafeInteger(batchSize) && batchSize > 0)) {
    throw new OptionError({
      where: "batchesOf",
      expected: "examples, and a batchSize of at least 1",
      received: `${size} examples, batchSize ${batchSize}`,
      fix: "give both",
    });
  }
  const indexOf = orderOf(size, options);
  const at = (sample: number) => ("row" in examples ? examples.row(indexOf(sample)) : examples[indexOf(sample)]);
  const batchOf = async (first: number, end: number) => {
    const samples = Array.from({ length: end - first }, (_, row) => first + row);
    return collate(await Promise.all(samples.map(at)), samples);
  };
  if (isShuffled) return { batch: (index) => batchOf(index * batchSize, (index + 1) * batchSize) };
  const count = Math.ceil(size / batchSize);
  return {
    count,
    batch(index) {
      const first = (index % count) * batchSize;
      return batchOf(first, Math.min(size, first + batchSize));
    },
  };
}

/** Which example each sample of the endless sequence is. */
function orderOf<E, B>(
  size: number,
  { batchSize, isShuffled = true, seed = 0, lengths }: BatchOptions<E, B>,
): (sample: number) => number {
  if (lengths && !(isShuffled && lengths.length === size))
    throw new OptionError({
      where: "batchesOf",
      expected: isShuffled ? `${size} lengths` : "lengths of shuffled batches alone",
      received: `${lengths.length} lengths, isShuffled ${isShuffled}`,
      fix: "give the length of each example, or leave lengths out",
    });
  if (!isShuffled) return (sample) => sample;
  if (lengths) return lengthGroupedOrder(lengths, { batchSize, seed });
  return (sample) => {
    const [key] = foldKeyOnHost([seed | 0, 0x65786d70], Math.floor(sample / size)); // "exmp"
    return permute(sample % size, size, key);
  };
}

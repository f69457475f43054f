import { checkOptions, OptionError } from "../base/index.ts";
import { foldKeyOnHost } from "../ops/index.ts";
import { permute } from "./permute.ts";
import type { Source } from "./source.ts";

/** How examples become batches. */
export interface BatchOptions<E, B> {
  batchSize: number;
  /** Makes tensors of the examples of a batch. */
  collate: (examples: readonly E[]) => B | Promise<B>;
  /**
   * For training: without end, each epoch in an order of its own. Otherwise in the order of the examples, each once;
   * the first ones again where the last batch has too few. @default true
   */
  isShuffled?: boolean;
  /** Of the order. @default 0 */
  seed?: number;
}

/**
 * Batches of examples that are in memory, or that `collate` reads when it is asked to.
 * @throws OptionError when there are no examples, or for wrong options
 *
 * @example
 * const collate = (xs) => ({ x: tensor([...xs]) });
 * const source = batchesOf([1, 2, 3, 4], { batchSize: 2, collate, isShuffled: false });
 * const { x } = await source.batch(1);
 * await x.toArray(); // [3, 4]
 */
export function batchesOf<E, B>(examples: readonly E[], options: BatchOptions<E, B>): Source<B> {
  checkOptions("batchesOf", options, ["batchSize", "collate", "isShuffled", "seed"]);
  const { batchSize, collate, isShuffled = true, seed = 0 } = options;
  if (examples.length === 0 || !(Number.isSafeInteger(batchSize) && batchSize > 0)) {
    throw new OptionError({
      where: "batchesOf",
      expected: "examples, and a batchSize of at least 1",
      received: `${examples.length} examples, batchSize ${batchSize}`,
      fix: "give both",
    });
  }
  const size = examples.length;
  const at = (sample: number): E => {
    if (!isShuffled) return examples[sample % size];
    const [key] = foldKeyOnHost([seed | 0, 0x65786d70], Math.floor(sample / size)); // "exmp"
    return examples[permute(sample % size, size, key)];
  };
  const batch = async (index: number) =>
    collate(Array.from({ length: batchSize }, (_, row) => at(index * batchSize + row)));
  return isShuffled ? { batch } : { batch, count: Math.ceil(size / batchSize) };
}

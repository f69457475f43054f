import { checkOptions, DataError, numberRules, requireNumbers } from "../base/index.ts";
import { foldKeyOnHost } from "../ops/index.ts";
import { permute } from "./permute.ts";
import type { Source } from "./source.ts";

/** How examples become batches that have nothing twice. */
export interface DistinctBatchOptions<B> {
  batchSize: number;
  /** Makes tensors of the examples of a batch, by their numbers. */
  collate: (examples: readonly number[]) => B | Promise<B>;
  /**
   * For training: without end, each epoch in an order of its own, and what fills no batch is left out of the epoch.
   * Otherwise each example is in a batch, in their order as far as can be; examples come again where a batch would not
   * be full. @default true
   */
  isShuffled?: boolean;
  /** Of the order. @default 0 */
  seed?: number;
}

/** Batches, and how many of them an epoch has. */
export interface DistinctSource<B> extends Source<B> {
  readonly batchesPerEpoch: number;
}

/**
 * Batches in which no two examples share a part: contrastive losses take the other rows of a batch for what is wrong,
 * which a text that comes twice is not. A batch depends on its number alone.
 * @param parts of each example what may come but once, such as the numbers of its texts
 * @throws DataError where there are not so many examples that share nothing
 *
 * @example
 * const parts = [[0, 1], [0, 2], [3, 4], [5, 6]]; // the first two share 0
 * const source = distinctBatches(parts, { batchSize: 2, collate: (examples) => examples, isShuffled: false });
 * await source.batch(0); // [0, 2]
 */
export function distinctBatches<B>(
  parts: readonly (readonly number[])[],
  options: DistinctBatchOptions<B>,
): DistinctSource<B> {
  checkOptions("distinctBatches", options, ["batchSize", "collate", "isShuffled", "seed"]);
  const { batchSize, collate, isShuffled = true, seed = 0 } = options;
  requireNumbers("distinctBatches", { batchSize }, { batchSize: numberRules.positiveInteger });
  const inOrder = Int32Array.from(parts.keys());
  requireDistinct(parts, inOrder, batchSize);
  if (!isShuffled) {
    const batches = [...batchesIn(parts, inOrder, { batchSize })];
    const count = batches.length;
    return { batch: async (index) => collate(batches[index]), count, batchesPerEpoch: count };
  }
  const batchesPerEpoch = Math.floor(parts.length / batchSize);
  let kept: { epoch: number; batches: number[][] } | undefined; // one epoch after another is asked for
  return {
    batchesPerEpoch,
    async batch(index) {
      const epoch = Math.floor(index / batchesPerEpoch);
      if (kept?.epoch !== epoch) {
        const [key] = foldKeyOnHost([seed | 0, 0x64697374], epoch); // "dist"
        const order = inOrder.map((i) => permute(i, parts.length, key));
        kept = { epoch, batches: [...batchesIn(parts, order, { batchSize, most: batchesPerEpoch })] };
      }
      return collate(kept.batches[index % batchesPerEpoch]);
    },
  };
}

/** @throws DataError naming how many examples share nothing with one another */
function requireDistinct(parts: readonly (readonly number[])[], order: Int32Array, batchSize: number): void {
  const batch = new DistinctBatch(parts, batchSize);
  for (const example of order) batch.take(example);
  if (batch.isFull) return;
  throw new DataError({
    where: "distinctBatches",
    expected: `${batchSize} examples with no text in common, for a batch`,
    received: `${batch.examples.length} of ${parts.length}`,
    fix: "make batches smaller, or give more examples",
  });
}

/**
 * Batches of an order: each takes the first examples that are left and share nothing with those in it. Where there are
 * too few, it takes some again; it is smaller only where all others share something with it.
 */
function* batchesIn(
  parts: readonly (readonly number[])[],
  order: Int32Array,
  { batchSize, most = Number.POSITIVE_INFINITY }: { batchSize: number; most?: number },
): Generator<number[], void, void> {
  let deferred: number[] = [];
  let next = 0;
  for (let count = 0; count < most; count++) {
    const batch = new DistinctBatch(parts, batchSize);
    deferred = deferred.filter((example) => !batch.take(example));
    for (; next < order.length && !batch.isFull; next++) if (!batch.take(order[next])) deferred.push(order[next]);
    if (batch.examples.length === 0) return;
    for (let i = 0; i < order.length && !batch.isFull; i++) batch.take(order[i]);
    yield batch.examples;
  }
}

/** Examples that share no part. */
class DistinctBatch {
  readonly examples: number[] = [];
  private readonly parts: readonly (readonly number[])[];
  private readonly size: number;
  private readonly taken = new Set<number>();

  constructor(parts: readonly (readonly number[])[], size: number) {
    this.parts = parts;
    this.size = size;
  }

  get isFull(): boolean {
    return this.examples.length === this.size;
  }

  /** Whether the example was taken: there is room for it, and nothing of it is there. */
  take(example: number): boolean {
    if (this.isFull || this.parts[example].some((part) => this.taken.has(part))) return false;
    this.examples.push(example);
    for (const part of this.parts[example]) this.taken.add(part);
    return true;
  }
}

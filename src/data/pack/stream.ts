/** Documents as one sequence of tokens, and windows of it. */
import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import { tensor } from "../../tensor/index.ts";
import type { Source } from "../source.ts";
import { shuffledStart, type TokenBatch } from "../token-dataset.ts";
import type { TokenDocuments } from "./batches.ts";

/** Documents one after another. */
export class TokenSequence {
  readonly tokens: number;
  private readonly documents: TokenDocuments;
  /** Where each document begins, and where the last ends. */
  private readonly starts: Float64Array;

  constructor(documents: TokenDocuments) {
    this.documents = documents;
    const { lengths } = documents;
    this.starts = new Float64Array(lengths.length + 1);
    for (let i = 0; i < lengths.length; i++) this.starts[i + 1] = this.starts[i] + lengths[i];
    this.tokens = this.starts[lengths.length];
  }

  /** Tokens from a place on. */
  async read(start: number, length: number): Promise<Int32Array> {
    const ids = new Int32Array(length);
    let document = this.documentAt(start);
    for (let at = 0; at < length; document++) {
      const from = start + at - this.starts[document];
      const count = Math.min(length - at, this.documents.lengths[document] - from);
      if (count > 0) ids.set(await this.documents.ids(document, from, count), at);
      at += Math.max(0, count);
    }
    return ids;
  }

  /** The document that a place is in. */
  private documentAt(place: number): number {
    let [low, high] = [0, this.starts.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= place) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** How a sequence is cut into batches. */
export interface SequenceBatchOptions {
  contextLength: number;
  /** Windows in a batch. */
  batchSize: number;
  /** Without end, each epoch in an order of its own; otherwise each window once, in order. @default true */
  isShuffled?: boolean;
  /** Of the order. @default 0 */
  seed?: number;
}

/**
 * Batches of windows of documents that follow one another in one sequence: tokens see those of other documents in front
 * of them, and nothing is padded. The windows and their order are those of a `TokenDataset` of the same tokens. The
 * last batch of those that are not shuffled may be smaller.
 * @throws OptionError for wrong options, or fewer tokens than a window and the one behind it
 */
export function sequenceBatches(
  documents: TokenDocuments,
  options: SequenceBatchOptions,
): Source<TokenBatch> & { readonly windows: number } {
  checkOptions("sequenceBatches", options, ["contextLength", "batchSize", "isShuffled", "seed"]);
  const { contextLength, batchSize, isShuffled = true, seed = 0 } = options;
  const { positiveInteger, integer } = numberRules;
  const rules = { contextLength: positiveInteger, batchSize: positiveInteger, seed: integer, windows: positiveInteger };
  const sequence = new TokenSequence(documents);
  const { tokens } = sequence;
  const windows = Math.max(0, Math.floor((tokens - 1) / contextLength));
  requireNumbers("sequenceBatches", { contextLength, batchSize, seed, windows }, rules, "give more tokens");
  const order = { tokens, windows, contextLength, seed };
  const startOf = (sample: number) => (isShuffled ? shuffledStart(sample, order) : sample * contextLength);
  const count = Math.ceil(windows / batchSize);
  const batch = async (index: number): Promise<TokenBatch> => {
    const first = (isShuffled ? index : index % count) * batchSize;
    const size = isShuffled ? batchSize : Math.min(batchSize, windows - first);
    const shape = [size, contextLength];
    const [inputs, targets] = [new Int32Array(size * contextLength), new Int32Array(size * contextLength)];
    const rows = Array.from({ length: size }, async (_, row) => {
      const ids = await sequence.read(startOf(first + row), contextLength + 1);
      inputs.set(ids.subarray(0, contextLength), row * contextLength);
      targets.set(ids.subarray(1), row * contextLength);
    });
    await Promise.all(rows);
    return { inputIds: tensor(inputs, { shape }), shiftLabels: tensor(targets, { shape }) };
  };
  return isShuffled ? { windows, batch } : { windows, batch, count };
}

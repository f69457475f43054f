/** Texts cut into windows for models that read each by itself. */
import { batchesOf, type Source, TokenSequence } from "../../data/index.ts";
import type { MeasuredDocuments } from "./text-tokens.ts";

/** Windows of tokens, by number. */
export interface TextWindows {
  readonly count: number;
  /** Tokens of each. */
  readonly lengths: readonly number[];
  /** The tokens of a window; with `isOpen` the one behind it too, where its document goes on. */
  ids(index: number, isOpen?: boolean): Promise<ArrayLike<number>>;
}

/** Windows of at most so many tokens: a window has tokens of one document. */
export function documentWindows(documents: MeasuredDocuments, most: number): TextWindows {
  const [places, starts, lengths]: number[][] = [[], [], []];
  for (let document = 0; document < documents.lengths.length; document++)
    for (let start = 0; start < documents.lengths[document]; start += most) {
      places.push(document);
      starts.push(start);
      lengths.push(Math.min(most, documents.lengths[document] - start));
    }
  return {
    count: places.length,
    lengths,
    ids(index, isOpen = false) {
      const [document, start] = [places[index], starts[index]];
      const left = documents.lengths[document] - start;
      return documents.ids(document, start, Math.min(lengths[index] + (isOpen ? 1 : 0), left));
    },
  };
}

/** Windows of so many tokens of all documents one after another; the last has the rest. */
export function sequenceWindows(documents: MeasuredDocuments, length: number): TextWindows {
  const sequence = new TokenSequence(documents);
  const { tokens } = sequence;
  const lengths = Array.from({ length: Math.ceil(tokens / length) }, (_, i) => Math.min(length, tokens - i * length));
  return {
    count: lengths.length,
    lengths,
    ids: (index, isOpen = false) =>
      sequence.read(index * length, Math.min(lengths[index] + (isOpen ? 1 : 0), tokens - index * length)),
  };
}

/** How windows become batches. */
export interface WindowBatchOptions<B> {
  batchSize: number;
  /** For training; otherwise each window once. */
  isShuffled: boolean;
  groupByLength: boolean;
  seed: number;
  /** Makes a batch of windows, of which `samples` are the numbers over all epochs. */
  collate: (windows: readonly ArrayLike<number>[], samples: readonly number[]) => B;
  /** See `TextWindows.ids`. */
  isOpen?: boolean;
}

/** Batches of windows. */
export function windowBatches<B>(windows: TextWindows, options: WindowBatchOptions<B>): Source<B> {
  const { batchSize, isShuffled, groupByLength, seed, collate, isOpen } = options;
  const isUneven = isShuffled && groupByLength && windows.lengths.some((length) => length !== windows.lengths[0]);
  return batchesOf(
    Array.from({ length: windows.count }, (_, i) => i),
    {
      batchSize,
      isShuffled,
      seed,
      ...(isUneven && { lengths: windows.lengths }),
      collate: async (indices, samples) =>
        collate(await Promise.all(indices.map((index) => windows.ids(index, isOpen))), samples),
    },
  );
}

/** Batches of packed windows: tokens, positions, segments and what comes next, and the way back. */
import { checkOptions, IGNORED_LABEL, numberRules, requireNumbers } from "../../base/index.ts";
import { foldKeyOnHost } from "../../ops/index.ts";
import { equal, reshape, type Tensor, tensor } from "../../tensor/index.ts";
import { permute } from "../permute.ts";
import type { Source } from "../source.ts";
import { type PackedWindows, type PackOptions, packDocuments } from "./windows.ts";

/** Documents as tokens, by number. */
export interface TokenDocuments {
  /** Tokens of each. */
  readonly lengths: ArrayLike<number>;
  /** Tokens of a document from `start` on. */
  ids(document: number, start: number, length: number): Promise<ArrayLike<number>>;
  /**
   * Which tokens are to be learned, as 0 or 1 for each, such as those of the assistant.
   * @default all of them
   */
  weights?(document: number, start: number, length: number): Promise<ArrayLike<number>>;
}

/** Packed windows as tensors, i32 [B, T] each. */
export interface PackedBatch {
  inputIds: Tensor<"i32">;
  /** From 0 on in each piece of a document. */
  positionIds: Tensor<"i32">;
  /** Which of the window's documents a token is of, from 0 on; -1 for padding. See `segmentMask`. */
  segmentIds: Tensor<"i32">;
  /** The token that comes next in the document; -100 at its end, at padding, and where it is not to be learned. */
  shiftLabels: Tensor<"i32">;
}

/** How packed windows become batches. */
export interface PackedBatchOptions extends PackOptions {
  /** Windows in a batch. */
  batchSize: number;
  /** Without end, each epoch in an order of its own; otherwise each window once, in order. @default true */
  isShuffled?: boolean;
  /** Of the order. @default 0 */
  seed?: number;
  /** The id of padding. @default 0 */
  padId?: number;
}

/** The segment of padding. */
const PADDING = -1;

/** A source of packed windows. */
export interface PackedSource extends Source<PackedBatch> {
  readonly windows: PackedWindows;
}

/**
 * Batches of windows that are packed with documents. What comes after the piece of a document that was cut is learned
 * too, for it is known. In the last batch of an epoch that is not shuffled, windows of padding fill what is left.
 * @throws OptionError for wrong options, or no documents with tokens
 */
export function packedBatches(documents: TokenDocuments, options: PackedBatchOptions): PackedSource {
  checkOptions("packedBatches", options, ["contextLength", "strategy", "batchSize", "isShuffled", "seed", "padId"]);
  const { batchSize, isShuffled = true, seed = 0, padId = 0, ...packing } = options;
  const { positiveInteger, integer, wholeNumber } = numberRules;
  requireNumbers(
    "packedBatches",
    { batchSize, seed, padId },
    { batchSize: positiveInteger, seed: integer, padId: wholeNumber },
  );
  const windows = packDocuments(documents.lengths, packing);
  requireNumbers(
    "packedBatches",
    { windows: windows.count },
    { windows: positiveInteger },
    "give documents with tokens",
  );
  const windowAt = (sample: number): number | undefined => {
    if (!isShuffled) return sample < windows.count ? sample : undefined;
    const [key] = foldKeyOnHost([seed | 0, 0x7061636b], Math.floor(sample / windows.count)); // "pack"
    return permute(sample % windows.count, windows.count, key);
  };
  const batch = async (index: number): Promise<PackedBatch> => {
    const samples = Array.from({ length: batchSize }, (_, row) => windowAt(index * batchSize + row));
    const rows = await Promise.all(samples.map((window) => packedWindow(documents, windows, window, padId)));
    const joined = (name: keyof PackedWindow) => {
      const out = new Int32Array(batchSize * windows.contextLength);
      for (const [row, values] of rows.entries()) out.set(values[name], row * windows.contextLength);
      return tensor(out, { shape: [batchSize, windows.contextLength] });
    };
    return {
      inputIds: joined("inputIds"),
      positionIds: joined("positionIds"),
      segmentIds: joined("segmentIds"),
      shiftLabels: joined("shiftLabels"),
    };
  };
  return isShuffled ? { windows, batch } : { windows, batch, count: Math.ceil(windows.count / batchSize) };
}

/** A window as arrays of contextLength numbers. */
export interface PackedWindow {
  inputIds: Int32Array;
  positionIds: Int32Array;
  segmentIds: Int32Array;
  shiftLabels: Int32Array;
}

/** A window with its tokens; one of padding alone where there is no such window. */
export async function packedWindow(
  documents: TokenDocuments,
  windows: PackedWindows,
  index: number | undefined,
  padId = 0,
): Promise<PackedWindow> {
  const { contextLength } = windows;
  const inputIds = new Int32Array(contextLength).fill(padId);
  const positionIds = new Int32Array(contextLength);
  const segmentIds = new Int32Array(contextLength).fill(PADDING);
  const shiftLabels = new Int32Array(contextLength).fill(IGNORED_LABEL);
  let at = 0;
  for (const [segment, piece] of (index === undefined ? [] : windows.window(index)).entries()) {
    const { document, start, length } = piece;
    const known = Math.min(length + 1, documents.lengths[document] - start); // with the token behind it
    const ids = await documents.ids(document, start, known);
    const weights = await documents.weights?.(document, start, known);
    for (let i = 0; i < length; i++) {
      inputIds[at + i] = ids[i];
      positionIds[at + i] = i;
      segmentIds[at + i] = segment;
      if (i + 1 < known && (!weights || weights[i + 1] > 0)) shiftLabels[at + i] = ids[i + 1];
    }
    at += length;
  }
  return { inputIds, positionIds, segmentIds, shiftLabels };
}

/**
 * Which tokens of a window may attend to one another: those of the same document. segmentIds: i32 [B, T] -> bool
 * [B, 1, T, T], to be joined with the causal mask.
 */
export function segmentMask(segmentIds: Tensor<"i32">): Tensor<"bool"> {
  const [batch, length] = segmentIds.shape;
  return equal(reshape(segmentIds, [batch, 1, length, 1]), reshape(segmentIds, [batch, 1, 1, length]));
}

/** A document's part of a window, as it is learned. */
export interface UnpackedPiece {
  ids: number[];
  /** Whether each token is one that is learned to be written. */
  isLearned: boolean[];
}

/** The documents of a window again, for a preview: what is learned is what a label says, one place before. */
export function unpackWindow({
  inputIds,
  segmentIds,
  shiftLabels,
}: Omit<PackedWindow, "positionIds">): UnpackedPiece[] {
  const pieces: UnpackedPiece[] = [];
  for (let at = 0; at < inputIds.length; at++) {
    if (segmentIds[at] === PADDING) break;
    const isFirst = at === 0 || segmentIds[at] !== segmentIds[at - 1];
    if (isFirst) pieces.push({ ids: [], isLearned: [] });
    const piece = pieces[pieces.length - 1];
    piece.ids.push(inputIds[at]);
    piece.isLearned.push(!isFirst && shiftLabels[at - 1] !== IGNORED_LABEL);
  }
  return pieces;
}

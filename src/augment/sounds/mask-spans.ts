import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import type { Draws } from "../draws.ts";

/** Which places of sequences are masked. */
export interface MaskSpansOptions {
  /** Places of a sequence, padding included. */
  length: number;
  /** Places of each sequence that are no padding. */
  lengths: readonly number[];
  /** Share of the places that spans would have together, if they did not overlap: mask_time_prob. */
  probability: number;
  /** Places of a span: mask_time_length. */
  maskLength: number;
  /** Fewest spans of a sequence: mask_time_min_masks. @default 0 */
  minMasks?: number;
}

/**
 * Spans of places to mask, 1 for masked, [B, length]: the form of SpecAugment that Wav2Vec2 and Whisper are trained
 * with (Baevski et al. 2020, arXiv:2006.11477, section 3.1), as transformers' `_compute_mask_indices`. As there, a
 * sequence that has fewer spans than others for being too short for any has its last place masked, which is padding.
 * @throws OptionError for unknown options or numbers out of range
 *
 * @example
 * const mask = maskSpans({ length: 10, lengths: [10, 6], probability: 0.5, maskLength: 5 }, drawsOf(0));
 * mask.length; // 20
 */
export function maskSpans(options: MaskSpansOptions, draws: Draws): Uint8Array {
  checkOptions("maskSpans", options, ["length", "lengths", "probability", "maskLength", "minMasks"]);
  const { length, lengths, probability, maskLength, minMasks = 0 } = options;
  const { positiveInteger, fraction, wholeNumber } = numberRules;
  requireNumbers(
    "maskSpans",
    { length, probability, maskLength, minMasks },
    { length: positiveInteger, probability: fraction, maskLength: positiveInteger, minMasks: wholeNumber },
  );
  const isFine = (size: number) => Number.isInteger(size) && size >= 0 && size <= length;
  if (maskLength > length || !lengths.every(isFine))
    throw new OptionError({
      where: "maskSpans",
      expected: `maskLength and lengths of at most length, ${length}`,
      received: `${maskLength} and [${lengths.slice(0, 8).join(", ")}]`,
      fix: "count lengths in the places that are masked: those of features, not of samples",
    });
  const rounding = draws.uniform(); // one number for the batch decides which way a part of a span is rounded
  const countOf = (size: number) => {
    const wanted = Math.max(Math.trunc((probability * size) / maskLength + rounding), minMasks);
    const room = wanted * maskLength > length ? Math.floor(length / maskLength) : wanted;
    return Math.min(room, Math.max(size - (maskLength - 1), 0));
  };
  const mask = new Uint8Array(lengths.length * length);
  const most = countOf(length);
  if (most === 0) return mask;
  lengths.forEach((size, row) => {
    const count = countOf(size);
    const starts = draws.sample(Math.max(size - (maskLength - 1), 0), count);
    const places = count === 0 ? [length - 1] : starts;
    for (const start of places) mask.fill(1, row * length + start, row * length + Math.min(start + maskLength, length));
  });
  return mask;
}

import { largestOf, logSumExp } from "../log-probabilities.ts";
import type { LogitsProcessor } from "./processor.ts";

/** How tokens that stand for times are picked. Radford et al. 2022, arXiv:2212.04356, section 2.3. */
export interface TimeRule {
  /** The token in front of that for 0 seconds; it is never picked. */
  noTimestamps: number;
  /** Ends a text; what is below it is text. */
  eos: number;
  /** The largest time that a text may begin with, in steps. @default null, any */
  largestFirst: number | null;
}

/** Allows the times that can follow, and nothing else where a time is likelier than any text. */
export function timesInOrder({ noTimestamps, eos, largestFirst }: TimeRule): LogitsProcessor {
  const zero = noTimestamps + 1;
  const isTime = (id: number | undefined) => id !== undefined && id >= zero;
  return (logits, { ids, startLength }) => {
    const written = ids.slice(startLength);
    const banRange = (start: number, end: number) => logits.fill(Number.NEGATIVE_INFINITY, start, end);
    banRange(noTimestamps, zero);
    const isAfterOne = isTime(written.at(-1));
    const isAfterTwo = isAfterOne && (written.length < 2 || isTime(written.at(-2)));
    if (isAfterTwo) banRange(zero, logits.length);
    else if (isAfterOne) banRange(0, eos);
    const last = written.findLast(isTime);
    // the end of a part may be the start of the next; a time is otherwise never given again
    if (last !== undefined) banRange(zero, isAfterOne && !isAfterTwo ? last : last + 1);
    if (written.length === 0) {
      banRange(0, zero);
      if (largestFirst !== null) banRange(zero + largestFirst + 1, logits.length);
    }
    if (logSumExp(logits.subarray(zero)) > largestOf(logits.subarray(0, zero))) banRange(0, zero);
  };
}

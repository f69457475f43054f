import { createHash } from "node:crypto";
import { normalisedText } from "./words.ts";

/** Sets hold 2^24 elements at most: sums are spread over so many. */
const SETS = 256;
/** Bytes of a sum that are kept: two different texts of a billion have the same with a chance of 10^-11. */
const SUM_BYTES = 12;

/** Which texts were seen before, by sums of them: 12 bytes and a place in a set for each. */
export class SeenTexts {
  private readonly sets = Array.from({ length: SETS }, () => new Map<string, number>());
  private readonly isNormalised: boolean;
  count = 0;

  /**
   * @param options isNormalised: whether texts that differ in case, punctuation, spaces or forms of characters alone
   *   are the same. @default true
   */
  constructor({ isNormalised = true }: { isNormalised?: boolean } = {}) {
    this.isNormalised = isNormalised;
  }

  /** The number of the first text that is the same, from 0 on; undefined for one that is new. */
  add(text: string): number | undefined {
    const words = this.isNormalised ? normalisedText(text) : text;
    const digest = createHash("sha256")
      .update(words === "" ? text : words)
      .digest();
    const sum = digest.toString("latin1", 0, SUM_BYTES);
    const set = this.sets[digest[0]];
    const first = set.get(sum);
    if (first === undefined) set.set(sum, this.count);
    this.count++;
    return first;
  }
}

import { LARGEST_F32 } from "./invalid-values.ts";
import type { LogitsProcessor } from "./processor.ts";

/** How strongly repetitions are discouraged; defaults are those of `PenaltySettings`. */
export interface DryRule {
  multiplier: number;
  base: number;
  allowedLength: number;
  /** Of how many last tokens repetitions are looked for. */
  lastTokens: number;
  /** Tokens that no repetition goes beyond. */
  breakers: readonly number[];
}

/**
 * Don't Repeat Yourself (Weidmann 2024, text-generation-webui pull request 5677): where a token would make a sequence
 * longer that the text has had before, multiplier x base^(length - allowedLength) is taken from its logit, of the
 * longest such sequence.
 */
export function dry({ multiplier, base, allowedLength, lastTokens, breakers }: DryRule): LogitsProcessor {
  const breaking = new Set(breakers);
  const longest = new Map<number, number>();
  let lengths = new Uint32Array(0);
  return (logits, { ids }) => {
    const count = Math.min(ids.length, lastTokens);
    let unbroken = 0;
    while (unbroken < count && !breaking.has(ids[ids.length - 1 - unbroken])) unbroken++;
    if (unbroken < allowedLength) return;
    if (lengths.length < count) lengths = new Uint32Array(2 * count);
    sharedEnds(ids, count, lengths);
    longest.clear();
    for (let back = 1; back < count; back++) {
      const length = Math.min(lengths[back], unbroken);
      const next = ids[ids.length - back];
      if (length < allowedLength || breaking.has(next)) continue;
      if (length > (longest.get(next) ?? 0)) longest.set(next, length);
    }
    for (const [id, length] of longest)
      logits[id] -= Math.min(multiplier * base ** (length - allowedLength), LARGEST_F32);
  };
}

/**
 * For each place of the last `count` tokens, counted from the end, how many tokens before and with it are also the last
 * ones: the Z function of the text from its end (Gusfield 1997, section 1.3), so that it is linear in `count`.
 */
function sharedEnds(ids: readonly number[], count: number, lengths: Uint32Array): void {
  const last = ids.length - 1;
  let [start, end] = [0, 0]; // the stretch that reaches farthest of those that equal the end
  for (let back = 1; back < count; back++) {
    let length = back < end ? Math.min(lengths[back - start], end - back) : 0;
    while (back + length < count && ids[last - length] === ids[last - back - length]) length++;
    lengths[back] = length;
    if (back + length > end) [start, end] = [back, back + length];
  }
}

import type { LogitsProcessor } from "./processor.ts";

/** Leaves nothing but the token that has to stand second, or those of which one has to be last. */
export const forcedTokens =
  (first: number | undefined, last: readonly number[]): LogitsProcessor =>
  (logits, { ids, maxLength }) => {
    if (last.length > 0 && ids.length === maxLength - 1) leaveOnly(logits, last);
    else if (first !== undefined && ids.length === 1) leaveOnly(logits, [first]);
  };

function leaveOnly(logits: Float32Array, ids: readonly number[]): void {
  logits.fill(Number.NEGATIVE_INFINITY);
  for (const id of ids) logits[id] = 0;
}

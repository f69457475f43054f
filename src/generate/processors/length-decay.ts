import type { LogitsProcessor } from "./processor.ts";

/** From `start` new tokens on the end becomes likelier, by this factor a token. */
export const lengthDecay =
  ([start, factor]: readonly [number, number], ends: readonly number[]): LogitsProcessor =>
  (logits, { ids, startLength }) => {
    const over = ids.length - startLength - start;
    if (over <= 0) return;
    for (const id of ends) if (Number.isFinite(logits[id])) logits[id] += Math.abs(logits[id]) * (factor ** over - 1);
  };

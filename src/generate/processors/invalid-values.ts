import type { LogitsProcessor } from "./processor.ts";

/** The largest finite f32. */
export const LARGEST_F32 = 3.4028234663852886e38;

/** NaN becomes 0, and infinities the largest numbers. */
export const removeInvalidValues: LogitsProcessor = (logits) => {
  for (let id = 0; id < logits.length; id++)
    logits[id] = Number.isNaN(logits[id]) ? 0 : Math.max(-LARGEST_F32, Math.min(LARGEST_F32, logits[id]));
};

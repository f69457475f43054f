import { logSumExp } from "../log-probabilities.ts";
import type { LogitsProcessor } from "./processor.ts";

/** Logits become logarithms of probabilities. */
export const renormalize: LogitsProcessor = (logits) => {
  const normalizer = logSumExp(logits);
  for (let id = 0; id < logits.length; id++) logits[id] -= normalizer;
};

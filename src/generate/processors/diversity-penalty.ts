import type { LogitsProcessor } from "./processor.ts";

/** Takes the penalty from a token for each time that another group of a beam search has picked it at this place. */
export const diversityPenalty =
  (penalty: number): LogitsProcessor =>
  (logits, { otherTokens = [] }) => {
    for (const id of otherTokens) logits[id] -= penalty;
  };

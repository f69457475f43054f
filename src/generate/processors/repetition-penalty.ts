import type { LogitsProcessor } from "./processor.ts";

/** Divides positive and multiplies negative logits of tokens of the text. Keskar et al. 2019, arXiv:1909.05858. */
export function repetitionPenalty(penalty: number): LogitsProcessor {
  const penalize = penaltyOnce(penalty);
  return (logits, { ids }) => penalize(logits, ids);
}

/** The same for what was read, the other way: above 1 makes its tokens likelier. */
export function encoderRepetitionPenalty(penalty: number): LogitsProcessor {
  const penalize = penaltyOnce(1 / penalty);
  return (logits, { source = [] }) => penalize(logits, source);
}

/** Penalizes each of some tokens once, however often it is among them. */
function penaltyOnce(penalty: number): (logits: Float32Array, ids: readonly number[]) => void {
  // the call in which a token was penalized last: a set of thousands of ids takes longer than all else together
  let lastCalls = new Uint32Array(0);
  let call = 0;
  return (logits, ids) => {
    if (lastCalls.length !== logits.length) lastCalls = new Uint32Array(logits.length);
    call++;
    for (const id of ids) {
      if (lastCalls[id] === call) continue;
      lastCalls[id] = call;
      logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
    }
  };
}

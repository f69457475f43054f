import type { LogitsProcessor } from "./processor.ts";

/**
 * Takes `frequency` from the logit of a token for each time that it was written, and `presence` once: OpenAI's
 * penalties, as in vLLM over what was written, not over the prompt.
 */
export function occurrencePenalties(presence: number, frequency: number): LogitsProcessor {
  let counts = new Uint32Array(0);
  return (logits, { ids, startLength }) => {
    if (counts.length !== logits.length) counts = new Uint32Array(logits.length);
    for (let i = startLength; i < ids.length; i++) counts[ids[i]]++;
    for (let i = startLength; i < ids.length; i++) {
      const id = ids[i];
      if (!(counts[id] > 0)) continue;
      logits[id] -= frequency * counts[id];
      logits[id] -= presence;
      counts[id] = 0;
    }
  };
}

/** What a loss in nats says of a text, measured over all of the validation data. */

import type { Tensor } from "../../tensor/index.ts";
import type { Objective } from "../../train/index.ts";

/**
 * An objective with `perplexity` in its evaluations, the exponential of the mean loss of a token, and `bitsPerByte`
 * where it is known how many tokens stand for a byte of the texts: comparable between tokenizers.
 */
export function withPerplexity<B extends object>(objective: Objective<B>, tokensPerByte?: number): Objective<B> {
  // the loss that was traced for a batch, so that the scorer needs no second pass of the model
  const results = new WeakMap<B, Record<"loss" | "weight", Tensor<"f32">>>();
  return {
    ...objective,
    loss(batch, run) {
      const result = objective.loss(batch, run);
      if (result.weight) results.set(batch, { loss: result.loss, weight: result.weight });
      return result;
    },
    scorer() {
      let [nats, tokens] = [0, 0];
      return {
        outputs: (batch) => results.get(batch) ?? {},
        add({ loss, weight }) {
          nats += Number(loss.data[0]) * Number(weight.data[0]);
          tokens += Number(weight.data[0]);
        },
        result() {
          const mean = nats / tokens;
          [nats, tokens] = [0, 0];
          return {
            perplexity: Math.exp(mean),
            ...(tokensPerByte !== undefined && { bitsPerByte: (mean / Math.LN2) * tokensPerByte }),
          };
        },
      };
    },
  };
}

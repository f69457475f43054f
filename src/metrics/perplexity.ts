import { DataError, numberRules, requireNumbers } from "../base/index.ts";
import { type Numbers, requireFinite } from "./checks.ts";

/**
 * e to the mean negative log probability.
 * @param logprobs of each token, in nats
 * @throws DataError for none, or one that is not finite
 */
export function perplexityOf(logprobs: Numbers): number {
  return Math.exp(-sumOf("perplexityOf", logprobs) / logprobs.length);
}

/**
 * How many bits a byte of the text takes when the model compresses it: comparable between tokenizers.
 * @param logprobs of all tokens of the text, in nats
 * @param bytes of the text in UTF-8
 * @throws DataError for no tokens, or one whose log probability is not finite; OptionError for no bytes
 */
export function bitsPerByte(logprobs: Numbers, bytes: number): number {
  requireNumbers("bitsPerByte", { bytes }, { bytes: numberRules.positiveInteger });
  return -sumOf("bitsPerByte", logprobs) / Math.LN2 / bytes;
}

function sumOf(where: string, logprobs: Numbers): number {
  if (logprobs.length === 0)
    throw new DataError({ where, expected: "the log probability of a token", received: "none", fix: "score a text" });
  requireFinite(where, "logprobs", logprobs);
  let sum = 0;
  for (let i = 0; i < logprobs.length; i++) sum += logprobs[i];
  return sum;
}

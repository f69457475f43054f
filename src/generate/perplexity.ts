import { checkOptions, DataError, OptionError } from "../base/index.ts";
import { encodePrompt, type Tokenizer } from "../tokenizers/index.ts";
import type { Generator } from "./generator.ts";

/** How a text that is longer than the context is looked at. */
export interface PerplexityOptions {
  /** Most tokens that the model looks at together. @default the generator's context */
  maxLength?: number;
  /** So many tokens later the next window begins: less looks at more of what is before. @default 512 */
  stride?: number;
  /** Ends it. */
  signal?: AbortSignal;
}

const DEFAULT_STRIDE = 512;

/**
 * The perplexity of a text under a model: e to the mean negative log probability of its tokens, each after those before
 * it in a window that slides over the text. It is the number that the example of transformers' documentation
 * ("Perplexity of fixed-length models") gives.
 * @param text or its token ids
 * @throws DataError for a text of fewer than 2 tokens; OptionError for a stride beyond the window
 */
export async function perplexity(
  generator: Generator,
  tokenizer: Tokenizer,
  text: string | readonly number[],
  options: PerplexityOptions = {},
): Promise<number> {
  checkOptions("perplexity", options, ["maxLength", "stride", "signal"]);
  const { maxLength = generator.contextLength, stride = Math.min(DEFAULT_STRIDE, maxLength), signal } = options;
  const isFine = [maxLength, stride].every((n) => Number.isInteger(n) && n > 0) && maxLength <= generator.contextLength;
  if (!isFine || stride > maxLength)
    throw new OptionError({
      where: "perplexity",
      expected: `a stride from 1 to maxLength, and that at most the context of ${generator.contextLength}`,
      received: `stride ${stride}, maxLength ${maxLength}`,
      fix: "leave them out",
    });
  const ids = typeof text === "string" ? await encodePrompt(tokenizer, text) : text;
  if (ids.length < 2)
    throw new DataError({
      where: "perplexity",
      expected: "a text of at least 2 tokens",
      received: String(ids.length),
      fix: "give a longer text",
    });
  let [sum, count, seen] = [0, 0, 0];
  for (let begin = 0; seen < ids.length; begin += stride) {
    const end = Math.min(begin + maxLength, ids.length);
    const scored = await generator.score(ids.slice(begin, end), { signal });
    const news = scored.slice(Math.max(1, seen - begin)); // of the first token of a window nothing is known
    // as in the example, a window counts for one token less than it adds, though its mean is over all of them
    const weight = end - seen - 1;
    const mean = news.reduce((total, { logprob }) => total - logprob, 0) / Math.max(1, news.length);
    if (weight > 0) [sum, count] = [sum + mean * weight, count + weight];
    seen = end;
  }
  return Math.exp(sum / count);
}

import { ContextLengthError } from "../../generate/index.ts";
import { contextLengthExceeded } from "../errors.ts";
import { invalid, isText, rule } from "../fields.ts";
import { isIds } from "../requests.ts";

/** Inputs of one request, as for OpenAI. */
const MAX_INPUTS = 2048;
/** What is run between two looks at whether the client is still there. */
const SLICE = 32;

type Texts = string | number[] | string[] | number[][];

/** A text or token ids, or a list of either. */
export const texts = rule<Texts>(
  "a text, a list of token ids, or a list of texts or of such lists",
  (value) => isText(value) || isIds(value) || (Array.isArray(value) && (value.every(isText) || value.every(isIds))),
);

/** vLLM's: the most tokens of a text, what is longer being cut; -1 is as many as the model takes. */
export const truncateTokens = rule<number>(
  "a whole number from 1, or -1 for as many as the model takes",
  (value) => Number.isSafeInteger(value) && ((value as number) >= 1 || value === -1),
);

/** @throws RequestError 400 for none, and for more than one request may have */
export function listOf(input: Texts | undefined, param: string): (string | number[])[] {
  if (input === undefined) throw invalid(param, texts.expected, undefined);
  const list = isText(input) || (isIds(input) && input.length > 0) ? [input] : (input as string[] | number[][]);
  if (list.length === 0 || list.length > MAX_INPUTS) throw invalid(param, `from 1 to ${MAX_INPUTS} texts`, input);
  return list;
}

/** What a text is cut to, or undefined where it is not. @throws RequestError for more tokens than the model takes */
export function cutLength(asked: number | undefined, maxTokens: number): number | undefined {
  if (asked === undefined) return undefined;
  if (asked > maxTokens) throw invalid("truncate_prompt_tokens", `at most the model's ${maxTokens} tokens`, asked);
  const length = asked === -1 ? maxTokens : asked;
  return Number.isFinite(length) ? length : undefined;
}

/** Tokens of all texts. @throws RequestError 400 for one without, and one that is too long, in OpenAI's words */
export function countTokens(
  encodings: readonly { ids: readonly number[] }[],
  { maxTokens, param }: { maxTokens: number; param: string },
): number {
  let sum = 0;
  for (const [i, { ids }] of encodings.entries()) {
    const place = encodings.length === 1 ? param : `${param}[${i}]`;
    if (ids.length === 0) throw invalid(place, "at least one token", []);
    if (ids.length > maxTokens)
      throw contextLengthExceeded(
        new ContextLengthError({ promptTokens: ids.length, contextLength: maxTokens }),
        place,
      );
    sum += ids.length;
  }
  return sum;
}

/** The results of some inputs at a time, in their order. @throws the signal's reason between them */
export async function inSlices<I, O>(
  inputs: readonly I[],
  signal: AbortSignal,
  run: (slice: readonly I[], options: { batchSize: number }) => Promise<readonly O[]>,
): Promise<O[]> {
  const results: O[] = [];
  for (let start = 0; start < inputs.length; start += SLICE) {
    signal.throwIfAborted();
    results.push(...(await run(inputs.slice(start, start + SLICE), { batchSize: SLICE })));
  }
  return results;
}

/** What reading so many tokens is told as. */
export const usageOf = (tokens: number) => ({ prompt_tokens: tokens, total_tokens: tokens });

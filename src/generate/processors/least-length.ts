import { ban, type LogitsProcessor } from "./processor.ts";

/** The text does not end before it has `minLength` tokens, `minNewTokens` of which were written. */
export const leastLength =
  (minLength: number, minNewTokens: number, ends: readonly number[]): LogitsProcessor =>
  (logits, { ids, startLength }) => {
    if (ids.length < minLength || ids.length - startLength < minNewTokens) ban(logits, ends);
  };

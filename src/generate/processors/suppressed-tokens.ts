import { ban, type LogitsProcessor } from "./processor.ts";

/** Tokens that are never picked. */
export const suppressedTokens =
  (banned: readonly number[]): LogitsProcessor =>
  (logits) =>
    ban(logits, banned);

/** Tokens that are not picked first: after a start of one, where the first is forced, not second. */
export const tokensSuppressedAtFirst =
  (banned: readonly number[], isFirstForced: boolean): LogitsProcessor =>
  (logits, { ids, startLength }) => {
    if (ids.length === (startLength === 1 && isFirstForced ? 2 : startLength)) ban(logits, banned);
  };

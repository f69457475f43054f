import { type LogitsProcessor, requireInVocabulary } from "./processor.ts";

/** Nothing else is picked, as with vLLM's `allowed_token_ids`. @throws DataError for ids outside the vocabulary */
export function allowedTokens(ids: readonly number[]): LogitsProcessor {
  const allowed = Uint32Array.from(ids).sort();
  return (logits) => {
    requireInVocabulary("allowedTokenIds", allowed[allowed.length - 1], logits.length);
    let start = 0;
    for (const id of allowed) {
      logits.fill(Number.NEGATIVE_INFINITY, start, Math.max(start, id));
      start = id + 1;
    }
    logits.fill(Number.NEGATIVE_INFINITY, start);
  };
}

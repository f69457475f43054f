import { numberRules, requireNumbers } from "../../base/index.ts";

/** How tokens are looked up; names are those of generation_config.json. */
export interface PromptLookupOptions {
  /** Most tokens that are proposed. @default 10 */
  promptLookupNumTokens?: number;
  /** Of how many last tokens at most an earlier occurrence is looked for. @default 2 */
  maxMatchingNgramSize?: number;
  /** Tokens that end a text: nothing is proposed from the first of them on. @default none */
  stops?: ReadonlySet<number>;
  /** Whether a token may follow some ids; nothing is proposed from the first on that may not. @default all may */
  canFollow?: (ids: readonly number[], id: number) => boolean;
}

/**
 * Proposes what followed the last tokens of a text where they came before: of the longest sequence that did, its first
 * occurrence. Saxena 2023, prompt lookup decoding, as transformers does.
 * @param ids the prompt and what was written
 * @returns the tokens that may follow; none where the last token has not come before
 * @throws OptionError for numbers below 1
 */
export function promptLookup(ids: readonly number[], options: PromptLookupOptions = {}): number[] {
  const { promptLookupNumTokens = 10, maxMatchingNgramSize = 2, stops = new Set() } = options;
  const { positiveInteger } = numberRules;
  requireNumbers(
    "promptLookup",
    { promptLookupNumTokens, maxMatchingNgramSize },
    { promptLookupNumTokens: positiveInteger, maxMatchingNgramSize: positiveInteger },
  );
  for (let size = Math.min(maxMatchingNgramSize, ids.length - 1); size > 0; size--) {
    for (let start = 0; start + size < ids.length; start++) {
      if (!isRepeated(ids, start, size)) continue;
      const following = ids.slice(start + size, start + size + promptLookupNumTokens);
      const allowed = allowedOf(ids, following, options.canFollow);
      if (allowed.length === 0) continue;
      const end = allowed.findIndex((id) => stops.has(id));
      return end < 0 ? allowed : allowed.slice(0, end);
    }
  }
  return [];
}

/** Whether the last `size` tokens also stand at a place. */
function isRepeated(ids: readonly number[], start: number, size: number): boolean {
  const last = ids.length - size;
  for (let i = 0; i < size; i++) if (ids[start + i] !== ids[last + i]) return false;
  return true;
}

function allowedOf(
  ids: readonly number[],
  following: readonly number[],
  canFollow: PromptLookupOptions["canFollow"],
): number[] {
  if (!canFollow) return [...following];
  const end = following.findIndex((id, i) => !canFollow([...ids, ...following.slice(0, i)], id));
  return following.slice(0, end < 0 ? undefined : end);
}

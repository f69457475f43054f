import type { Tokenizer, TokenStream } from "../../tokenizers/index.ts";

/**
 * Decodes ids one by one, as `Tokenizer.stream`, but keeps some special tokens, which the parser of an answer needs to
 * see.
 * @param keptTokens their texts; those that the tokenizer has not, or that are not special, change nothing
 */
export function keptStream(
  tokenizer: Pick<Tokenizer, "stream" | "specialTexts" | "tokenToId">,
  keptTokens: readonly string[],
): TokenStream {
  const { specialTexts } = tokenizer;
  const kept = new Map<number, string>();
  for (const text of keptTokens) {
    const id = specialTexts.includes(text) ? tokenizer.tokenToId(text) : null;
    if (id !== null) kept.set(id, text);
  }
  let plain = tokenizer.stream();
  return {
    push: async (id) => {
      const text = kept.get(id);
      if (text === undefined) return plain.push(id);
      const before = await plain.flush();
      plain = tokenizer.stream();
      return before + text;
    },
    flush: () => plain.flush(),
  };
}

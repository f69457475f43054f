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
  let last: number | undefined;
  return {
    push: async (id) => {
      const text = kept.get(id);
      if (text === undefined) {
        const piece = await plain.push(id);
        if (piece !== "") last = id;
        return piece;
      }
      const before = await plain.flush();
      plain = await streamAfter(tokenizer, before === "" ? last : undefined);
      return before + text;
    },
    flush: () => plain.flush(),
  };
}

/** A stream that goes on after a token: some tokenizers take away the blank that a text begins with. */
async function streamAfter(tokenizer: Pick<Tokenizer, "stream">, id: number | undefined): Promise<TokenStream> {
  if (id !== undefined) {
    const stream = tokenizer.stream();
    if ((await stream.push(id)) !== "") return stream;
  }
  return tokenizer.stream();
}

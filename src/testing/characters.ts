/** A small tokenizer for tests: a token for each character. */
import { Tokenizer } from "../tokenizers/index.ts";

/** <|endoftext|> is 0, then come the characters of a text in their order. */
export function characterTokenizer(text: string): Promise<Tokenizer> {
  const end = {
    id: 0,
    content: "<|endoftext|>",
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  };
  const vocab = Object.fromEntries([end.content, ...text].map((token, id) => [token, id]));
  const json = {
    version: "1.0",
    added_tokens: [end],
    decoder: { type: "Fuse" },
    model: { type: "BPE", vocab, merges: [] },
  };
  return Tokenizer.fromJson(json, { eos_token: end.content });
}

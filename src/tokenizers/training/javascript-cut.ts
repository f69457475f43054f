/** How a tokenizer cuts texts into words, by the engine in JavaScript. */
import { normalizerOf } from "../engine/normalizers.ts";
import { Piece } from "../engine/piece.ts";
import { preTokenizerOf } from "../engine/pre-tokenizers.ts";
import type { Json } from "../json-parts.ts";

/** Gives for a text lists that begin with a word. */
export function javascriptCut(normalizer: Json | null, preTokenizer: Json | null): (text: string) => [string][] {
  const normalize = normalizerOf("normalizer", normalizer);
  const preTokenize = preTokenizerOf("preTokenizer", preTokenizer);
  return (text) => preTokenize(normalize(Piece.of(text))).map(({ text: word }) => [word]);
}

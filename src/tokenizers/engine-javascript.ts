import { OptionError, RuntimeError } from "../ir/index.ts";
import type { Cut, Flat, TokenizerEngine } from "./engine.ts";

interface Encoded {
  ids: number[];
  tokens: string[];
  token_type_ids?: number[];
}
interface JavascriptTokenizer {
  encode(text: string, options: { text_pair?: string | null; add_special_tokens: boolean; return_token_type_ids: boolean }): Encoded;
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_vocab(withAddedTokens?: boolean): Map<string, number> | Record<string, number>;
}

/**
 * The engine in JavaScript, for pages and for machines without the native one. It knows no offsets and no words, and pairs are not cut.
 * @throws RuntimeError when the file is not understood
 */
export async function javascriptEngine(path: string, json: object): Promise<TokenizerEngine> {
  try {
    const { Tokenizer } = await import("@huggingface/tokenizers");
    const tokenizer = new Tokenizer(json, { clean_up_tokenization_spaces: false }) as unknown as JavascriptTokenizer;
    return new JavascriptEngine(tokenizer);
  } catch (cause) {
    throw new RuntimeError({
      where: path,
      expected: "a tokenizer.json that @huggingface/tokenizers reads",
      received: (cause as Error).message,
      fix: "in Node, install the package tokenizers, which reads all of them",
      cause,
    });
  }
}

class JavascriptEngine implements TokenizerEngine {
  readonly vocabSize: number;
  private readonly tokenizer: JavascriptTokenizer;

  constructor(tokenizer: JavascriptTokenizer) {
    const vocabulary = tokenizer.get_vocab(true);
    this.vocabSize = vocabulary instanceof Map ? vocabulary.size : Object.keys(vocabulary).length;
    this.tokenizer = tokenizer;
  }

  tokenToId(token: string): number | null {
    return this.tokenizer.token_to_id(token) ?? null;
  }

  idToToken(id: number): string | null {
    return this.tokenizer.id_to_token(id) ?? null;
  }

  async encode(text: string, pair: string | undefined, addSpecialTokens: boolean, cut: Cut | undefined): Promise<Flat[]> {
    const whole = this.run(text, pair, addSpecialTokens);
    if (!cut || whole.ids.length <= cut.maxLength) return [flat(whole)];
    if (pair !== undefined) {
      throw new OptionError({ where: "encode", expected: "one text where it is cut", received: "a pair", fix: "use the native tokenizer, in Node" });
    }
    const inner = this.run(text, undefined, false);
    const before = this.startOf(whole, inner);
    const after = whole.ids.length - before - inner.ids.length;
    const room = cut.maxLength - before - after;
    const start = cut.truncationSide === "left" ? inner.ids.length - room : 0;
    const kept = <T>(values: readonly T[]): T[] => [
      ...values.slice(0, before),
      ...values.slice(before + start, before + start + room),
      ...values.slice(values.length - after),
    ];
    return [flat({ ids: kept(whole.ids), tokens: kept(whole.tokens), token_type_ids: whole.token_type_ids && kept(whole.token_type_ids) })];
  }

  private run(text: string, pair: string | undefined, addSpecialTokens: boolean): Encoded {
    return this.tokenizer.encode(text, { text_pair: pair ?? null, add_special_tokens: addSpecialTokens, return_token_type_ids: true });
  }

  /** Where the text's own tokens begin. */
  private startOf(whole: Encoded, inner: Encoded): number {
    for (let at = 0; at + inner.ids.length <= whole.ids.length; at++) if (inner.ids.every((id, i) => whole.ids[at + i] === id)) return at;
    return 0;
  }

  joinTokens(tokens: readonly string[]): string {
    const ids = tokens.map((token) => this.tokenToId(token)).filter((id) => id !== null);
    return this.tokenizer.decode(ids, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
  }

  async decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string> {
    if (ids.length === 0) return "";
    return this.tokenizer.decode([...ids], { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false });
  }
}

const flat = ({ ids, tokens, token_type_ids: types }: Encoded): Flat => ({
  ids,
  tokens,
  typeIds: types ?? ids.map(() => 0),
  attentionMask: ids.map(() => 1),
  specialTokensMask: ids.map(() => 0),
  offsets: ids.map(() => [0, 0]),
  wordIds: ids.map(() => null),
  sequenceIds: ids.map(() => null),
});

import { DataError } from "../base/index.ts";
import { AddedTokens } from "./engine/added-tokens.ts";
import { type Decoder, decoderOf } from "./engine/decoders.ts";
import type { Model } from "./engine/model.ts";
import { modelOf } from "./engine/models.ts";
import { type Normalizer, normalizerOf } from "./engine/normalizers.ts";
import { joined, type PostProcessor, postProcessorOf, sliced } from "./engine/post-processors.ts";
import { type PreTokenizer, preTokenizerOf } from "./engine/pre-tokenizers.ts";
import { checkedFile } from "./engine/schema.ts";
import type { Cut, Flat, TokenizerEngine } from "./engine.ts";
import type { AddedToken, Json } from "./json-parts.ts";
import { type PackedJson, unpackJson } from "./packed-json.ts";
import { combined, keptLengths, partRanges } from "./truncation.ts";

/**
 * A tokenizer.json in JavaScript, for pages and for machines without the native library: a text is searched for added
 * tokens, normalized, cut into words, each of which the model makes into tokens; then comes what belongs around a text.
 * @throws DataError when the file is not understood
 */
export async function javascriptEngine(path: string, json: object): Promise<TokenizerEngine> {
  return new JavascriptEngine(path, checkedFile(path, json));
}

/** The same of a packed one. @param json `packed` as objects, where there are some: saves reading it */
export const openEngine = (path: string, packed: PackedJson, json = unpackJson(packed)): Promise<TokenizerEngine> =>
  javascriptEngine(path, json);

class JavascriptEngine implements TokenizerEngine {
  private readonly normalize: Normalizer;
  private readonly preTokenize: PreTokenizer;
  private readonly model: Model;
  private readonly postProcess: PostProcessor;
  private readonly decoder: Decoder | undefined;
  private readonly added: AddedTokens;
  private readonly texts = new Map<number, string>();

  constructor(path: string, json: Json) {
    const part = <T>(key: string, make: (where: string, json: Json | null | undefined) => T): T => {
      try {
        return make(`${path}, ${key}`, json[key] as Json | null | undefined);
      } catch (cause) {
        if (cause instanceof DataError) throw cause;
        throw new DataError({
          where: `${path}, ${key}`,
          expected: "a sound part of a tokenizer.json",
          received: (cause as Error).message,
          fix: "fetch the file again",
          cause,
        });
      }
    };
    this.normalize = part("normalizer", normalizerOf);
    this.preTokenize = part("pre_tokenizer", preTokenizerOf);
    this.model = part("model", (where, model) => modelOf(where, model as Json));
    this.postProcess = part("post_processor", postProcessorOf);
    this.decoder = part("decoder", decoderOf);
    this.added = new AddedTokens((json.added_tokens ?? []) as AddedToken[], this.model.vocabulary, this.normalize);
    for (const [token, id] of this.model.vocabulary) this.texts.set(id, token);
    for (const [id, text] of this.added.shown) this.texts.set(id, text);
  }

  get vocabSize(): number {
    return new Set([...this.model.vocabulary.keys(), ...this.added.byText.keys()]).size;
  }

  tokenToId(token: string): number | null {
    return this.added.byText.get(token) ?? this.model.vocabulary.get(token) ?? null;
  }

  idToToken(id: number): string | null {
    return this.texts.get(id) ?? null;
  }

  async encode(
    text: string,
    pair: string | undefined,
    addSpecialTokens: boolean,
    cut: Cut | undefined,
  ): Promise<Flat[]> {
    const first = this.plain(text, 0);
    const second = pair === undefined ? undefined : this.plain(pair, 1);
    const frame = (a: Flat, b?: Flat) => joined(this.postProcess(b ? [a, b] : [a], addSpecialTokens));
    const added = cut && addSpecialTokens ? frame(nothing, second && nothing).ids.length : 0;
    if (!cut || first.ids.length + (second?.ids.length ?? 0) + added <= cut.maxLength) return [frame(first, second)];
    const kept = keptLengths(first.ids.length, second?.ids.length, added, cut);
    const partsOf = (whole: Flat, length: number) =>
      partRanges(whole.ids.length, length, cut).map(([start, end]) => sliced(whole, start, end));
    const seconds = second && partsOf(second, kept.second as number);
    return combined(partsOf(first, kept.first), seconds).map(([a, b]) => frame(a, b));
  }

  /** The tokens of a text, without what belongs around it. */
  private plain(text: string, sequence: number): Flat {
    const out = empty();
    const push = (id: number, token: string, offsets: [number, number], word: number) => {
      out.ids.push(id);
      out.tokens.push(token);
      out.offsets.push(offsets);
      out.wordIds.push(word);
      out.typeIds.push(sequence);
      out.attentionMask.push(1);
      out.specialTokensMask.push(0);
      out.sequenceIds.push(sequence);
    };
    let word = 0;
    for (const { piece, id } of this.added.split(text)) {
      if (id !== undefined) {
        push(id, piece.text, piece.span(0, piece.length), word++);
        continue;
      }
      for (const part of this.preTokenize(piece)) {
        for (const token of this.model.tokens(part.characters))
          push(token.id, token.text ?? this.texts.get(token.id) ?? "", part.span(token.start, token.end), word);
        word++;
      }
    }
    return out;
  }

  joinTokens(tokens: readonly string[]): string {
    return this.decoder?.(tokens).join("") ?? tokens.join(" ");
  }

  async decode(ids: readonly number[], skipSpecialTokens: boolean): Promise<string> {
    const tokens = ids.flatMap((id) => this.texts.get(id) ?? []);
    return this.joinTokens(skipSpecialTokens ? tokens.filter((token) => !this.added.special.has(token)) : tokens);
  }
}

const empty = (): Flat => joined([]);
const nothing = empty();

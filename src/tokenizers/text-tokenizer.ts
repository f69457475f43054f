import { OptionError } from "../ir/index.ts";
import { type EncodeOptions, type Encoding, type PadOptions, paddedLength, padEncoding, utf16Positions } from "./encoding.ts";
import type { Cut, Flat, TokenizerEngine } from "./engine.ts";
import { openEngine } from "./engine-node.ts";
import type { TiktokenOptions } from "./formats/tiktoken.ts";
import type { Json } from "./json-parts.ts";
import { checkedTokenizer } from "./safe-file.ts";
import type { PlainEncodeOptions, Tokenizer, TokenStream } from "./tokenizer.ts";

/** Tokens of special meaning, as tokenizer_config.json and special_tokens_map.json name them. */
export interface SpecialTokens {
  bos?: string;
  eos?: string;
  unk?: string;
  sep?: string;
  cls?: string;
  pad?: string;
  mask?: string;
}

const specialNames = ["bos", "eos", "unk", "sep", "cls", "pad", "mask"] as const;
/** What a text cannot contain: stands for special tokens where they are not to be recognised. */
const unreachable = (i: number) => `\u{10fffd}${i}\u{10fffd}`;

/**
 * A tokenizer.json of any kind: byte-level BPE, WordPiece, Unigram, with every normalizer, pre-tokenizer, post-processor and decoder that
 * Hugging Face's library has. In Node that library runs it, in a page the one in JavaScript.
 *
 * @example
 * const tokenizer = await TextTokenizer.open("golden/tokenizers/kinds/bert-uncased.tokenizer.json");
 * (await tokenizer.encodeText("Call me Ishmael.")).tokens[0]; // "[CLS]"
 */
export class TextTokenizer implements Tokenizer {
  readonly special: SpecialTokens;
  /** Settings of the file and of tokenizer_config.json for cutting and padding, to be spread into options. */
  readonly settings: EncodeOptions & PadOptions;
  /** Most tokens that the model takes, by tokenizer_config.json; the file's own truncation may be shorter. */
  readonly modelMaxLength: number | undefined;
  /** Whether the model is to see which places are padding, by tokenizer_config.json. */
  readonly givesMask: boolean;
  private readonly engine: TokenizerEngine;
  private readonly json: Json;
  private readonly path: string;
  private literal?: Promise<TokenizerEngine>;

  private constructor(path: string, json: Json, engine: TokenizerEngine, special: SpecialTokens, config: Json) {
    this.path = path;
    this.json = json;
    this.engine = engine;
    this.special = special;
    this.settings = settingsOf(json, config, this);
    this.modelMaxLength = lengthLimit(config);
    this.givesMask = givesMask(config);
  }

  /**
   * Opens a tokenizer.json, a SentencePiece model (.model), ranks of tiktoken (.tiktoken, or tiktoken.model), or the older vocab.txt and vocab.json
   * with merges.txt; or what a model's folder has of them, with its tokenizer_config.json.
   * @throws DataError when it is missing or damaged, RuntimeError when it is not understood
   */
  static async open(path: string, ranks?: TiktokenOptions): Promise<TextTokenizer> {
    const { readTokenizerFiles } = await import("./open-file.ts");
    const { file, json, config, map } = await readTokenizerFiles(path, ranks);
    return new TextTokenizer(file, json, await openEngine(file, checkedTokenizer(file, json)), specialOf({ ...map, ...config }), config);
  }

  /** A tokenizer from what a tokenizer.json holds, and the special tokens of a tokenizer_config.json. @throws as `open` */
  static async fromJson(json: Json, special: SpecialTokens = {}): Promise<TextTokenizer> {
    const name = "tokenizer.json";
    return new TextTokenizer(name, json, await openEngine(name, checkedTokenizer(name, json)), special, {});
  }

  get vocabSize(): number {
    return this.engine.vocabSize;
  }

  /** Id of the token that ends a text, by tokenizer_config.json. */
  get endOfTextId(): number | null {
    return this.special.eos === undefined ? null : this.tokenToId(this.special.eos);
  }

  get specialTexts(): readonly string[] {
    return ((this.json.added_tokens ?? []) as { content: string; special: boolean }[]).filter(({ special }) => special).map(({ content }) => content);
  }

  tokenToId(token: string): number | null {
    return this.engine.tokenToId(token);
  }

  idToToken(id: number): string | null {
    return this.engine.idToToken(id);
  }

  /**
   * Encodes a text, or a pair, with all that is known of each token.
   * @throws OptionError when maxLength leaves no room
   */
  async encodeText(text: string, { pair, addSpecialTokens = true, maxLength, ...rest }: EncodeOptions = {}): Promise<Encoding> {
    const { truncation = "longest_first", truncationSide = "right", stride = 0 } = rest;
    if (maxLength !== undefined && (!Number.isInteger(maxLength) || maxLength < 1)) {
      throw new OptionError({ where: "encode", expected: "maxLength of at least 1", received: String(maxLength), fix: "choose a whole number" });
    }
    const cut: Cut | undefined = maxLength === undefined ? undefined : { maxLength, truncation, truncationSide, stride };
    const [first, ...more] = await this.engine.encode(text, pair, addSpecialTokens, cut);
    const positions = [utf16Positions(text), pair === undefined ? undefined : utf16Positions(pair)];
    const whole = (part: Flat): Encoding => ({ ...part, offsets: inUtf16(part, positions), overflowing: [] });
    return { ...whole(first), overflowing: more.map(whole) };
  }

  /** Encodes texts or pairs, padded to a common length where padTo says so. */
  async encodeBatch(texts: readonly (string | readonly [string, string])[], options: Omit<EncodeOptions, "pair"> & PadOptions = {}): Promise<Encoding[]> {
    const encodings = await Promise.all(
      texts.map((entry) => (typeof entry === "string" ? this.encodeText(entry, options) : this.encodeText(entry[0], { ...options, pair: entry[1] }))),
    );
    if (options.padTo === undefined) return encodings;
    const all = encodings.flatMap((encoding) => [encoding, ...encoding.overflowing]);
    const length = paddedLength(all, options);
    return encodings.map((encoding) => padEncoding(encoding, length, { ...this.padding(), ...options }));
  }

  private padding(): PadOptions {
    const { pad = "[PAD]" } = this.special;
    return { padId: this.settings.padId ?? this.tokenToId(pad) ?? 0, padToken: this.settings.padToken ?? pad, padTypeId: this.settings.padTypeId };
  }

  /**
   * Ids of the text, with what the model expects around it. Special tokens written out in the text become their ids, unless `isLiteral`.
   * @param options isLiteral: special tokens in the text are plain text; addSpecialTokens: @default true
   */
  async encode(text: string, { addSpecialTokens = true, isLiteral = false }: PlainEncodeOptions = {}): Promise<number[]> {
    const engine = isLiteral ? await this.literalEngine() : this.engine;
    return (await engine.encode(text, undefined, addSpecialTokens, undefined))[0].ids;
  }

  /** The same tokenizer with special tokens that no text has. */
  private literalEngine(): Promise<TokenizerEngine> {
    this.literal ??= (async () => {
      const added = (this.json.added_tokens ?? []) as { content: string; special: boolean }[];
      const renamed = added.map((token, i) => (token.special ? { ...token, content: unreachable(i) } : token));
      const names = new Map(added.map(({ content }, i) => [content, renamed[i].content]));
      return openEngine(this.path, {
        ...checkedTokenizer(this.path, this.json),
        added_tokens: renamed,
        post_processor: renamedTokens(this.json.post_processor, names),
      });
    })();
    return this.literal;
  }

  /** The text of ids; special tokens are left out. */
  decode(ids: readonly number[], { skipSpecialTokens = true }: { skipSpecialTokens?: boolean } = {}): Promise<string> {
    return this.engine.decode(ids, skipSpecialTokens);
  }

  /** The text of tokens as `encodeText` gives them. */
  joinTokens(tokens: readonly string[]): string {
    return this.engine.joinTokens(tokens);
  }

  /** Whether tokens that go on a word are marked, as "##ing" in WordPiece. */
  get marksSubwords(): boolean {
    return Boolean((this.json.model as Json).continuing_subword_prefix);
  }

  /** Decodes ids one by one. A character may need several: then nothing comes until it is whole. */
  stream(): TokenStream {
    let ids: number[] = [];
    let prefix = "";
    let start = 0;
    return {
      push: async (id) => {
        ids.push(id);
        const text = await this.decode(ids);
        if (text.length <= prefix.length || text.endsWith("\ufffd")) return "";
        const fresh = text.slice(prefix.length);
        const kept = ids.length - start;
        ids = ids.slice(start);
        prefix = await this.decode(ids);
        start = kept;
        return fresh;
      },
      flush: async () => {
        const text = await this.decode(ids);
        return text.slice(prefix.length);
      },
    };
  }

  toJson(): Json {
    return this.json;
  }
}

/** Whether models get an attention mask: SigLIP was trained without one. */
function givesMask({ model_input_names: names, tokenizer_class: kind }: Json): boolean {
  return Array.isArray(names) ? names.includes("attention_mask") : !/^Siglip/.test(String(kind));
}

/** Special tokens inside a post-processor under other names. */
function renamedTokens(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (typeof value === "string") return names.get(value) ?? value;
  if (Array.isArray(value)) return value.map((child) => renamedTokens(child, names));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [names.get(key) ?? key, renamedTokens(child, names)]));
}

/** Offsets in code points as offsets in UTF-16 units. */
function inUtf16({ offsets, sequenceIds }: Flat, positions: readonly (Int32Array | undefined)[]): [number, number][] {
  if (positions.every((table) => table === undefined)) return offsets;
  return offsets.map(([start, end], i) => {
    const table = positions[sequenceIds[i] ?? 0];
    return table && sequenceIds[i] !== null ? [table[start], table[end]] : [start, end];
  });
}

function specialOf(config: Json): SpecialTokens {
  const found: SpecialTokens = {};
  for (const name of specialNames) {
    const value = config[`${name}_token`];
    const content = typeof value === "string" ? value : (value as { content?: unknown } | null | undefined)?.content;
    if (typeof content === "string") found[name] = content;
  }
  return found;
}

/** Larger lengths in tokenizer_config.json stand for none. */
const NO_LIMIT = 1e9;

function lengthLimit({ model_max_length: limit }: Json): number | undefined {
  return typeof limit === "number" && limit < NO_LIMIT ? limit : undefined;
}

function settingsOf({ truncation, padding }: Json, config: Json, tokenizer: Pick<TextTokenizer, "special">): EncodeOptions & PadOptions {
  const cut = truncation as { max_length: number; strategy?: string; stride?: number; direction?: string } | null | undefined;
  const pad = padding as
    | { strategy?: unknown; direction?: string; pad_to_multiple_of?: number | null; pad_id: number; pad_type_id: number; pad_token: string }
    | null
    | undefined;
  const limit = lengthLimit(config);
  const strategies = { LongestFirst: "longest_first", OnlyFirst: "only_first", OnlySecond: "only_second" } as const;
  const fixed = (pad?.strategy as { Fixed?: number } | undefined)?.Fixed;
  return {
    ...(limit !== undefined && { maxLength: limit }),
    ...(cut && {
      maxLength: cut.max_length,
      truncation: strategies[cut.strategy as keyof typeof strategies] ?? "longest_first",
      truncationSide: cut.direction === "Left" ? "left" : "right",
      stride: cut.stride ?? 0,
    }),
    ...(config.padding_side === "left" && { paddingSide: "left" }),
    ...(tokenizer.special.pad !== undefined && { padToken: tokenizer.special.pad }),
    ...(pad && {
      padTo: fixed ?? "longest",
      paddingSide: pad.direction === "Left" ? "left" : "right",
      padId: pad.pad_id,
      padTypeId: pad.pad_type_id,
      padToken: pad.pad_token,
      ...(pad.pad_to_multiple_of && { padToMultipleOf: pad.pad_to_multiple_of }),
    }),
  };
}

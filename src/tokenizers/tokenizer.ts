import { checkOptions, OptionError, warnOnConsole } from "../base/index.ts";
import type { Folder, StoredFile } from "../files/index.ts";
import { openPlace, type PlaceOptions } from "../hub/index.ts";
import { cleanedUp } from "./clean-up.ts";
import { cutAndPadding } from "./cut-and-padding.ts";
import {
  type EncodeOptions,
  type Encoding,
  inUtf16,
  type PadOptions,
  type PlainEncodeOptions,
  paddedLength,
  padEncoding,
  utf16Positions,
} from "./encoding.ts";
import type { Cut, Flat, TokenizerEngine } from "./engine.ts";
import type { TiktokenOptions } from "./formats/tiktoken.ts";
import { type AddedToken, addedTokensOf, END_OF_TEXT, type Json } from "./json-parts.ts";
import { type PackedJson, unpackJson } from "./packed-json.ts";
import { savedConfig } from "./saved-config.ts";
import type { SpecialTokens, TokenizerSettings } from "./settings.ts";
import { type TokenStream, tokenStream } from "./token-stream.ts";
import type { KeptFiles, TokenizerFiles, TokenizerParts } from "./tokenizer-files.ts";

/** What a text cannot contain: stands for special tokens where they are not to be recognised. */
const unreachable = (i: number) => `\u{10fffd}${i}\u{10fffd}`;

/** Windows of streams whose texts are remembered, and their ids. */
const WINDOW_LIMIT = 20_000;
const LONGEST_WINDOW = 4;

/**
 * Turns texts into token ids and back, with the ids, offsets and texts of transformers' fast tokenizers: byte-level
 * BPE, WordPiece, Unigram, with every normalizer, pre-tokenizer, post-processor and decoder of tokenizer.json. In Node
 * Hugging Face's library runs it, in a page, and where that is not installed, an engine in JavaScript.
 *
 * @example
 * const tokenizer = await Tokenizer.open("golden/tokenizers/kinds/bert-uncased.tokenizer.json");
 * (await tokenizer.encodeText("Call me Ishmael.")).tokens[0]; // "[CLS]"
 */
export class Tokenizer {
  /** Special tokens by what they are for. */
  readonly special: SpecialTokens;
  /** The chat template, of several the one named default. */
  readonly chatTemplate: string | undefined;
  /** How the file and tokenizer_config.json cut and pad, to be spread into options. */
  readonly settings: EncodeOptions & PadOptions;
  /** Most tokens that the model takes, by tokenizer_config.json; the file's own truncation may be shorter. */
  readonly modelMaxLength: number | undefined;
  /** Whether the model is to see which places are padding, by tokenizer_config.json. */
  readonly givesMask: boolean;
  /** Evaluates chat templates. @internal */
  readonly Template: TokenizerParts["Template"];
  private readonly engine: TokenizerEngine;
  private readonly files: KeptFiles;
  private readonly rules: TokenizerSettings;
  private readonly engineWith: TokenizerParts["engineWith"];
  private literal?: Promise<TokenizerEngine>;
  private hasWarned = false;
  private readonly windows = new Map<string, string>();

  private constructor({ files, rules, engine, special, engineWith, Template }: TokenizerParts) {
    this.files = files;
    this.rules = rules;
    this.engine = engine;
    this.engineWith = engineWith;
    this.Template = Template;
    const { padding } = files.json.parts as { padding?: { pad_token?: string } | null };
    this.special = {
      ...(typeof padding?.pad_token === "string" && { pad: padding.pad_token }),
      ...special,
    };
    this.chatTemplate = rules.chatTemplates.get("default");
    this.settings = cutAndPadding(files.json.parts, rules, this.special.pad);
    this.modelMaxLength = rules.modelMaxLength;
    this.givesMask = rules.givesMask;
  }

  /**
   * Opens the tokenizer of a model, by its folder, address or repository ("owner/name"), or of one file: a
   * tokenizer.json, a SentencePiece model (.model), ranks of tiktoken (.tiktoken, or tiktoken.model), the older
   * vocab.txt and vocab.json with merges.txt, or a .gguf file. A file of a usual name is read with the
   * tokenizer_config.json beside it.
   * @param options for ranks of tiktoken, which do not say how texts are cut
   * @throws DataError when it is missing or damaged, RuntimeError when it is not understood
   */
  static async open(
    name: string | Folder | StoredFile,
    { hub, cache, ...ranks }: TiktokenOptions & PlaceOptions = {},
  ): Promise<Tokenizer> {
    checkOptions("Tokenizer.open", ranks, ["pattern", "specialTokens", "hub", "cache"]);
    const { readTokenizerFiles } = await import("./open-file.ts");
    return Tokenizer.fromFiles(await readTokenizerFiles(await openPlace(name, { hub, cache }), ranks));
  }

  /** A tokenizer from what a tokenizer.json holds, and what a tokenizer_config.json does. @throws as `open` */
  static fromJson(json: Json, config: Json = {}): Promise<Tokenizer> {
    return Tokenizer.fromFiles({ file: "tokenizer.json", json, config });
  }

  private static async fromFiles(files: TokenizerFiles): Promise<Tokenizer> {
    const { buildTokenizer } = await import("./build.ts");
    return new Tokenizer(await buildTokenizer(files));
  }

  /** How many ids there are, added tokens included. */
  get vocabSize(): number {
    return this.engine.vocabSize;
  }

  /** Id of the token that ends a text, or null. */
  get endOfTextId(): number | null {
    return this.tokenToId(this.special.eos ?? END_OF_TEXT);
  }

  /** Texts that stand for special tokens. */
  get specialTexts(): readonly string[] {
    return this.addedTokens.filter(({ special }) => special).map(({ content }) => content);
  }

  private get addedTokens(): readonly AddedToken[] {
    return addedTokensOf(this.files.json.parts);
  }

  /** Special tokens as templates name them: bos_token, eos_token, and a model's own. */
  get namedTokens(): Readonly<Record<string, string>> {
    const named = [...this.rules.named].map(([key, { content }]) => [key, content]);
    return { ...(this.special.pad !== undefined && { pad_token: this.special.pad }), ...Object.fromEntries(named) };
  }

  /** Further special tokens, by tokenizer_config.json. */
  get extraSpecialTokens(): readonly string[] {
    return this.rules.extra.map(({ content }) => content);
  }

  /** The chat templates by name. */
  get chatTemplates(): ReadonlyMap<string, string> {
    return this.rules.chatTemplates;
  }

  /** The id of a token; null for what is none. */
  tokenToId(token: string): number | null {
    return this.engine.tokenToId(token);
  }

  /** The text of a token as the vocabulary has it; null for an id that is not taken. */
  idToToken(id: number): string | null {
    return this.engine.idToToken(id);
  }

  /**
   * Characters of a text that no token stands for, each once: only tokenizers that have a token for each character know
   * so few. They become the unknown token; where there is none `encode` leaves them out, as the reference does.
   */
  missingCharacters(text: string): string[] {
    if (!this.files.json.isCharacterModel) return [];
    return [...new Set(text)].filter((character) => this.tokenToId(character) === null);
  }

  /**
   * Encodes a text, or a pair, with all that is known of each token.
   * @throws OptionError when maxLength leaves no room
   */
  async encodeText(
    text: string,
    { pair, addSpecialTokens = true, isLiteral, maxLength, ...rest }: EncodeOptions = {},
  ): Promise<Encoding> {
    const { truncation = "longest_first", truncationSide = this.settings.truncationSide ?? "right", stride = 0 } = rest;
    if (maxLength !== undefined && (!Number.isInteger(maxLength) || maxLength < 1)) {
      throw new OptionError({
        where: "encode",
        expected: "maxLength of at least 1",
        received: String(maxLength),
        fix: "choose a whole number",
      });
    }
    const cut: Cut | undefined =
      maxLength === undefined ? undefined : { maxLength, truncation, truncationSide, stride };
    const engine = await this.engineFor(isLiteral);
    const [first, ...more] = await engine.encode(text, pair, addSpecialTokens, cut);
    const positions = [utf16Positions(text), pair === undefined ? undefined : utf16Positions(pair)];
    const { givesTypeIds } = this.rules;
    const whole = (part: Flat): Encoding => ({
      ...part,
      ...(!givesTypeIds && { typeIds: part.typeIds.map(() => 0) }),
      offsets: inUtf16(part, positions),
      overflowing: [],
    });
    return { ...whole(first), overflowing: more.map(whole) };
  }

  /** Encodes texts or pairs, padded to a common length where padTo says so. */
  async encodeBatch(
    texts: readonly (string | readonly [string, string])[],
    options: Omit<EncodeOptions, "pair"> & PadOptions = {},
  ): Promise<Encoding[]> {
    const encodings = await Promise.all(
      texts.map((entry) =>
        typeof entry === "string"
          ? this.encodeText(entry, options)
          : this.encodeText(entry[0], { ...options, pair: entry[1] }),
      ),
    );
    if (options.padTo === undefined) return encodings;
    const all = encodings.flatMap((encoding) => [encoding, ...encoding.overflowing]);
    const length = paddedLength(all, options);
    return encodings.map((encoding) => padEncoding(encoding, length, { ...this.padding(), ...options }));
  }

  private padding(): PadOptions {
    const { pad = "[PAD]" } = this.special;
    const { padId = this.tokenToId(pad) ?? 0, padToken = pad, padTypeId, paddingSide } = this.settings;
    return { padId, padToken, padTypeId, paddingSide };
  }

  /**
   * Ids of the text, with what the model expects around it. Special tokens written out in the text become their ids,
   * unless `isLiteral`.
   */
  async encode(text: string, { addSpecialTokens = true, isLiteral }: PlainEncodeOptions = {}): Promise<number[]> {
    const engine = await this.engineFor(isLiteral);
    return (await engine.encode(text, undefined, addSpecialTokens, undefined))[0].ids;
  }

  private async engineFor(isLiteral: boolean = this.rules.splitsSpecialTokens): Promise<TokenizerEngine> {
    if (!isLiteral) return this.engine;
    this.literal ??= this.literalEngine();
    return this.literal;
  }

  /** The same tokenizer with special tokens that no text has. */
  private literalEngine(): Promise<TokenizerEngine> {
    const renamed = this.addedTokens.map((token, i) => (token.special ? { ...token, content: unreachable(i) } : token));
    return this.engineWith(renamed);
  }

  /** The text of ids; special tokens are left out, bytes that are not UTF-8 become U+FFFD. */
  async decode(
    ids: readonly number[],
    { skipSpecialTokens = true }: { skipSpecialTokens?: boolean } = {},
  ): Promise<string> {
    const text = await this.engine.decode(ids, skipSpecialTokens);
    return this.cleansUp() ? cleanedUp(text) : text;
  }

  /**
   * Of byte-pair encoding, spaces before punctuation are the text's own: they go only where tokenizer_config.json
   * insists.
   */
  private cleansUp(): boolean {
    const { cleansUp, cleansUpBytePairs } = this.rules;
    if (!cleansUp || cleansUpBytePairs || this.files.json.kind !== "BPE") return cleansUp;
    const note =
      "clean_up_tokenization_spaces is not followed: it would take away spaces that byte-pair encoding has kept";
    if (!this.hasWarned) warnOnConsole({ where: this.files.file, notes: [note] });
    this.hasWarned = true;
    return false;
  }

  /** The text of tokens as `encodeText` gives them. */
  joinTokens(tokens: readonly string[]): string {
    return this.engine.joinTokens(tokens);
  }

  /** Whether tokens that go on a word are marked, as "##ing" in WordPiece. */
  get marksSubwords(): boolean {
    return Boolean(this.files.json.parts.model.continuing_subword_prefix);
  }

  /** Decodes ids one by one. */
  stream(): TokenStream {
    return tokenStream((ids) => this.decodeWindow(ids));
  }

  /**
   * The text of a stream's last ids, remembered: a call of the native library takes longer than all else that is done
   * for a token.
   */
  private async decodeWindow(ids: readonly number[]): Promise<string> {
    const key = ids.join(" ");
    const known = this.windows.get(key);
    if (known !== undefined) return known;
    const text = await this.decode(ids);
    if (this.windows.size >= WINDOW_LIMIT) this.windows.clear();
    if (ids.length <= LONGEST_WINDOW) this.windows.set(key, text);
    return text;
  }

  /** What a tokenizer.json holds, tokens of tokenizer_config.json included. Made anew at each call. */
  toJson(): Json {
    return unpackJson(this.files.json);
  }

  /** The same, its lists as text. @internal */
  get packedJson(): PackedJson {
    return this.files.json;
  }

  /** What a tokenizer_config.json holds. */
  configToJson(): Json {
    return savedConfig(this.files, this.rules, this.namedTokens);
  }

  /**
   * Writes tokenizer.json, tokenizer_config.json and chat templates into a folder, as transformers does. Then removes
   * what another tokenizer left there: its settings and templates, and its vocabularies too unless this one was opened
   * from that folder.
   * @throws DataError when they cannot be written
   */
  async save(folder: string): Promise<void> {
    const { writeTokenizerFiles } = await import("./save-files.ts");
    const { file: source } = this.files;
    await writeTokenizerFiles(folder, {
      json: this.toJson(),
      config: this.configToJson(),
      chatTemplates: this.chatTemplates,
      source,
    });
  }
}

import { createReadStream } from "#system";
import { checkOptions, DataError, OptionError } from "../../base/index.ts";
import { byteCharacters } from "../byte-level.ts";
import { addedToken, bpeModel, byteLevel, byteLevelDecoder, type Json, tokenizerJson } from "../json-parts.ts";
import { Tokenizer } from "../tokenizer.ts";
import { learnMerges } from "./merges.ts";
import { learnPieces } from "./unigram.ts";
import { type WordCounter, wordCounter } from "./words.ts";

/** What all kinds take. Parts of the pipeline are objects as tokenizer.json has them; null for none. */
interface CommonOptions {
  /**
   * Tokens in all. BPE and WordPiece keep the special tokens and the alphabet whole even where there are more of them,
   * as Hugging Face's trainers do. @default 30000; Unigram 8000
   */
  vocabSize?: number;
  /**
   * Tokens that stand for no text; they have the first ids. @default none; WordPiece [UNK] [PAD] [CLS] [SEP] [MASK],
   * Unigram <unk>
   */
  specialTokens?: readonly string[];
  /** Characters that have a token whether they are seen or not. @default none; with the ByteLevel cut the 256 bytes */
  initialAlphabet?: readonly string[];
  /** @default none; WordPiece BertNormalizer in lower case, Unigram NFKC */
  normalizer?: Json | null;
  /** @default ByteLevel; WordPiece BertPreTokenizer, Unigram Metaspace */
  preTokenizer?: Json | null;
  /** @default none; WordPiece [CLS] text [SEP] */
  postProcessor?: Json | null;
  /** @default what belongs to the pre-tokenizer */
  decoder?: Json | null;
}

interface MergeTrainerOptions extends CommonOptions {
  /** Pairs seen less often are not joined. @default 0 */
  minFrequency?: number;
  /** Only so many characters have tokens, the most frequent. @default all */
  limitAlphabet?: number;
  /** Written before tokens that do not begin a word. @default none; WordPiece "##" */
  continuingSubwordPrefix?: string;
  /** Written after tokens that end a word. @default none */
  endOfWordSuffix?: string;
}

/** Which kind of tokenizer is learned, and how; the options of each kind are those of Hugging Face's trainers. */
export type TokenizerTrainerOptions =
  | ({
      model: "bpe";
      /** Pairs of at least so many characters are not joined. @default none */
      maxTokenLength?: number;
      /** Stands for characters without a token; one of the special tokens. @default none */
      unkToken?: string;
    } & MergeTrainerOptions)
  | ({ model: "wordpiece"; unkToken?: string } & MergeTrainerOptions)
  | ({
      model: "unigram";
      /** Stands for what no piece covers. @default "<unk>" */
      unkToken?: string;
      /** Part of the pieces that a round keeps. @default 0.75 */
      shrinkingFactor?: number;
      /** Steps of EM in a round. @default 2 */
      subIterations?: number;
      /** In characters. @default 16 */
      maxPieceLength?: number;
    } & CommonOptions);

const common = [
  "model",
  "vocabSize",
  "specialTokens",
  "initialAlphabet",
  "normalizer",
  "preTokenizer",
  "postProcessor",
  "decoder",
  "unkToken",
];
const merging = [...common, "minFrequency", "limitAlphabet", "continuingSubwordPrefix", "endOfWordSuffix"];
const optionNames = {
  bpe: [...merging, "maxTokenLength"],
  wordpiece: merging,
  unigram: [...common, "shrinkingFactor", "subIterations", "maxPieceLength"],
};

const metaspace = { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true };
const wordpieceDecoder = { type: "WordPiece", prefix: "##", cleanup: true };
const bertSpecial = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"];
/** What special tokens of usual names are for. */
const roles = {
  "[UNK]": "unk",
  "[PAD]": "pad",
  "[CLS]": "cls",
  "[SEP]": "sep",
  "[MASK]": "mask",
  "<unk>": "unk",
  "<pad>": "pad",
  "<s>": "bos",
  "</s>": "eos",
  "<mask>": "mask",
  "<|endoftext|>": "eos",
} as const;
const defaults = {
  bpe: { vocabSize: 30000, specialTokens: [], unkToken: undefined, normalizer: null, preTokenizer: byteLevel() },
  wordpiece: {
    vocabSize: 30000,
    specialTokens: bertSpecial,
    unkToken: "[UNK]",
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    preTokenizer: { type: "BertPreTokenizer" },
  },
  unigram: {
    vocabSize: 8000,
    specialTokens: ["<unk>"],
    unkToken: "<unk>",
    normalizer: { type: "NFKC" },
    preTokenizer: metaspace,
  },
};

/**
 * Learns a tokenizer of any kind from texts, with the same result as Hugging Face tokenizers' trainers. Only the words
 * of the texts are kept, each once, so that texts may be larger than memory.
 *
 * @example
 * const trainer = await TokenizerTrainer.create({ model: "wordpiece", vocabSize: 400 });
 * await trainer.addFile("golden/tokenizers/moby-60k.txt");
 * const tokenizer = await trainer.train();
 * (await tokenizer.encodeText("Call me Ishmael.")).tokens[0]; // "[CLS]"
 */
export class TokenizerTrainer {
  private readonly options: TokenizerTrainerOptions;
  private readonly words: WordCounter;

  private constructor(options: TokenizerTrainerOptions, words: WordCounter) {
    this.options = options;
    this.words = words;
  }

  /**
   * @throws OptionError for options that cannot be, RuntimeError where a part needs the package tokenizers and it is
   * not installed
   */
  static async create(options: TokenizerTrainerOptions): Promise<TokenizerTrainer> {
    if (!Object.hasOwn(optionNames, options.model)) {
      const expected = `a model of ${Object.keys(optionNames).join(", ")}`;
      throw new OptionError({
        where: "TokenizerTrainer",
        expected,
        received: String(options.model),
        fix: "choose one of them",
      });
    }
    checkOptions("TokenizerTrainer", options, optionNames[options.model]);
    checkNumbers(options);
    const usual = defaults[options.model];
    const { normalizer = usual.normalizer, preTokenizer = usual.preTokenizer } = options;
    const filled = { ...usual, ...options, normalizer, preTokenizer } as TokenizerTrainerOptions;
    return new TokenizerTrainer(filled, await wordCounter({ normalizer, preTokenizer }));
  }

  /** Counts the words of a text. Texts are cut each by itself. */
  add(text: string): void {
    this.words.add(text);
  }

  /** Counts the words of a file, line by line, each with its end. @throws DataError when it cannot be read */
  async addFile(path: string, { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    let rest = "";
    try {
      for await (const chunk of createReadStream(path, { encoding: "utf8", highWaterMark: 1 << 20, signal })) {
        const lines = (rest + chunk).split(/(?<=\n)/);
        rest = lines.pop() ?? "";
        for (const line of lines) this.words.add(line);
      }
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new DataError({
        where: path,
        expected: "a text file",
        received: (cause as Error).message,
        fix: "check the path",
        cause,
      });
    }
    if (rest !== "") this.words.add(rest);
  }

  /**
   * The tokenizer.json that the texts give. @throws OptionError when there is no text, or the vocabulary has no room
   * for its characters
   */
  toJson(): Json {
    const { options } = this;
    const words = this.words.counts();
    if (words.size === 0)
      throw new OptionError({
        where: "TokenizerTrainer",
        expected: "texts with words",
        received: "none",
        fix: "add texts first",
      });
    const { specialTokens = [], normalizer = null, preTokenizer = null, postProcessor, decoder } = options;
    const { model, ids } = options.model === "unigram" ? unigramModel(words, options) : mergedModel(words, options);
    const added = [...new Set(specialTokens)].map((token) => addedToken(ids.get(token) as number, token));
    return tokenizerJson({
      added_tokens: added.sort((a, b) => a.id - b.id),
      normalizer,
      pre_tokenizer: preTokenizer,
      post_processor: postProcessor === undefined ? usualPostProcessor(options, ids) : postProcessor,
      decoder: decoder === undefined ? usualDecoder(options) : decoder,
      model,
    });
  }

  /** The tokenizer that the texts give. @throws OptionError as `toJson` */
  train(): Promise<Tokenizer> {
    const { specialTokens = [] } = this.options;
    const special = specialTokens.flatMap((token) =>
      Object.hasOwn(roles, token) ? [[`${roles[token as keyof typeof roles]}_token`, token]] : [],
    );
    return Tokenizer.fromJson(this.toJson(), Object.fromEntries(special));
  }
}

function checkNumbers(options: TokenizerTrainerOptions): void {
  const settings = options as unknown as Record<string, unknown>;
  const check = (name: string, expected: string, isFine: (value: number) => boolean) => {
    const value = settings[name];
    if (value === undefined || (typeof value === "number" && isFine(value))) return;
    throw new OptionError({
      where: "TokenizerTrainer",
      expected: `${name} ${expected}`,
      received: String(value),
      fix: "choose another value",
    });
  };
  const isWhole = (least: number) => (value: number) => Number.isSafeInteger(value) && value >= least;
  check("vocabSize", "of at least 1", isWhole(1));
  for (const name of ["minFrequency", "limitAlphabet"]) check(name, "of at least 0", isWhole(0));
  for (const name of ["maxTokenLength", "subIterations", "maxPieceLength"]) check(name, "of at least 1", isWhole(1));
  check("shrinkingFactor", "above 0 and below 1", (value) => value > 0 && value < 1);
}

interface TrainedModel {
  model: Json;
  ids: ReadonlyMap<string, number>;
}

function mergedModel(
  words: ReadonlyMap<string, number>,
  options: TokenizerTrainerOptions & { model: "bpe" | "wordpiece" },
): TrainedModel {
  const isWordPiece = options.model === "wordpiece";
  const { specialTokens = [], minFrequency = 0, vocabSize = 30000, unkToken, preTokenizer } = options;
  const { continuingSubwordPrefix = isWordPiece ? "##" : undefined, endOfWordSuffix } = options;
  const { initialAlphabet = usesByteLevel(preTokenizer) ? byteCharacters : [] } = options;
  const shared = { specialTokens, minFrequency, vocabSize, initialAlphabet, continuingSubwordPrefix };
  const { tokens, merges } = learnMerges(words, { ...options, ...shared });
  const ids = new Map(tokens.map((token, id) => [token, id]));
  requireUnknown(unkToken, ids);
  const vocab = Object.fromEntries(ids);
  if (isWordPiece)
    return {
      ids,
      model: {
        type: "WordPiece",
        unk_token: unkToken,
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab,
      },
    };
  const affixes = {
    continuing_subword_prefix: continuingSubwordPrefix ?? null,
    end_of_word_suffix: endOfWordSuffix ?? null,
  };
  return { ids, model: bpeModel({ unk_token: unkToken ?? null, ...affixes, vocab, merges }) };
}

function unigramModel(
  words: ReadonlyMap<string, number>,
  options: TokenizerTrainerOptions & { model: "unigram" },
): TrainedModel {
  const { specialTokens = [], vocabSize = 8000, unkToken } = options;
  const { texts, scores, unkId } = learnPieces(words, { ...options, specialTokens, vocabSize, unkToken });
  const ids = new Map(texts.map((text, id) => [text, id]));
  return {
    ids,
    model: { type: "Unigram", unk_id: unkId, vocab: texts.map((text, i) => [text, scores[i]]), byte_fallback: false },
  };
}

function requireUnknown(unkToken: string | undefined, ids: ReadonlyMap<string, number>): void {
  if (unkToken === undefined || ids.has(unkToken)) return;
  throw new OptionError({
    where: "TokenizerTrainer",
    expected: `"${unkToken}" among the specialTokens`,
    received: "others",
    fix: "add it, or name another unkToken",
  });
}

const usesByteLevel = (json: Json | null | undefined): boolean => JSON.stringify(json ?? null).includes('"ByteLevel"');

function usualDecoder({ model, preTokenizer }: TokenizerTrainerOptions): Json | null {
  if (model === "wordpiece") return wordpieceDecoder;
  if (usesByteLevel(preTokenizer)) return byteLevelDecoder;
  return preTokenizer?.type === "Metaspace" ? { ...metaspace, ...preTokenizer } : null;
}

/** BERT's frame around a text, where its tokens are there. */
function usualPostProcessor({ model }: TokenizerTrainerOptions, ids: ReadonlyMap<string, number>): Json | null {
  const [first, last] = [ids.get("[CLS]"), ids.get("[SEP]")];
  if (model !== "wordpiece" || first === undefined || last === undefined) return null;
  return { type: "BertProcessing", sep: ["[SEP]", last], cls: ["[CLS]", first] };
}

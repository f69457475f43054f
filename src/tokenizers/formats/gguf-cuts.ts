/** How byte-level tokenizers of GGUF files cut texts into words, by llama.cpp's names (tokenizer.ggml.pre). */
import { byteLevel, byteLevelDigits, type Json, splitBy } from "../json-parts.ts";
import { tiktokenPatterns } from "./tiktoken.ts";

export interface GgufCut {
  /** The first is the one that is written. */
  names: readonly string[];
  preTokenizer: Json;
  /** What the tokenizers of these models do to a text first, though llama.cpp does not. @default nothing */
  normalizer?: Json;
  /** A word that is a token is that token, whatever the merges say. @default false */
  ignoresMerges?: boolean;
  /** Whether a text begins with the bos token where the file does not say. @default false */
  addsBos?: boolean;
}

/** Texts cut by one regular expression after another, then written in bytes. */
const cutBy = (...patterns: string[]): Json => ({
  type: "Sequence",
  pretokenizers: [...patterns.map(splitBy), byteLevel({ use_regex: false })],
});

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;
const LLAMA3 = tiktokenPatterns.llama3;
const CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const DIGIT = String.raw`\p{N}`;
const UP_TO_3_DIGITS = String.raw`\p{N}{1,3}`;
/** Llama 3's, each digit by itself. */
const QWEN2 = LLAMA3.replace(UP_TO_3_DIGITS, DIGIT);
const CHINESE = "[一-龥\u3040-ゟ゠-ヿ]+";
const SPACES = String.raw`\s+(?!\S)|\s+`;

/** Words that begin with capitals and go on in small letters, as OpenAI's o200k_base. */
function casedWords(ending: string, digits: string): string {
  const [capitals, small] = [String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`];
  const before = String.raw`[^\r\n\p{L}\p{N}]?`;
  const words = [`${before}${capitals}*${small}+${ending}`, `${before}${capitals}+${small}*${ending}`];
  return [...words, digits, String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*`, String.raw`\s*[\r\n]+`, SPACES].join("|");
}

/** A mark with the letters after it, words with what is before them, runs of marks. */
const markedWords = (marks: string) =>
  String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${"`"}{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+${marks}|${SPACES}`;
const LINES = String.raw`[\r\n]*|\s*[\r\n]+`;

/**
 * Letters of scripts that have capitals, which DeepSeek-LLM lists by an older Unicode: one in which Georgian had none.
 */
const CASED_LETTERS = "(?:(?![\u10d0-\u10ff])[\\p{Lu}\\p{Ll}\\p{Lt}])+";
const EAST_ASIAN = "[一-龥ࠀ-一가-\ud7ff]+";
const BLOOM = String.raw` ?[^(\s|.,!?…。，、।۔،)]+`;
const THREE_DIGITS = "[0-9][0-9][0-9]";

export const ggufCuts: readonly GgufCut[] = [
  {
    names: [
      "gpt-2",
      "phi-2",
      "jina-es",
      "jina-de",
      "jina-v2-es",
      "jina-v2-de",
      "jina-v1-en",
      "jina-v2-code",
      "roberta-bpe",
      "gigachat",
      "a.x-4.0",
    ].concat(["mellum", "modern-bert", "exaone4", "mpt", "olmo", "jais", "trillion", "granite-docling"]),
    preTokenizer: byteLevel(),
  },
  {
    names: ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"],
    preTokenizer: byteLevelDigits,
  },
  {
    names: ["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
    preTokenizer: cutBy(LLAMA3),
    ignoresMerges: true,
    addsBos: true,
  },
  { names: ["glm4", "chatglm-bpe", "dbrx", "smaug-bpe"], preTokenizer: cutBy(LLAMA3) },
  {
    names: ["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"],
    preTokenizer: cutBy(QWEN2),
    normalizer: { type: "NFC" },
  },
  { names: ["stablelm2", "hunyuan", "solar-open", "grok-2"], preTokenizer: cutBy(QWEN2) },
  {
    names: ["qwen35"],
    normalizer: { type: "NFC" },
    preTokenizer: cutBy(
      QWEN2.replace(String.raw`?\p{L}+`, String.raw`?[\p{L}\p{M}]+`).replace(
        String.raw`[^\s\p{L}\p{N}]`,
        String.raw`[^\s\p{L}\p{M}\p{N}]`,
      ),
    ),
  },
  { names: ["ufakzeka"], preTokenizer: cutBy(QWEN2.slice(CONTRACTION.length + 1)) },
  { names: ["laguna"], preTokenizer: cutBy(String.raw`[^\n]+|[\n]+`, QWEN2) },
  {
    names: ["minicpm5"],
    preTokenizer: cutBy(UP_TO_3_DIGITS, LLAMA3.replace(UP_TO_3_DIGITS, String.raw`\p{N}+`)),
    ignoresMerges: true,
  },
  {
    names: ["seed-coder"],
    preTokenizer: cutBy(
      String.raw`${CONTRACTION}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|${SPACES}`,
    ),
  },
  {
    names: ["bailingmoe", "bailingmoe2", "llada-moe"],
    preTokenizer: cutBy(
      String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|${SPACES}`,
    ),
  },
  {
    names: ["exaone-moe"],
    preTokenizer: cutBy(
      String.raw`${CONTRACTION}|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|${SPACES}`,
    ),
  },
  {
    names: ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"],
    preTokenizer: cutBy(casedWords(`${CONTRACTION}?`, UP_TO_3_DIGITS)),
  },
  {
    names: ["granite-embed-multi-97m"],
    preTokenizer: cutBy(casedWords(`${CONTRACTION}?`, UP_TO_3_DIGITS)),
    ignoresMerges: true,
  },
  { names: ["tekken"], preTokenizer: cutBy(casedWords("", DIGIT)), ignoresMerges: true, addsBos: true },
  {
    names: ["tiny_aya", "cohere2moe"],
    preTokenizer: cutBy(String.raw`\d{1,3}(?=(?:\d{3})*\b)`, casedWords(`${CONTRACTION}?`, UP_TO_3_DIGITS)),
  },
  {
    names: ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
    preTokenizer: cutBy(UP_TO_3_DIGITS, CHINESE, markedWords(LINES)),
  },
  { names: ["spark2_5"], preTokenizer: cutBy(UP_TO_3_DIGITS, CHINESE, markedWords(String.raw`|[\r\n]`), DIGIT) },
  {
    names: ["deepseek-llm"],
    preTokenizer: cutBy(
      "[\r\n]",
      String.raw`\s?${CASED_LETTERS}`,
      String.raw`\s?[!-/:-~！-／：-～‘-‟　-。]+`,
      String.raw`\s+$`,
      EAST_ASIAN,
      String.raw`\p{N}+`,
    ),
  },
  {
    names: ["deepseek-coder"],
    preTokenizer: cutBy("[\r\n]", String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, EAST_ASIAN, DIGIT),
  },
  { names: ["falcon"], preTokenizer: cutBy("[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, THREE_DIGITS) },
  { names: ["bloom", "poro-chat", "gpt3-finnish"], preTokenizer: cutBy(BLOOM) },
  { names: ["viking"], preTokenizer: cutBy(BLOOM, DIGIT) },
  { names: ["superbpe"], preTokenizer: cutBy(String.raw`\p{N}+`, String.raw`(?=(\d{3})+(?!\d))`) },
  { names: ["default"], preTokenizer: cutBy(String.raw`[\p{P}\$\+<=>\^~\|]+`, GPT2, String.raw`\p{N}+`, THREE_DIGITS) },
];

export const cutNames: readonly string[] = ggufCuts.flatMap(({ names }) => names);

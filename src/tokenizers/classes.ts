/**
 * What transformers' tokenizer classes have without being told: names of special tokens, inputs, the side that is
 * padded.
 */
import type { Json } from "./json-parts.ts";

export interface TokenizerClass {
  /** Special tokens that the class names, where tokenizer_config.json does not. */
  readonly tokens: Readonly<Record<string, string>>;
  /** Whether models get token_type_ids: which of two texts a token belongs to. */
  readonly givesTypeIds?: boolean;
  readonly paddingSide?: "left";
  /** What the class sets anew in a tokenizer.json, from tokenizer_config.json or its own defaults. */
  readonly rebuilds?: "bert-normalizer" | "byte-level-prefix";
}

const named = (tokens: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(tokens).map(([name, text]) => [`${name}_token`, text]));

const bertTokens = named({ unk: "[UNK]", sep: "[SEP]", pad: "[PAD]", cls: "[CLS]", mask: "[MASK]" });
const robertaTokens = named({
  bos: "<s>",
  eos: "</s>",
  unk: "<unk>",
  sep: "</s>",
  pad: "<pad>",
  cls: "<s>",
  mask: "<mask>",
});
const gpt2Tokens = named({ bos: "<|endoftext|>", eos: "<|endoftext|>", unk: "<|endoftext|>" });
const albertTokens = named({
  bos: "[CLS]",
  eos: "[SEP]",
  unk: "<unk>",
  sep: "[SEP]",
  pad: "<pad>",
  cls: "[CLS]",
  mask: "[MASK]",
});
const t5Tokens = named({ eos: "</s>", unk: "<unk>", pad: "<pad>" });
const llamaTokens = named({ bos: "<s>", eos: "</s>", unk: "<unk>" });
const gemmaTokens = named({ bos: "<bos>", eos: "<eos>", unk: "<unk>", pad: "<pad>", mask: "<mask>" });
const xlnetTokens = named({
  bos: "<s>",
  eos: "</s>",
  unk: "<unk>",
  sep: "<sep>",
  pad: "<pad>",
  cls: "<cls>",
  mask: "<mask>",
});

const bert: TokenizerClass = { tokens: bertTokens, givesTypeIds: true, rebuilds: "bert-normalizer" };
const roberta: TokenizerClass = { tokens: robertaTokens, rebuilds: "byte-level-prefix" };
const deberta: TokenizerClass = {
  tokens: { ...bertTokens, ...named({ bos: "[CLS]", eos: "[SEP]" }) },
  givesTypeIds: true,
};

/** By the name of the class without "Fast". Others have no names of their own. */
export const tokenizerClasses: Readonly<Record<string, TokenizerClass>> = {
  AlbertTokenizer: { tokens: albertTokens },
  BartTokenizer: roberta,
  BertTokenizer: bert,
  BigBirdTokenizer: {
    tokens: named({ bos: "<s>", eos: "</s>", unk: "<unk>", sep: "[SEP]", pad: "<pad>", cls: "[CLS]", mask: "[MASK]" }),
  },
  BlenderbotTokenizer: { tokens: robertaTokens },
  CLIPTokenizer: {
    tokens: named({ bos: "<|startoftext|>", eos: "<|endoftext|>", unk: "<|endoftext|>", pad: "<|endoftext|>" }),
  },
  CamembertTokenizer: { tokens: robertaTokens },
  CodeLlamaTokenizer: { tokens: llamaTokens, paddingSide: "left" },
  ConvBertTokenizer: bert,
  DebertaTokenizer: deberta,
  DebertaV2Tokenizer: deberta,
  DistilBertTokenizer: { ...bert, givesTypeIds: false },
  ElectraTokenizer: bert,
  GPT2Tokenizer: { tokens: gpt2Tokens, rebuilds: "byte-level-prefix" },
  GPTNeoXTokenizer: { tokens: { ...gpt2Tokens, pad_token: "<|padding|>" } },
  GemmaTokenizer: { tokens: gemmaTokens, paddingSide: "left" },
  LEDTokenizer: roberta,
  LlamaTokenizer: { tokens: llamaTokens, paddingSide: "left" },
  LongformerTokenizer: roberta,
  MBartTokenizer: { tokens: robertaTokens },
  MPNetTokenizer: { tokens: { ...robertaTokens, unk_token: "[UNK]" } },
  MobileBertTokenizer: bert,
  NllbTokenizer: { tokens: robertaTokens },
  PegasusTokenizer: { tokens: { ...t5Tokens, mask_token: "<mask_2>" } },
  Qwen2Tokenizer: { tokens: named({ eos: "<|endoftext|>", unk: "<|endoftext|>", pad: "<|endoftext|>" }) },
  RobertaTokenizer: roberta,
  SqueezeBertTokenizer: bert,
  T5Tokenizer: { tokens: t5Tokens },
  WhisperTokenizer: { tokens: gpt2Tokens },
  XLMRobertaTokenizer: { tokens: robertaTokens },
  XLNetTokenizer: { tokens: xlnetTokens, paddingSide: "left" },
};

/** The class for a model whose tokenizer_config.json names none, by model_type in config.json. */
export const classOfModel: Readonly<Record<string, string>> = {
  albert: "AlbertTokenizer",
  bart: "RobertaTokenizer",
  bert: "BertTokenizer",
  blip: "BertTokenizer",
  camembert: "CamembertTokenizer",
  clip: "CLIPTokenizer",
  convbert: "BertTokenizer",
  deberta: "DebertaTokenizer",
  "deberta-v2": "DebertaV2Tokenizer",
  distilbert: "BertTokenizer",
  electra: "BertTokenizer",
  gemma: "GemmaTokenizer",
  gemma2: "GemmaTokenizer",
  gemma3_text: "GemmaTokenizer",
  gpt2: "GPT2Tokenizer",
  gpt_neox: "GPTNeoXTokenizer",
  mpnet: "MPNetTokenizer",
  qwen2: "Qwen2Tokenizer",
  qwen3: "Qwen2Tokenizer",
  roberta: "RobertaTokenizer",
  t5: "T5Tokenizer",
  whisper: "WhisperTokenizer",
  "xlm-roberta": "XLMRobertaTokenizer",
};

/**
 * The class that files name, without "Fast": in tokenizer_config.json, else in the model's config.json, else by its
 * model_type.
 */
export function classNameOf(config: Json, modelConfig: Json): string | undefined {
  const stated = [config.tokenizer_class, modelConfig.tokenizer_class].find((name) => typeof name === "string") as
    | string
    | undefined;
  const name =
    stated ??
    (Object.hasOwn(classOfModel, String(modelConfig.model_type))
      ? classOfModel[String(modelConfig.model_type)]
      : undefined);
  return name?.replace(/Fast$/, "");
}

const plain: TokenizerClass = { tokens: {} };
export const classOf = (name: string | undefined): TokenizerClass =>
  name !== undefined && Object.hasOwn(tokenizerClasses, name) ? tokenizerClasses[name] : plain;

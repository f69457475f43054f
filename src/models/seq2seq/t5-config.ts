/** What a config.json of T5 and mT5 says. */
import { type Activation, activationNames } from "../../nn/index.ts";
import {
  choice,
  type Fields,
  flag,
  fromJson,
  makeConfig,
  optional,
  positive,
  probability,
  requireField,
  size,
  toJson,
  tokenId,
  tokenIds,
} from "../config.ts";
import type { Json } from "../labels.ts";
import type { Seq2SeqConfig } from "./encoder-decoder.ts";

/**
 * The sizes of T5 and mT5. Mirrors transformers' T5Config and MT5Config; the defaults are those of T5 small, for mT5
 * of mT5 small. arXiv:1910.10683; arXiv:2010.11934.
 */
export interface T5Config extends Seq2SeqConfig {
  numLayers: number;
  /** @default numLayers */
  numDecoderLayers: number | null;
  numHeads: number;
  headDim: number;
  intermediateSize: number;
  numBuckets: number;
  /** From this distance on everything is in the last bucket. */
  maxDistance: number;
  layerNormEpsilon: number;
  activation: Activation;
  isGated: boolean;
  dropout: number;
  /** The output layer is the embedding table. */
  tieWordEmbeddings: boolean;
  /** States are divided by sqrt(hiddenSize) in front of the output layer. */
  scaleDecoderOutputs: boolean;
  /** For new weights. */
  initializerFactor: number;
}

const t5Fields: Fields<T5Config> = {
  vocabSize: size("vocab_size", 32128),
  hiddenSize: size("d_model", 512),
  headDim: size("d_kv", 64),
  intermediateSize: size("d_ff", 2048),
  numLayers: size("num_layers", 6),
  numDecoderLayers: optional(size("num_decoder_layers", 6)),
  numHeads: size("num_heads", 8),
  numBuckets: size("relative_attention_num_buckets", 32),
  maxDistance: size("relative_attention_max_distance", 128),
  dropout: probability("dropout_rate", 0.1),
  layerNormEpsilon: positive("layer_norm_epsilon", 1e-6),
  initializerFactor: positive("initializer_factor", 1),
  activation: choice("dense_act_fn", activationNames, "relu"),
  isGated: flag("is_gated_act", false),
  tieWordEmbeddings: flag("tie_word_embeddings", true),
  scaleDecoderOutputs: flag("scale_decoder_outputs", true),
  padTokenId: tokenId("pad_token_id", 0),
  eosTokenId: tokenIds("eos_token_id", 1),
  decoderStartTokenId: tokenId("decoder_start_token_id", 0),
};

/** feed_forward_proj says "relu", "gated-gelu" ...; files may also have what follows from it, which then counts. */
function feedForwardOf(json: Json, fallback: string): Json {
  const name = String(json.feed_forward_proj ?? fallback);
  const isGated = json.is_gated_act ?? name.startsWith("gated-");
  const plain = name === "gated-gelu" ? "gelu_new" : name.replace(/^gated-/, "");
  return { is_gated_act: isGated, dense_act_fn: json.dense_act_fn ?? plain };
}

/** How a config of T5 and one of mT5 differ. */
export interface T5Description {
  /** What errors call the config. */
  configName: string;
  fields: Fields<T5Config>;
  /** feed_forward_proj of a config.json without it. */
  feedForward: string;
  /** scale_decoder_outputs of a config.json. */
  scales: (json: Json) => unknown;
}

export const t5Description: T5Description = {
  configName: "T5Config",
  fields: t5Fields,
  feedForward: "relu",
  scales: (json) => json.scale_decoder_outputs ?? json.tie_word_embeddings !== false,
};

export const mt5Description: T5Description = {
  configName: "MT5Config",
  fields: {
    ...t5Fields,
    vocabSize: size("vocab_size", 250112),
    intermediateSize: size("d_ff", 1024),
    numLayers: size("num_layers", 8),
    numHeads: size("num_heads", 6),
    activation: choice("dense_act_fn", activationNames, "gelu_new"),
    isGated: flag("is_gated_act", true),
    scaleDecoderOutputs: flag("scale_decoder_outputs", false),
  },
  feedForward: "gated-gelu",
  scales: () => false,
};

/** @throws OptionError when the config contradicts itself */
export function t5Config({ configName, fields }: T5Description, options: Partial<T5Config>): T5Config {
  const config = makeConfig(configName, fields, options);
  requireField(configName, config.numBuckets % 4 === 0, "numBuckets to be a multiple of 4", config.numBuckets);
  return config;
}

/** Says that the file has an output layer of its own; tie_word_embeddings of config.json cannot be trusted there. */
const OWN_HEAD = "has_own_lm_head";

/** A config.json of a model whose output layer is no longer the embedding table. */
export const withOwnHead = (json: Json): Json => ({ ...json, [OWN_HEAD]: true });

/** The config that a config.json says, an older one too. @throws DataError naming the key, for a value it cannot be */
export function t5FromJson({ fields, feedForward, scales }: T5Description, path: string, json: Json) {
  const modern = {
    ...json,
    ...feedForwardOf(json, feedForward),
    scale_decoder_outputs: scales(json),
    tie_word_embeddings: json[OWN_HEAD] !== true,
  };
  return fromJson(path, modern, fields);
}

/** A config.json as transformers writes it. */
export function t5ToJson({ fields }: T5Description, config: T5Config): Json {
  const { isGated, activation: name } = config;
  const feedForward = `${isGated ? "gated-" : ""}${isGated && name === "gelu_new" ? "gelu" : name}`;
  return { ...toJson(config, fields), feed_forward_proj: feedForward, is_encoder_decoder: true };
}

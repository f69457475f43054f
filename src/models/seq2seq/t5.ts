/**
 * T5, Flan-T5 and mT5: an encoder-decoder whose attention knows distances by buckets and nothing else of positions.
 * Raffel et al. 2019, arXiv:1910.10683; Chung et al. 2022, arXiv:2210.11416; Xue et al. 2020, arXiv:2010.11934.
 */
import {
  activationNames,
  dropout,
  Embedding,
  type EmbeddingTable,
  Linear,
  normalInit,
  type Projection,
} from "../../nn/index.ts";
import { arange, mul, type RandomKey, reshape, type Tensor, withScope } from "../../tensor/index.ts";
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
import { modelPart, type OnnxPart, onnxTexts } from "../formats/onnx-parts/part.ts";
import type { Json } from "../labels.ts";
import type { Family } from "../model.ts";
import { type RunOptions, TaskModel } from "../model.ts";
import type { DecodeInputs, EncoderSideInputs } from "./encoder-decoder.ts";
import { newPositions, runDecoderLayers, runEncoderLayers, Seq2SeqLM } from "./seq2seq.ts";
import { type T5Config, T5Stack } from "./t5-stack.ts";

const fields: Fields<T5Config> = {
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

/** Longest text that is written, where a call does not say; the model itself has no limit. */
const ROOM = 512;

/** A T5 with its language-modelling head. */
abstract class T5LanguageModel extends Seq2SeqLM {
  readonly shared: EmbeddingTable; // [V, D]
  readonly encoder: T5Stack;
  readonly decoder: T5Stack;
  readonly lmHead?: Projection; // [V, D], when not tied to the embedding
  readonly config: T5Config;
  static readonly task = "seq2seq-lm";
  readonly task = T5LanguageModel.task;
  readonly family: Family;

  /** @throws OptionError when the config contradicts itself */
  constructor(family: T5Family, options: Partial<T5Config>, key: RandomKey) {
    super();
    const config = t5Config(family.description, options);
    const { vocabSize, hiddenSize, tieWordEmbeddings, initializerFactor } = config;
    const [tableKey, encoderKey, decoderKey, headKey] = key.split(4);
    this.config = config;
    this.family = family;
    this.shared = new Embedding(
      { numEmbeddings: vocabSize, embeddingDim: hiddenSize, init: normalInit(initializerFactor) },
      tableKey,
    );
    this.encoder = new T5Stack(config, false, encoderKey);
    this.decoder = new T5Stack(config, true, decoderKey);
    if (!tieWordEmbeddings)
      this.lmHead = new Linear(
        { inFeatures: hiddenSize, outFeatures: vocabSize, bias: false, init: normalInit(initializerFactor) },
        headKey,
      );
  }

  protected get decoderLayers() {
    return this.decoder.block;
  }

  get cacheShape() {
    const { numHeads, headDim } = this.config;
    return { numLayers: this.decoder.block.length, numKeyHeads: numHeads, headDim, maxLength: ROOM };
  }

  encode({ inputIds, attentionMask, key }: EncoderSideInputs & RunOptions): Tensor<"f32"> {
    return encodeWith(this.shared, this.encoder, this.config, { inputIds, attentionMask, key });
  }

  decode(ids: Tensor<"i32">, inputs: DecodeInputs): Tensor<"f32"> {
    const { cache, key } = inputs;
    const embedded = dropout(this.shared.forward(ids), this.config.dropout, key?.fold(998)); // [B, T, D]
    const positions = newPositions(ids, cache);
    const bias = withScope("relative_attention_bias", () =>
      this.decoder.bias(positions, cache?.keyCount ?? ids.shape[1]),
    );
    const states = runDecoderLayers(this.decoder.block, embedded, inputs, bias);
    return dropout(this.decoder.finalLayerNorm.forward(states), this.config.dropout, key?.fold(997));
  }

  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    const { scaleDecoderOutputs, hiddenSize } = this.config;
    const scaled = scaleDecoderOutputs ? mul(hidden, 1 / Math.sqrt(hiddenSize)) : hidden;
    return withScope("lm_head", () => this.lmHead?.forward(scaled) ?? this.shared.project(scaled));
  }
}

function encodeWith(
  shared: EmbeddingTable,
  stack: T5Stack,
  { dropout: probability }: T5Config,
  inputs: EncoderSideInputs & RunOptions,
): Tensor<"f32"> {
  const { inputIds, attentionMask, key } = inputs;
  const ids = inputIds as Tensor<"i32">;
  const length = ids.shape[1] as number;
  const embedded = dropout(shared.forward(ids), probability, key?.fold(999)); // [B, S, D]
  const bias = withScope("relative_attention_bias", () => stack.bias(reshape(arange(length), [1, length]), length));
  const states = runEncoderLayers(stack.block, embedded, { mask: attentionMask, bias, key });
  return dropout(stack.finalLayerNorm.forward(states), probability, key?.fold(996));
}

/** A T5's encoder alone: states of each token. */
abstract class T5Encoder extends TaskModel<EncoderSideInputs, { lastHiddenState: Tensor<"f32"> }> {
  readonly shared: EmbeddingTable; // [V, D]
  readonly encoder: T5Stack;
  readonly config: T5Config;
  static readonly task = "feature-extraction";
  readonly task = T5Encoder.task;
  readonly family: Family;

  /** @throws OptionError when the config contradicts itself */
  constructor(family: T5Family, options: Partial<T5Config>, key: RandomKey) {
    super();
    const config = t5Config(family.description, options);
    const [tableKey, encoderKey] = key.split(2);
    this.config = config;
    this.family = family;
    this.shared = new Embedding(
      { numEmbeddings: config.vocabSize, embeddingDim: config.hiddenSize, init: normalInit(1) },
      tableKey,
    );
    this.encoder = new T5Stack(config, false, encoderKey);
  }

  onnxParts(): OnnxPart[] {
    return [modelPart<EncoderSideInputs>(onnxTexts(), (inputs) => this.forward(inputs))];
  }

  forward(inputs: EncoderSideInputs & RunOptions) {
    return { lastHiddenState: encodeWith(this.shared, this.encoder, this.config, inputs) };
  }
}

/** Says that the file has an output layer of its own; tie_word_embeddings of config.json cannot be trusted there. */
const OWN_HEAD = "has_own_lm_head";

/** Old files have it, and nothing reads it. */
const UNREAD_BIAS = /decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight/;

/** How T5 and mT5 differ. */
interface T5Description {
  modelType: string;
  classes: Family["classes"];
  /** What errors call the config. */
  configName: string;
  fields: Fields<T5Config>;
  /** feed_forward_proj of a config.json without it. */
  feedForward: string;
  /** scale_decoder_outputs of a config.json. */
  scales: (json: Json) => unknown;
  /** What the encoder alone passes over in the file of a whole model. */
  encoderIgnores?: RegExp;
}
interface T5Family extends Family {
  readonly description: T5Description;
}

function t5Config({ configName, fields }: T5Description, options: Partial<T5Config>): T5Config {
  const config = makeConfig(configName, fields, options);
  requireField(configName, config.numBuckets % 4 === 0, "numBuckets to be a multiple of 4", config.numBuckets);
  return config;
}

function t5Family(description: T5Description): T5Family {
  const { modelType, classes, fields, feedForward, scales, encoderIgnores } = description;
  return {
    description,
    modelType,
    classes,
    prefix: "transformer",
    configFromJson: (path, json) => {
      const modern = {
        ...json,
        ...feedForwardOf(json, feedForward),
        scale_decoder_outputs: scales(json),
        tie_word_embeddings: json[OWN_HEAD] !== true,
      };
      return fromJson(path, modern, fields);
    },
    configKeys: {
      fields,
      aliases: {
        hidden_size: "d_model",
        num_attention_heads: "num_heads",
        num_hidden_layers: "num_layers",
        head_dim: "d_kv",
      },
    },
    configToJson: ({ config }) => {
      const { isGated, activation: name } = config as T5Config;
      const feedForward = `${isGated ? "gated-" : ""}${isGated && name === "gelu_new" ? "gelu" : name}`;
      return { ...toJson(config as T5Config, fields), feed_forward_proj: feedForward, is_encoder_decoder: true };
    },
    ignored: ({ task }) => (task === "seq2seq-lm" ? UNREAD_BIAS : encoderIgnores),
    tied: ({ config, task }) => ({
      "encoder.embed_tokens.weight": "shared.weight",
      ...(task === "seq2seq-lm" && { "decoder.embed_tokens.weight": "shared.weight" }),
      ...(task === "seq2seq-lm" && (config as T5Config).tieWordEmbeddings && { "lm_head.weight": "shared.weight" }),
    }),
    untie: (json) => ({ ...json, [OWN_HEAD]: true }),
  };
}

/** T5 with its language-modelling head. */
export class T5ForConditionalGeneration extends T5LanguageModel {
  constructor(options: Partial<T5Config>, key: RandomKey) {
    super(t5, options, key);
  }
}

/** T5's encoder alone: states of each token. */
export class T5EncoderModel extends T5Encoder {
  constructor(options: Partial<T5Config>, key: RandomKey) {
    super(t5, options, key);
  }
}

/** mT5 with its language-modelling head. */
export class MT5ForConditionalGeneration extends T5LanguageModel {
  constructor(options: Partial<T5Config>, key: RandomKey) {
    super(mt5, options, key);
  }
}

/** mT5's encoder alone: states of each token. */
export class MT5EncoderModel extends T5Encoder {
  constructor(options: Partial<T5Config>, key: RandomKey) {
    super(mt5, options, key);
  }
}

const t5 = t5Family({
  modelType: "t5",
  classes: { T5ForConditionalGeneration, T5EncoderModel },
  configName: "T5Config",
  fields,
  feedForward: "relu",
  scales: (json) => json.scale_decoder_outputs ?? json.tie_word_embeddings !== false,
  encoderIgnores: /decoder/,
});

const mt5 = t5Family({
  modelType: "mt5",
  classes: { MT5ForConditionalGeneration, MT5EncoderModel },
  configName: "MT5Config",
  fields: {
    ...fields,
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
});

export const t5s = [t5, mt5];

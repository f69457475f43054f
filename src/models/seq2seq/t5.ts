/**
 * T5, Flan-T5 and mT5: an encoder-decoder whose attention knows distances by buckets and nothing else of positions.
 * Raffel et al. 2019, arXiv:1910.10683; Chung et al. 2022, arXiv:2210.11416; Xue et al. 2020, arXiv:2010.11934.
 */
import {
  type Activation,
  activationNames,
  dropout,
  Embedding,
  type EmbeddingTable,
  Linear,
  Module,
  normalInit,
  type Projection,
  RMSNorm,
  TransformerLayer,
} from "../../nn/index.ts";
import {
  add,
  arange,
  clip,
  gather,
  mul,
  type RandomKey,
  reshape,
  sub,
  type Tensor,
  tensor,
  transpose,
  withScope,
} from "../../tensor/index.ts";
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
import type { Family } from "../family.ts";
import type { Json } from "../labels.ts";
import { type RunOptions, type Task, TaskModel } from "../model.ts";
import {
  type DecodeInputs,
  type EncoderSideInputs,
  newPositions,
  runDecoderLayers,
  runEncoderLayers,
  type Seq2SeqConfig,
  Seq2SeqLM,
} from "./seq2seq.ts";

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

const layerKeys = (isDecoder: boolean) => {
  const feedForward = `layer.${isDecoder ? 2 : 1}`;
  return {
    attention: "layer.0.SelfAttention",
    "attention.query": "q",
    "attention.key": "k",
    "attention.value": "v",
    "attention.output": "o",
    attentionNorm: "layer.0.layer_norm",
    crossAttention: "layer.1.EncDecAttention",
    "crossAttention.query": "q",
    "crossAttention.key": "k",
    "crossAttention.value": "v",
    "crossAttention.output": "o",
    crossNorm: "layer.1.layer_norm",
    gate: `${feedForward}.DenseReluDense.wi_0`,
    down: `${feedForward}.DenseReluDense.wo`,
    feedForwardNorm: `${feedForward}.layer_norm`,
  };
};

/** The bucket of a distance, key position minus query position. Raffel et al., section 2.1. */
function bucketOf(relative: number, { numBuckets, maxDistance }: T5Config, isCausal: boolean): number {
  const count = isCausal ? numBuckets : Math.floor(numBuckets / 2);
  const base = !isCausal && relative > 0 ? count : 0;
  const distance = isCausal ? Math.max(-relative, 0) : Math.abs(relative);
  const exact = Math.floor(count / 2);
  if (distance < exact) return base + distance;
  const part = Math.log(distance / exact) / Math.log(maxDistance / exact);
  return base + Math.min(count - 1, exact + Math.trunc(part * (count - exact)));
}

/** One of the two stacks: layers, and the biases of distances that they share. */
class Stack extends Module {
  readonly block: TransformerLayer[];
  readonly relativeAttentionBias: EmbeddingTable; // [buckets, H]
  readonly finalLayerNorm: RMSNorm;
  protected override readonly checkpointKeys = {
    relativeAttentionBias: "block.0.layer.0.SelfAttention.relative_attention_bias",
  };
  private readonly config: T5Config;
  private readonly isDecoder: boolean;

  constructor(config: T5Config, isDecoder: boolean, key: RandomKey) {
    super();
    const {
      hiddenSize,
      numLayers,
      numDecoderLayers,
      numHeads,
      numBuckets,
      layerNormEpsilon: epsilon,
      isGated,
      initializerFactor,
    } = config;
    const [layerKey, biasKey] = key.split(2);
    const init = normalInit(initializerFactor / Math.sqrt(hiddenSize));
    const keys = {
      ...layerKeys(isDecoder),
      up: `layer.${isDecoder ? 2 : 1}.DenseReluDense.${isGated ? "wi_1" : "wi"}`,
    };
    const shared = {
      ...config,
      epsilon,
      normPlacement: "pre",
      norm: "rms",
      attentionScale: 1,
      bias: false,
      init,
      keys,
    } as const;
    const dropouts = {
      attentionDropout: config.dropout,
      hiddenDropout: config.dropout,
      activationDropout: config.dropout,
    };
    const make = (part: RandomKey) =>
      new TransformerLayer({ ...shared, ...dropouts, hasCrossAttention: isDecoder }, part);
    this.block = layerKey.split(isDecoder ? (numDecoderLayers ?? numLayers) : numLayers).map(make);
    this.relativeAttentionBias = new Embedding({ numEmbeddings: numBuckets, embeddingDim: numHeads, init }, biasKey);
    this.finalLayerNorm = new RMSNorm({ width: hiddenSize, epsilon }, biasKey);
    this.config = config;
    this.isDecoder = isDecoder;
  }

  /** Biases for queries at positions i32 [B or 1, T] and keys 0 ... keys - 1: [B or 1, H, T, keys] */
  bias(positions: Tensor<"i32">, keys: Tensor["shape"][number]): Tensor<"f32"> {
    const [batch, length] = positions.shape;
    const { maxDistance: far } = this.config; // beyond it all distances are alike
    const buckets = Int32Array.from({ length: 2 * far + 1 }, (_, i) => bucketOf(i - far, this.config, this.isDecoder));
    const relative = sub(arange(keys), reshape(positions, [batch, length, 1])); // [B, T, S]
    const rows = gather(tensor(buckets), add(clip(relative, { min: -far, max: far }), far));
    return transpose(this.relativeAttentionBias.forward(rows), [0, 3, 1, 2]);
  }
}

/** Longest text that is written, where a call does not say; the model itself has no limit. */
const ROOM = 512;

/** T5 with its language-modelling head. */
export class T5ForConditionalGeneration extends Seq2SeqLM {
  readonly shared: EmbeddingTable; // [V, D]
  readonly encoder: Stack;
  readonly decoder: Stack;
  readonly lmHead?: Projection; // [V, D], when not tied to the embedding
  readonly config: T5Config;
  readonly task = "seq2seq-lm";
  readonly modelType: string;
  readonly architecture: string;

  constructor(
    { modelType, architecture, config }: { modelType: string; architecture: string; config: T5Config },
    key: RandomKey,
  ) {
    super();
    const { vocabSize, hiddenSize, tieWordEmbeddings, initializerFactor } = config;
    const [tableKey, encoderKey, decoderKey, headKey] = key.split(4);
    this.config = config;
    this.modelType = modelType;
    this.architecture = architecture;
    this.shared = new Embedding(
      { numEmbeddings: vocabSize, embeddingDim: hiddenSize, init: normalInit(initializerFactor) },
      tableKey,
    );
    this.encoder = new Stack(config, false, encoderKey);
    this.decoder = new Stack(config, true, decoderKey);
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
  stack: Stack,
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

/** T5's encoder alone: states of each token. */
export class T5EncoderModel extends TaskModel<EncoderSideInputs, { lastHiddenState: Tensor<"f32"> }> {
  readonly shared: EmbeddingTable; // [V, D]
  readonly encoder: Stack;
  readonly config: T5Config;
  readonly task = "feature-extraction";
  readonly modelType: string;
  readonly architecture: string;

  constructor(
    { modelType, architecture, config }: { modelType: string; architecture: string; config: T5Config },
    key: RandomKey,
  ) {
    super();
    const [tableKey, encoderKey] = key.split(2);
    this.config = config;
    this.modelType = modelType;
    this.architecture = architecture;
    this.shared = new Embedding(
      { numEmbeddings: config.vocabSize, embeddingDim: config.hiddenSize, init: normalInit(1) },
      tableKey,
    );
    this.encoder = new Stack(config, false, encoderKey);
  }

  forward(inputs: EncoderSideInputs & RunOptions) {
    return { lastHiddenState: encodeWith(this.shared, this.encoder, this.config, inputs) };
  }

  /** There is none: train T5ForConditionalGeneration. */
  loss(): never {
    throw new TypeError("T5EncoderModel has no loss");
  }
}

/** Says that the file has an output layer of its own; tie_word_embeddings of config.json cannot be trusted there. */
const OWN_HEAD = "has_own_lm_head";

/** Old files have it, and nothing reads it. */
const UNREAD_BIAS = /decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight/;

interface T5Traits {
  feedForward: string;
  scales: (json: Json) => unknown;
  /** What the encoder alone passes over in the file of a whole model. */
  encoderIgnores?: RegExp;
}

const t5Like = (
  modelType: string,
  className: string,
  defaults: Partial<Fields<T5Config>>,
  { feedForward, scales, encoderIgnores }: T5Traits,
): Family => {
  const own = { ...fields, ...defaults };
  return {
    modelType,
    prefix: "transformer",
    tasks: {
      [`${className}ForConditionalGeneration`]: "seq2seq-lm",
      [`${className}EncoderModel`]: "feature-extraction",
    } satisfies Record<string, Task>,
    create: (architecture, path, json, key) => {
      const modern = {
        ...json,
        ...feedForwardOf(json, feedForward),
        scale_decoder_outputs: scales(json),
        tie_word_embeddings: json[OWN_HEAD] !== true,
      };
      const config = makeConfig(`${className}Config`, own, fromJson(path, modern, own));
      requireField(
        `${className}Config`,
        config.numBuckets % 4 === 0,
        "numBuckets to be a multiple of 4",
        config.numBuckets,
      );
      const given = { modelType, architecture, config };
      return architecture.endsWith("EncoderModel")
        ? new T5EncoderModel(given, key)
        : new T5ForConditionalGeneration(given, key);
    },
    configKeys: {
      fields: own,
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
      return { ...toJson(config as T5Config, own), feed_forward_proj: feedForward, is_encoder_decoder: true };
    },
    ignored: ({ task }) => (task === "seq2seq-lm" ? UNREAD_BIAS : encoderIgnores),
    tied: ({ config, task }) => ({
      "encoder.embed_tokens.weight": "shared.weight",
      ...(task === "seq2seq-lm" && { "decoder.embed_tokens.weight": "shared.weight" }),
      ...(task === "seq2seq-lm" && (config as T5Config).tieWordEmbeddings && { "lm_head.weight": "shared.weight" }),
    }),
    untie: (json) => ({ ...json, [OWN_HEAD]: true }),
  };
};

export const t5s = [
  t5Like(
    "t5",
    "T5",
    {},
    {
      feedForward: "relu",
      scales: (json) => json.scale_decoder_outputs ?? json.tie_word_embeddings !== false,
      encoderIgnores: /decoder/,
    },
  ),
  t5Like(
    "mt5",
    "MT5",
    {
      vocabSize: size("vocab_size", 250112),
      intermediateSize: size("d_ff", 1024),
      numLayers: size("num_layers", 8),
      numHeads: size("num_heads", 6),
    },
    { feedForward: "gated-gelu", scales: () => false },
  ),
];

/**
 * T5, Flan-T5 and mT5: an encoder-decoder whose attention knows distances by buckets and nothing else of positions.
 * Raffel et al. 2019, arXiv:1910.10683; Chung et al. 2022, arXiv:2210.11416; Xue et al. 2020, arXiv:2010.11934.
 */
import {
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
import { modelPart, type OnnxPart, onnxTexts } from "../formats/onnx-parts/part.ts";
import type { Family } from "../model.ts";
import { type RunOptions, TaskModel } from "../model.ts";
import type { DecodeInputs, EncoderSideInputs } from "./encoder-decoder.ts";
import { newPositions, runDecoderLayers, runEncoderLayers, Seq2SeqLM } from "./seq2seq.ts";
import {
  mt5Description,
  type T5Config,
  type T5Description,
  t5Config,
  t5Description,
  t5FromJson,
  t5ToJson,
  withOwnHead,
} from "./t5-config.ts";

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

/** What the parameters of a layer are called in files. */
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

/** One of the two stacks: layers, and the biases of distances that they share. */
class T5Stack extends Module {
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

/** States [B, S, D] of a text ids [B, S]; `stack` is the encoder. */
function encodeWith(
  shared: EmbeddingTable,
  stack: T5Stack,
  { dropout: probability }: T5Config,
  inputs: EncoderSideInputs & RunOptions,
): Tensor<"f32"> {
  const { inputIds, attentionMask, key } = inputs;
  const ids = inputIds as Tensor<"i32">;
  const [, length] = ids.shape;
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

  /** inputIds i32 [B, T], attentionMask bool [B, T] -> lastHiddenState [B, T, D] */
  forward(inputs: EncoderSideInputs & RunOptions) {
    return { lastHiddenState: encodeWith(this.shared, this.encoder, this.config, inputs) };
  }
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

/** Old files have it, and nothing reads it. */
const UNREAD_BIAS = /decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight/;

/** A family, and how its config differs from the other's. */
interface T5Family extends Family {
  readonly description: T5Description;
}

interface T5FamilyParts extends Pick<Family, "modelType" | "classes"> {
  description: T5Description;
  /** What the encoder alone passes over in the file of a whole model. */
  encoderIgnores?: RegExp;
}

function t5Family({ modelType, classes, description, encoderIgnores }: T5FamilyParts): T5Family {
  return {
    description,
    modelType,
    classes,
    prefix: "transformer",
    configFromJson: (path, json) => t5FromJson(description, path, json),
    configToJson: ({ config }) => t5ToJson(description, config as T5Config),
    configKeys: {
      fields: description.fields,
      aliases: {
        hidden_size: "d_model",
        num_attention_heads: "num_heads",
        num_hidden_layers: "num_layers",
        head_dim: "d_kv",
      },
    },
    ignored: ({ task }) => (task === "seq2seq-lm" ? UNREAD_BIAS : encoderIgnores),
    tied: ({ config, task }) => ({
      "encoder.embed_tokens.weight": "shared.weight",
      ...(task === "seq2seq-lm" && { "decoder.embed_tokens.weight": "shared.weight" }),
      ...(task === "seq2seq-lm" && (config as T5Config).tieWordEmbeddings && { "lm_head.weight": "shared.weight" }),
    }),
    untie: withOwnHead,
  };
}

const t5 = t5Family({
  modelType: "t5",
  classes: { T5ForConditionalGeneration, T5EncoderModel },
  description: t5Description,
  encoderIgnores: /decoder/,
});

const mt5 = t5Family({
  modelType: "mt5",
  classes: { MT5ForConditionalGeneration, MT5EncoderModel },
  description: mt5Description,
});

export const t5s = [t5, mt5];

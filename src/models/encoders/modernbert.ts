/**
 * ModernBERT: an encoder with rotary positions, gated feed-forward layers, no biases, and a window in two of three
 * layers. Warner et al. 2024, arXiv:2412.13663.
 */
import {
  type Activation,
  activations,
  constantInit,
  dropout,
  Embedding,
  type EmbeddingTable,
  LayerNorm,
  Linear,
  Module,
  multiHeadAttention,
  normalInit,
  Parameter,
  type Projection,
  type RopeParameters,
  RotaryEmbedding,
  TiedProjection,
} from "../../nn/index.ts";
import {
  add,
  arange,
  cast,
  div,
  mean,
  mul,
  type RandomKey,
  reshape,
  rotaryEmbedding,
  split,
  sum,
  type Tensor,
  unsqueeze,
  withScope,
} from "../../tensor/index.ts";
import {
  activation,
  anything,
  choice,
  type Fields,
  flag,
  list,
  number,
  optional,
  positive,
  probability,
  requireField,
  size,
  tokenId,
} from "../config.ts";
import { ropeByLayerFromJson } from "../decoders/rope.ts";
import type { Json } from "../labels.ts";
import type { LabelConfig, RunOptions } from "../model.ts";
import { type EncoderConfig, type EncoderInputs, type EncoderOutput, keyMask, TextEncoder } from "./encoder.ts";
import { encoderFamily } from "./family.ts";
import { firstToken, type Head } from "./heads.ts";

type LayerType = "full_attention" | "sliding_attention";

export interface ModernBertConfig extends Omit<EncoderConfig, "hiddenDropout"> {
  normBias: boolean;
  attentionBias: boolean;
  mlpBias: boolean;
  classifierBias: boolean;
  decoderBias: boolean;
  embeddingDropout: number;
  mlpDropout: number;
  classifierActivation: Activation;
  classifierPooling: "cls" | "mean";
  /** Positions that a sliding layer sees, half of them to each side. */
  localAttention: number;
  /** @default full attention in layers 0, 3, 6, ... */
  layerTypes: readonly LayerType[] | null;
  rope: Readonly<Record<LayerType, RopeParameters>>;
}

const layerTypes: readonly LayerType[] = ["full_attention", "sliding_attention"];
const GLOBAL_EVERY = 3;
const GLOBAL_THETA = 160_000;
const LOCAL_THETA = 10_000;

const fields: Fields<Omit<ModernBertConfig, keyof LabelConfig>> = {
  vocabSize: size("vocab_size", 50368),
  hiddenSize: size("hidden_size", 768),
  intermediateSize: size("intermediate_size", 1152),
  numLayers: size("num_hidden_layers", 22),
  numHeads: size("num_attention_heads", 12),
  activation: activation("hidden_activation", "gelu"),
  maxPositionEmbeddings: size("max_position_embeddings", 8192),
  initializerRange: number("initializer_range", 0.02),
  layerNormEpsilon: positive("norm_eps", 1e-5),
  normBias: flag("norm_bias", false),
  attentionBias: flag("attention_bias", false),
  mlpBias: flag("mlp_bias", false),
  classifierBias: flag("classifier_bias", false),
  decoderBias: flag("decoder_bias", true),
  embeddingDropout: probability("embedding_dropout", 0),
  attentionDropout: probability("attention_dropout", 0),
  mlpDropout: probability("mlp_dropout", 0),
  classifierDropout: optional(probability("classifier_dropout", 0)),
  classifierActivation: activation("classifier_activation", "gelu"),
  classifierPooling: choice("classifier_pooling", ["cls", "mean"], "cls"),
  localAttention: size("local_attention", 128),
  layerTypes: optional(list<LayerType>(choice("layer_types", layerTypes, "full_attention"), [])),
  rope: anything("rope_parameters", {
    full_attention: { rope_theta: GLOBAL_THETA },
    sliding_attention: { rope_theta: LOCAL_THETA },
  }),
  padTokenId: tokenId("pad_token_id", 50283),
  tieWordEmbeddings: flag("tie_word_embeddings", true),
};

/** Before transformers 5 there was a rhythm of layers, and a theta for each kind. */
function modernize(json: Json): Json {
  const every = (json.global_attn_every_n_layers as number | undefined) ?? GLOBAL_EVERY;
  const count = (json.num_hidden_layers as number | undefined) ?? fields.numLayers.default;
  const types = Array.from({ length: count }, (_, i) => (i % every === 0 ? "full_attention" : "sliding_attention"));
  const { global_rope_theta: full = GLOBAL_THETA, local_rope_theta: sliding = LOCAL_THETA } = json;
  const rope = ropeByLayerFromJson(json, { full_attention: full, sliding_attention: sliding }, layerTypes);
  return { ...json, layer_types: json.layer_types ?? types, rope_parameters: rope };
}

type Angles = ReturnType<RotaryEmbedding["angles"]>;
interface LayerInputs extends RunOptions {
  mask?: Tensor<"bool">;
  angles: Readonly<Record<LayerType, Angles>>;
}

class Attention extends Module {
  readonly wqkv: Projection; // [3 D, D]
  readonly wo: Projection; //   [D, D]
  protected override readonly checkpointKeys = { wqkv: "Wqkv", wo: "Wo" };
  private readonly config: ModernBertConfig;
  private readonly type: LayerType;

  constructor(config: ModernBertConfig, type: LayerType, key: RandomKey) {
    super();
    const [inKey, outKey] = key.split(2);
    const { hiddenSize: width, attentionBias: bias, initializerRange } = config;
    this.wqkv = new Linear(
      { inFeatures: width, outFeatures: 3 * width, bias, init: normalInit(initializerRange) },
      inKey,
    );
    this.wo = new Linear({ inFeatures: width, outFeatures: width, bias, init: normalInit(initializerRange) }, outKey);
    this.config = config;
    this.type = type;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { mask, angles, key }: LayerInputs): Tensor<"f32"> {
    const { numHeads, hiddenSize, localAttention, attentionDropout } = this.config;
    const [batch, length] = x.shape;
    const { cos, sin } = angles[this.type];
    const turned = (y: Tensor<"f32">) =>
      reshape(rotaryEmbedding(reshape(y, [batch, length, numHeads, hiddenSize / numHeads]), cos, sin), [
        batch,
        length,
        hiddenSize,
      ]);
    const [q, k, v] = split(this.wqkv.forward(x), 3);
    const slidingWindow = this.type === "sliding_attention" ? Math.floor(localAttention / 2) + 1 : undefined;
    const options = { numHeads, mask, slidingWindow, key, dropoutProbability: attentionDropout };
    return this.wo.forward(multiHeadAttention(turned(q), turned(k), v, options));
  }
}

class FeedForward extends Module {
  readonly wi: Projection; // [2 F, D]
  readonly wo: Projection; // [D, F]
  protected override readonly checkpointKeys = { wi: "Wi", wo: "Wo" };
  private readonly config: ModernBertConfig;

  constructor(config: ModernBertConfig, key: RandomKey) {
    super();
    const [inKey, outKey] = key.split(2);
    const { hiddenSize, intermediateSize, mlpBias: bias, initializerRange } = config;
    this.wi = new Linear(
      { inFeatures: hiddenSize, outFeatures: 2 * intermediateSize, bias, init: normalInit(initializerRange) },
      inKey,
    );
    this.wo = new Linear(
      { inFeatures: intermediateSize, outFeatures: hiddenSize, bias, init: normalInit(initializerRange) },
      outKey,
    );
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, key: RandomKey | undefined): Tensor<"f32"> {
    const [input, gate] = split(this.wi.forward(x), 2); // [B, T, F]
    return this.wo.forward(dropout(mul(activations[this.config.activation](input), gate), this.config.mlpDropout, key));
  }
}

const newNorm = ({ hiddenSize: width, layerNormEpsilon: epsilon, normBias: bias }: ModernBertConfig, key: RandomKey) =>
  new LayerNorm({ width, epsilon, bias }, key);

class Layer extends Module {
  readonly attnNorm?: LayerNorm; // none in the first layer, whose input is normalised
  readonly attn: Attention;
  readonly mlpNorm: LayerNorm;
  readonly mlp: FeedForward;

  constructor(config: ModernBertConfig, index: number, key: RandomKey) {
    super();
    const [attentionKey, mlpKey, normKey] = key.split(3);
    if (index > 0) this.attnNorm = newNorm(config, normKey);
    this.attn = new Attention(config, (config.layerTypes as readonly LayerType[])[index], attentionKey);
    this.mlpNorm = newNorm(config, normKey);
    this.mlp = new FeedForward(config, mlpKey);
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, inputs: LayerInputs): Tensor<"f32"> {
    const middle = add(
      x,
      withScope("attn", () => this.attn.forward(this.attnNorm?.forward(x) ?? x, inputs)),
    );
    return add(
      middle,
      withScope("mlp", () => this.mlp.forward(this.mlpNorm.forward(middle), inputs.key?.fold(1))),
    );
  }
}

class Embeddings extends Module {
  readonly tokEmbeddings: EmbeddingTable; // [V, D]
  readonly norm: LayerNorm;

  constructor(config: ModernBertConfig, key: RandomKey) {
    super();
    const { vocabSize, hiddenSize, padTokenId: paddingIndex, initializerRange } = config;
    this.tokEmbeddings = new Embedding(
      { numEmbeddings: vocabSize, embeddingDim: hiddenSize, paddingIndex, init: normalInit(initializerRange) },
      key,
    );
    this.norm = newNorm(config, key);
  }
}

class ModernBertEncoder extends TextEncoder {
  readonly embeddings: Embeddings;
  readonly layers: Layer[];
  readonly finalNorm: LayerNorm;
  private readonly config: ModernBertConfig;
  private readonly rotary: Readonly<Record<LayerType, RotaryEmbedding>>;

  constructor(config: ModernBertConfig, key: RandomKey) {
    super();
    const [embeddingKey, layerKey, normKey] = key.split(3);
    const { numLayers, hiddenSize, numHeads, maxPositionEmbeddings, rope } = config;
    const rotary = (type: LayerType) => new RotaryEmbedding(hiddenSize / numHeads, maxPositionEmbeddings, rope[type]);
    this.embeddings = new Embeddings(config, embeddingKey);
    this.layers = layerKey.split(numLayers).map((part, i) => new Layer(config, i, part));
    this.finalNorm = newNorm(config, normKey);
    this.rotary = { full_attention: rotary("full_attention"), sliding_attention: rotary("sliding_attention") };
    this.config = config;
  }

  get wordEmbeddings() {
    return this.embeddings.tokEmbeddings;
  }

  encode({ inputIds, attentionMask, key }: EncoderInputs & RunOptions): EncoderOutput {
    const { tokEmbeddings, norm } = this.embeddings;
    const positions = arange(inputIds.shape[1]);
    const angles = {
      full_attention: this.rotary.full_attention.angles(positions),
      sliding_attention: this.rotary.sliding_attention.angles(positions),
    };
    const embedded = withScope("embeddings", () => norm.forward(tokEmbeddings.forward(inputIds))); // [B, T, D]
    const hiddenStates = [dropout(embedded, this.config.embeddingDropout, key?.fold(999))];
    const mask = keyMask(attentionMask);
    for (const [i, layer] of this.layers.entries()) {
      hiddenStates.push(
        withScope(`layers.${i}`, () => layer.forward(hiddenStates[i], { mask, angles, key: key?.fold(i) })),
      );
    }
    hiddenStates[this.layers.length] = this.finalNorm.forward(hiddenStates[this.layers.length]);
    return { lastHiddenState: hiddenStates[this.layers.length], hiddenStates };
  }
}

/** Dense, activation, norm: what all heads begin with. */
class PredictionHead extends Module {
  readonly dense: Projection; // [D, D]
  readonly norm: LayerNorm;
  private readonly activation: Activation;

  constructor(config: ModernBertConfig, key: RandomKey) {
    super();
    const { hiddenSize: width, classifierBias: bias, initializerRange, classifierActivation } = config;
    this.dense = new Linear({ inFeatures: width, outFeatures: width, bias, init: normalInit(initializerRange) }, key);
    this.norm = newNorm(config, key);
    this.activation = classifierActivation;
  }

  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return this.norm.forward(activations[this.activation](this.dense.forward(x)));
  }
}

class Decoder extends Module implements Head {
  readonly head: PredictionHead;
  readonly decoder: Projection; // [V, D]; tied to the embeddings where the config says so
  constructor(config: ModernBertConfig, words: EmbeddingTable, key: RandomKey) {
    super();
    const { vocabSize, hiddenSize, decoderBias: bias, tieWordEmbeddings, initializerRange } = config;
    const [headKey, decoderKey] = key.split(2);
    this.head = new PredictionHead(config, headKey);
    const init = normalInit(initializerRange);
    this.decoder = tieWordEmbeddings
      ? new TiedProjection(
          words,
          bias ? new Parameter([vocabSize], constantInit(0)(decoderKey, [vocabSize])) : undefined,
        )
      : new Linear({ inFeatures: hiddenSize, outFeatures: vocabSize, bias, init }, decoderKey);
  }

  forward({ lastHiddenState }: EncoderOutput): Tensor<"f32"> {
    return this.decoder.forward(this.head.forward(lastHiddenState));
  }
}

class Classifier extends Module implements Head {
  readonly head: PredictionHead;
  readonly classifier: Projection; // [N, D]
  private readonly config: ModernBertConfig & { of: "text" | "tokens" };

  constructor(config: ModernBertConfig & { of: "text" | "tokens"; outputs: number }, key: RandomKey) {
    super();
    const [headKey, classifierKey] = key.split(2);
    this.head = new PredictionHead(config, headKey);
    this.classifier = new Linear(
      { inFeatures: config.hiddenSize, outFeatures: config.outputs, init: normalInit(config.initializerRange) },
      classifierKey,
    );
    this.config = config;
  }

  forward({ lastHiddenState }: EncoderOutput, { attentionMask, key }: EncoderInputs & RunOptions): Tensor<"f32"> {
    const { of, classifierPooling, classifierDropout } = this.config;
    const pooled =
      of === "tokens"
        ? lastHiddenState
        : classifierPooling === "cls"
          ? firstToken(lastHiddenState)
          : meanOf(lastHiddenState, attentionMask);
    return this.classifier.forward(dropout(this.head.forward(pooled), classifierDropout ?? 0, key?.fold(1000)));
  }
}

/** The mean over what is not padding: [B, T, D] -> [B, D] */
function meanOf(x: Tensor<"f32">, mask: Tensor<"bool"> | undefined): Tensor<"f32"> {
  if (!mask) return mean(x, { axes: 1 });
  const weights = unsqueeze(cast(mask, "f32"), 2); // [B, T, 1]
  return div(sum(mul(x, weights), { axes: 1 }), sum(weights, { axes: 1 }));
}

export const modernbert = encoderFamily<ModernBertConfig & EncoderConfig>({
  modelType: "modernbert",
  className: "ModernBert",
  prefix: "model",
  fields: fields as Fields<Omit<ModernBertConfig & EncoderConfig, keyof LabelConfig>>,
  modernize,
  ignored: null,
  rope: {},
  supported: { sparse_prediction: [false] },
  check: ({ hiddenSize, numHeads, layerTypes: types, numLayers }) => {
    requireField("ModernBertConfig", hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [
      hiddenSize,
      numHeads,
    ]);
    requireField("ModernBertConfig", types?.length === numLayers, `layerTypes for ${numLayers} layers`, types);
  },
  encoder: (config, key) => new ModernBertEncoder(config, key),
  heads: {
    maskedLM: (config, words, key) => new Decoder(config, words, key),
    sequence: (config, key) => new Classifier({ ...config, of: "text", outputs: config.labels.length }, key),
    token: (config, key) => new Classifier({ ...config, of: "tokens", outputs: config.labels.length }, key),
    question: (config, key) => new Classifier({ ...config, of: "tokens", outputs: 2 }, key),
  },
  poolsForSequence: false,
  tied: () => ({ "decoder.weight": "model.embeddings.tok_embeddings.weight" }),
});

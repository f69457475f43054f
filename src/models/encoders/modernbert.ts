/** The classes of ModernBERT: their config, and their heads on the encoder of modernbert-encoder.ts. */
import {
  type Activation,
  activations,
  constantInit,
  dropout,
  type EmbeddingTable,
  type LayerNorm,
  Linear,
  Module,
  normalInit,
  Parameter,
  type Projection,
  TiedProjection,
} from "../../nn/index.ts";
import { cast, div, mean, mul, type RandomKey, sum, type Tensor, unsqueeze } from "../../tensor/index.ts";
import {
  activation,
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
import { ropeByLayer, ropeByLayerFromJson } from "../decoders/rope.ts";
import type { Json, LabelConfig } from "../labels.ts";
import type { RunOptions } from "../model.ts";
import type { EncoderInputs, EncoderOutput } from "./encoder.ts";
import {
  EncoderModel,
  encoderFamily,
  MaskedLM,
  QuestionAnswerer,
  SequenceClassifier,
  TokenClassifier,
} from "./family.ts";
import { firstToken, type Head } from "./heads.ts";
import { type LayerType, type ModernBertConfig, ModernBertEncoder, newNorm } from "./modernbert-encoder.ts";

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
  classifierDropout: probability("classifier_dropout", 0),
  classifierActivation: activation("classifier_activation", "gelu"),
  classifierPooling: choice("classifier_pooling", ["cls", "mean"], "cls"),
  localAttention: size("local_attention", 128),
  layerTypes: optional(list<LayerType>(choice("layer_types", layerTypes, "full_attention"), [])),
  rope: ropeByLayer({ full_attention: GLOBAL_THETA, sliding_attention: LOCAL_THETA }),
  padTokenId: tokenId("pad_token_id", 50283),
  tieWordEmbeddings: flag("tie_word_embeddings", true),
};

/** Before transformers 5 there was a rhythm of layers, and a theta for each kind. */
function modernize(json: Json): Json {
  const every = (json.global_attn_every_n_layers as number | undefined) ?? GLOBAL_EVERY;
  const count = (json.num_hidden_layers as number | undefined) ?? fields.numLayers.default;
  const { global_rope_theta: full = GLOBAL_THETA, local_rope_theta: sliding = LOCAL_THETA } = json;
  const rope = ropeByLayerFromJson(json, { full_attention: full, sliding_attention: sliding }, layerTypes);
  return { ...json, layer_types: json.layer_types ?? layerPattern(count, every), rope_parameters: rope };
}

/** Full attention in one layer of so many, from the first on. */
const layerPattern = (count: number, every: number): LayerType[] =>
  Array.from({ length: count }, (_, i) => (i % every === 0 ? "full_attention" : "sliding_attention"));

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

  /** x: [..., D] -> [..., D] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return this.norm.forward(activations[this.activation](this.dense.forward(x)));
  }
}

/** The masked-language-model head. */
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

  /** lastHiddenState [B, T, D] -> logits [B, T, V] */
  forward({ lastHiddenState }: EncoderOutput): Tensor<"f32"> {
    return this.decoder.forward(this.head.forward(lastHiddenState));
  }
}

/** The head of texts, on the first token or on the mean over all, and of tokens. */
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

  /** lastHiddenState [B, T, D] -> logits [B, N], or of tokens [B, T, N] */
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

/** ModernBERT that predicts the word in each place: i32 [B, T] -> logits [B, T, V]. arXiv:2412.13663. */
export class ModernBertForMaskedLM extends MaskedLM<ModernBertConfig> {
  constructor(options: Partial<ModernBertConfig>, key: RandomKey) {
    super(modernbert, options, key);
  }
}

/** ModernBERT that classifies texts, or pairs of texts: i32 [B, T] -> logits [B, N]. arXiv:2412.13663. */
export class ModernBertForSequenceClassification extends SequenceClassifier<ModernBertConfig> {
  constructor(options: Partial<ModernBertConfig>, key: RandomKey) {
    super(modernbert, options, key);
  }
}

/** ModernBERT that classifies each token: i32 [B, T] -> logits [B, T, N]. arXiv:2412.13663. */
export class ModernBertForTokenClassification extends TokenClassifier<ModernBertConfig> {
  constructor(options: Partial<ModernBertConfig>, key: RandomKey) {
    super(modernbert, options, key);
  }
}

/** ModernBERT that finds where an answer starts and ends: i32 [B, T] -> two logits [B, T]. arXiv:2412.13663. */
export class ModernBertForQuestionAnswering extends QuestionAnswerer<ModernBertConfig> {
  constructor(options: Partial<ModernBertConfig>, key: RandomKey) {
    super(modernbert, options, key);
  }
}

/** ModernBERT without a head: i32 [B, T] -> states [B, T, D]. arXiv:2412.13663. */
export class ModernBertModel extends EncoderModel<ModernBertConfig> {
  constructor(options: Partial<ModernBertConfig>, key: RandomKey) {
    super(modernbert, options, key);
  }
}

/** How ModernBERT is stored: model_type modernbert. */
export const modernbert = encoderFamily<ModernBertConfig>({
  modelType: "modernbert",
  classes: {
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
    ModernBertForTokenClassification,
    ModernBertForQuestionAnswering,
    ModernBertModel,
  },
  configName: "ModernBertConfig",
  prefix: "model",
  fields,
  modernize,
  ignored: null,
  rope: {},
  supported: { sparse_prediction: [false] },
  complete: (config) => ({ ...config, layerTypes: config.layerTypes ?? layerPattern(config.numLayers, GLOBAL_EVERY) }),
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

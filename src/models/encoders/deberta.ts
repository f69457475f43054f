/** The classes of DeBERTa v2 and v3: their config, and their heads on the encoder of deberta-encoder.ts. */
import { activations, dropout, Linear, Module, normalInit, type Projection } from "../../nn/index.ts";
import type { RandomKey, Tensor } from "../../tensor/index.ts";
import {
  absentable,
  activation,
  anything,
  count,
  type Fields,
  flag,
  number,
  optional,
  positive,
  probability,
  requireField,
  size,
  tokenId,
  writtenWhole,
} from "../config.ts";
import type { Json, LabelConfig } from "../labels.ts";
import { debertaSequenceLoss } from "../losses.ts";
import type { RunOptions } from "../model.ts";
import type { DebertaConfig } from "./deberta-attention.ts";
import { DebertaEncoder } from "./deberta-encoder.ts";
import type { EncoderOutput } from "./encoder.ts";
import {
  EncoderModel,
  encoderFamily,
  MaskedLM,
  QuestionAnswerer,
  SequenceClassifier,
  TokenClassifier,
} from "./family.ts";
import { firstToken, type Head, LinearHead, MaskedLMHead } from "./heads.ts";

const fields: Fields<Omit<DebertaConfig, keyof LabelConfig>> = {
  vocabSize: size("vocab_size", 128100),
  embeddingSize: absentable(size("embedding_size", 1536)),
  hiddenSize: size("hidden_size", 1536),
  numLayers: size("num_hidden_layers", 24),
  numHeads: size("num_attention_heads", 24),
  intermediateSize: size("intermediate_size", 6144),
  activation: activation("hidden_act", "gelu"),
  hiddenDropout: probability("hidden_dropout_prob", 0.1),
  attentionDropout: probability("attention_probs_dropout_prob", 0.1),
  classifierDropout: optional(probability("cls_dropout", 0.1)),
  maxPositionEmbeddings: size("max_position_embeddings", 512),
  typeVocabSize: count("type_vocab_size", 0),
  initializerRange: number("initializer_range", 0.02),
  layerNormEpsilon: positive("layer_norm_eps", 1e-7),
  relativeAttention: flag("relative_attention", false),
  positionTypes: anything<readonly string[]>("pos_att_type", []),
  positionBuckets: writtenWhole(number("position_buckets", -1)),
  maxRelativePositions: writtenWhole(number("max_relative_positions", -1)),
  sharesAttentionKey: flag("share_att_key", false),
  normalizesPositions: flag("normalizes_positions", false), // norm_rel_ebd in config.json, see modernize
  positionBiasedInput: flag("position_biased_input", true),
  convolutionSize: count("conv_kernel_size", 0),
  convolutionActivation: activation("conv_act", "tanh"),
  convolutionGroups: size("conv_groups", 1),
  poolerActivation: activation("pooler_hidden_act", "gelu"),
  poolerDropout: probability("pooler_dropout", 0),
  isLegacy: flag("legacy", true),
  padTokenId: tokenId("pad_token_id", 0),
  tieWordEmbeddings: flag("tie_word_embeddings", true),
};

const words = (value: unknown): string[] =>
  (Array.isArray(value) ? value.map(String) : typeof value === "string" ? value.split("|") : []).map((word) =>
    word.trim().toLowerCase(),
  );

/** Lists may be one text with "|" between the words. */
const modernize = (json: Json): Json => ({
  ...json,
  pos_att_type: words(json.pos_att_type),
  normalizes_positions: words(json.norm_rel_ebd).includes("layer_norm"),
});

/** The first token's state through a dense layer, then to the classes. */
class PooledClassifier extends Module implements Head {
  readonly dense: Projection; //      [D, D]
  readonly classifier: LinearHead; // [N, D]
  protected override readonly checkpointKeys = { dense: "pooler.dense", classifier: "" };
  private readonly config: DebertaConfig;

  constructor(config: DebertaConfig, key: RandomKey) {
    super();
    const [denseKey, classifierKey] = key.split(2);
    const { hiddenSize, initializerRange, labels } = config;
    this.dense = new Linear(
      { inFeatures: hiddenSize, outFeatures: hiddenSize, init: normalInit(initializerRange) },
      denseKey,
    );
    this.classifier = new LinearHead({ ...config, outputs: labels.length, of: "pooled" }, classifierKey);
    this.config = config;
  }

  /** lastHiddenState [B, T, D] -> logits [B, N] */
  forward(output: EncoderOutput, { key }: RunOptions): Tensor<"f32"> {
    const { poolerActivation, poolerDropout } = this.config;
    const first = dropout(firstToken(output.lastHiddenState), poolerDropout, key?.fold(1002));
    return this.classifier.forward(
      { ...output, poolerOutput: activations[poolerActivation](this.dense.forward(first)) },
      { key },
    );
  }
}

const legacyKeys = {
  dense: "cls.predictions.transform.dense",
  norm: "cls.predictions.transform.LayerNorm",
  decoder: "cls.predictions.decoder",
  bias: "cls.predictions.bias",
};
const newKeys = {
  dense: "lm_predictions.lm_head.dense",
  norm: "lm_predictions.lm_head.LayerNorm",
  decoder: "lm_predictions.lm_head.decoder",
  bias: "lm_predictions.lm_head.bias",
};

/** DeBERTa that predicts the word in each place: i32 [B, T] -> logits [B, T, V]. arXiv:2006.03654. */
export class DebertaV2ForMaskedLM extends MaskedLM<DebertaConfig> {
  constructor(options: Partial<DebertaConfig>, key: RandomKey) {
    super(deberta, options, key);
  }
}

/** DeBERTa that classifies texts, or pairs of texts: i32 [B, T] -> logits [B, N]. arXiv:2006.03654. */
export class DebertaV2ForSequenceClassification extends SequenceClassifier<DebertaConfig> {
  constructor(options: Partial<DebertaConfig>, key: RandomKey) {
    super(deberta, options, key);
  }
}

/** DeBERTa that classifies each token: i32 [B, T] -> logits [B, T, N]. arXiv:2006.03654. */
export class DebertaV2ForTokenClassification extends TokenClassifier<DebertaConfig> {
  constructor(options: Partial<DebertaConfig>, key: RandomKey) {
    super(deberta, options, key);
  }
}

/** DeBERTa that finds where an answer starts and ends: i32 [B, T] -> two logits [B, T]. arXiv:2006.03654. */
export class DebertaV2ForQuestionAnswering extends QuestionAnswerer<DebertaConfig> {
  constructor(options: Partial<DebertaConfig>, key: RandomKey) {
    super(deberta, options, key);
  }
}

/** DeBERTa without a head: i32 [B, T] -> states [B, T, D]. arXiv:2006.03654. */
export class DebertaV2Model extends EncoderModel<DebertaConfig> {
  constructor(options: Partial<DebertaConfig>, key: RandomKey) {
    super(deberta, options, key);
  }
}

/** How DeBERTa v2 and v3 are stored: model_type deberta-v2. */
export const deberta = encoderFamily<DebertaConfig>({
  modelType: "deberta-v2",
  classes: {
    DebertaV2ForMaskedLM,
    DebertaV2ForSequenceClassification,
    DebertaV2ForTokenClassification,
    DebertaV2ForQuestionAnswering,
    DebertaV2Model,
  },
  configName: "DebertaV2Config",
  prefix: "deberta",
  fields,
  modernize,
  writeJson: ({ normalizes_positions: isNormal, ...json }) => ({
    ...json,
    norm_rel_ebd: isNormal ? "layer_norm" : "none",
  }),
  ignored: ({ task }) =>
    task === "masked-lm" ? /position_ids$|position_embeddings|mask_predictions.*/ : /position_ids$|position_embeddings/,
  check: ({ hiddenSize, numHeads, relativeAttention, positionBuckets }) => {
    requireField("DebertaV2Config", hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [
      hiddenSize,
      numHeads,
    ]);
    requireField(
      "DebertaV2Config",
      !relativeAttention || positionBuckets !== 1,
      "positionBuckets of at least 2",
      positionBuckets,
    );
  },
  encoder: (config, key) => new DebertaEncoder(config, key),
  heads: {
    maskedLM: (config, table, key) => {
      const { isLegacy, hiddenSize, embeddingSize, layerNormEpsilon: epsilon, tieWordEmbeddings } = config;
      const width = isLegacy ? (embeddingSize ?? hiddenSize) : hiddenSize;
      const isTied = !isLegacy || tieWordEmbeddings;
      return new MaskedLMHead(
        { ...config, embeddingSize: width, epsilon, isTied, keys: isLegacy ? legacyKeys : newKeys },
        table,
        key,
      );
    },
    sequence: (config, key) => new PooledClassifier(config, key),
    token: (config, key) => new LinearHead({ ...config, outputs: config.labels.length, of: "tokens" }, key),
    question: (config, key) =>
      new LinearHead({ ...config, classifierDropout: 0, outputs: 2, of: "tokens", name: "qa_outputs" }, key),
  },
  poolsForSequence: false,
  sequenceLoss: debertaSequenceLoss,
  tied: ({ isLegacy }): Readonly<Record<string, string>> =>
    isLegacy
      ? {
          "cls.predictions.decoder.weight": "deberta.embeddings.word_embeddings.weight",
          "cls.predictions.decoder.bias": "cls.predictions.bias",
        }
      : {},
});

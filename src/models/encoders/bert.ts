/**
 * BERT and the encoders with its layers. Devlin et al. 2018, arXiv:1810.04805: learned positions and segments,
 * post-normalised Transformer layers, a pooler on the first token.
 */
import { Linear, Module, normalInit, type Projection, TransformerLayer } from "../../nn/index.ts";
import { add, cast, cumsum, mul, notEqual, type RandomKey, type Tensor, tanh, withScope } from "../../tensor/index.ts";
import { ofLayer } from "../attention-scores.ts";
import {
  activation,
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
} from "../config.ts";
import type { LabelConfig } from "../labels.ts";
import type { RunOptions } from "../model.ts";
import {
  type EncoderConfig,
  type EncoderInputs,
  type EncoderOutput,
  keyMask,
  TextEmbeddings,
  TextEncoder,
} from "./encoder.ts";
import {
  EncoderModel,
  encoderFamily,
  MaskedLM,
  QuestionAnswerer,
  SequenceClassifier,
  TokenClassifier,
} from "./family.ts";
import { firstToken, LinearHead, MaskedLMHead } from "./heads.ts";

/**
 * The sizes of BERT, RoBERTa and XLM-RoBERTa, and their dropout. Mirrors transformers' BertConfig; the defaults are
 * those of BERT base, uncased. arXiv:1810.04805, section 3.
 */
export interface BertConfig extends EncoderConfig {
  /** Kinds of segments; 0 for none. */
  typeVocabSize: number;
}

/** The fields of BERT, which RoBERTa and ELECTRA change a few of. */
export const bertFields: Fields<Omit<BertConfig, keyof LabelConfig>> = {
  vocabSize: size("vocab_size", 30522),
  hiddenSize: size("hidden_size", 768),
  numLayers: size("num_hidden_layers", 12),
  numHeads: size("num_attention_heads", 12),
  intermediateSize: size("intermediate_size", 3072),
  activation: activation("hidden_act", "gelu"),
  hiddenDropout: probability("hidden_dropout_prob", 0.1),
  attentionDropout: probability("attention_probs_dropout_prob", 0.1),
  classifierDropout: optional(probability("classifier_dropout", 0.1)),
  maxPositionEmbeddings: size("max_position_embeddings", 512),
  typeVocabSize: count("type_vocab_size", 2),
  initializerRange: number("initializer_range", 0.02),
  layerNormEpsilon: positive("layer_norm_eps", 1e-12),
  padTokenId: tokenId("pad_token_id", 0),
  tieWordEmbeddings: flag("tie_word_embeddings", true),
};

/** The names of the parts of a layer. */
export const bertLayerKeys = {
  attention: "attention",
  "attention.query": "self.query",
  "attention.key": "self.key",
  "attention.value": "self.value",
  "attention.output": "output.dense",
  attentionAdapters: "attention.output",
  attentionNorm: "attention.output.LayerNorm",
  up: "intermediate.dense",
  down: "output.dense",
  outputAdapters: "output",
  feedForwardNorm: "output.LayerNorm",
};

class Layers extends Module {
  readonly layer: TransformerLayer[];

  constructor(config: BertConfig, key: RandomKey) {
    super();
    const { numLayers, layerNormEpsilon: epsilon, initializerRange } = config;
    const make = (part: RandomKey) =>
      new TransformerLayer({ ...config, epsilon, init: normalInit(initializerRange), keys: bertLayerKeys }, part);
    this.layer = key.split(numLayers).map(make);
  }
}

/** tanh of a dense layer on the first token's state. */
class Pooler extends Module {
  readonly dense: Projection; // [D, D]

  constructor({ hiddenSize, initializerRange }: BertConfig, key: RandomKey) {
    super();
    this.dense = new Linear(
      { inFeatures: hiddenSize, outFeatures: hiddenSize, init: normalInit(initializerRange) },
      key,
    );
  }

  /** x: [B, T, D] -> [B, D] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return tanh(this.dense.forward(firstToken(x)));
  }
}

interface BertOptions {
  hasPooler: boolean;
  /** RoBERTa: positions count from the padding id on, over what is not padding. */
  countsFromPadding?: boolean;
  embeddingSize?: number;
}

/**
 * BERT without a head, which RoBERTa and ELECTRA share: embeddings, post-normalised layers, and a pooler where it is
 * asked for.
 */
export class BertEncoder extends TextEncoder {
  readonly embeddings: TextEmbeddings;
  readonly embeddingsProject?: Projection; // [D, E]
  readonly encoder: Layers;
  readonly pooler?: Pooler;
  private readonly paddingId?: number;

  constructor(
    config: BertConfig,
    key: RandomKey,
    { hasPooler, countsFromPadding = false, embeddingSize = config.hiddenSize }: BertOptions,
  ) {
    super();
    const { padTokenId, hiddenSize, initializerRange } = config;
    const [embeddingKey, projectKey, layerKey, poolerKey] = key.split(4);
    if (countsFromPadding) this.paddingId = padTokenId ?? 0;
    this.embeddings = new TextEmbeddings(
      {
        ...config,
        width: embeddingSize,
        epsilon: config.layerNormEpsilon,
        dropout: config.hiddenDropout,
        firstPosition: countsFromPadding ? (this.paddingId as number) + 1 : 0,
      },
      embeddingKey,
    );
    if (embeddingSize !== hiddenSize)
      this.embeddingsProject = new Linear(
        { inFeatures: embeddingSize, outFeatures: hiddenSize, init: normalInit(initializerRange) },
        projectKey,
      );
    this.encoder = new Layers(config, layerKey);
    if (hasPooler) this.pooler = new Pooler(config, poolerKey);
  }

  get wordEmbeddings() {
    return this.embeddings.wordEmbeddings;
  }

  encode({ key, onAttentionScores, ...inputs }: EncoderInputs & RunOptions): EncoderOutput {
    const positions = this.paddingId === undefined ? undefined : positionsFrom(inputs.inputIds, this.paddingId);
    const embedded = withScope("embeddings", () =>
      this.embeddings.forward({ ...inputs, positions, key: key?.fold(999) }),
    );
    const hiddenStates = [this.embeddingsProject?.forward(embedded) ?? embedded]; // [B, T, D]
    const mask = keyMask(inputs.attentionMask);
    for (const [i, layer] of this.encoder.layer.entries()) {
      const options = { mask, key: key?.fold(i), onScores: ofLayer(onAttentionScores, i) };
      hiddenStates.push(withScope(`layer.${i}`, () => layer.forward(hiddenStates[i], options)));
    }
    const lastHiddenState = hiddenStates[hiddenStates.length - 1];
    return { lastHiddenState, poolerOutput: this.pooler?.forward(lastHiddenState), hiddenStates };
  }
}

/** Padding has the position of its id, and what is not padding the positions after it. i32 [B, T] */
function positionsFrom(ids: Tensor<"i32">, paddingId: number): Tensor<"i32"> {
  const isReal = cast(notEqual(ids, paddingId), "i32");
  return add(mul(cumsum(isReal, { axis: 1 }), isReal), paddingId);
}

/** Checks that heads divide the width. @throws OptionError naming the config */
export const checkHeads =
  (name: string) =>
  ({ hiddenSize, numHeads }: EncoderConfig): void =>
    requireField(name, hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [hiddenSize, numHeads]);

/** Token classification and question answering are the same everywhere. */
export const bertTokenHeads = {
  token: (config: EncoderConfig, key: RandomKey) =>
    new LinearHead({ ...config, outputs: config.labels.length, of: "tokens" }, key),
  question: (config: EncoderConfig, key: RandomKey) =>
    new LinearHead({ ...config, classifierDropout: 0, outputs: 2, of: "tokens", name: "qa_outputs" }, key),
};

/** BERT that predicts the word in each place: i32 [B, T] -> logits [B, T, V]. arXiv:1810.04805. */
export class BertForMaskedLM extends MaskedLM<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(bert, options, key);
  }
}

/** BERT that classifies texts, or pairs of texts: i32 [B, T] -> logits [B, N]. arXiv:1810.04805. */
export class BertForSequenceClassification extends SequenceClassifier<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(bert, options, key);
  }
}

/** BERT that classifies each token: i32 [B, T] -> logits [B, T, N]. arXiv:1810.04805. */
export class BertForTokenClassification extends TokenClassifier<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(bert, options, key);
  }
}

/** BERT that finds where an answer starts and ends: i32 [B, T] -> two logits [B, T]. arXiv:1810.04805. */
export class BertForQuestionAnswering extends QuestionAnswerer<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(bert, options, key);
  }
}

/** BERT without a head: i32 [B, T] -> states [B, T, D], and the pooled one [B, D]. arXiv:1810.04805. */
export class BertModel extends EncoderModel<BertConfig> {
  constructor(options: Partial<BertConfig>, key: RandomKey) {
    super(bert, options, key);
  }
}

/** How BERT is stored: model_type bert. */
export const bert = encoderFamily<BertConfig>({
  modelType: "bert",
  classes: {
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertForQuestionAnswering,
    BertModel,
  },
  configName: "BertConfig",
  prefix: "bert",
  fields: bertFields,
  check: checkHeads("BertConfig"),
  encoder: (config, key, options) => new BertEncoder(config, key, options),
  heads: {
    ...bertTokenHeads,
    maskedLM: (config, words, key) => new MaskedLMHead({ ...bertMaskedLM(config), keys: predictionKeys }, words, key),
    sequence: (config, key) => new LinearHead({ ...config, outputs: config.labels.length, of: "pooled" }, key),
  },
  poolsForSequence: true,
  tied: () => ({
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
  }),
});

const predictionKeys = {
  dense: "cls.predictions.transform.dense",
  norm: "cls.predictions.transform.LayerNorm",
  decoder: "cls.predictions.decoder",
  bias: "cls.predictions.bias",
};

/** What the heads of masked language models share. */
export const bertMaskedLM = (config: EncoderConfig) => ({
  ...config,
  embeddingSize: config.hiddenSize,
  epsilon: config.layerNormEpsilon,
  isTied: config.tieWordEmbeddings,
});

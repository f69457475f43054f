/** DistilBERT: half of BERT's layers, without segments and pooler. Sanh et al. 2019, arXiv:1910.01108. */
import { Module, normalInit, TransformerLayer } from "../../nn/index.ts";
import { type RandomKey, withScope } from "../../tensor/index.ts";
import { ofLayer } from "../attention-scores.ts";
import { activation, type Fields, flag, number, probability, requireField, size, tokenId } from "../config.ts";
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
import { FirstTokenHead, LinearHead, MaskedLMHead } from "./heads.ts";

/**
 * The sizes of DistilBERT, and its dropout. Mirrors transformers' DistilBertConfig; the defaults are those of
 * DistilBERT base, uncased. arXiv:1910.01108.
 */
export interface DistilBertConfig
  extends Omit<EncoderConfig, "layerNormEpsilon" | "classifierDropout" | "typeVocabSize"> {
  /** Dropout in front of the classifier of texts. */
  sequenceDropout: number;
  /** Dropout in front of the classifier that finds answers. */
  questionDropout: number;
}

/** Not in config.json: the same in all checkpoints. */
const EPSILON = 1e-12;

const fields: Fields<Omit<DistilBertConfig, keyof LabelConfig>> = {
  vocabSize: size("vocab_size", 30522),
  hiddenSize: size("dim", 768),
  numLayers: size("n_layers", 6),
  numHeads: size("n_heads", 12),
  intermediateSize: size("hidden_dim", 3072),
  activation: activation("activation", "gelu"),
  hiddenDropout: probability("dropout", 0.1),
  attentionDropout: probability("attention_dropout", 0.1),
  sequenceDropout: probability("seq_classif_dropout", 0.2),
  questionDropout: probability("qa_dropout", 0.1),
  maxPositionEmbeddings: size("max_position_embeddings", 512),
  initializerRange: number("initializer_range", 0.02),
  padTokenId: tokenId("pad_token_id", 0),
  tieWordEmbeddings: flag("tie_word_embeddings", true),
};

const layerKeys = {
  attention: "attention",
  "attention.query": "q_lin",
  "attention.key": "k_lin",
  "attention.value": "v_lin",
  "attention.output": "out_lin",
  attentionNorm: "sa_layer_norm",
  up: "ffn.lin1",
  down: "ffn.lin2",
  feedForwardNorm: "output_layer_norm",
};

class Layers extends Module {
  readonly layer: TransformerLayer[];

  constructor(config: DistilBertConfig, key: RandomKey) {
    super();
    const { numLayers, initializerRange } = config;
    const make = (part: RandomKey) =>
      new TransformerLayer({ ...config, epsilon: EPSILON, init: normalInit(initializerRange), keys: layerKeys }, part);
    this.layer = key.split(numLayers).map(make);
  }
}

/** DistilBERT without a head: no segments, no pooler. */
class DistilBertEncoder extends TextEncoder {
  readonly embeddings: TextEmbeddings;
  readonly transformer: Layers;

  constructor(config: DistilBertConfig, key: RandomKey) {
    super();
    const [embeddingKey, layerKey] = key.split(2);
    this.embeddings = new TextEmbeddings(
      { ...config, width: config.hiddenSize, epsilon: EPSILON, dropout: config.hiddenDropout },
      embeddingKey,
    );
    this.transformer = new Layers(config, layerKey);
  }

  get wordEmbeddings() {
    return this.embeddings.wordEmbeddings;
  }

  encode({ key, onAttentionScores, ...inputs }: EncoderInputs & RunOptions): EncoderOutput {
    // [B, T, D]
    const hiddenStates = [withScope("embeddings", () => this.embeddings.forward({ ...inputs, key: key?.fold(999) }))];
    const mask = keyMask(inputs.attentionMask);
    for (const [i, layer] of this.transformer.layer.entries()) {
      const options = { mask, key: key?.fold(i), onScores: ofLayer(onAttentionScores, i) };
      hiddenStates.push(withScope(`layer.${i}`, () => layer.forward(hiddenStates[i], options)));
    }
    return { lastHiddenState: hiddenStates[hiddenStates.length - 1], hiddenStates };
  }
}

const keys = {
  dense: "vocab_transform",
  norm: "vocab_layer_norm",
  decoder: "vocab_projector",
  bias: "vocab_projector.bias",
};

/** DistilBERT that predicts the word in each place: i32 [B, T] -> logits [B, T, V]. arXiv:1910.01108. */
export class DistilBertForMaskedLM extends MaskedLM<DistilBertConfig> {
  constructor(options: Partial<DistilBertConfig>, key: RandomKey) {
    super(distilbert, options, key);
  }
}

/** DistilBERT that classifies texts, or pairs of texts: i32 [B, T] -> logits [B, N]. arXiv:1910.01108. */
export class DistilBertForSequenceClassification extends SequenceClassifier<DistilBertConfig> {
  constructor(options: Partial<DistilBertConfig>, key: RandomKey) {
    super(distilbert, options, key);
  }
}

/** DistilBERT that classifies each token: i32 [B, T] -> logits [B, T, N]. arXiv:1910.01108. */
export class DistilBertForTokenClassification extends TokenClassifier<DistilBertConfig> {
  constructor(options: Partial<DistilBertConfig>, key: RandomKey) {
    super(distilbert, options, key);
  }
}

/** DistilBERT that finds where an answer starts and ends: i32 [B, T] -> two logits [B, T]. arXiv:1910.01108. */
export class DistilBertForQuestionAnswering extends QuestionAnswerer<DistilBertConfig> {
  constructor(options: Partial<DistilBertConfig>, key: RandomKey) {
    super(distilbert, options, key);
  }
}

/** DistilBERT without a head: i32 [B, T] -> states [B, T, D]. arXiv:1910.01108. */
export class DistilBertModel extends EncoderModel<DistilBertConfig> {
  constructor(options: Partial<DistilBertConfig>, key: RandomKey) {
    super(distilbert, options, key);
  }
}

/** How DistilBERT is stored: model_type distilbert. */
export const distilbert = encoderFamily<DistilBertConfig>({
  modelType: "distilbert",
  classes: {
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    DistilBertForTokenClassification,
    DistilBertForQuestionAnswering,
    DistilBertModel,
  },
  configName: "DistilBertConfig",
  prefix: "distilbert",
  aliases: { hidden_size: "dim", num_attention_heads: "n_heads", num_hidden_layers: "n_layers" },
  fields,
  check: ({ hiddenSize, numHeads }) =>
    requireField("DistilBertConfig", hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [
      hiddenSize,
      numHeads,
    ]),
  encoder: (config, key) => new DistilBertEncoder(config, key),
  heads: {
    maskedLM: (config, words, key) =>
      new MaskedLMHead(
        { ...config, embeddingSize: config.hiddenSize, epsilon: EPSILON, isTied: config.tieWordEmbeddings, keys },
        words,
        key,
      ),
    sequence: (config, key) =>
      new FirstTokenHead(
        {
          ...config,
          classifierDropout: config.sequenceDropout,
          outputs: config.labels.length,
          activation: "relu",
          keys: { dense: "pre_classifier", outProj: "classifier" },
          dropsFirst: false,
        },
        key,
      ),
    token: (config, key) =>
      new LinearHead({ ...config, classifierDropout: null, outputs: config.labels.length, of: "tokens" }, key),
    question: (config, key) =>
      new LinearHead(
        { ...config, classifierDropout: config.questionDropout, outputs: 2, of: "tokens", name: "qa_outputs" },
        key,
      ),
  },
  poolsForSequence: false,
  tied: () => ({ "vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight" }),
});

/** ALBERT: BERT whose layers share their weights, with narrower embeddings. Lan et al. 2019, arXiv:1909.11942. */
import { Linear, Module, normalInit, type Projection, TransformerLayer } from "../../nn/index.ts";
import { type RandomKey, tanh, withScope } from "../../tensor/index.ts";
import { ofLayer } from "../attention-scores.ts";
import {
  activation,
  count,
  type Fields,
  flag,
  number,
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
 * The sizes of ALBERT, and how its layers are shared. Mirrors transformers' AlbertConfig; the defaults are those of
 * ALBERT xxlarge. arXiv:1909.11942, table 1.
 */
export interface AlbertConfig extends EncoderConfig {
  /** Width of the embeddings, which a linear layer brings to hiddenSize. */
  embeddingSize: number;
  /** Kinds of segments; 0 for none. */
  typeVocabSize: number;
  /** Layers are shared within a group; the groups take turns over the depth. */
  numHiddenGroups: number;
  /** Layers of a group, which run one after another each time. */
  innerGroupNum: number;
}

const fields: Fields<Omit<AlbertConfig, keyof LabelConfig>> = {
  vocabSize: size("vocab_size", 30000),
  embeddingSize: size("embedding_size", 128),
  hiddenSize: size("hidden_size", 4096),
  numLayers: size("num_hidden_layers", 12),
  numHiddenGroups: size("num_hidden_groups", 1),
  innerGroupNum: size("inner_group_num", 1),
  numHeads: size("num_attention_heads", 64),
  intermediateSize: size("intermediate_size", 16384),
  activation: activation("hidden_act", "gelu_new"),
  hiddenDropout: probability("hidden_dropout_prob", 0),
  attentionDropout: probability("attention_probs_dropout_prob", 0),
  classifierDropout: probability("classifier_dropout_prob", 0.1),
  maxPositionEmbeddings: size("max_position_embeddings", 512),
  typeVocabSize: count("type_vocab_size", 2),
  initializerRange: number("initializer_range", 0.02),
  layerNormEpsilon: positive("layer_norm_eps", 1e-12),
  padTokenId: tokenId("pad_token_id", 0),
  tieWordEmbeddings: flag("tie_word_embeddings", true),
};
/** What transformers takes where config.json says nothing. */
const CLASSIFIER_DROPOUT = 0.1;

const layerKeys = {
  attention: "attention",
  "attention.output": "dense",
  attentionNorm: "attention.LayerNorm",
  up: "ffn",
  down: "ffn_output",
  feedForwardNorm: "full_layer_layer_norm",
};

/** Layers that share their weights with those of every other turn of the group. */
class Group extends Module {
  readonly albertLayers: TransformerLayer[];

  constructor(config: AlbertConfig, key: RandomKey) {
    super();
    const { innerGroupNum, layerNormEpsilon: epsilon, initializerRange } = config;
    const make = (part: RandomKey) =>
      new TransformerLayer({ ...config, epsilon, init: normalInit(initializerRange), keys: layerKeys }, part);
    this.albertLayers = key.split(innerGroupNum).map(make);
  }
}

class SharedLayers extends Module {
  readonly embeddingHiddenMappingIn: Projection; // [D, E]
  readonly albertLayerGroups: Group[];

  constructor(config: AlbertConfig, key: RandomKey) {
    super();
    const [mapKey, groupKey] = key.split(2);
    const { embeddingSize, hiddenSize, initializerRange, numHiddenGroups } = config;
    this.embeddingHiddenMappingIn = new Linear(
      { inFeatures: embeddingSize, outFeatures: hiddenSize, init: normalInit(initializerRange) },
      mapKey,
    );
    this.albertLayerGroups = groupKey.split(numHiddenGroups).map((part) => new Group(config, part));
  }
}

class AlbertEncoder extends TextEncoder {
  readonly embeddings: TextEmbeddings;
  readonly encoder: SharedLayers;
  readonly pooler?: Projection; // [D, D]
  private readonly config: AlbertConfig;

  constructor(config: AlbertConfig, key: RandomKey, { hasPooler }: { hasPooler: boolean }) {
    super();
    const [embeddingKey, layerKey, poolerKey] = key.split(3);
    const { embeddingSize: width, layerNormEpsilon: epsilon, hiddenSize, initializerRange } = config;
    this.embeddings = new TextEmbeddings({ ...config, width, epsilon, dropout: config.hiddenDropout }, embeddingKey);
    this.encoder = new SharedLayers(config, layerKey);
    if (hasPooler)
      this.pooler = new Linear(
        { inFeatures: hiddenSize, outFeatures: hiddenSize, init: normalInit(initializerRange) },
        poolerKey,
      );
    this.config = config;
  }

  get wordEmbeddings() {
    return this.embeddings.wordEmbeddings;
  }

  encode({ key, onAttentionScores, ...inputs }: EncoderInputs & RunOptions): EncoderOutput {
    const { numLayers, numHiddenGroups } = this.config;
    // [B, T, E]
    const embedded = withScope("embeddings", () => this.embeddings.forward({ ...inputs, key: key?.fold(999) }));
    const hiddenStates = [this.encoder.embeddingHiddenMappingIn.forward(embedded)]; // [B, T, D]
    const mask = keyMask(inputs.attentionMask);
    for (let i = 0; i < numLayers; i++) {
      const group = this.encoder.albertLayerGroups[Math.floor(i / (numLayers / numHiddenGroups))];
      for (const layer of group.albertLayers) {
        const n = hiddenStates.length - 1;
        const options = { mask, key: key?.fold(n), onScores: ofLayer(onAttentionScores, n) };
        hiddenStates.push(withScope(`layer.${n}`, () => layer.forward(hiddenStates[n], options)));
      }
    }
    const lastHiddenState = hiddenStates[hiddenStates.length - 1];
    return {
      lastHiddenState,
      poolerOutput: this.pooler && tanh(this.pooler.forward(firstToken(lastHiddenState))),
      hiddenStates,
    };
  }
}

const keys = {
  dense: "predictions.dense",
  norm: "predictions.LayerNorm",
  decoder: "predictions.decoder",
  bias: "predictions.bias",
};

/** ALBERT that predicts the word in each place: i32 [B, T] -> logits [B, T, V]. arXiv:1909.11942. */
export class AlbertForMaskedLM extends MaskedLM<AlbertConfig> {
  constructor(options: Partial<AlbertConfig>, key: RandomKey) {
    super(albert, options, key);
  }
}

/** ALBERT that classifies texts, or pairs of texts: i32 [B, T] -> logits [B, N]. arXiv:1909.11942. */
export class AlbertForSequenceClassification extends SequenceClassifier<AlbertConfig> {
  constructor(options: Partial<AlbertConfig>, key: RandomKey) {
    super(albert, options, key);
  }
}

/** ALBERT that classifies each token: i32 [B, T] -> logits [B, T, N]. arXiv:1909.11942. */
export class AlbertForTokenClassification extends TokenClassifier<AlbertConfig> {
  constructor(options: Partial<AlbertConfig>, key: RandomKey) {
    super(albert, options, key);
  }
}

/** ALBERT that finds where an answer starts and ends: i32 [B, T] -> two logits [B, T]. arXiv:1909.11942. */
export class AlbertForQuestionAnswering extends QuestionAnswerer<AlbertConfig> {
  constructor(options: Partial<AlbertConfig>, key: RandomKey) {
    super(albert, options, key);
  }
}

/** ALBERT without a head: i32 [B, T] -> states [B, T, D], and the pooled one [B, D]. arXiv:1909.11942. */
export class AlbertModel extends EncoderModel<AlbertConfig> {
  constructor(options: Partial<AlbertConfig>, key: RandomKey) {
    super(albert, options, key);
  }
}

/** How ALBERT is stored: model_type albert. */
export const albert = encoderFamily<AlbertConfig>({
  modelType: "albert",
  classes: {
    AlbertForMaskedLM,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    AlbertForQuestionAnswering,
    AlbertModel,
  },
  configName: "AlbertConfig",
  prefix: "albert",
  fields,
  check: ({ hiddenSize, numHeads }) =>
    requireField("AlbertConfig", hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [
      hiddenSize,
      numHeads,
    ]),
  encoder: (config, key, options) => new AlbertEncoder(config, key, options),
  heads: {
    maskedLM: (config, words, key) =>
      new MaskedLMHead(
        { ...config, epsilon: config.layerNormEpsilon, isTied: config.tieWordEmbeddings, keys },
        words,
        key,
      ),
    sequence: (config, key) =>
      new LinearHead({ ...withDropout(config), outputs: config.labels.length, of: "pooled" }, key),
    token: (config, key) =>
      new LinearHead({ ...withDropout(config), outputs: config.labels.length, of: "tokens" }, key),
    question: (config, key) =>
      new LinearHead({ ...config, classifierDropout: 0, outputs: 2, of: "tokens", name: "qa_outputs" }, key),
  },
  poolsForSequence: true,
  tied: () => ({
    "predictions.decoder.weight": "albert.embeddings.word_embeddings.weight",
    "predictions.decoder.bias": "predictions.bias",
  }),
});

const withDropout = (config: AlbertConfig): AlbertConfig => ({
  ...config,
  classifierDropout: config.classifierDropout ?? CLASSIFIER_DROPOUT,
});

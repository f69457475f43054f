/**
 * BART, and Marian's translators. Lewis et al. 2019, arXiv:1910.13461: a post-normalised encoder-decoder with learned
 * positions. Marian (Junczys-Dowmunt et al. 2018, arXiv:1804.00344) has fixed sinusoidal ones and no norm on the
 * embeddings.
 */
import { constantInit, dropout, Linear, ModelBuffer, Module, normalInit, type Projection } from "../../nn/index.ts";
import {
  add,
  arange,
  equal,
  max,
  mul,
  oneHot,
  type RandomKey,
  sum,
  type Tensor,
  tanh,
  unsqueeze,
  where,
  withScope,
} from "../../tensor/index.ts";
import {
  absentable,
  activation,
  type Fields,
  flag,
  fromJson,
  makeConfig,
  number,
  probability,
  requireField,
  size,
  toJson,
  tokenId,
  tokenIds,
} from "../config.ts";
import { modelPart, type OnnxPart, onnxTexts } from "../formats/onnx-parts/part.ts";
import { defaultLabels, type LabelConfig, labelFields, labelsFromJson, labelsToJson } from "../labels.ts";
import { sequenceLoss } from "../losses.ts";
import type { Family } from "../model.ts";
import { type RunOptions, TaskModel, type Trainable } from "../model.ts";
import { type BartConfig, type BartTraits, EncoderDecoder } from "./bart-stacks.ts";
import type { DecodeInputs, EncoderSideInputs } from "./encoder-decoder.ts";
import type { Seq2SeqOutput } from "./seq2seq.ts";
import { layerDrop, Seq2SeqLM, seq2seqAliases, shiftRight } from "./seq2seq.ts";

const bartFields: Fields<BartConfig> = {
  vocabSize: size("vocab_size", 50265),
  hiddenSize: size("d_model", 1024),
  encoderLayers: size("encoder_layers", 12),
  decoderLayers: size("decoder_layers", 12),
  encoderHeads: size("encoder_attention_heads", 16),
  decoderHeads: size("decoder_attention_heads", 16),
  encoderIntermediateSize: size("encoder_ffn_dim", 4096),
  decoderIntermediateSize: size("decoder_ffn_dim", 4096),
  activation: activation("activation_function", "gelu"),
  maxPositionEmbeddings: size("max_position_embeddings", 1024),
  scaleEmbedding: flag("scale_embedding", false),
  dropout: probability("dropout", 0.1),
  attentionDropout: probability("attention_dropout", 0),
  activationDropout: probability("activation_dropout", 0),
  classifierDropout: probability("classifier_dropout", 0),
  initStd: number("init_std", 0.02),
  decoderVocabSize: absentable(size("decoder_vocab_size", 50265)),
  sharesEmbeddings: flag("share_encoder_decoder_embeddings", true),
  padTokenId: tokenId("pad_token_id", 1),
  eosTokenId: tokenIds("eos_token_id", 2),
  decoderStartTokenId: tokenId("decoder_start_token_id", 2),
};

/** BART or Marian with its language-modelling head. */
abstract class BartLanguageModel extends Seq2SeqLM {
  readonly model: EncoderDecoder;
  readonly finalLogitsBias: ModelBuffer; // [1, V]
  readonly config: BartConfig;
  static readonly task = "seq2seq-lm";
  readonly task = BartLanguageModel.task;
  readonly family: Family;

  /** @throws OptionError when the config contradicts itself */
  constructor(family: BartFamily, options: Partial<BartConfig>, key: RandomKey) {
    super();
    const { fields, traits } = family.description;
    const config = bartConfig(fields, options);
    const shape = [1, config.sharesEmbeddings ? config.vocabSize : (config.decoderVocabSize ?? config.vocabSize)];
    this.config = config;
    this.family = family;
    this.model = new EncoderDecoder(config, traits, key);
    this.finalLogitsBias = new ModelBuffer(shape, constantInit(0)(key, shape));
  }

  protected get decoderLayers() {
    return this.model.decoder.layers;
  }

  get cacheShape() {
    const { decoderLayers, decoderHeads, hiddenSize, maxPositionEmbeddings: maxLength } = this.config;
    return {
      numLayers: decoderLayers,
      numKeyHeads: decoderHeads,
      headDim: hiddenSize / decoderHeads,
      maxLength,
    };
  }

  encode(inputs: EncoderSideInputs & RunOptions): Tensor<"f32"> {
    return this.model.encode(inputs); // [B, S, D]
  }

  decode(ids: Tensor<"i32">, inputs: DecodeInputs): Tensor<"f32"> {
    return this.model.decode(ids, inputs); // [B, T, D]
  }

  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    const { embedTokens } = this.model.decoder;
    return withScope("lm_head", () => add(embedTokens.project(hidden), this.finalLogitsBias.value)); // [..., V]
  }
}

/** Two dense layers with tanh between: [B, D] -> [B, N]. */
class ClassificationHead extends Module {
  readonly dense: Projection; // [D, D]
  readonly outProj: Projection; // [N, D]

  constructor({ hiddenSize, initStd, labels }: BartConfig & LabelConfig, key: RandomKey) {
    super();
    const [denseKey, outKey] = key.split(2);
    this.dense = new Linear({ inFeatures: hiddenSize, outFeatures: hiddenSize, init: normalInit(initStd) }, denseKey);
    this.outProj = new Linear(
      { inFeatures: hiddenSize, outFeatures: labels.length, init: normalInit(initStd) },
      outKey,
    );
  }
}

/**
 * BART that classifies a text, or a pair of texts, by the decoder's state at the last end-of-text token: i32 [B, T] ->
 * logits [B, N]. arXiv:1910.13461, section 3.1.
 */
export class BartForSequenceClassification
  extends TaskModel<EncoderSideInputs, Seq2SeqOutput>
  implements Trainable<EncoderSideInputs & { labels: Tensor<"i32"> | Tensor<"f32"> }>
{
  readonly model: EncoderDecoder;
  readonly classificationHead: ClassificationHead;
  readonly config: BartConfig & LabelConfig;
  static readonly task = "sequence-classification";
  readonly task = BartForSequenceClassification.task;
  readonly family = bart;

  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<BartConfig & LabelConfig>, key: RandomKey) {
    super();
    const { fields, traits } = bart.description;
    const [modelKey, headKey] = key.split(2);
    this.config = bartConfig({ ...fields, ...labelFields, labels: bartLabels }, options);
    this.model = new EncoderDecoder(this.config, traits, modelKey);
    this.classificationHead = new ClassificationHead(this.config, headKey);
  }

  onnxParts(): OnnxPart[] {
    return [modelPart<EncoderSideInputs>(onnxTexts(), (inputs) => this.forward(inputs))];
  }

  /** inputIds: i32 [B, T] -> logits [B, N], and the encoder's states [B, T, D] */
  forward({ inputIds, attentionMask, key }: EncoderSideInputs & RunOptions): Seq2SeqOutput {
    const ids = inputIds as Tensor<"i32">;
    const { decoderStartTokenId, padTokenId, eosTokenId, classifierDropout } = this.config;
    const encoderStates = withScope("encoder", () => this.model.encode({ inputIds, attentionMask, key: key?.fold(0) }));
    const decoderIds = shiftRight(ids, decoderStartTokenId ?? 0, padTokenId ?? 0);
    const hidden = withScope("decoder", () =>
      this.model.decode(decoderIds, { encoderStates, encoderMask: attentionMask, key: key?.fold(1) }),
    );
    const [, length] = ids.shape;
    const isEnd = equal(ids, [eosTokenId].flat()[0] as number);
    const last = max(where(isEnd, arange(length), -1) as Tensor<"i32">, { axes: 1 }); // i32 [B]
    const pooled = sum(mul(hidden, unsqueeze(oneHot(last as Tensor<"i32">, length), 2)), { axes: 1 }); // [B, D]
    const drop = (x: Tensor<"f32">, part: number) => dropout(x, classifierDropout, key?.fold(part));
    const { dense, outProj } = this.classificationHead;
    const logits = withScope("classification_head", () =>
      outProj.forward(drop(tanh(dense.forward(drop(pooled, 2))), 3)),
    );
    return { logits, encoderLastHiddenState: encoderStates };
  }

  /**
   * Cross-entropy of labels i32 [B], or, by the config's problemType, squared error of numbers f32 [B], or binary
   * cross-entropy of several labels f32 [B, N]. -> []
   */
  loss({
    labels,
    ...inputs
  }: EncoderSideInputs & RunOptions & { labels: Tensor<"i32"> | Tensor<"f32"> }): Tensor<"f32"> {
    return sequenceLoss(this.forward(inputs).logits, labels, this.config);
  }
}

/** Values of older variants, which are other models. */
const supported = { normalize_before: [false], add_final_layer_norm: [false], tie_word_embeddings: [true] };

interface BartDescription {
  modelType: string;
  classes: Family["classes"];
  fields: Fields<BartConfig>;
  traits: BartTraits;
}
interface BartFamily extends Family {
  readonly description: BartDescription;
}

/** Labels of a classifier whose config names none, as transformers has them. */
const BART_LABELS = 3;
const bartLabels = { ...labelFields.labels, default: defaultLabels(BART_LABELS) };

function bartConfig<C extends BartConfig>(fields: Fields<C>, options: Partial<C>): C {
  const config = makeConfig("BartConfig", fields, options);
  for (const heads of [config.encoderHeads, config.decoderHeads]) {
    requireField("BartConfig", config.hiddenSize % heads === 0, "hiddenSize to be a multiple of the heads", [
      config.hiddenSize,
      heads,
    ]);
  }
  return config;
}

const bartFamily = (description: BartDescription): BartFamily => {
  const { modelType, classes, fields, traits } = description;
  return {
    description,
    modelType,
    classes,
    prefix: "model",
    configFromJson: (path, json, architecture) => ({
      ...fromJson(path, json, fields),
      ...(classes[architecture].task === "sequence-classification" &&
        labelsFromJson(path, json.id2label ? json : { num_labels: BART_LABELS, ...json })),
    }),
    configKeys: { fields, aliases: seq2seqAliases, supported, training: layerDrop },
    configToJson: ({ config, task }) => ({
      ...toJson(config as BartConfig, fields),
      ...(task === "sequence-classification" ? labelsToJson(config as unknown as LabelConfig) : {}),
      is_encoder_decoder: true,
    }),
    ignored: traits.ignored,
    mayLack: /^final_logits_bias$/,
    tied: ({ config, task }) => {
      const { sharesEmbeddings } = config as BartConfig;
      const table = sharesEmbeddings ? "model.shared.weight" : "model.decoder.embed_tokens.weight";
      return {
        ...(sharesEmbeddings && {
          "model.encoder.embed_tokens.weight": table,
          "model.decoder.embed_tokens.weight": table,
        }),
        ...(task === "seq2seq-lm" && { "lm_head.weight": table }),
      };
    },
  };
};

/**
 * BART that writes texts, such as summaries: i32 [B, S] and what is written, i32 [B, T], -> logits [B, T, V]. Lewis et
 * al. 2019, arXiv:1910.13461.
 */
export class BartForConditionalGeneration extends BartLanguageModel {
  constructor(options: Partial<BartConfig>, key: RandomKey) {
    super(bart, options, key);
  }
}

/**
 * Marian that translates: i32 [B, S] and what is written, i32 [B, T], -> logits [B, T, V]. Junczys-Dowmunt et al. 2018,
 * arXiv:1804.00344.
 */
export class MarianMTModel extends BartLanguageModel {
  constructor(options: Partial<BartConfig>, key: RandomKey) {
    super(marian, options, key);
  }
}

const bart = bartFamily({
  modelType: "bart",
  classes: { BartForConditionalGeneration, BartForSequenceClassification },
  fields: bartFields,
  traits: { hasEmbeddingNorm: true, positionOffset: 2, ignored: /(encoder|decoder)\.version/ },
});

const marian = bartFamily({
  modelType: "marian",
  classes: { MarianMTModel },
  fields: {
    ...bartFields,
    vocabSize: size("vocab_size", 58101),
    padTokenId: tokenId("pad_token_id", 58100),
    eosTokenId: tokenIds("eos_token_id", 0),
    decoderStartTokenId: tokenId("decoder_start_token_id", 58100),
  },
  traits: { hasEmbeddingNorm: false, positionOffset: null, ignored: /\.embed_positions\.weight$/ },
});

/** How BART and Marian are stored. */
export const barts = [bart, marian];

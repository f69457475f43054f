/**
 * BART, and Marian's translators. Lewis et al. 2019, arXiv:1910.13461: a post-normalised encoder-decoder with learned
 * positions. Marian (Junczys-Dowmunt et al. 2018, arXiv:1804.00344) has fixed sinusoidal ones and no norm on the
 * embeddings.
 */
import {
  type Activation,
  constantInit,
  dropout,
  Embedding,
  type EmbeddingTable,
  LayerNorm,
  Linear,
  ModelBuffer,
  Module,
  normalInit,
  type Projection,
  TransformerLayer,
} from "../../nn/index.ts";
import {
  add,
  arange,
  equal,
  gather,
  max,
  mul,
  oneHot,
  type RandomKey,
  sum,
  type Tensor,
  tanh,
  tensor,
  unsqueeze,
  where,
  withScope,
} from "../../tensor/index.ts";
import {
  activation,
  type Fields,
  flag,
  fromJson,
  makeConfig,
  number,
  optional,
  probability,
  requireField,
  size,
  toJson,
  tokenId,
  tokenIds,
} from "../config.ts";
import type { Family } from "../family.ts";
import { labelsFromJson, labelsToJson } from "../labels.ts";
import { sequenceLoss } from "../losses.ts";
import { type LabelConfig, type PretrainedModel, type RunOptions, TaskModel } from "../model.ts";
import type { DecodeInputs, EncoderSideInputs, Seq2SeqConfig, Seq2SeqOutput } from "./seq2seq.ts";
import {
  layerDrop,
  newPositions,
  runDecoderLayers,
  runEncoderLayers,
  Seq2SeqLM,
  seq2seqAliases,
  shiftRight,
} from "./seq2seq.ts";

export interface BartConfig extends Seq2SeqConfig {
  encoderLayers: number;
  decoderLayers: number;
  encoderHeads: number;
  decoderHeads: number;
  encoderIntermediateSize: number;
  decoderIntermediateSize: number;
  activation: Activation;
  maxPositionEmbeddings: number;
  /** Embeddings are multiplied by sqrt(hiddenSize). */
  scaleEmbedding: boolean;
  dropout: number;
  attentionDropout: number;
  activationDropout: number;
  classifierDropout: number;
  initStd: number;
  /** Size of the decoder's vocabulary, if it is another. */
  decoderVocabSize: number | null;
  /** Encoder and decoder have one table of embeddings. */
  sharesEmbeddings: boolean;
}

/** How BART and Marian differ. */
interface BartTraits {
  hasEmbeddingNorm: boolean;
  /** Learned positions begin at this row; fixed ones have none. */
  positionOffset: number | null;
  ignored: RegExp;
}

const EPSILON = 1e-5;

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
  decoderVocabSize: optional(size("decoder_vocab_size", 50265)),
  sharesEmbeddings: flag("share_encoder_decoder_embeddings", true),
  padTokenId: tokenId("pad_token_id", 1),
  eosTokenId: tokenIds("eos_token_id", 2),
  decoderStartTokenId: tokenId("decoder_start_token_id", 2),
};

/** The names of a layer's parts, in BART, Marian, Whisper and DETR. */
export const bartLayerKeys = {
  attention: "self_attn",
  "attention.query": "q_proj",
  "attention.key": "k_proj",
  "attention.value": "v_proj",
  "attention.output": "out_proj",
  attentionNorm: "self_attn_layer_norm",
  crossAttention: "encoder_attn",
  "crossAttention.query": "q_proj",
  "crossAttention.key": "k_proj",
  "crossAttention.value": "v_proj",
  "crossAttention.output": "out_proj",
  crossNorm: "encoder_attn_layer_norm",
  up: "fc1",
  down: "fc2",
  feedForwardNorm: "final_layer_norm",
};

/** Sines, then cosines, of positions: [positions, width]. Vaswani et al. 2017, section 3.5. */
function sinusoids(positions: number, width: number): Tensor<"f32"> {
  const half = Math.ceil(width / 2);
  const rows = Float32Array.from({ length: positions * width }, (_, n) => {
    const [position, i] = [Math.floor(n / width), n % width];
    const angle = position / 10000 ** ((2 * (i % half)) / width);
    return i < half ? Math.sin(angle) : Math.cos(angle);
  });
  return tensor(rows, { shape: [positions, width] });
}

class Stack extends Module {
  readonly embedTokens: EmbeddingTable; // [V, D], which the model lists where it is shared
  readonly embedPositions?: EmbeddingTable; // [positions + 2, D]
  readonly layernormEmbedding?: LayerNorm;
  readonly layers: TransformerLayer[];
  private readonly config: BartConfig;
  private readonly traits: BartTraits;

  constructor(config: BartConfig, traits: BartTraits, table: EmbeddingTable, isDecoder: boolean, key: RandomKey) {
    super();
    const { hiddenSize, maxPositionEmbeddings, initStd } = config;
    const [positionKey, layerKey] = key.split(2);
    this.embedTokens = table;
    if (traits.positionOffset !== null) {
      const numEmbeddings = maxPositionEmbeddings + traits.positionOffset;
      this.embedPositions = new Embedding(
        { numEmbeddings, embeddingDim: hiddenSize, init: normalInit(initStd) },
        positionKey,
      );
    }
    if (traits.hasEmbeddingNorm)
      this.layernormEmbedding = new LayerNorm({ width: hiddenSize, epsilon: EPSILON }, positionKey);
    const own = isDecoder
      ? { numHeads: config.decoderHeads, intermediateSize: config.decoderIntermediateSize }
      : { numHeads: config.encoderHeads, intermediateSize: config.encoderIntermediateSize };
    const shared = {
      ...config,
      ...own,
      epsilon: EPSILON,
      hiddenDropout: config.dropout,
      init: normalInit(initStd),
      keys: bartLayerKeys,
    };
    const make = (part: RandomKey) => new TransformerLayer({ ...shared, hasCrossAttention: isDecoder }, part);
    this.layers = layerKey.split(isDecoder ? config.decoderLayers : config.encoderLayers).map(make);
    this.config = config;
    this.traits = traits;
  }

  /** ids: i32 [B, T], positions i32 [...,T] -> [B, T, D] */
  embed(ids: Tensor<"i32">, positions: Tensor<"i32">, key: RandomKey | undefined): Tensor<"f32"> {
    const { scaleEmbedding, hiddenSize, maxPositionEmbeddings, dropout: probability } = this.config;
    const words = this.embedTokens.forward(ids);
    const scaled = scaleEmbedding ? mul(words, Math.sqrt(hiddenSize)) : words;
    const placed = this.embedPositions
      ? this.embedPositions.forward(add(positions, this.traits.positionOffset as number))
      : gather(sinusoids(maxPositionEmbeddings, hiddenSize), positions);
    const x = add(scaled, placed);
    return dropout(this.layernormEmbedding?.forward(x) ?? x, probability, key?.fold(999));
  }
}

class EncoderDecoder extends Module {
  readonly shared?: EmbeddingTable; // [V, D]
  readonly encoder: Stack;
  readonly decoder: Stack;

  constructor(config: BartConfig, traits: BartTraits, key: RandomKey) {
    super();
    const { vocabSize, decoderVocabSize, hiddenSize, padTokenId: paddingIndex, sharesEmbeddings, initStd } = config;
    const [tableKey, decoderTableKey, encoderKey, decoderKey] = key.split(4);
    const newTable = (rows: number, part: RandomKey) =>
      new Embedding({ numEmbeddings: rows, embeddingDim: hiddenSize, paddingIndex, init: normalInit(initStd) }, part);
    const table = newTable(vocabSize, tableKey);
    if (sharesEmbeddings) this.shared = table;
    this.encoder = new Stack(config, traits, table, false, encoderKey);
    this.decoder = new Stack(
      config,
      traits,
      sharesEmbeddings ? table : newTable(decoderVocabSize ?? vocabSize, decoderTableKey),
      true,
      decoderKey,
    );
  }

  encode({ inputIds, attentionMask, key }: EncoderSideInputs & RunOptions): Tensor<"f32"> {
    const ids = inputIds as Tensor<"i32">;
    const embedded = withScope("embeddings", () => this.encoder.embed(ids, arange(ids.shape[1]), key));
    return runEncoderLayers(this.encoder.layers, embedded, { mask: attentionMask, key });
  }

  decode(ids: Tensor<"i32">, inputs: DecodeInputs): Tensor<"f32"> {
    const positions = newPositions(ids, inputs.cache);
    const embedded = withScope("embeddings", () => this.decoder.embed(ids, positions, inputs.key));
    return runDecoderLayers(this.decoder.layers, embedded, inputs);
  }
}

type Given = { modelType: string; architecture: string; config: BartConfig & Partial<LabelConfig>; traits: BartTraits };

/** BART or Marian with its language-modelling head. */
export class BartForConditionalGeneration extends Seq2SeqLM {
  readonly model: EncoderDecoder;
  readonly finalLogitsBias: ModelBuffer; // [1, V]
  readonly config: BartConfig;
  readonly task = "seq2seq-lm";
  readonly modelType: string;
  readonly architecture: string;

  constructor({ modelType, architecture, config, traits }: Given, key: RandomKey) {
    super();
    const shape = [1, config.sharesEmbeddings ? config.vocabSize : (config.decoderVocabSize ?? config.vocabSize)];
    this.config = config;
    this.modelType = modelType;
    this.architecture = architecture;
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
    return this.model.encode(inputs);
  }

  decode(ids: Tensor<"i32">, inputs: DecodeInputs): Tensor<"f32"> {
    return this.model.decode(ids, inputs);
  }

  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    const { embedTokens } = this.model.decoder;
    return withScope("lm_head", () => add(embedTokens.project(hidden), this.finalLogitsBias.value));
  }
}

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

/** BART that classifies a text, or a pair of texts, by the decoder's state at the last end-of-text token. */
export class BartForSequenceClassification extends TaskModel<
  EncoderSideInputs,
  Seq2SeqOutput,
  { labels: Tensor<"i32"> | Tensor<"f32"> }
> {
  readonly model: EncoderDecoder;
  readonly classificationHead: ClassificationHead;
  readonly config: BartConfig & LabelConfig;
  readonly task = "sequence-classification";
  readonly modelType: string;
  readonly architecture: string;

  constructor({ modelType, architecture, config, traits }: Given, key: RandomKey) {
    super();
    const [modelKey, headKey] = key.split(2);
    this.config = config as BartConfig & LabelConfig;
    this.modelType = modelType;
    this.architecture = architecture;
    this.model = new EncoderDecoder(config, traits, modelKey);
    this.classificationHead = new ClassificationHead(this.config, headKey);
  }

  /** -> logits [B, N] */
  forward({ inputIds, attentionMask, key }: EncoderSideInputs & RunOptions): Seq2SeqOutput {
    const ids = inputIds as Tensor<"i32">;
    const { decoderStartTokenId, padTokenId, eosTokenId, classifierDropout } = this.config;
    const encoderStates = withScope("encoder", () => this.model.encode({ inputIds, attentionMask, key: key?.fold(0) }));
    const decoderIds = shiftRight(ids, decoderStartTokenId ?? 0, padTokenId ?? 0);
    const hidden = withScope("decoder", () =>
      this.model.decode(decoderIds, { encoderStates, encoderMask: attentionMask, key: key?.fold(1) }),
    );
    const length = ids.shape[1] as number;
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

  loss({
    labels,
    ...inputs
  }: EncoderSideInputs & RunOptions & { labels: Tensor<"i32"> | Tensor<"f32"> }): Tensor<"f32"> {
    return sequenceLoss(this.forward(inputs).logits, labels, this.config);
  }
}

/** Values of older variants, which are other models. */
const supported = { normalize_before: [false], add_final_layer_norm: [false], tie_word_embeddings: [true] };

const bartLike = (
  modelType: string,
  architectures: Family["tasks"],
  fields: Fields<BartConfig>,
  traits: BartTraits,
): Family => ({
  modelType,
  prefix: "model",
  tasks: architectures,
  create: (architecture, path, json, key): PretrainedModel => {
    const config = makeConfig("BartConfig", fields, fromJson(path, json, fields));
    for (const heads of [config.encoderHeads, config.decoderHeads]) {
      requireField("BartConfig", config.hiddenSize % heads === 0, "hiddenSize to be a multiple of the heads", [
        config.hiddenSize,
        heads,
      ]);
    }
    const given = {
      modelType,
      architecture,
      config: { ...config, ...labelsFromJson(path, json.id2label ? json : { num_labels: 3, ...json }) },
      traits,
    };
    return architecture.endsWith("SequenceClassification")
      ? new BartForSequenceClassification(given, key)
      : new BartForConditionalGeneration(given, key);
  },
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
});

export const barts = [
  bartLike(
    "bart",
    { BartForConditionalGeneration: "seq2seq-lm", BartForSequenceClassification: "sequence-classification" },
    bartFields,
    {
      hasEmbeddingNorm: true,
      positionOffset: 2,
      ignored: /(encoder|decoder)\.version/,
    },
  ),
  bartLike(
    "marian",
    { MarianMTModel: "seq2seq-lm" },
    {
      ...bartFields,
      vocabSize: size("vocab_size", 58101),
      padTokenId: tokenId("pad_token_id", 58100),
      eosTokenId: tokenIds("eos_token_id", 0),
      decoderStartTokenId: tokenId("decoder_start_token_id", 58100),
    },
    { hasEmbeddingNorm: false, positionOffset: null, ignored: /\.embed_positions\.weight$/ },
  ),
];

/**
 * BLIP captioning: a BERT that writes, with cross attention to what a Vision Transformer makes of an image. Li et al.
 * 2022, arXiv:2201.12086.
 */
import {
  type Activation,
  type KeysAndValues,
  LayerNorm,
  Module,
  normalInit,
  type Parameter,
  TransformerLayer,
} from "../../nn/index.ts";
import {
  add,
  broadcastTo,
  concat,
  crossEntropy,
  type RandomKey,
  reshape,
  slice,
  type Tensor,
  withScope,
} from "../../tensor/index.ts";
import {
  activation,
  anything,
  count,
  type Fields,
  fromJson,
  makeConfig,
  number,
  positive,
  probability,
  requireField,
  size,
  toJson,
  tokenId,
} from "../config.ts";
import { bertLayerKeys } from "../encoders/bert.ts";
import { TextEmbeddings } from "../encoders/encoder.ts";
import { MaskedLMHead } from "../encoders/heads.ts";
import { POSITION_IDS } from "../family.ts";
import { encoderDecoderParts } from "../formats/onnx-parts/encoder-decoder.ts";
import { type OnnxPart, type OnnxPartOptions, onnxPictures } from "../formats/onnx-parts/part.ts";
import type { Json } from "../labels.ts";
import { type Family, type RunOptions, TaskModel, type Trainable } from "../model.ts";
import type { DecodeInputs, EncoderDecoder } from "../seq2seq/encoder-decoder.ts";
import { newPositions, runDecoderLayers } from "../seq2seq/seq2seq.ts";
import { type ImageInputs, PatchEmbeddings, requireSize, stretchPositions, token } from "../vision/image.ts";

/**
 * The sizes of the model that writes. Mirrors transformers' BlipTextConfig, whose defaults it has: BERT base with 8
 * heads. arXiv:2201.12086, section 3.1.
 */
export interface BlipTextConfig {
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  maxPositionEmbeddings: number;
  activation: Activation;
  layerNormEpsilon: number;
  hiddenDropout: number;
  attentionDropout: number;
  initializerRange: number;
  bosTokenId: number;
  /** Ends a caption. */
  sepTokenId: number;
  padTokenId: number | null;
  /** Part of each label that is spread over all words. */
  labelSmoothing: number;
}

/**
 * The sizes of the model that sees, a ViT base by default, over images of 384 x 384. Mirrors transformers'
 * BlipVisionConfig.
 */
export interface BlipVisionConfig {
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  imageSize: number;
  patchSize: number;
  activation: Activation;
  layerNormEpsilon: number;
  attentionDropout: number;
  initializerRange: number;
}

const textFields: Fields<BlipTextConfig> = {
  vocabSize: size("vocab_size", 30524),
  hiddenSize: size("hidden_size", 768),
  intermediateSize: size("intermediate_size", 3072),
  numLayers: size("num_hidden_layers", 12),
  numHeads: size("num_attention_heads", 8),
  maxPositionEmbeddings: size("max_position_embeddings", 512),
  activation: activation("hidden_act", "gelu"),
  layerNormEpsilon: positive("layer_norm_eps", 1e-12),
  hiddenDropout: probability("hidden_dropout_prob", 0),
  attentionDropout: probability("attention_probs_dropout_prob", 0),
  initializerRange: number("initializer_range", 0.02),
  bosTokenId: count("bos_token_id", 30522),
  sepTokenId: count("sep_token_id", 102),
  padTokenId: tokenId("pad_token_id", 0),
  labelSmoothing: probability("label_smoothing", 0),
};
const visionFields: Fields<BlipVisionConfig> = {
  hiddenSize: size("hidden_size", 768),
  intermediateSize: size("intermediate_size", 3072),
  numLayers: size("num_hidden_layers", 12),
  numHeads: size("num_attention_heads", 12),
  imageSize: size("image_size", 384),
  patchSize: size("patch_size", 16),
  activation: activation("hidden_act", "gelu"),
  layerNormEpsilon: positive("layer_norm_eps", 1e-5),
  attentionDropout: probability("attention_dropout", 0),
  initializerRange: number("initializer_range", 1e-10),
};

const visionLayerKeys = {
  attention: "self_attn",
  "attention.qkv": "qkv",
  "attention.output": "projection",
  attentionNorm: "layer_norm1",
  up: "mlp.fc1",
  down: "mlp.fc2",
  feedForwardNorm: "layer_norm2",
};

const textLayerKeys = {
  ...bertLayerKeys,
  crossAttention: "crossattention",
  "crossAttention.query": "self.query",
  "crossAttention.key": "self.key",
  "crossAttention.value": "self.value",
  "crossAttention.output": "output.dense",
  crossNorm: "crossattention.output.LayerNorm",
};

/** A ViT with pre-normalised layers: class token, P patches. */
class VisionModel extends Module {
  readonly classEmbedding: Parameter; // [1, 1, D]
  readonly positionEmbedding: Parameter; // [1, P + 1, D]
  readonly patchEmbedding: PatchEmbeddings; // [D, 3, patch, patch]
  readonly layers: TransformerLayer[];
  readonly postLayernorm: LayerNorm;
  protected override readonly checkpointKeys = {
    classEmbedding: "embeddings.class_embedding",
    positionEmbedding: "embeddings.position_embedding",
    patchEmbedding: "embeddings",
    layers: "encoder.layers",
  };
  private readonly config: BlipVisionConfig;

  constructor(config: BlipVisionConfig, key: RandomKey) {
    super();
    const {
      hiddenSize: width,
      imageSize,
      patchSize,
      layerNormEpsilon: epsilon,
      initializerRange: range,
      numLayers,
    } = config;
    const [classKey, positionKey, patchKey, layerKey] = key.split(4);
    const layer = {
      ...config,
      epsilon,
      normPlacement: "pre",
      isFusedQkv: true,
      init: normalInit(range),
      keys: visionLayerKeys,
    } as const;
    this.classEmbedding = token([1, 1, width], range, classKey);
    this.positionEmbedding = token([1, Math.floor(imageSize / patchSize) ** 2 + 1, width], range, positionKey);
    this.patchEmbedding = new PatchEmbeddings({ ...config, numChannels: 3, width }, patchKey, "patch_embedding");
    this.layers = layerKey.split(numLayers).map((part) => new TransformerLayer(layer, part));
    this.postLayernorm = new LayerNorm({ width, epsilon }, layerKey);
    this.config = config;
  }

  /** pixelValues: [B, 3, H, W] -> [B, P + 1, D] */
  encode({ pixelValues, interpolatePosEncoding, key }: ImageInputs & RunOptions): Tensor<"f32"> {
    const { imageSize, patchSize, hiddenSize: width } = this.config;
    if (!interpolatePosEncoding) requireSize("image", pixelValues, [imageSize, imageSize]);
    const { patches, grid } = this.patchEmbedding.forward(pixelValues);
    const side = Math.floor(imageSize / patchSize);
    const table = this.positionEmbedding.value;
    const ofPatches = stretchPositions(slice(table, { axis: 1, start: 1 }), [side, side], grid);
    const first = broadcastTo(this.classEmbedding.value, [patches.shape[0], 1, width]); // [B, 1, D]
    let x = add(concat([first, patches], 1), concat([slice(table, { axis: 1, end: 1 }), ofPatches], 1));
    for (const [i, layer] of this.layers.entries())
      x = withScope(`layers.${i}`, () => layer.forward(x, { key: key?.fold(i) }));
    return this.postLayernorm.forward(x);
  }
}

/** BERT's layers with cross attention to the image, causal, and BERT's masked-language-model head. */
class TextDecoder extends Module {
  readonly embeddings: TextEmbeddings;
  readonly layer: TransformerLayer[];
  readonly predictions: MaskedLMHead;
  protected override readonly checkpointKeys = {
    embeddings: "bert.embeddings",
    layer: "bert.encoder.layer",
    predictions: "cls.predictions",
  };

  constructor(config: BlipTextConfig, encoderHiddenSize: number, key: RandomKey) {
    super();
    const { hiddenSize: width, layerNormEpsilon: epsilon, initializerRange, numLayers, hiddenDropout } = config;
    const [embeddingKey, layerKey, headKey] = key.split(3);
    const layer = {
      ...config,
      epsilon,
      hasCrossAttention: true,
      encoderHiddenSize,
      init: normalInit(initializerRange),
      keys: textLayerKeys,
    };
    this.embeddings = new TextEmbeddings({ ...config, width, epsilon, dropout: hiddenDropout }, embeddingKey);
    this.layer = layerKey.split(numLayers).map((part) => new TransformerLayer(layer, part));
    const keys = { dense: "transform.dense", norm: "transform.LayerNorm", decoder: "decoder", bias: "bias" };
    this.predictions = new MaskedLMHead(
      { ...config, epsilon, embeddingSize: width, isTied: true, keys },
      this.embeddings.wordEmbeddings,
      headKey,
    );
  }
}

/** A batch of images, and what is written of their captions. */
export interface CaptionInputs extends ImageInputs {
  /** The caption so far, i32 [B, T]; it begins with bosTokenId. */
  inputIds: Tensor<"i32">;
  /** bool [B, T], false for padding. @default all true */
  attentionMask?: Tensor<"bool">;
}

/** What the model says of each next token, and what it saw. */
export interface CaptionOutput {
  /** [B, T, V] */
  logits: Tensor<"f32">;
  /** [B, P + 1, D] */
  imageEmbeds: Tensor<"f32">;
}

/** A config, all of which is optional. */
export interface BlipOptions {
  text?: Partial<BlipTextConfig>;
  vision?: Partial<BlipVisionConfig>;
}
const partFields: Fields<BlipOptions> = { text: anything("text_config", {}), vision: anything("vision_config", {}) };

type BlipConfig = BlipTextConfig & { vision: BlipVisionConfig; eosTokenId: number; decoderStartTokenId: number };

/**
 * BLIP that writes captions: [B, 3, H, W] and the start of each caption, i32 [B, T], -> logits [B, T, V]. Li et al.
 * 2022, arXiv:2201.12086.
 */
export class BlipForConditionalGeneration
  extends TaskModel<CaptionInputs, CaptionOutput>
  implements EncoderDecoder, Trainable<CaptionInputs & { labels: Tensor<"i32"> }>
{
  readonly visionModel: VisionModel;
  readonly textDecoder: TextDecoder;
  static readonly task = "image-to-text";
  readonly config: BlipConfig;
  readonly family = blip;
  readonly task = BlipForConditionalGeneration.task;

  /** @throws OptionError when the config contradicts itself */
  constructor(options: BlipOptions, key: RandomKey) {
    super();
    const [visionKey, textKey] = key.split(2);
    const { text: textOptions = {}, vision: visionOptions = {} } = makeConfig("BlipConfig", partFields, options);
    const text = makeConfig("BlipConfig, text", textFields, textOptions);
    const vision = makeConfig("BlipConfig, vision", visionFields, visionOptions);
    for (const { hiddenSize, numHeads } of [text, vision])
      requireField("BlipConfig", hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [
        hiddenSize,
        numHeads,
      ]);
    this.config = { ...text, vision, eosTokenId: text.sepTokenId, decoderStartTokenId: text.bosTokenId };
    this.visionModel = new VisionModel(vision, visionKey);
    this.textDecoder = new TextDecoder(text, vision.hiddenSize, textKey);
  }

  /** A caption ends with [SEP], whatever generation_config.json says, as in transformers. */
  get endTokenIds(): readonly number[] {
    return [this.config.sepTokenId];
  }

  get cacheShape() {
    const { numLayers, numHeads, hiddenSize, maxPositionEmbeddings: maxLength } = this.config;
    return { numLayers, numKeyHeads: numHeads, headDim: hiddenSize / numHeads, maxLength };
  }

  onnxParts(options: OnnxPartOptions): OnnxPart[] {
    const { vision } = this.config;
    const encoderInputs = { pixel_values: onnxPictures(vision, options) };
    return encoderDecoderParts(this, { encoderInputs, encoderWidth: vision.hiddenSize });
  }

  /** pixelValues: [B, 3, H, W] -> [B, P + 1, D] */
  encode(inputs: ImageInputs & RunOptions): Tensor<"f32"> {
    return withScope("vision_model", () => this.visionModel.encode(inputs));
  }

  /** ids: i32 [B, T] -> [B, T, D] */
  decode(ids: Tensor<"i32">, inputs: DecodeInputs): Tensor<"f32"> {
    const positions = newPositions(ids, inputs.cache);
    const embedded = withScope("embeddings", () =>
      this.textDecoder.embeddings.forward({ inputIds: ids, positions, key: inputs.key?.fold(999) }),
    );
    return runDecoderLayers(this.textDecoder.layer, embedded, inputs);
  }

  /** hidden: [B, T, D] -> [B, T, V] */
  logits(hidden: Tensor<"f32">): Tensor<"f32"> {
    return withScope("predictions", () =>
      this.textDecoder.predictions.forward({ lastHiddenState: hidden, hiddenStates: [] }),
    );
  }

  /** [B, P + 1, D] -> for each layer keys and values [B, P + 1, H Dh] */
  crossKeysAndValues(states: Tensor<"f32">): KeysAndValues[] {
    return this.textDecoder.layer.map((layer, i) =>
      withScope(`layers.${i}.cross`, () => layer.crossKeysAndValues(states)),
    );
  }

  /** pixelValues: [B, 3, H, W], inputIds: i32 [B, T] -> logits [B, T, V], and imageEmbeds [B, P + 1, D] */
  forward({ inputIds, attentionMask, key, ...image }: CaptionInputs & RunOptions): CaptionOutput {
    const imageEmbeds = this.encode({ ...image, key: key?.fold(0) });
    const states = withScope("text_decoder", () =>
      this.decode(inputIds, { encoderStates: imageEmbeds, decoderMask: attentionMask, key: key?.fold(1) }),
    );
    return { logits: this.logits(states), imageEmbeds };
  }

  /**
   * Next-token cross-entropy with the config's label smoothing, in nats: labels are the ids, i32 [B, T]; those of -100
   * do not count. -> []
   */
  loss({ labels, ...inputs }: CaptionInputs & RunOptions & { labels: Tensor<"i32"> }): Tensor<"f32"> {
    const { vocabSize, labelSmoothing } = this.config;
    const length = labels.size(1);
    const logits = slice(this.forward(inputs).logits, { axis: 1, end: length - 1 });
    return crossEntropy(reshape(logits, [-1, vocabSize]), reshape(slice(labels, { axis: 1, start: 1 }), [-1]), {
      labelSmoothing,
    });
  }
}

/** How BLIP is stored: model_type blip. */
export const blip: Family = {
  modelType: "blip",
  prefix: "blip",
  classes: { BlipForConditionalGeneration },
  configFromJson: (path, json) => {
    const [textJson, visionJson] = [json.text_config, json.vision_config].map((part) => (part ?? {}) as Json);
    return {
      text: fromJson(`${path}, text_config`, textJson, textFields),
      vision: fromJson(`${path}, vision_config`, visionJson, visionFields),
    };
  },
  configKeys: {
    fields: {},
    parts: {
      text_config: { fields: textFields, supported: { tie_word_embeddings: [true] } },
      vision_config: { fields: visionFields },
    },
  },
  configToJson: (model) => {
    const { vision, eosTokenId: _, decoderStartTokenId: __, ...text } = (model as BlipForConditionalGeneration).config;
    return {
      text_config: {
        model_type: "blip_text_model",
        encoder_hidden_size: vision.hiddenSize,
        is_decoder: true,
        ...toJson(text, textFields),
      },
      vision_config: { model_type: "blip_vision_model", ...toJson(vision, visionFields) },
    };
  },
  ignored: POSITION_IDS,
  tied: () => ({
    "text_decoder.cls.predictions.decoder.weight": "text_decoder.bert.embeddings.word_embeddings.weight",
    "text_decoder.cls.predictions.decoder.bias": "text_decoder.cls.predictions.bias",
  }),
};

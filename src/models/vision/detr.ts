/**
 * DETR: a ResNet, a Transformer, and learned queries that each find an object. Carion et al. 2020, arXiv:2005.12872.
 */
import { DataError } from "../../base/index.ts";
import {
  type Activation,
  Conv2d,
  Embedding,
  type EmbeddingTable,
  LayerNorm,
  Linear,
  Module,
  normalInit,
  type Projection,
  TransformerLayer,
} from "../../nn/index.ts";
import {
  add,
  arange,
  broadcastTo,
  cast,
  concat,
  cos,
  cumsum,
  div,
  greater,
  interpolate,
  mul,
  ones,
  type RandomKey,
  reshape,
  sin,
  slice,
  stack,
  type Tensor,
  tensor,
  unsqueeze,
  withScope,
  zeros,
} from "../../tensor/index.ts";
import {
  activation,
  choice,
  type Fields,
  flag,
  fromJson,
  makeConfig,
  number,
  probability,
  requireField,
  size,
  toJson,
} from "../config.ts";
import { keyMask } from "../encoders/encoder.ts";
import { type OnnxPart, type OnnxPartOptions, onnxPictures } from "../formats/onnx-parts/part.ts";
import type { LabelConfig } from "../labels.ts";
import { type Json, labelFields, labelsFromJson, labelsToJson } from "../labels.ts";
import type { Family, RunOptions } from "../model.ts";
import { bartLayerKeys } from "../seq2seq/bart-stacks.ts";
import { layerDrop, seq2seqAliases } from "../seq2seq/seq2seq.ts";
import { boxesOf, type DetectionOutput, ObjectDetector, PredictionMlp } from "./detection.ts";
import {
  type DetectionLabels,
  type DetectionLosses,
  type DetectionWeights,
  detectionFields,
  detectionLosses,
} from "./detection-loss.ts";
import { type ImageInputs, toTokens } from "./image.ts";
import { fromTimmName, type ResNetConfig, ResNetEncoder, resnetFields } from "./resnet.ts";

/**
 * The sizes of DETR, of its backbone, and the weights of its loss. Mirrors transformers' DetrConfig; the defaults are
 * those of DETR with ResNet-50. arXiv:2005.12872, section 4.
 */
export interface DetrConfig extends LabelConfig, DetectionWeights {
  hiddenSize: number;
  /** Q, the most objects that are found in an image. */
  numQueries: number;
  encoderLayers: number;
  decoderLayers: number;
  encoderHeads: number;
  decoderHeads: number;
  encoderIntermediateSize: number;
  decoderIntermediateSize: number;
  activation: Activation;
  dropout: number;
  attentionDropout: number;
  activationDropout: number;
  /** Positions of the places of the map: fixed sines and cosines, or learned for 50 rows and columns. */
  positionEmbeddingType: "sine" | "learned";
  initStd: number;
  /** The loss also asks of each layer of the decoder that it finds the objects. */
  auxiliaryLoss: boolean;
  /** The ResNet whose last map the encoder reads; its batch norms are not trained. */
  backbone: Omit<ResNetConfig, keyof LabelConfig>;
}

const fields: Fields<Omit<DetrConfig, keyof LabelConfig | "backbone">> = {
  hiddenSize: size("d_model", 256),
  numQueries: size("num_queries", 100),
  encoderLayers: size("encoder_layers", 6),
  decoderLayers: size("decoder_layers", 6),
  encoderHeads: size("encoder_attention_heads", 8),
  decoderHeads: size("decoder_attention_heads", 8),
  encoderIntermediateSize: size("encoder_ffn_dim", 2048),
  decoderIntermediateSize: size("decoder_ffn_dim", 2048),
  activation: activation("activation_function", "relu"),
  dropout: probability("dropout", 0.1),
  attentionDropout: probability("attention_dropout", 0),
  activationDropout: probability("activation_dropout", 0),
  positionEmbeddingType: choice("position_embedding_type", ["sine", "learned"], "sine"),
  initStd: number("init_std", 0.02),
  auxiliaryLoss: flag("auxiliary_loss", false),
  ...detectionFields,
};

const EPSILON = 1e-5;
/** Rows and columns that learned positions have. */
const LEARNED_POSITIONS = 50;

/** The encoder or the decoder: layers in which positions are added to queries and keys. */
class Stack extends Module {
  readonly layers: TransformerLayer[];
  readonly layernorm?: LayerNorm; // of the decoder

  constructor(config: DetrConfig, isDecoder: boolean, key: RandomKey) {
    super();
    const sizes = isDecoder
      ? { numHeads: config.decoderHeads, intermediateSize: config.decoderIntermediateSize }
      : { numHeads: config.encoderHeads, intermediateSize: config.encoderIntermediateSize };
    const options = {
      ...config,
      ...sizes,
      epsilon: EPSILON,
      hiddenDropout: config.dropout,
      hasCrossAttention: isDecoder,
      keys: bartLayerKeys,
    };
    const count = isDecoder ? config.decoderLayers : config.encoderLayers;
    this.layers = key
      .split(count)
      .map((part) => new TransformerLayer({ ...options, init: normalInit(config.initStd) }, part));
    if (isDecoder) this.layernorm = new LayerNorm({ width: config.hiddenSize, epsilon: EPSILON }, key);
  }
}

/** Sines and cosines of rows and columns, counted over what is no padding: mask [B, h, w] -> [B, h w, D] */
function sinePositions(mask: Tensor<"bool">, width: number): Tensor<"f32"> {
  const [batch] = mask.shape;
  const [height, columns] = [mask.size(1), mask.size(2)];
  const seen = cast(mask, "f32");
  const half = width / 2;
  const periods = tensor(Float32Array.from({ length: half / 2 }, (_, i) => 10000 ** ((2 * i) / half)));
  const along = (axis: 1 | 2, length: number) => {
    const counted = cumsum(seen, { axis });
    const last = slice(counted, { axis, start: length - 1 });
    const angle = div(unsqueeze(mul(div(counted, add(last, 1e-6)), 2 * Math.PI), 3), periods); // [B, h, w, D / 4]
    return reshape(stack([sin(angle), cos(angle)], -1), [batch, height, columns, half]);
  };
  return reshape(concat([along(1, height), along(2, columns)], -1), [batch, height * columns, width]) as Tensor<"f32">;
}

/** Learned vectors of columns and rows. */
class LearnedPositions extends Module {
  readonly rowEmbeddings: EmbeddingTable; // [50, D / 2]
  readonly columnEmbeddings: EmbeddingTable; // [50, D / 2]

  constructor(width: number, key: RandomKey) {
    super();
    const [rowKey, columnKey] = key.split(2);
    this.rowEmbeddings = new Embedding({ numEmbeddings: LEARNED_POSITIONS, embeddingDim: width / 2 }, rowKey);
    this.columnEmbeddings = new Embedding({ numEmbeddings: LEARNED_POSITIONS, embeddingDim: width / 2 }, columnKey);
  }

  /** -> [1, h w, D] */
  forward(height: number, columns: number): Tensor<"f32"> {
    const across = unsqueeze(this.columnEmbeddings.forward(arange(columns)), 0); // [1, w, D / 2]
    const down = unsqueeze(this.rowEmbeddings.forward(arange(height)), 1); // [h, 1, D / 2]
    const half = across.size(2);
    const full = [height, columns, half];
    return reshape(concat([broadcastTo(across, full), broadcastTo(down, full)], -1), [1, height * columns, 2 * half]);
  }
}

/** DETR without its heads: backbone, encoder over the places of its map, decoder over the queries. */
class DetrModel extends Module {
  readonly backbone: ResNetEncoder;
  readonly positionEmbedding?: LearnedPositions;
  readonly inputProjection: Conv2d; // [D, C, 1, 1]
  readonly queryPositionEmbeddings: EmbeddingTable; // [Q, D]
  readonly encoder: Stack;
  readonly decoder: Stack;
  protected override readonly checkpointKeys = { backbone: "backbone.conv_encoder.model" };
  private readonly config: DetrConfig;

  constructor(config: DetrConfig, key: RandomKey) {
    super();
    const [backboneKey, positionKey, inputKey, queryKey, encoderKey, decoderKey] = key.split(6);
    const { hiddenSizes } = config.backbone;
    this.backbone = new ResNetEncoder({ ...config.backbone, labels: [], problemType: null }, backboneKey, true);
    if (config.positionEmbeddingType === "learned")
      this.positionEmbedding = new LearnedPositions(config.hiddenSize, positionKey);
    this.inputProjection = new Conv2d(
      { inChannels: hiddenSizes[hiddenSizes.length - 1], outChannels: config.hiddenSize, kernelSize: 1 },
      inputKey,
    );
    this.queryPositionEmbeddings = new Embedding(
      { numEmbeddings: config.numQueries, embeddingDim: config.hiddenSize, init: normalInit(config.initStd) },
      queryKey,
    );
    this.encoder = new Stack(config, false, encoderKey);
    this.decoder = new Stack(config, true, decoderKey);
    this.config = config;
  }

  /**
   * pixelValues: [B, 3, H, W] -> states of the Q queries after each layer of the decoder, [B, Q, D], and of all places
   * of the backbone's map, [B, h w, D]
   */
  encode({ pixelValues, pixelMask, key }: ImageInputs & RunOptions): {
    layers: Tensor<"f32">[];
    places: Tensor<"f32">;
  } {
    const { hiddenSize: width, numQueries } = this.config;
    const { lastHiddenState: map } = withScope("backbone", () => this.backbone.encode({ pixelValues }));
    const [batch] = map.shape;
    const [height, columns] = [map.size(2), map.size(3)];
    const small =
      pixelMask && interpolate(unsqueeze(cast(pixelMask, "f32"), 1), { size: [height, columns], mode: "nearest" });
    const mask = small
      ? reshape(greater(small, 0.5), [batch, height, columns])
      : ones([batch, height, columns], "bool");
    const position = this.positionEmbedding?.forward(height, columns) ?? sinePositions(mask, width);
    const keys = small && keyMask(reshape(mask, [batch, height * columns]));
    let states = toTokens(this.inputProjection.forward(map)); // [B, h w, D]
    for (const [i, layer] of this.encoder.layers.entries()) {
      states = withScope(`encoder.layers.${i}`, () =>
        layer.forward(states, { mask: keys, queryPosition: position, key: key?.fold(i) }),
      );
    }
    const queryPosition = unsqueeze(this.queryPositionEmbeddings.rows(), 0); // [1, Q, D]
    let queries: Tensor<"f32"> = zeros([batch, numQueries, width]);
    const across = { queryPosition, encoderStates: states, encoderMask: keys, encoderPosition: position };
    const norm = this.decoder.layernorm as LayerNorm;
    const { auxiliaryLoss } = this.config;
    const layers = this.decoder.layers.map((layer, i) => {
      queries = withScope(`decoder.layers.${i}`, () => layer.forward(queries, { ...across, key: key?.fold(100 + i) }));
      // transformers lets the next layer, and the last norm, go on from here
      if (auxiliaryLoss) queries = norm.forward(queries);
      return queries;
    });
    layers.push(norm.forward(layers.pop() as Tensor<"f32">));
    return { layers, places: states };
  }
}

/** A config, all of which is optional; the backbone is ResNet-50 where it is not given. */
export type DetrOptions = Partial<Omit<DetrConfig, "backbone">> & { backbone?: Partial<DetrConfig["backbone"]> };

function detrConfig({ backbone, ...options }: DetrOptions): DetrConfig {
  const config = {
    ...makeConfig<Omit<DetrConfig, "backbone">>("DetrConfig", { ...fields, ...labelFields }, options),
    backbone: makeConfig("DetrConfig, backbone", resnetFields, backbone ?? {}),
  };
  for (const heads of [config.encoderHeads, config.decoderHeads]) {
    requireField("DetrConfig", config.hiddenSize % heads === 0, "hiddenSize to be a multiple of the heads", [
      config.hiddenSize,
      heads,
    ]);
  }
  return config;
}

/** DETR, which finds objects in pictures: [B, 3, H, W] -> classes [B, Q, N + 1] and boxes [B, Q, 4]. */
export class DetrForObjectDetection extends ObjectDetector {
  readonly model: DetrModel;
  readonly classLabelsClassifier: Projection; // [N + 1, D]
  readonly bboxPredictor: PredictionMlp;
  readonly config: DetrConfig;
  readonly family = detr;

  /** @throws OptionError when the config contradicts itself */
  constructor(options: DetrOptions, key: RandomKey) {
    super();
    const [modelKey, classKey, boxKey] = key.split(3);
    const config = detrConfig(options);
    this.config = config;
    this.model = new DetrModel(config, modelKey);
    this.classLabelsClassifier = new Linear(
      { inFeatures: config.hiddenSize, outFeatures: config.labels.length + 1 },
      classKey,
    );
    this.bboxPredictor = new PredictionMlp(config.hiddenSize, 4, boxKey);
  }

  onnxParts(options: OnnxPartOptions): OnnxPart[] {
    const pictures = onnxPictures({ numChannels: this.config.backbone.numChannels }, options);
    const [batch, , height, width] = pictures.shape;
    return [this.onnxPart({ pixel_values: pictures, pixel_mask: { dtype: "i64", shape: [batch, height, width] } })];
  }

  /** pixelValues: [B, 3, H, W] -> logits [B, Q, N + 1], predBoxes [B, Q, 4], states [B, Q, D] and [B, h w, D] */
  forward(inputs: ImageInputs & RunOptions): DetectionOutput {
    const { layers, places } = withScope("model", () => this.model.encode(inputs));
    const queries = layers[layers.length - 1];
    return { ...this.predictions(queries), lastHiddenState: queries, encoderLastHiddenState: places };
  }

  /**
   * The loss of the last layer's queries; with auxiliaryLoss the sum of those of all layers, beside the parts of the
   * last. See `detectionLosses`. -> [] each
   */
  override losses({ classLabels, boxes, ...inputs }: ImageInputs & DetectionLabels & RunOptions): DetectionLosses {
    const { layers } = withScope("model", () => this.model.encode(inputs));
    const used = this.config.auxiliaryLoss ? layers : layers.slice(-1);
    const each = used
      .map((queries) => this.predictions(queries))
      .map(({ logits, predBoxes }) => detectionLosses(logits, predBoxes, { classLabels, boxes }, this.config));
    const loss = each.map((part) => part.loss).reduce((a, b) => add(a, b) as Tensor<"f32">);
    return { ...(each.at(-1) as DetectionLosses), loss };
  }

  /** queries: [B, Q, D] -> logits [B, Q, N + 1], predBoxes [B, Q, 4] */
  private predictions(queries: Tensor<"f32">): { logits: Tensor<"f32">; predBoxes: Tensor<"f32"> } {
    return { logits: this.classLabelsClassifier.forward(queries), predBoxes: boxesOf(this.bboxPredictor, queries) };
  }
}

const timmBackbones: Readonly<Record<string, readonly number[]>> = { resnet50: [3, 4, 6, 3], resnet101: [3, 4, 23, 3] };

/** The backbone: a config of transformers' ResNet, or the name of one of timm's. */
function backboneOf(path: string, json: Json): DetrOptions["backbone"] {
  const backbone = json.backbone_config as Json | null | undefined;
  const isTimm = !backbone || backbone.model_type === "timm_backbone";
  const name = String(backbone?.backbone ?? json.backbone ?? "resnet50");
  if (isTimm && Object.hasOwn(timmBackbones, name) && json.dilation !== true) return { depths: timmBackbones[name] };
  if (backbone?.model_type === "resnet") return fromJson(`${path}, backbone_config`, backbone, resnetFields);
  throw new DataError({
    where: `${path}, backbone`,
    expected: `a ResNet of transformers, or ${Object.keys(timmBackbones).join(" or ")} of timm without dilation`,
    received: JSON.stringify(backbone?.model_type ?? name),
    fix: "use a model with such a backbone",
  });
}

const BACKBONE = "model.backbone.conv_encoder.model.";

/** How DETR is stored: model_type detr, with its backbone under transformers' or timm's names. */
export const detr: Family = {
  modelType: "detr",
  prefix: "model",
  classes: { DetrForObjectDetection },
  configFromJson: (path, json) => ({
    ...fromJson(path, json, fields),
    backbone: backboneOf(path, json),
    ...labelsFromJson(path, json),
  }),
  configKeys: {
    fields,
    aliases: seq2seqAliases,
    supported: { num_channels: [3], output_stride: [null] },
    training: layerDrop,
    parts: { backbone_config: { fields: resnetFields, supported: { output_stride: [null] } } },
  },
  configToJson: ({ config }) => {
    const { backbone, labels, problemType } = config as DetrConfig;
    return {
      ...toJson(config as object, fields as unknown as Fields<object>),
      use_timm_backbone: false,
      use_pretrained_backbone: false,
      backbone: null,
      backbone_config: {
        model_type: "resnet",
        ...toJson(backbone, resnetFields),
        out_features: [`stage${backbone.depths.length}`],
      },
      ...labelsToJson({ labels, problemType }),
    };
  },
  tensorName: (name) => {
    if (!name.startsWith(BACKBONE)) return name;
    return `${BACKBONE}${fromTimmName(name.slice(BACKBONE.length)) ?? name.slice(BACKBONE.length)}`;
  },
};

/** YOLOS: a ViT with further tokens, each of which finds an object. Fang et al. 2021, arXiv:2106.00666. */
import { LayerNorm, Module, normalInit, type Parameter, TransformerLayer } from "../../nn/index.ts";
import {
  add,
  broadcastTo,
  concat,
  type RandomKey,
  reshape,
  slice,
  type Tensor,
  withScope,
} from "../../tensor/index.ts";
import { type Fields, flag, fromJson, makeConfig, requireField, size, toJson } from "../config.ts";
import { type OnnxPart, type OnnxPartOptions, onnxPictures } from "../formats/onnx-parts/part.ts";
import type { LabelConfig } from "../labels.ts";
import { labelFields, labelsFromJson, labelsToJson } from "../labels.ts";
import type { Family, RunOptions } from "../model.ts";
import { boxesOf, type DetectionOutput, ObjectDetector, PredictionMlp } from "./detection.ts";
import { type DetectionWeights, detectionFields } from "./detection-loss.ts";
import { type ImageInputs, PatchEmbeddings, sides, stretchPositions, token } from "./image.ts";
import { type ViTConfig, vitFields, vitLayerKeys } from "./vit.ts";

/**
 * The sizes of YOLOS: ViT's, with further tokens, and the weights of its loss. Mirrors transformers' YolosConfig, whose
 * defaults it has. arXiv:2106.00666, section 3.
 */
export interface YolosConfig extends Omit<ViTConfig, "poolerSize" | "poolerActivation">, DetectionWeights {
  /** Q, the most objects that are found in an image. */
  numDetectionTokens: number;
  /** Positions are added between the layers too. */
  useMidPositionEmbeddings: boolean;
}

const { poolerSize: _, poolerActivation: __, ...shared } = vitFields;
const fields: Fields<Omit<YolosConfig, keyof LabelConfig>> = {
  ...shared,
  imageSize: { ...shared.imageSize, default: [512, 864] },
  numDetectionTokens: size("num_detection_tokens", 100),
  useMidPositionEmbeddings: flag("use_mid_position_embeddings", true),
  ...detectionFields,
};

type Grid = readonly [number, number];

class Embeddings extends Module {
  readonly clsToken: Parameter; // [1, 1, D]
  readonly detectionTokens: Parameter; // [1, Q, D]
  readonly positionEmbeddings: Parameter; // [1, 1 + N + Q, D]
  readonly patchEmbeddings: PatchEmbeddings;

  constructor(config: YolosConfig, positions: number, key: RandomKey) {
    super();
    const [clsKey, detectionKey, positionKey, patchKey] = key.split(4);
    const { hiddenSize: width, numDetectionTokens, initializerRange: range } = config;
    this.clsToken = token([1, 1, width], range, clsKey);
    this.detectionTokens = token([1, numDetectionTokens, width], range, detectionKey);
    this.positionEmbeddings = token([1, positions, width], range, positionKey);
    this.patchEmbeddings = new PatchEmbeddings({ ...config, width }, patchKey);
  }
}

class Encoder extends Module {
  readonly layer: TransformerLayer[];
  readonly midPositionEmbeddings?: Parameter; // [layers - 1, 1, 1 + N + Q, D]

  constructor(config: YolosConfig, positions: number, key: RandomKey) {
    super();
    const [layerKey, positionKey] = key.split(2);
    const { numLayers, hiddenSize, initializerRange, layerNormEpsilon: epsilon, useMidPositionEmbeddings } = config;
    const options = {
      ...config,
      normPlacement: "pre",
      epsilon,
      init: normalInit(initializerRange),
      keys: vitLayerKeys,
    } as const;
    this.layer = layerKey.split(numLayers).map((part) => new TransformerLayer(options, part));
    if (useMidPositionEmbeddings)
      this.midPositionEmbeddings = token([numLayers - 1, 1, positions, hiddenSize], initializerRange, positionKey);
  }
}

/** A ViT over class token, patches and detection tokens. */
class YolosEncoder extends Module {
  readonly embeddings: Embeddings;
  readonly encoder: Encoder;
  readonly layernorm: LayerNorm;
  private readonly config: YolosConfig;

  constructor(config: YolosConfig, key: RandomKey) {
    super();
    const [embeddingKey, layerKey] = key.split(2);
    const [height, columns] = nativeGridOf(config);
    const positions = 1 + height * columns + config.numDetectionTokens;
    this.embeddings = new Embeddings(config, positions, embeddingKey);
    this.encoder = new Encoder(config, positions, layerKey);
    this.layernorm = new LayerNorm({ width: config.hiddenSize, epsilon: config.layerNormEpsilon }, layerKey);
    this.config = config;
  }

  /** pixelValues: [B, 3, H, W] -> states of class, patches and detection tokens, [B, 1 + N + Q, D] */
  encode({ pixelValues, key }: ImageInputs & RunOptions): Tensor<"f32"> {
    const { numDetectionTokens: count, hiddenSize: width } = this.config;
    const { clsToken, detectionTokens, positionEmbeddings, patchEmbeddings } = this.embeddings;
    const { layer: layers, midPositionEmbeddings } = this.encoder;
    const { patches, grid } = patchEmbeddings.forward(pixelValues);
    const batch = pixelValues.shape[0];
    const first = concat(
      [
        broadcastTo(clsToken.value, [batch, 1, width]),
        patches,
        broadcastTo(detectionTokens.value, [batch, count, width]),
      ],
      1,
    );
    let x = add(first, this.stretched(positionEmbeddings.value, grid));
    for (const [i, layer] of layers.entries()) {
      x = withScope(`layer.${i}`, () => layer.forward(x, { key: key?.fold(i) }));
      if (!midPositionEmbeddings || i === layers.length - 1) continue;
      const positions = slice(midPositionEmbeddings.value, { axis: 0, start: i, end: i + 1 });
      x = add(x, this.stretched(reshape(positions, positions.shape.slice(1)), grid));
    }
    return this.layernorm.forward(x);
  }

  /** Positions for the patches of an image of any size. */
  private stretched(positions: Tensor<"f32">, grid: Grid): Tensor<"f32"> {
    const nativeGrid = nativeGridOf(this.config);
    const end = 1 + nativeGrid[0] * nativeGrid[1];
    const part = (range: { start?: number; end?: number }) => slice(positions, { axis: 1, ...range });
    return concat(
      [part({ end: 1 }), stretchPositions(part({ start: 1, end }), nativeGrid, grid), part({ start: end })],
      1,
    );
  }
}

const nativeGridOf = ({ imageSize, patchSize }: YolosConfig): Grid =>
  sides(imageSize).map((side) => Math.floor(side / patchSize)) as [number, number];

/** YOLOS, which finds objects in pictures: [B, 3, H, W] -> classes [B, Q, N + 1] and boxes [B, Q, 4]. */
export class YolosForObjectDetection extends ObjectDetector {
  readonly vit: YolosEncoder;
  readonly classLabelsClassifier: PredictionMlp;
  readonly bboxPredictor: PredictionMlp;
  readonly config: YolosConfig;
  readonly family = yolos;

  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<YolosConfig>, key: RandomKey) {
    super();
    const [encoderKey, classKey, boxKey] = key.split(3);
    const plain = makeConfig<YolosConfig>("YolosConfig", { ...fields, ...labelFields }, options);
    const config = { ...plain, imageSize: sides(plain.imageSize) }; // transformers' YolosConfig takes no single number
    requireField("YolosConfig", config.hiddenSize % config.numHeads === 0, "hiddenSize to be a multiple of numHeads", [
      config.hiddenSize,
      config.numHeads,
    ]);
    this.config = config;
    this.vit = new YolosEncoder(config, encoderKey);
    this.classLabelsClassifier = new PredictionMlp(config.hiddenSize, config.labels.length + 1, classKey);
    this.bboxPredictor = new PredictionMlp(config.hiddenSize, 4, boxKey);
  }

  onnxParts(options: OnnxPartOptions): OnnxPart[] {
    return [this.onnxPart({ pixel_values: onnxPictures(this.config, options) })];
  }

  /**
   * pixelValues: [B, 3, H, W] -> logits [B, Q, N + 1], predBoxes [B, Q, 4], states of all tokens
   * [B, 1 + patches + Q, D]
   */
  forward(inputs: ImageInputs & RunOptions): DetectionOutput {
    const lastHiddenState = withScope("vit", () => this.vit.encode(inputs));
    const start = lastHiddenState.size(1) - this.config.numDetectionTokens;
    const detectionStates = slice(lastHiddenState, { axis: 1, start }); // [B, Q, D]
    return {
      logits: this.classLabelsClassifier.forward(detectionStates),
      predBoxes: boxesOf(this.bboxPredictor, detectionStates),
      lastHiddenState,
    };
  }
}

/** How YOLOS is stored: model_type yolos. */
export const yolos: Family = {
  modelType: "yolos",
  prefix: "vit",
  classes: { YolosForObjectDetection },
  configFromJson: (path, json) => ({ ...fromJson(path, json, fields), ...labelsFromJson(path, json) }),
  configKeys: { fields, supported: { auxiliary_loss: [false] } },
  configToJson: ({ config }) => ({
    ...toJson(config as object, fields as unknown as Fields<object>),
    ...labelsToJson(config as YolosConfig),
  }),
};

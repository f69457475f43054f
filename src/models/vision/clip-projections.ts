/** One tower of CLIP with its projection, as a model of its own. */
import { Linear, type Projection } from "../../nn/index.ts";
import type { RandomKey, Tensor } from "../../tensor/index.ts";
import { type Fields, fromJson, makeConfig, requireField, toJson } from "../config.ts";
import { POSITION_IDS } from "../family.ts";
import { modelPart, type OnnxPart, type OnnxPartOptions, onnxPictures, onnxTexts } from "../formats/onnx-parts/part.ts";
import { type Family, type RunOptions, TaskModel } from "../model.ts";
import {
  type ClipTextConfig,
  type ClipVisionConfig,
  clipText,
  clipVision,
  type TextInputs,
  TextTower,
  type TowerConfig,
  VisionTower,
} from "./clip-towers.ts";
import type { ImageInputs } from "./image.ts";

/**
 * CLIP's tower for texts with its projection: inputIds i32 [B, T] -> textEmbeds [B, P], to be compared with those of
 * images. arXiv:2103.00020, section 2.4.
 */
export class CLIPTextModelWithProjection extends TaskModel<
  TextInputs,
  { textEmbeds: Tensor<"f32">; lastHiddenState: Tensor<"f32"> }
> {
  readonly textModel: TextTower;
  readonly textProjection: Projection; // [P, D]
  static readonly task = "feature-extraction";
  readonly config: ClipTextConfig;
  readonly task = CLIPTextModelWithProjection.task;
  readonly family: Family = clipTextModel;

  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<ClipTextConfig>, key: RandomKey) {
    super();
    const [towerKey, projectionKey] = key.split(2);
    const config = towerConfig("CLIPTextConfig", clipText, options);
    this.config = config;
    this.textModel = new TextTower(config, { isSiglip: false }, towerKey);
    this.textProjection = new Linear(
      { inFeatures: config.hiddenSize, outFeatures: config.projectionSize, bias: false },
      projectionKey,
    );
  }

  onnxParts(): OnnxPart[] {
    return [modelPart<TextInputs>(onnxTexts(), (inputs) => this.forward(inputs))];
  }

  /** inputIds: i32 [B, T] -> textEmbeds [B, P], not of length 1, and lastHiddenState [B, T, D] */
  forward(inputs: TextInputs & RunOptions) {
    const { states, pooled } = this.textModel.encode(inputs);
    return { textEmbeds: this.textProjection.forward(pooled), lastHiddenState: states };
  }
}

/**
 * CLIP's tower for pictures with its projection: pixelValues [B, 3, H, W] -> imageEmbeds [B, P], to be compared with
 * those of texts. arXiv:2103.00020, section 2.4.
 */
export class CLIPVisionModelWithProjection extends TaskModel<
  ImageInputs,
  { imageEmbeds: Tensor<"f32">; lastHiddenState: Tensor<"f32"> }
> {
  readonly visionModel: VisionTower;
  readonly visualProjection: Projection; // [P, D]
  static readonly task = "feature-extraction";
  readonly config: ClipVisionConfig;
  readonly task = CLIPVisionModelWithProjection.task;
  readonly family: Family = clipVisionModel;

  /** @throws OptionError when the config contradicts itself */
  constructor(options: Partial<ClipVisionConfig>, key: RandomKey) {
    super();
    const [towerKey, projectionKey] = key.split(2);
    const config = towerConfig("CLIPVisionConfig", clipVision, options);
    this.config = config;
    this.visionModel = new VisionTower(config, { isSiglip: false }, towerKey);
    this.visualProjection = new Linear(
      { inFeatures: config.hiddenSize, outFeatures: config.projectionSize, bias: false },
      projectionKey,
    );
  }

  onnxParts(options: OnnxPartOptions): OnnxPart[] {
    return [
      modelPart<ImageInputs>({ pixel_values: onnxPictures(this.config, options) }, (inputs) => this.forward(inputs)),
    ];
  }

  /** pixelValues: [B, 3, H, W] -> imageEmbeds [B, P], not of length 1, and lastHiddenState [B, patches + 1, D] */
  forward(inputs: ImageInputs & RunOptions) {
    const { states, pooled } = this.visionModel.encode(inputs);
    return { imageEmbeds: this.visualProjection.forward(pooled), lastHiddenState: states };
  }
}

/** Fills in defaults and checks. @throws OptionError naming the config and the field */
export function towerConfig<C extends TowerConfig>(name: string, fields: Fields<C>, options: Partial<C>): C {
  const config = makeConfig(name, fields, options);
  const { hiddenSize, numHeads } = config;
  requireField(name, hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [hiddenSize, numHeads]);
  return config;
}

const towerFamily = <C extends TowerConfig>(
  modelType: string,
  classes: Family["classes"],
  fields: Fields<C>,
): Family => ({
  modelType,
  classes,
  prefix: modelType.replace("clip_", ""),
  configFromJson: (path, json) => fromJson(`${path}, ${modelType}`, json, fields),
  configToJson: ({ config }) => toJson(config as C, fields),
  configKeys: { fields },
  ignored: POSITION_IDS,
});

const clipTextModel = towerFamily("clip_text_model", { CLIPTextModelWithProjection }, clipText);
const clipVisionModel = towerFamily("clip_vision_model", { CLIPVisionModelWithProjection }, clipVision);

/** How CLIP's towers are stored by themselves. */
export const clipTowers = [clipTextModel, clipVisionModel];

/**
 * CLIP and SigLIP: images and texts in one space. Radford et al. 2021, arXiv:2103.00020; Zhai et al. 2023,
 * arXiv:2303.15343, whose loss looks at each pair by itself.
 */
import { constantInit, Linear, normalInit, Parameter, type Projection } from "../../nn/index.ts";
import {
  add,
  arange,
  div,
  exp,
  eye,
  logSigmoid,
  matmul,
  mean,
  mul,
  neg,
  norm,
  type RandomKey,
  slice,
  sub,
  sum,
  type Tensor,
  transpose,
  withScope,
} from "../../tensor/index.ts";
import { type Fields, fromJson, makeConfig, requireField, toJson } from "../config.ts";
import { type Family, POSITION_IDS } from "../family.ts";
import { type Json, labelsFromJson, labelsToJson } from "../labels.ts";
import { classLoss, sequenceLoss } from "../losses.ts";
import { type LabelConfig, type PretrainedModel, type RunOptions, type Task, TaskModel } from "../model.ts";
import {
  type ClipTextConfig,
  type ClipVisionConfig,
  clipText,
  clipVision,
  siglipText,
  siglipVision,
  type TextInputs,
  TextTower,
  type TowerConfig,
  type Traits,
  VisionTower,
} from "./clip-towers.ts";
import type { ImageInputs } from "./image.ts";

export interface ClipConfig {
  text: ClipTextConfig;
  vision: ClipVisionConfig;
  projectionSize: number;
  logitScale: number;
}

export interface ClipOutput {
  /** How well images and texts fit: [images, texts], and its transpose */
  logitsPerImage: Tensor<"f32">;
  logitsPerText: Tensor<"f32">;
  /** Of length 1. [images, P], [texts, P] */
  imageEmbeds: Tensor<"f32">;
  textEmbeds: Tensor<"f32">;
  visionModelOutput: { lastHiddenState: Tensor<"f32"> };
  textModelOutput: { lastHiddenState: Tensor<"f32"> };
}

const unit = (x: Tensor<"f32">): Tensor<"f32"> => div(x, norm(x, { axes: -1, keepDims: true })) as Tensor<"f32">;
type Made = { modelType: string; architecture: string; config: ClipConfig };

/** CLIP or SigLIP: compares images with texts. */
export class ClipModel extends TaskModel<TextInputs & ImageInputs, ClipOutput, object> {
  readonly textModel: TextTower;
  readonly visionModel: VisionTower;
  readonly visualProjection?: Projection; // [P, D], in CLIP
  readonly textProjection?: Projection; // [P, D], in CLIP
  readonly logitScale: Parameter; // [], in SigLIP [1]
  readonly logitBias?: Parameter; // [1], in SigLIP
  readonly config: ClipConfig;
  readonly task = "zero-shot-image-classification";
  readonly modelType: string;
  readonly architecture: string;

  constructor({ modelType, architecture, config }: Made, traits: Traits, key: RandomKey) {
    super();
    const { text, vision, projectionSize: outFeatures, logitScale } = config;
    const [textKey, visionKey, projectionKey] = key.split(3);
    this.textModel = new TextTower(text, traits, textKey);
    this.visionModel = new VisionTower(vision, traits, visionKey);
    if (!traits.isSiglip) {
      const projection = (inFeatures: number) =>
        new Linear({ inFeatures, outFeatures, bias: false, init: normalInit(inFeatures ** -0.5) }, projectionKey);
      this.visualProjection = projection(vision.hiddenSize);
      this.textProjection = projection(text.hiddenSize);
    }
    const shape = traits.isSiglip ? [1] : [];
    this.logitScale = new Parameter(shape, constantInit(logitScale)(key, shape));
    if (traits.isSiglip) this.logitBias = new Parameter(shape, constantInit(0)(key, shape));
    this.config = config;
    this.modelType = modelType;
    this.architecture = architecture;
  }

  /** inputIds -> [texts, P], not of length 1 */
  textFeatures(inputs: TextInputs & RunOptions): Tensor<"f32"> {
    const { pooled } = withScope("text_model", () => this.textModel.encode(inputs));
    return this.textProjection?.forward(pooled) ?? pooled;
  }

  /** pixelValues -> [images, P], not of length 1 */
  imageFeatures(inputs: ImageInputs & RunOptions): Tensor<"f32"> {
    const { pooled } = withScope("vision_model", () => this.visionModel.encode(inputs));
    return this.visualProjection?.forward(pooled) ?? pooled;
  }

  forward({
    inputIds,
    attentionMask,
    pixelValues,
    interpolatePosEncoding,
    key,
  }: TextInputs & ImageInputs & RunOptions): ClipOutput {
    const text = withScope("text_model", () => this.textModel.encode({ inputIds, attentionMask, key: key?.fold(0) }));
    const vision = withScope("vision_model", () =>
      this.visionModel.encode({ pixelValues, interpolatePosEncoding, key: key?.fold(1) }),
    );
    const textEmbeds = unit(this.textProjection?.forward(text.pooled) ?? text.pooled);
    const imageEmbeds = unit(this.visualProjection?.forward(vision.pooled) ?? vision.pooled);
    const similar = mul(matmul(textEmbeds, imageEmbeds, { transposeB: true }), exp(this.logitScale.value));
    const logitsPerText = this.logitBias ? add(similar, this.logitBias.value) : similar;
    return {
      logitsPerText,
      logitsPerImage: transpose(logitsPerText),
      textEmbeds,
      imageEmbeds,
      textModelOutput: { lastHiddenState: text.states },
      visionModelOutput: { lastHiddenState: vision.states },
    };
  }

  /** The i-th text belongs to the i-th image. */
  loss(inputs: TextInputs & ImageInputs & RunOptions): Tensor<"f32"> {
    const { logitsPerText, logitsPerImage } = this.forward(inputs);
    const pairs = logitsPerText.shape[0] as number;
    const own = arange(pairs, "i32");
    if (!this.logitBias) return mul(add(classLoss(logitsPerText, own), classLoss(logitsPerImage, own)), 0.5);
    const signs = sub(mul(eye(pairs), 2), 1);
    return neg(mean(sum(logSigmoid(mul(signs, logitsPerText)), { axes: -1 })));
  }
}

/** One tower with its projection. */
export class ClipTextModelWithProjection extends TaskModel<
  TextInputs,
  { textEmbeds: Tensor<"f32">; lastHiddenState: Tensor<"f32"> }
> {
  readonly textModel: TextTower;
  readonly textProjection: Projection; // [P, D]
  readonly config: ClipTextConfig;
  readonly task = "feature-extraction";
  readonly modelType = "clip_text_model";
  readonly architecture = "CLIPTextModelWithProjection";

  constructor(config: ClipTextConfig, key: RandomKey) {
    super();
    const [towerKey, projectionKey] = key.split(2);
    this.config = config;
    this.textModel = new TextTower(config, { isSiglip: false }, towerKey);
    this.textProjection = new Linear(
      { inFeatures: config.hiddenSize, outFeatures: config.projectionSize, bias: false },
      projectionKey,
    );
  }

  forward(inputs: TextInputs & RunOptions) {
    const { states, pooled } = this.textModel.encode(inputs);
    return { textEmbeds: this.textProjection.forward(pooled), lastHiddenState: states };
  }

  /** There is none: train ClipModel. */
  loss(): never {
    throw new TypeError(`${this.architecture} has no loss`);
  }
}

/** One tower with its projection. */
export class ClipVisionModelWithProjection extends TaskModel<
  ImageInputs,
  { imageEmbeds: Tensor<"f32">; lastHiddenState: Tensor<"f32"> }
> {
  readonly visionModel: VisionTower;
  readonly visualProjection: Projection; // [P, D]
  readonly config: ClipVisionConfig;
  readonly task = "feature-extraction";
  readonly modelType = "clip_vision_model";
  readonly architecture = "CLIPVisionModelWithProjection";

  constructor(config: ClipVisionConfig, key: RandomKey) {
    super();
    const [towerKey, projectionKey] = key.split(2);
    this.config = config;
    this.visionModel = new VisionTower(config, { isSiglip: false }, towerKey);
    this.visualProjection = new Linear(
      { inFeatures: config.hiddenSize, outFeatures: config.projectionSize, bias: false },
      projectionKey,
    );
  }

  forward(inputs: ImageInputs & RunOptions) {
    const { states, pooled } = this.visionModel.encode(inputs);
    return { imageEmbeds: this.visualProjection.forward(pooled), lastHiddenState: states };
  }

  /** There is none: train ClipModel. */
  loss(): never {
    throw new TypeError(`${this.architecture} has no loss`);
  }
}

/** The vision tower of CLIP or SigLIP with a classifier on the mean of its patches: [B, N]. */
export class ClipForImageClassification extends TaskModel<ImageInputs, { logits: Tensor<"f32"> }> {
  readonly visionModel: VisionTower;
  readonly classifier: Projection; // [N, D]
  readonly config: ClipConfig & LabelConfig;
  readonly task = "image-classification";
  readonly modelType: string;
  readonly architecture: string;

  constructor(
    { modelType, architecture, config }: Made & { config: ClipConfig & LabelConfig },
    traits: Traits,
    key: RandomKey,
  ) {
    super();
    const [towerKey, headKey] = key.split(2);
    this.config = config;
    this.modelType = modelType;
    this.architecture = architecture;
    this.visionModel = new VisionTower(config.vision, traits, towerKey);
    this.classifier = new Linear({ inFeatures: config.vision.hiddenSize, outFeatures: config.labels.length }, headKey);
  }

  forward(inputs: ImageInputs & RunOptions): { logits: Tensor<"f32"> } {
    const { states } = this.visionModel.encode(inputs);
    const patches = this.visionModel.classEmbedding ? slice(states, { axis: 1, start: 1 }) : states;
    return { logits: this.classifier.forward(mean(patches, { axes: 1 })) };
  }

  loss({ labels, ...inputs }: ImageInputs & RunOptions & { labels: Tensor<"i32"> | Tensor<"f32"> }): Tensor<"f32"> {
    return sequenceLoss(this.forward(inputs).logits, labels, this.config);
  }
}

const read = <C extends object>(path: string, name: string, json: unknown, fields: Fields<C>): C =>
  makeConfig(name, fields, fromJson(`${path}, ${name}`, (json ?? {}) as Json, fields));
const checkHeads = (name: string, { hiddenSize, numHeads }: TowerConfig): void =>
  requireField(name, hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [hiddenSize, numHeads]);

const clipLike = (
  modelType: string,
  className: string,
  text: Fields<ClipTextConfig>,
  vision: Fields<ClipVisionConfig>,
  traits: Traits,
): Family => ({
  modelType,
  prefix: modelType,
  tasks: {
    [`${className}ForImageClassification`]: "image-classification",
    [`${className}Model`]: "zero-shot-image-classification",
  } satisfies Record<string, Task>,
  create: (architecture, path, json, key): PretrainedModel => {
    // old files repeat a tower's config under another name, which then counts
    const textJson = { ...(json.text_config as Json), ...(json.text_config_dict as Json) };
    const width = textJson.hidden_size ?? text.hiddenSize.default;
    const towers = {
      text: read(path, "text_config", { ...textJson, projection_size: textJson.projection_size ?? width }, text),
      vision: read(
        path,
        "vision_config",
        { ...(json.vision_config as Json), ...(json.vision_config_dict as Json) },
        vision,
      ),
    };
    checkHeads("text_config", towers.text);
    checkHeads("vision_config", towers.vision);
    const projectionSize = (json.projection_dim as number | undefined) ?? clipText.projectionSize.default;
    const logitScale = (json.logit_scale_init_value as number | undefined) ?? Math.log(1 / 0.07);
    const config = { ...towers, projectionSize, logitScale };
    if (!architecture.endsWith("ForImageClassification"))
      return new ClipModel({ modelType, architecture, config }, traits, key);
    return new ClipForImageClassification(
      { modelType, architecture, config: { ...config, ...labelsFromJson(path, json) } },
      traits,
      key,
    );
  },
  configToJson: ({ config, task }) => {
    const { text: ownText, vision: ownVision, projectionSize, logitScale } = config as ClipConfig;
    return {
      text_config: { model_type: `${modelType}_text_model`, ...toJson(ownText, text) },
      vision_config: { model_type: `${modelType}_vision_model`, ...toJson(ownVision, vision) },
      ...(traits.isSiglip ? {} : { projection_dim: projectionSize, logit_scale_init_value: logitScale }),
      ...(task === "image-classification" ? labelsToJson(config as unknown as LabelConfig) : {}),
    };
  },
  configKeys: {
    fields: {},
    parts: { text_config: { fields: text }, vision_config: { fields: vision, supported: { vision_use_head: [true] } } },
  },
  ignored: POSITION_IDS,
});

const tower = <C extends TowerConfig>(
  modelType: string,
  architecture: string,
  fields: Fields<C>,
  make: (config: C, key: RandomKey) => PretrainedModel,
): Family => ({
  modelType,
  prefix: modelType.replace("clip_", ""),
  tasks: { [architecture]: "feature-extraction" },
  create: (_, path, json, key) => make(read(path, modelType, json, fields), key),
  configToJson: ({ config }) => toJson(config as C, fields),
  configKeys: { fields },
  ignored: POSITION_IDS,
});

export const clips = [
  clipLike("clip", "CLIP", clipText, clipVision, { isSiglip: false }),
  clipLike("siglip", "Siglip", siglipText, siglipVision, { isSiglip: true }),
  tower(
    "clip_text_model",
    "CLIPTextModelWithProjection",
    clipText,
    (config, key) => new ClipTextModelWithProjection(config, key),
  ),
  tower(
    "clip_vision_model",
    "CLIPVisionModelWithProjection",
    clipVision,
    (config, key) => new ClipVisionModelWithProjection(config, key),
  ),
];

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
import { type Fields, fromJson, makeConfig, number, size, toJson } from "../config.ts";
import { POSITION_IDS } from "../family.ts";
import {
  LENGTH,
  modelPart,
  type OnnxInputs,
  type OnnxPart,
  type OnnxPartOptions,
  onnxPictures,
} from "../formats/onnx-parts/part.ts";
import { type Json, type LabelConfig, labelFields, labelsFromJson, labelsToJson } from "../labels.ts";
import { classLoss, sequenceLoss } from "../losses.ts";
import { type Family, type RunOptions, TaskModel, type Trainable } from "../model.ts";
import { clipTowers, towerConfig } from "./clip-projections.ts";
import {
  type ClipTextConfig,
  type ClipVisionConfig,
  clipText,
  clipVision,
  siglipText,
  siglipVision,
  type TextInputs,
  TextTower,
  type Traits,
  VisionTower,
} from "./clip-towers.ts";
import type { ImageInputs } from "./image.ts";

/**
 * Both towers' sizes, and what joins them. Mirrors transformers' CLIPConfig and SiglipConfig; the defaults are those of
 * CLIP ViT-B/32 and of SigLIP base. arXiv:2103.00020, section 2.5; arXiv:2303.15343.
 */
export interface ClipConfig {
  text: ClipTextConfig;
  vision: ClipVisionConfig;
  /** P, the width of what is compared. */
  projectionSize: number;
  /** Logarithm of the factor on similarities, at the start of training. */
  logitScale: number;
}

/** How well each image fits each text, and what is compared for it. */
export interface ClipOutput {
  /** How well each image fits each text: [images, texts] */
  logitsPerImage: Tensor<"f32">;
  /** The transpose of logitsPerImage: [texts, images] */
  logitsPerText: Tensor<"f32">;
  /** The images, as vectors of length 1: [images, P] */
  imageEmbeds: Tensor<"f32">;
  /** The texts, as vectors of length 1: [texts, P] */
  textEmbeds: Tensor<"f32">;
  visionModelOutput: { lastHiddenState: Tensor<"f32"> };
  textModelOutput: { lastHiddenState: Tensor<"f32"> };
}

const unit = (x: Tensor<"f32">): Tensor<"f32"> => div(x, norm(x, { axes: -1, keepDims: true })) as Tensor<"f32">;

/** CLIP or SigLIP: compares images with texts. */
export abstract class ClipModel
  extends TaskModel<TextInputs & ImageInputs, ClipOutput>
  implements Trainable<TextInputs & ImageInputs>
{
  readonly textModel: TextTower;
  readonly visionModel: VisionTower;
  readonly visualProjection?: Projection; // [P, D], in CLIP
  readonly textProjection?: Projection; // [P, D], in CLIP
  readonly logitScale: Parameter; // [], in SigLIP [1]
  readonly logitBias?: Parameter; // [1], in SigLIP
  readonly config: ClipConfig;
  static readonly task = "zero-shot-image-classification";
  readonly task = ClipModel.task;
  readonly family: Family;

  /** @throws OptionError when the config contradicts itself */
  constructor(family: ClipFamily, options: ClipOptions, key: RandomKey) {
    super();
    const { traits } = family.description;
    const config = clipConfig(family.description, options);
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
    this.family = family;
  }

  onnxParts(options: OnnxPartOptions): OnnxPart[] {
    const { text, vision } = this.config;
    // SigLIP's texts are padded to one length, at whose end it reads what they say
    const length = this.logitBias ? text.maxPositionEmbeddings : LENGTH;
    const texts = { dtype: "i64", shape: ["text_batch_size", length] } as const;
    const [, ...picture] = onnxPictures(vision, options).shape;
    const inputs: OnnxInputs = {
      input_ids: texts,
      attention_mask: texts,
      pixel_values: { dtype: "f32", shape: ["image_batch_size", ...picture] },
    };
    return [modelPart<TextInputs & ImageInputs>(inputs, (both) => this.forward(both))];
  }

  /** inputIds: i32 [texts, T] -> [texts, P], not of length 1 */
  textFeatures(inputs: TextInputs & RunOptions): Tensor<"f32"> {
    const { pooled } = withScope("text_model", () => this.textModel.encode(inputs));
    return this.textProjection?.forward(pooled) ?? pooled;
  }

  /** pixelValues: [images, 3, H, W] -> [images, P], not of length 1 */
  imageFeatures(inputs: ImageInputs & RunOptions): Tensor<"f32"> {
    const { pooled } = withScope("vision_model", () => this.visionModel.encode(inputs));
    return this.visualProjection?.forward(pooled) ?? pooled;
  }

  /**
   * inputIds: i32 [texts, T], pixelValues: [images, 3, H, W] -> logitsPerText [texts, images], its transpose, and what
   * is compared, textEmbeds [texts, P] and imageEmbeds [images, P]
   */
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
    const textEmbeds = unit(this.textProjection?.forward(text.pooled) ?? text.pooled); // [texts, P]
    const imageEmbeds = unit(this.visualProjection?.forward(vision.pooled) ?? vision.pooled); // [images, P]
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

  /**
   * The i-th text belongs to the i-th of as many images. CLIP: cross-entropy both ways; SigLIP: of each pair by itself.
   * -> []
   */
  loss(inputs: TextInputs & ImageInputs & RunOptions): Tensor<"f32"> {
    const { logitsPerText, logitsPerImage } = this.forward(inputs);
    const pairs = logitsPerText.size(0);
    const labels = arange(pairs, "i32");
    if (!this.logitBias) return mul(add(classLoss(logitsPerText, labels), classLoss(logitsPerImage, labels)), 0.5);
    const signs = sub(mul(eye(pairs), 2), 1);
    return neg(mean(sum(logSigmoid(mul(signs, logitsPerText)), { axes: -1 })));
  }
}

/** The vision tower of CLIP or SigLIP with a classifier on the mean of its patches: [B, N]. */
export abstract class ClipForImageClassification
  extends TaskModel<ImageInputs, { logits: Tensor<"f32"> }>
  implements Trainable<ImageInputs & { labels: Tensor<"i32"> | Tensor<"f32"> }>
{
  readonly visionModel: VisionTower;
  readonly classifier: Projection; // [N, D]
  readonly config: ClipConfig & LabelConfig;
  static readonly task = "image-classification";
  readonly task = ClipForImageClassification.task;
  readonly family: Family;

  /** @throws OptionError when the config contradicts itself */
  constructor(
    family: ClipFamily,
    { labels, problemType, ...options }: ClipOptions & Partial<LabelConfig>,
    key: RandomKey,
  ) {
    super();
    const [towerKey, headKey] = key.split(2);
    const config = {
      ...clipConfig(family.description, options),
      ...makeConfig(family.description.configName, labelFields, { labels, problemType }),
    };
    this.config = config;
    this.family = family;
    this.visionModel = new VisionTower(config.vision, family.description.traits, towerKey);
    this.classifier = new Linear({ inFeatures: config.vision.hiddenSize, outFeatures: config.labels.length }, headKey);
  }

  onnxParts(options: OnnxPartOptions): OnnxPart[] {
    const inputs = { pixel_values: onnxPictures(this.config.vision, options) };
    return [modelPart<ImageInputs>(inputs, (pictures) => this.forward(pictures))];
  }

  /** pixelValues: [B, 3, H, W] -> logits [B, N] */
  forward(inputs: ImageInputs & RunOptions): { logits: Tensor<"f32"> } {
    const { states } = this.visionModel.encode(inputs);
    const patches = this.visionModel.classEmbedding ? slice(states, { axis: 1, start: 1 }) : states; // [B, patches, D]
    return { logits: this.classifier.forward(mean(patches, { axes: 1 })) };
  }

  /** Cross-entropy of labels i32 [B], or by the config's problemType, as `sequenceLoss`. -> [] */
  loss({ labels, ...inputs }: ImageInputs & RunOptions & { labels: Tensor<"i32"> | Tensor<"f32"> }): Tensor<"f32"> {
    return sequenceLoss(this.forward(inputs).logits, labels, this.config);
  }
}

/** How CLIP and SigLIP are made. */
interface ClipDescription {
  modelType: string;
  classes: Family["classes"];
  /** What errors call the config. */
  configName: string;
  text: Fields<ClipTextConfig>;
  vision: Fields<ClipVisionConfig>;
  traits: Traits;
}
interface ClipFamily extends Family {
  readonly description: ClipDescription;
}

/** A config, all of which is optional. */
export interface ClipOptions {
  /** Of the text's tower. */
  text?: Partial<ClipTextConfig>;
  /** Of the picture's tower. */
  vision?: Partial<ClipVisionConfig>;
  /** Of CLIP: the width of what is compared. @default 512 */
  projectionSize?: number;
  /** Of CLIP: logarithm of the factor on similarities, at the start. @default log(1 / 0.07) */
  logitScale?: number;
}

const clipFields: Fields<Pick<ClipConfig, "projectionSize" | "logitScale">> = {
  projectionSize: size("projection_dim", clipText.projectionSize.default),
  logitScale: number("logit_scale_init_value", Math.log(1 / 0.07)),
};

function clipConfig(
  { configName, ...towers }: ClipDescription,
  { text = {}, vision, ...options }: ClipOptions,
): ClipConfig {
  const projectionSize = text.projectionSize ?? text.hiddenSize ?? towers.text.hiddenSize.default;
  return {
    text: towerConfig(`${configName}, text`, towers.text, { ...text, projectionSize }),
    vision: towerConfig(`${configName}, vision`, towers.vision, vision ?? {}),
    ...makeConfig(configName, clipFields, options),
  };
}

function clipFamily(description: ClipDescription): ClipFamily {
  const { modelType, classes, text, vision, traits } = description;
  const isClassifier = (architecture: string) => classes[architecture].task === "image-classification";
  return {
    description,
    modelType,
    classes,
    prefix: modelType,
    configFromJson: (path, json, architecture) => {
      // old files repeat a tower's config under another name, which then counts
      const [textJson, visionJson] = ["text", "vision"].map((part) => ({
        ...(json[`${part}_config`] as Json),
        ...(json[`${part}_config_dict`] as Json),
      }));
      return {
        text: fromJson(`${path}, text_config`, textJson, text),
        vision: fromJson(`${path}, vision_config`, visionJson, vision),
        ...fromJson(path, json, clipFields),
        ...(isClassifier(architecture) && labelsFromJson(path, json)),
      };
    },
    configToJson: ({ config, task }) => {
      const { text: textConfig, vision: visionConfig, ...rest } = config as ClipConfig;
      return {
        text_config: { model_type: `${modelType}_text_model`, ...toJson(textConfig, text) },
        vision_config: { model_type: `${modelType}_vision_model`, ...toJson(visionConfig, vision) },
        ...(traits.isSiglip ? {} : toJson(rest, clipFields)),
        ...(task === "image-classification" ? labelsToJson(config as unknown as LabelConfig) : {}),
      };
    },
    configKeys: {
      fields: {},
      parts: {
        text_config: { fields: text },
        vision_config: { fields: vision, supported: { vision_use_head: [true] } },
      },
    },
    ignored: POSITION_IDS,
  };
}

/**
 * CLIP, which compares pictures with texts: [images, 3, H, W] and i32 [texts, T] -> logits [images, texts]. Radford et
 * al. 2021, arXiv:2103.00020.
 */
export class CLIPModel extends ClipModel {
  constructor(options: ClipOptions, key: RandomKey) {
    super(clip, options, key);
  }
}

/** CLIP's tower for pictures with a classifier: [B, 3, H, W] -> logits [B, N]. */
export class CLIPForImageClassification extends ClipForImageClassification {
  constructor(options: ClipOptions & Partial<LabelConfig>, key: RandomKey) {
    super(clip, options, key);
  }
}

const clip = clipFamily({
  modelType: "clip",
  classes: { CLIPForImageClassification, CLIPModel },
  configName: "CLIPConfig",
  text: clipText,
  vision: clipVision,
  traits: { isSiglip: false },
});

/**
 * SigLIP, which compares pictures with texts: [images, 3, H, W] and i32 [texts, T] -> logits [images, texts]. Zhai et
 * al. 2023, arXiv:2303.15343.
 */
export class SiglipModel extends ClipModel {
  constructor(options: ClipOptions, key: RandomKey) {
    super(siglip, options, key);
  }
}

/** SigLIP's tower for pictures with a classifier: [B, 3, H, W] -> logits [B, N]. */
export class SiglipForImageClassification extends ClipForImageClassification {
  constructor(options: ClipOptions & Partial<LabelConfig>, key: RandomKey) {
    super(siglip, options, key);
  }
}

const siglip = clipFamily({
  modelType: "siglip",
  classes: { SiglipForImageClassification, SiglipModel },
  configName: "SiglipConfig",
  text: siglipText,
  vision: siglipVision,
  traits: { isSiglip: true },
});

/** How CLIP, SigLIP and CLIP's single towers are stored. */
export const clips = [clip, siglip, ...clipTowers];

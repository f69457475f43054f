/** What models that read images share. */
import { ShapeError } from "../../base/index.ts";
import { Conv2d, Module, normalInit, Parameter } from "../../nn/index.ts";
import { interpolate, type RandomKey, reshape, type Tensor, transpose, withScope } from "../../tensor/index.ts";
import { type Fields, fromJson, makeConfig, toJson } from "../config.ts";
import { modelPart, type OnnxPart, type OnnxPartOptions, onnxPictures } from "../formats/onnx-parts/part.ts";
import { type Json, type LabelConfig, labelFields, labelsFromJson, labelsToJson } from "../labels.ts";
import { classLoss, sequenceLoss } from "../losses.ts";
import type { ConfigKeys, Family, ModelClass } from "../model.ts";
import { type RunOptions, TaskModel, type Trainable } from "../model.ts";

/** A batch of images, as the model's image processor makes it. */
export interface ImageInputs {
  /** [B, 3, H, W], as the image processor makes them */
  pixelValues: Tensor<"f32">;
  /** bool [B, H, W], false where an image was padded. @default all true */
  pixelMask?: Tensor<"bool">;
  /** Fit the learned positions to images of another size than the model's. @default false; some families always do */
  interpolatePosEncoding?: boolean;
}

/** What an encoder makes of a batch of images: a state for each patch, or a map of C channels. */
export interface ImageOutput {
  /** [B, T, D], or a map [B, C, H, W] */
  lastHiddenState: Tensor<"f32">;
  /** [B, D] */
  poolerOutput?: Tensor<"f32">;
  /** Of each layer or stage, as each family of transformers counts them. */
  hiddenStates: Tensor<"f32">[];
}

/** The part of a vision model below its head. */
export abstract class ImageEncoder extends Module {
  /** pixelValues: [B, 3, H, W] -> states [B, T, D], or a map [B, C, h, w] */
  abstract encode(inputs: ImageInputs & RunOptions): ImageOutput;
}

/** From what the encoder gives to logits: [B, N]. */
export interface ImageHead extends Module {
  /** lastHiddenState [B, T, D] or [B, C, h, w] -> logits [B, N], of segmentation [B, N, h, w] */
  forward(output: ImageOutput, options: RunOptions): Tensor<"f32">;
  /** What the logits are made of, for heads of several parts. */
  parts?(output: ImageOutput): Record<string, Tensor<"f32">>;
}

/** A size in config.json: a number for both sides, or height and width. */
export const sides = (size: number | readonly number[]): readonly [number, number] =>
  typeof size === "number" ? [size, size] : [size[0], size[1]];
/** The field of a size: see `sides`. */
export const sideField = (key: string, fallback: number) => ({
  key,
  default: fallback as number | readonly number[],
  expected: "a positive integer, or height and width",
  isFine: (value: unknown) =>
    [value].flat().every((n) => Number.isSafeInteger(n) && (n as number) > 0) && [value].flat().length <= 2,
});

/**
 * Cuts an image into patches and projects each: [B, 3, H, W] -> [B, patches, D]. Dosovitskiy et al. 2020,
 * arXiv:2010.11929, section 3.1.
 */
export class PatchEmbeddings extends Module {
  readonly projection: Conv2d; // [D, 3, patch, patch]
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;

  /** @param name the checkpoint's name of the convolution */
  constructor(
    {
      patchSize,
      numChannels,
      width,
      bias = true,
      initializerRange,
    }: { patchSize: number; numChannels: number; width: number; bias?: boolean; initializerRange: number },
    key: RandomKey,
    name = "projection",
  ) {
    super();
    const convolution = { inChannels: numChannels, outChannels: width, kernelSize: patchSize, stride: patchSize, bias };
    this.checkpointKeys = { projection: name };
    this.projection = new Conv2d({ ...convolution, init: normalInit(initializerRange) }, key);
  }

  /** pixels: [B, 3, H, W] -> patches [B, h w, D], and the grid [h, w] that they come from */
  forward(pixels: Tensor<"f32">): { patches: Tensor<"f32">; grid: readonly [number, number] } {
    const map = this.projection.forward(pixels); // [B, D, h, w]
    return { patches: toTokens(map), grid: [map.size(2), map.size(3)] };
  }
}

/** [B, C, h, w] -> [B, h w, C] */
export function toTokens(map: Tensor<"f32">): Tensor<"f32"> {
  const [batch, channels] = map.shape;
  return transpose(reshape(map, [batch, channels, map.size(2) * map.size(3)]), [0, 2, 1]);
}

/** [B, h w, C] -> [B, C, h, w] */
export function toMap(tokens: Tensor<"f32">, [height, width]: readonly [number, number]): Tensor<"f32"> {
  const [batch, , channels] = tokens.shape;
  return reshape(transpose(tokens, [0, 2, 1]), [batch, channels, height, width]);
}

/** Learned positions of a grid for another grid: [1, N, D] -> [1, h w, D], by cubic interpolation. */
export function stretchPositions(
  positions: Tensor<"f32">,
  from: readonly [number, number],
  to: readonly [number, number],
): Tensor<"f32"> {
  if (from[0] === to[0] && from[1] === to[1]) return positions;
  return toTokens(interpolate(toMap(positions, from), { size: to, mode: "bicubic" }));
}

/** @throws ShapeError when an image has another size than the model takes */
export function requireSize(where: string, pixels: Tensor<"f32">, size: readonly [number, number]): void {
  if (pixels.rank === 4 && pixels.shape[2] === size[0] && pixels.shape[3] === size[1]) return;
  throw new ShapeError({
    where,
    expected: `pixelValues [B, 3, ${size[0]}, ${size[1]}]`,
    received: `[${pixels.shape.join(", ")}]`,
    fix: "resize the images with the model's image processor, or set interpolatePosEncoding",
  });
}

/** A parameter such as a class token, drawn from the normal distribution. */
export const token = (shape: readonly number[], range: number, key: RandomKey) =>
  new Parameter(shape, normalInit(range)(key, shape));

/** What every config of a vision model has. */
export interface ImageConfig extends LabelConfig {
  numChannels: number;
  /** Of models with learned positions: a number for both sides, or height and width. @default any */
  imageSize?: number | readonly number[];
}

type MakeHead<C> = (config: C, key: RandomKey) => ImageHead;

/** What a family of vision models is made of. */
export interface ImageDescription<C extends ImageConfig> {
  modelType: string;
  /** The classes, by their names in transformers. */
  classes: Readonly<Record<string, ModelClass>>;
  /** What errors call the config, such as "ViTConfig". */
  configName: string;
  /** The encoder's name in checkpoints of models with a head. */
  prefix: string;
  fields: Fields<Omit<C, keyof LabelConfig>>;
  matches?: Family["matches"];
  translate?: Family["translate"];
  /** Brings older forms of config.json into the present one. */
  modernize?(json: Json): Json;
  /** Keys that transformers wants in config.json beside the fields. */
  derived?(config: C): Json;
  /** Checks what single fields cannot tell. @throws OptionError for a config that contradicts itself */
  check?(config: C): void;
  aliases?: ConfigKeys["aliases"];
  supported?: ConfigKeys["supported"];
  training?: ConfigKeys["training"];
  /** Stored tensors that transformers passes over without a word. */
  ignored?: RegExp;
  /** The name that a stored tensor has here, where some files have others. @default the same */
  tensorName?(name: string): string;
  /** Makes the part below the head: ImageEncoder says the shapes. */
  encoder(config: C, key: RandomKey, options: { hasPooler: boolean }): ImageEncoder;
  /** The head of image classification. */
  classifier: MakeHead<C>;
}

/** A family of vision models, as its models need it. */
export interface ImageFamily<C extends ImageConfig> extends Family {
  readonly description: ImageDescription<C>;
}

/** A vision model with a head, or without one. */
abstract class ImageTaskModel<O extends object, C extends ImageConfig = ImageConfig> extends TaskModel<ImageInputs, O> {
  readonly encoder: ImageEncoder;
  readonly head?: ImageHead;
  readonly config: C;
  readonly family: Family;
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;

  /** @throws OptionError when the config contradicts itself */
  constructor(family: ImageFamily<C>, options: Partial<C>, makeHead: MakeHead<C> | undefined, key: RandomKey) {
    super();
    const { fields, configName, check, prefix, encoder } = family.description;
    const [encoderKey, headKey] = key.split(2);
    const config = makeConfig(configName, { ...fields, ...labelFields } as unknown as Fields<C>, options);
    check?.(config);
    this.config = config;
    this.family = family;
    this.checkpointKeys = { encoder: makeHead ? prefix : "", head: "" };
    this.encoder = encoder(config, encoderKey, { hasPooler: makeHead === undefined });
    if (makeHead) this.head = makeHead(config, headKey);
  }

  onnxParts(options: OnnxPartOptions): OnnxPart[] {
    const inputs = { pixel_values: onnxPictures(this.config, options) };
    return [modelPart<ImageInputs>(inputs, (pictures) => this.forward(pictures))];
  }

  /** pixelValues: [B, 3, H, W] -> the head's logits, [B, N] or [B, N, h, w], and the hidden states */
  protected run(inputs: ImageInputs & RunOptions): { logits: Tensor<"f32">; hiddenStates: Tensor<"f32">[] } {
    const output = this.encoder.encode(inputs);
    const head = this.head as ImageHead;
    return {
      logits: withScope("head", () => head.forward(output, inputs)),
      ...head.parts?.(output),
      hiddenStates: output.hiddenStates,
    };
  }
}

/**
 * A vision model without a head: states [B, T, D], or a map [B, C, h, w], and a pooled one. Feature extraction;
 * transformers' Model classes.
 */
export abstract class ImageModel<C extends ImageConfig = ImageConfig> extends ImageTaskModel<ImageOutput, C> {
  static readonly task = "feature-extraction";
  readonly task = ImageModel.task;

  constructor(family: ImageFamily<C>, options: Partial<C>, key: RandomKey) {
    super(family, options, undefined, key);
  }

  /** pixelValues: [B, 3, H, W] -> lastHiddenState [B, T, D] or [B, C, h, w], and poolerOutput */
  forward(inputs: ImageInputs & RunOptions): ImageOutput {
    return this.encoder.encode(inputs);
  }
}

type ImageLogits = { logits: Tensor<"f32">; hiddenStates: Tensor<"f32">[] };

/** Classifies images: [B, 3, H, W] -> logits [B, N]. transformers' ForImageClassification classes. */
export abstract class ImageClassifier<C extends ImageConfig = ImageConfig>
  extends ImageTaskModel<ImageLogits, C>
  implements Trainable<ImageInputs & { labels: Tensor<"i32"> | Tensor<"f32"> }>
{
  static readonly task = "image-classification";
  readonly task = ImageClassifier.task;

  /** @param makeHead another head than the family's classifier */
  constructor(family: ImageFamily<C>, options: Partial<C>, key: RandomKey, makeHead?: MakeHead<C>) {
    super(family, options, makeHead ?? family.description.classifier, key);
  }

  /** pixelValues: [B, 3, H, W] -> logits [B, N] */
  forward(inputs: ImageInputs & RunOptions): ImageLogits {
    return this.run(inputs);
  }
  /**
   * Cross-entropy of labels i32 [B], or, by the config's problemType, squared error of numbers f32 [B], or binary
   * cross-entropy of several labels f32 [B, N]. -> []
   */
  loss({ labels, ...inputs }: ImageInputs & RunOptions & { labels: Tensor<"i32"> | Tensor<"f32"> }): Tensor<"f32"> {
    return sequenceLoss(this.run(inputs).logits, labels, this.config);
  }
}

/** Labels of pixels that do not count. */
const IGNORED_PIXEL = 255;

/** Classifies each place of an image: [B, 3, H, W] -> logits [B, N, h, w], smaller than the image. */
export abstract class SemanticSegmenter<C extends ImageConfig = ImageConfig>
  extends ImageTaskModel<ImageLogits, C>
  implements Trainable<ImageInputs & { labels: Tensor<"i32"> }>
{
  static readonly task = "semantic-segmentation";
  readonly task = SemanticSegmenter.task;

  constructor(family: ImageFamily<C>, options: Partial<C>, makeHead: MakeHead<C>, key: RandomKey) {
    super(family, options, makeHead, key);
  }

  /** pixelValues: [B, 3, H, W] -> logits [B, N, h, w] */
  forward(inputs: ImageInputs & RunOptions): ImageLogits {
    return this.run(inputs);
  }
  /**
   * Mean cross-entropy of the labels of all pixels, i32 [B, H, W], with logits interpolated to their size; 255 does not
   * count. -> []
   */
  loss({ labels, ...inputs }: ImageInputs & RunOptions & { labels: Tensor<"i32"> }): Tensor<"f32"> {
    const [, height, width] = labels.shape;
    const large = interpolate(this.run(inputs).logits, { size: [height as number, width as number], mode: "bilinear" });
    return classLoss(transpose(large, [0, 2, 3, 1]), labels, IGNORED_PIXEL);
  }
}

/** The family as its models and the registry take it. */
export function imageFamily<C extends ImageConfig>(description: ImageDescription<C>): ImageFamily<C> {
  const { modelType, classes, prefix, matches, translate, modernize, aliases, supported, training } = description;
  const fields = description.fields as unknown as Fields<object>;
  return {
    description,
    modelType,
    classes,
    prefix,
    matches,
    translate,
    configFromJson: (path, json) => ({
      ...fromJson<object>(path, modernize?.(json) ?? json, fields),
      ...labelsFromJson(path, json),
    }),
    configKeys: { fields: description.fields, aliases, supported, training },
    configToJson: ({ config }) => ({
      ...toJson(config as object, fields),
      ...labelsToJson(config as LabelConfig),
      ...description.derived?.(config as C),
    }),
    tensorName: description.tensorName,
    ignored: description.ignored,
  };
}

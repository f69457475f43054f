/** ConvNeXt: a convolutional network drawn after Transformers. Liu et al. 2022, arXiv:2201.03545. */
import {
  type Activation,
  activations,
  ChannelNorm,
  Conv2d,
  constantInit,
  depthRates,
  dropPath,
  LayerNorm,
  Linear,
  Module,
  normalInit,
  Parameter,
  type Projection,
} from "../../nn/index.ts";
import { add, mean, mul, type RandomKey, type Tensor, transpose, withScope } from "../../tensor/index.ts";
import { activation, type Fields, list, number, positive, probability, size } from "../config.ts";
import type { LabelConfig } from "../labels.ts";
import type { RunOptions } from "../model.ts";
import {
  ImageClassifier,
  ImageEncoder,
  type ImageHead,
  type ImageInputs,
  ImageModel,
  type ImageOutput,
  imageFamily,
} from "./image.ts";

/**
 * The stages of ConvNeXt. Mirrors transformers' ConvNextConfig; the defaults are those of ConvNeXt tiny.
 * arXiv:2201.03545, section 3.
 */
export interface ConvNextConfig extends LabelConfig {
  numChannels: number;
  /** Side of a patch, in pixels. */
  patchSize: number;
  /** Channels of each stage. */
  hiddenSizes: readonly number[];
  /** Layers of each stage. */
  depths: readonly number[];
  activation: Activation;
  /** Start of the learned factors; none at 0. */
  layerScale: number;
  /** Of the last layer; the others are left out less often. */
  dropPathRate: number;
  /** Of the last norm only. */
  layerNormEpsilon: number;
  initializerRange: number;
}

const fields: Fields<Omit<ConvNextConfig, keyof LabelConfig>> = {
  numChannels: size("num_channels", 3),
  patchSize: size("patch_size", 4),
  hiddenSizes: list(size("hidden_sizes", 1), [96, 192, 384, 768]),
  depths: list(size("depths", 1), [3, 3, 9, 3]),
  activation: activation("hidden_act", "gelu"),
  layerScale: number("layer_scale_init_value", 1e-6),
  dropPathRate: probability("drop_path_rate", 0),
  layerNormEpsilon: positive("layer_norm_eps", 1e-12),
  initializerRange: number("initializer_range", 0.02),
};

const INNER_EPSILON = 1e-6;
/** Side of the depthwise windows, and how much wider the layer is inside. */
const WINDOW = 7;
const EXPANSION = 4;

/** A depthwise convolution, then two linear layers over the channels. */
class Layer extends Module {
  readonly dwconv: Conv2d; // [C, 1, 7, 7]
  readonly layernorm: LayerNorm;
  readonly pwconv1: Projection; // [4 C, C]
  readonly pwconv2: Projection; // [C, 4 C]
  readonly layerScaleParameter?: Parameter; // [C]
  protected override readonly checkpointKeys = { pwconv1: "pwconv1", pwconv2: "pwconv2" };
  private readonly activation: Activation;
  private readonly dropPath: number;

  constructor(config: ConvNextConfig, { width, dropPath }: { width: number; dropPath: number }, key: RandomKey) {
    super();
    const [convKey, upKey, downKey] = key.split(3);
    const init = normalInit(config.initializerRange);
    this.dwconv = new Conv2d(
      { inChannels: width, outChannels: width, kernelSize: WINDOW, padding: WINDOW >> 1, groups: width, init },
      convKey,
    );
    this.layernorm = new LayerNorm({ width, epsilon: INNER_EPSILON }, convKey);
    this.pwconv1 = new Linear({ inFeatures: width, outFeatures: EXPANSION * width, init }, upKey);
    this.pwconv2 = new Linear({ inFeatures: EXPANSION * width, outFeatures: width, init }, downKey);
    if (config.layerScale > 0)
      this.layerScaleParameter = new Parameter([width], constantInit(config.layerScale)(key, [width]));
    this.activation = config.activation;
    this.dropPath = dropPath;
  }

  /** x: [B, C, h, w] -> the same */
  forward(x: Tensor<"f32">, key: RandomKey | undefined): Tensor<"f32"> {
    const normal = this.layernorm.forward(transpose(this.dwconv.forward(x), [0, 2, 3, 1])); // [B, h, w, C]
    const features = this.pwconv2.forward(activations[this.activation](this.pwconv1.forward(normal))); // [B, h, w, C]
    const scaled = this.layerScaleParameter ? mul(features, this.layerScaleParameter.value) : features;
    return add(x, dropPath(transpose(scaled, [0, 3, 1, 2]), this.dropPath, key));
  }
}

/** Layers of one width; all stages but the first begin by halving the map. */
class Stage extends Module {
  readonly downsamplingNorm?: ChannelNorm;
  readonly downsampling?: Conv2d; // [C', C, 2, 2]
  readonly layers: Layer[];
  protected override readonly checkpointKeys = {
    downsamplingNorm: "downsampling_layer.0",
    downsampling: "downsampling_layer.1",
  };

  constructor(config: ConvNextConfig, index: number, key: RandomKey) {
    super();
    const [downKey, layerKey] = key.split(2);
    const { hiddenSizes, depths, initializerRange, dropPathRate } = config;
    const rates = depthRates(dropPathRate, depths)[index];
    if (index > 0) {
      this.downsamplingNorm = new ChannelNorm({ width: hiddenSizes[index - 1], epsilon: INNER_EPSILON }, downKey);
      const sizes = { inChannels: hiddenSizes[index - 1], outChannels: hiddenSizes[index], kernelSize: 2, stride: 2 };
      this.downsampling = new Conv2d({ ...sizes, init: normalInit(initializerRange) }, downKey);
    }
    this.layers = layerKey
      .split(depths[index])
      .map((part, i) => new Layer(config, { width: hiddenSizes[index], dropPath: rates[i] }, part));
  }

  /** x: [B, C, h, w] -> [B, C', h / 2, w / 2], of the first stage [B, C, h, w] */
  forward(x: Tensor<"f32">, key: RandomKey | undefined): Tensor<"f32"> {
    const smaller =
      this.downsampling && this.downsamplingNorm ? this.downsampling.forward(this.downsamplingNorm.forward(x)) : x;
    return this.layers.reduce((y, layer, i) => withScope(`layers.${i}`, () => layer.forward(y, key?.fold(i))), smaller);
  }
}

class ConvNextEncoder extends ImageEncoder {
  readonly patchEmbeddings: Conv2d; // [C, 3, patch, patch]
  readonly embeddingNorm: ChannelNorm;
  readonly stages: Stage[];
  readonly layernorm: LayerNorm;
  protected override readonly checkpointKeys = {
    patchEmbeddings: "embeddings.patch_embeddings",
    embeddingNorm: "embeddings.layernorm",
    stages: "encoder.stages",
  };

  constructor(config: ConvNextConfig, key: RandomKey) {
    super();
    const [patchKey, stageKey] = key.split(2);
    const { numChannels, patchSize, hiddenSizes, layerNormEpsilon: epsilon, initializerRange } = config;
    const patches = { inChannels: numChannels, outChannels: hiddenSizes[0], kernelSize: patchSize, stride: patchSize };
    this.patchEmbeddings = new Conv2d({ ...patches, init: normalInit(initializerRange) }, patchKey);
    this.embeddingNorm = new ChannelNorm({ width: hiddenSizes[0], epsilon: INNER_EPSILON }, patchKey);
    this.stages = stageKey.split(hiddenSizes.length).map((part, i) => new Stage(config, i, part));
    this.layernorm = new LayerNorm({ width: hiddenSizes[hiddenSizes.length - 1], epsilon }, stageKey);
  }

  /** pixelValues: [B, 3, H, W] -> [B, C, h, w]; poolerOutput: the norm of the mean over all places, [B, C] */
  encode({ pixelValues, key }: ImageInputs & RunOptions): ImageOutput {
    const hiddenStates = [this.embeddingNorm.forward(this.patchEmbeddings.forward(pixelValues))];
    for (const [i, stage] of this.stages.entries())
      hiddenStates.push(withScope(`stages.${i}`, () => stage.forward(hiddenStates[i], key?.fold(100 * i))));
    const lastHiddenState = hiddenStates[this.stages.length];
    return {
      lastHiddenState,
      poolerOutput: this.layernorm.forward(mean(lastHiddenState, { axes: [2, 3] })),
      hiddenStates,
    };
  }
}

/** A linear layer on the pooled state. */
export class PooledHead extends Module implements ImageHead {
  readonly classifier: Projection; // [N, D]

  constructor(width: number, labels: number, range: number, key: RandomKey) {
    super();
    this.classifier = new Linear({ inFeatures: width, outFeatures: labels, init: normalInit(range) }, key);
  }

  /** poolerOutput: [B, D] -> logits [B, N] */
  forward({ poolerOutput }: ImageOutput): Tensor<"f32"> {
    return this.classifier.forward(poolerOutput as Tensor<"f32">);
  }
}

/** ConvNeXt that classifies pictures: [B, 3, H, W] -> logits [B, N]. arXiv:2201.03545. */
export class ConvNextForImageClassification extends ImageClassifier<ConvNextConfig> {
  constructor(options: Partial<ConvNextConfig>, key: RandomKey) {
    super(convnext, options, key);
  }
}

/** ConvNeXt without a head: [B, 3, H, W] -> a map [B, C, h, w], and its pooled mean [B, C]. arXiv:2201.03545. */
export class ConvNextModel extends ImageModel<ConvNextConfig> {
  constructor(options: Partial<ConvNextConfig>, key: RandomKey) {
    super(convnext, options, key);
  }
}

/** How ConvNeXt is stored: model_type convnext. */
export const convnext = imageFamily<ConvNextConfig>({
  modelType: "convnext",
  classes: { ConvNextForImageClassification, ConvNextModel },
  configName: "ConvNextConfig",
  prefix: "convnext",
  fields,
  derived: ({ depths }) => ({ num_stages: depths.length }),
  encoder: (config, key) => new ConvNextEncoder(config, key),
  classifier: ({ hiddenSizes, labels, initializerRange }, key) =>
    new PooledHead(hiddenSizes[hiddenSizes.length - 1], labels.length, initializerRange, key),
});

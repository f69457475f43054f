/**
 * MobileNetV2: narrow between layers, wide inside, with depthwise convolutions. Sandler et al. 2018, arXiv:1801.04381.
 */
import {
  type Activation,
  activations,
  BatchNorm2d,
  Conv2d,
  dropout,
  Linear,
  Module,
  type Projection,
} from "../../nn/index.ts";
import { add, mean, type RandomKey, type Tensor, withScope } from "../../tensor/index.ts";
import { activation, type Fields, flag, positive, probability, size } from "../config.ts";
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
 * The widths of MobileNetV2, as factors on those of the paper. Mirrors transformers' MobileNetV2Config; the defaults
 * are those of MobileNetV2 1.0. arXiv:1801.04381, table 2.
 */
export interface MobileNetV2Config extends LabelConfig {
  numChannels: number;
  /** Factor on all widths. */
  depthMultiplier: number;
  /** Widths are multiples of this, and at least minDepth. */
  depthDivisibleBy: number;
  minDepth: number;
  /** How much wider a layer is inside. */
  expandRatio: number;
  /** How much smaller the last map is than the image; later strides become dilations. */
  outputStride: number;
  /** The stem does not expand. */
  firstLayerIsExpansion: boolean;
  /** The last layer keeps its full width where depthMultiplier is below 1. */
  finegrainedOutput: boolean;
  activation: Activation;
  /** Borders as in TensorFlow: the greater one at the end. */
  tfPadding: boolean;
  classifierDropout: number;
  /** Of batch norms. */
  layerNormEpsilon: number;
}

const fields: Fields<Omit<MobileNetV2Config, keyof LabelConfig>> = {
  numChannels: size("num_channels", 3),
  depthMultiplier: positive("depth_multiplier", 1),
  depthDivisibleBy: size("depth_divisible_by", 8),
  minDepth: size("min_depth", 8),
  expandRatio: positive("expand_ratio", 6),
  outputStride: size("output_stride", 32),
  firstLayerIsExpansion: flag("first_layer_is_expansion", true),
  finegrainedOutput: flag("finegrained_output", true),
  activation: activation("hidden_act", "relu6"),
  tfPadding: flag("tf_padding", true),
  classifierDropout: probability("classifier_dropout_prob", 0.8),
  layerNormEpsilon: positive("layer_norm_eps", 0.001),
};

/** Widths and strides of the paper, table 2. */
const STEM = 32;
const LAST = 1280;
const WIDTHS = [16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320];
const STRIDES = [2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1];

/** The nearest multiple, but not below nine tenths of the value. */
function divisible(value: number, { depthDivisibleBy: divisor, minDepth }: MobileNetV2Config): number {
  const near = Math.max(minDepth, Math.floor(Math.floor(value + divisor / 2) / divisor) * divisor);
  return near < 0.9 * value ? near + divisor : near;
}

/** To the nearest integer, halves to the even one. */
function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

const widthOf = (channels: number, config: MobileNetV2Config) =>
  divisible(roundHalfEven(channels * config.depthMultiplier), config);

interface ConvNormPlace {
  inputs: number;
  outputs: number;
  kernelSize: number;
  stride?: number;
  groups?: number;
  dilation?: number;
  isLinear?: boolean;
}

/** A convolution, a batch norm, and an activation unless it is linear. */
class ConvNorm extends Module {
  readonly convolution: Conv2d;
  readonly normalization: BatchNorm2d;
  private readonly place: ConvNormPlace;
  private readonly config: MobileNetV2Config;

  constructor(config: MobileNetV2Config, place: ConvNormPlace, key: RandomKey) {
    super();
    const [convKey, normKey] = key.split(2);
    const { inputs, outputs, kernelSize, stride = 1, groups, dilation = 1 } = place;
    // borders as in TensorFlow depend on the image's size: they are added in forward
    const padding = config.tfPadding ? 0 : ((kernelSize - 1) >> 1) * dilation;
    this.convolution = new Conv2d(
      { inChannels: inputs, outChannels: outputs, kernelSize, stride, groups, dilation, padding, bias: false },
      convKey,
    );
    this.normalization = new BatchNorm2d(
      { channels: outputs, epsilon: config.layerNormEpsilon, momentum: 0.003 },
      normKey,
    );
    this.place = place;
    this.config = config;
  }

  /** x: [B, C, h, w] -> [B, C', h', w'], smaller by the stride */
  forward(x: Tensor<"f32">, options: RunOptions): Tensor<"f32"> {
    const { kernelSize, stride = 1, dilation = 1, isLinear } = this.place;
    const borders = (size: number): [number, number] => {
      const total = Math.max(size % stride === 0 ? kernelSize - stride : kernelSize - (size % stride), 0);
      const before = total >> 1;
      return [before * dilation, (total - before) * dilation];
    };
    const padding = this.config.tfPadding ? [borders(x.size(2)), borders(x.size(3))] : undefined;
    const features = this.normalization.forward(this.convolution.forward(x, padding), options);
    return isLinear ? features : activations[this.config.activation](features);
  }
}

/**
 * Wider by a 1 x 1 convolution, 3 x 3 within each channel, narrower by 1 x 1; added to its input where the shape stays.
 * arXiv:1801.04381, section 3.3.
 */
class InvertedResidual extends Module {
  readonly expand1x1: ConvNorm;
  readonly conv3x3: ConvNorm;
  readonly reduce1x1: ConvNorm;
  protected override readonly checkpointKeys = {
    expand1x1: "expand_1x1",
    conv3x3: "conv_3x3",
    reduce1x1: "reduce_1x1",
  };
  private readonly isResidual: boolean;

  constructor(
    config: MobileNetV2Config,
    { inputs, outputs, stride, dilation }: { inputs: number; outputs: number; stride: number; dilation: number },
    key: RandomKey,
  ) {
    super();
    const [expandKey, convKey, reduceKey] = key.split(3);
    const wide = divisible(roundHalfEven(inputs * config.expandRatio), config);
    this.expand1x1 = new ConvNorm(config, { inputs, outputs: wide, kernelSize: 1 }, expandKey);
    this.conv3x3 = new ConvNorm(
      config,
      { inputs: wide, outputs: wide, kernelSize: 3, stride, groups: wide, dilation },
      convKey,
    );
    this.reduce1x1 = new ConvNorm(config, { inputs: wide, outputs, kernelSize: 1, isLinear: true }, reduceKey);
    this.isResidual = stride === 1 && inputs === outputs;
  }

  /** x: [B, C, h, w] -> [B, C', h', w'], smaller by the stride */
  forward(x: Tensor<"f32">, options: RunOptions): Tensor<"f32"> {
    const branch = [this.expand1x1, this.conv3x3, this.reduce1x1].reduce((y, part) => part.forward(y, options), x);
    return this.isResidual ? add(x, branch) : branch;
  }
}

/** A convolution of stride 2, then a first narrow layer. */
class Stem extends Module {
  readonly firstConv: ConvNorm;
  readonly expand1x1?: ConvNorm;
  readonly conv3x3: ConvNorm;
  readonly reduce1x1: ConvNorm;
  protected override readonly checkpointKeys = {
    expand1x1: "expand_1x1",
    conv3x3: "conv_3x3",
    reduce1x1: "reduce_1x1",
  };

  constructor(config: MobileNetV2Config, key: RandomKey) {
    super();
    const keys = key.split(4);
    const width = widthOf(STEM, config);
    this.firstConv = new ConvNorm(
      config,
      { inputs: config.numChannels, outputs: width, kernelSize: 3, stride: 2 },
      keys[0],
    );
    if (!config.firstLayerIsExpansion)
      this.expand1x1 = new ConvNorm(config, { inputs: width, outputs: width, kernelSize: 1 }, keys[1]);
    this.conv3x3 = new ConvNorm(config, { inputs: width, outputs: width, kernelSize: 3, groups: width }, keys[2]);
    this.reduce1x1 = new ConvNorm(
      config,
      { inputs: width, outputs: widthOf(WIDTHS[0], config), kernelSize: 1, isLinear: true },
      keys[3],
    );
  }

  /** x: [B, 3, H, W] -> [B, C, H / 2, W / 2] */
  forward(x: Tensor<"f32">, options: RunOptions): Tensor<"f32"> {
    const parts = [this.firstConv, this.expand1x1, this.conv3x3, this.reduce1x1];
    return parts.reduce((y, part) => part?.forward(y, options) ?? y, x);
  }
}

class MobileNetV2Encoder extends ImageEncoder {
  readonly convStem: Stem;
  readonly layer: InvertedResidual[];
  readonly conv1x1: ConvNorm;
  protected override readonly checkpointKeys = { conv1x1: "conv_1x1" };

  constructor(config: MobileNetV2Config, key: RandomKey) {
    super();
    const [stemKey, layerKey, lastKey] = key.split(3);
    this.convStem = new Stem(config, stemKey);
    let [reached, dilated] = [2, 1];
    this.layer = layerKey.split(STRIDES.length).map((part, i) => {
      const [inputs, outputs] = [widthOf(WIDTHS[i], config), widthOf(WIDTHS[i + 1], config)];
      const isDilated = reached === config.outputStride;
      const place = { inputs, outputs, stride: isDilated ? 1 : STRIDES[i], dilation: isDilated ? dilated : 1 };
      if (isDilated) dilated *= STRIDES[i];
      else reached *= STRIDES[i];
      return new InvertedResidual(config, place, part);
    });
    this.conv1x1 = new ConvNorm(
      config,
      { inputs: widthOf(WIDTHS[WIDTHS.length - 1], config), outputs: lastWidth(config), kernelSize: 1 },
      lastKey,
    );
  }

  /**
   * pixelValues: [B, 3, H, W] -> [B, C, h, w]; poolerOutput: the mean over all places, [B, C]; hiddenStates: of each
   * layer
   */
  encode({ pixelValues, ...options }: ImageInputs & RunOptions): ImageOutput {
    let x = withScope("conv_stem", () => this.convStem.forward(pixelValues, options));
    const hiddenStates: Tensor<"f32">[] = [];
    for (const [i, layer] of this.layer.entries()) {
      x = withScope(`layer.${i}`, () => layer.forward(x, options));
      hiddenStates.push(x);
    }
    const lastHiddenState = withScope("conv_1x1", () => this.conv1x1.forward(x, options));
    return { lastHiddenState, poolerOutput: mean(lastHiddenState, { axes: [2, 3] }), hiddenStates };
  }
}

const lastWidth = (config: MobileNetV2Config) =>
  config.finegrainedOutput && config.depthMultiplier < 1 ? LAST : widthOf(LAST, config);

/** Dropout and a linear layer on the pooled state. */
class Classifier extends Module implements ImageHead {
  readonly classifier: Projection; // [N, C]
  private readonly dropout: number;

  constructor(config: MobileNetV2Config, key: RandomKey) {
    super();
    this.classifier = new Linear({ inFeatures: lastWidth(config), outFeatures: config.labels.length }, key);
    this.dropout = config.classifierDropout;
  }

  /** poolerOutput: [B, C] -> logits [B, N] */
  forward({ poolerOutput }: ImageOutput, { key }: RunOptions): Tensor<"f32"> {
    return this.classifier.forward(dropout(poolerOutput as Tensor<"f32">, this.dropout, key));
  }
}

/** MobileNet v2 that classifies pictures: [B, 3, H, W] -> logits [B, N]. arXiv:1801.04381. */
export class MobileNetV2ForImageClassification extends ImageClassifier<MobileNetV2Config> {
  constructor(options: Partial<MobileNetV2Config>, key: RandomKey) {
    super(mobilenetV2, options, key);
  }
}

/** MobileNet v2 without a head: [B, 3, H, W] -> a map [B, C, h, w], and its mean [B, C]. arXiv:1801.04381. */
export class MobileNetV2Model extends ImageModel<MobileNetV2Config> {
  constructor(options: Partial<MobileNetV2Config>, key: RandomKey) {
    super(mobilenetV2, options, key);
  }
}

/** How MobileNetV2 is stored: model_type mobilenet_v2. */
export const mobilenetV2 = imageFamily<MobileNetV2Config>({
  modelType: "mobilenet_v2",
  classes: { MobileNetV2ForImageClassification, MobileNetV2Model },
  configName: "MobileNetV2Config",
  prefix: "mobilenet_v2",
  fields,
  encoder: (config, key) => new MobileNetV2Encoder(config, key),
  classifier: (config, key) => new Classifier(config, key),
});

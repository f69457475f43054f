/**
 * A small convolutional network, to be trained from nothing: stages of convolutions with norms, each of which ends in
 * pooling. Simonyan and Zisserman 2014, arXiv:1409.1556, with the norms of Ioffe and Szegedy 2015,
 * arXiv:1502.03167. transformers has no such family; its files are in the same layout.
 */
import {
  type Activation,
  activations,
  BatchNorm2d,
  Conv2d,
  constantInit,
  dropout,
  Linear,
  Module,
  Parameter,
  type Projection,
} from "../../nn/index.ts";
import { groupNorm, maxPool, mean, type RandomKey, type Tensor, withScope } from "../../tensor/index.ts";
import { activation, choice, type Fields, list, probability, requireField, size } from "../config.ts";
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

/** What is normalised together. */
const norms = ["batch", "layer"] as const;

/** The stages of a convolutional network; the defaults are for small pictures, such as MNIST's. */
export interface ConvNetConfig extends LabelConfig {
  /** With 1, pictures of several channels are averaged over them. */
  numChannels: number;
  /** Channels of each stage. */
  hiddenSizes: readonly number[];
  /** Convolutions of each stage. */
  depths: readonly number[];
  /** Side of the convolutions' windows, odd. */
  kernelSize: number;
  /** Each stage makes the map so many times smaller. */
  poolSize: number;
  activation: Activation;
  /** Each channel over the batch, or each picture by itself, which knows no batch: for tasks of a few pictures. */
  normType: (typeof norms)[number];
  /** Of what the classifier reads. */
  classifierDropout: number;
}

const fields: Fields<Omit<ConvNetConfig, keyof LabelConfig>> = {
  numChannels: size("num_channels", 3),
  hiddenSizes: list(size("hidden_sizes", 1), [16, 32, 64]),
  depths: list(size("depths", 1), [1, 2, 2]),
  kernelSize: size("kernel_size", 3),
  poolSize: size("pool_size", 2),
  activation: activation("hidden_act", "relu"),
  normType: choice("norm_type", norms, "batch"),
  classifierDropout: probability("classifier_dropout", 0),
};

/** Normalises each picture over all of its channels and places. Wu and He 2018, arXiv:1803.08494, of one group. */
class PictureNorm extends Module {
  readonly weight: Parameter; // [C]
  readonly bias: Parameter; //   [C]

  constructor(channels: number, key: RandomKey) {
    super();
    this.weight = new Parameter([channels], constantInit(1)(key, [channels]));
    this.bias = new Parameter([channels], constantInit(0)(key, [channels]));
  }

  /** x: [B, C, h, w] -> the same shape */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return groupNorm(x, 1, { weight: this.weight.value, bias: this.bias.value });
  }
}

/** A convolution, its norm and the activation. */
class Layer extends Module {
  readonly convolution: Conv2d; // [outputs, inputs, kernel, kernel]
  readonly normalization: BatchNorm2d | PictureNorm;
  private readonly activation: Activation;

  constructor(
    { kernelSize, activation, normType }: ConvNetConfig,
    { inputs, outputs }: { inputs: number; outputs: number },
    key: RandomKey,
  ) {
    super();
    const [convolutionKey, normKey] = key.split(2);
    const padding = kernelSize >> 1;
    this.convolution = new Conv2d(
      { inChannels: inputs, outChannels: outputs, kernelSize, padding, bias: false },
      convolutionKey,
    );
    this.normalization =
      normType === "batch" ? new BatchNorm2d({ channels: outputs }, normKey) : new PictureNorm(outputs, normKey);
    this.activation = activation;
  }

  /** x: [B, C, h, w] -> [B, C', h, w] */
  forward(x: Tensor<"f32">, options: RunOptions): Tensor<"f32"> {
    return activations[this.activation](this.normalization.forward(this.convolution.forward(x), options));
  }
}

class Stage extends Module {
  readonly layers: Layer[];

  constructor(config: ConvNetConfig, index: number, key: RandomKey) {
    super();
    const { numChannels, hiddenSizes, depths } = config;
    const outputs = hiddenSizes[index];
    const before = index === 0 ? numChannels : hiddenSizes[index - 1];
    this.layers = key
      .split(depths[index])
      .map((part, i) => new Layer(config, { inputs: i === 0 ? before : outputs, outputs }, part));
  }
}

/** The convolutions below the head. */
class ConvNetEncoder extends ImageEncoder {
  readonly stages: Stage[];
  private readonly config: ConvNetConfig;

  constructor(config: ConvNetConfig, key: RandomKey) {
    super();
    this.stages = key.split(config.depths.length).map((part, i) => new Stage(config, i, part));
    this.config = config;
  }

  /** pixelValues: [B, C, H, W] -> [B, C', h, w]; poolerOutput: [B, C']; hiddenStates: of each stage */
  encode({ pixelValues, ...options }: ImageInputs & RunOptions): ImageOutput {
    const { numChannels, poolSize } = this.config;
    const isGrey = numChannels === 1 && pixelValues.shape[1] !== 1;
    let x = isGrey ? mean(pixelValues, { axes: 1, keepDims: true }) : pixelValues;
    const hiddenStates: Tensor<"f32">[] = [];
    for (const [i, { layers }] of this.stages.entries()) {
      const run = () => layers.reduce((y, layer, j) => withScope(`layers.${j}`, () => layer.forward(y, options)), x);
      x = maxPool(withScope(`stages.${i}`, run), { kernelSize: poolSize });
      hiddenStates.push(x);
    }
    return { lastHiddenState: x, poolerOutput: mean(x, { axes: [2, 3] }), hiddenStates };
  }
}

/** A linear layer on the mean over all places. */
class Classifier extends Module implements ImageHead {
  readonly classifier: Projection; // [N, C]
  private readonly probability: number;

  constructor({ hiddenSizes, labels, classifierDropout }: ConvNetConfig, key: RandomKey) {
    super();
    this.classifier = new Linear({ inFeatures: hiddenSizes[hiddenSizes.length - 1], outFeatures: labels.length }, key);
    this.probability = classifierDropout;
  }

  /** lastHiddenState: [B, C, h, w] -> logits [B, N] */
  forward({ lastHiddenState }: ImageOutput, { key }: RunOptions): Tensor<"f32"> {
    return this.classifier.forward(dropout(mean(lastHiddenState, { axes: [2, 3] }), this.probability, key));
  }
}

/** @throws OptionError for lists of different lengths, or a window without a middle */
function check({ hiddenSizes, depths, kernelSize }: ConvNetConfig): void {
  requireField("ConvNetConfig", hiddenSizes.length === depths.length, "as many depths as hiddenSizes", [
    hiddenSizes.length,
    depths.length,
  ]);
  requireField("ConvNetConfig", kernelSize % 2 === 1, "kernelSize to be odd", kernelSize);
}

/** A small convolutional network that classifies pictures: [B, C, H, W] -> logits [B, N]. arXiv:1409.1556. */
export class ConvNetForImageClassification extends ImageClassifier<ConvNetConfig> {
  constructor(options: Partial<ConvNetConfig>, key: RandomKey) {
    super(convnet, options, key);
  }
}

/** A small convolutional network without a head: [B, C, H, W] -> a map [B, C', h, w] and its mean [B, C']. */
export class ConvNetModel extends ImageModel<ConvNetConfig> {
  constructor(options: Partial<ConvNetConfig>, key: RandomKey) {
    super(convnet, options, key);
  }
}

/** How it is stored: model_type convnet. */
export const convnet = imageFamily<ConvNetConfig>({
  modelType: "convnet",
  classes: { ConvNetForImageClassification, ConvNetModel },
  configName: "ConvNetConfig",
  prefix: "convnet",
  fields,
  check,
  encoder: (config, key) => new ConvNetEncoder(config, key),
  classifier: (config, key) => new Classifier(config, key),
});

/** ResNet, version 1.5. He et al. 2015, arXiv:1512.03385. Checkpoints of transformers and of timm. */
import { type Activation, activations, BatchNorm2d, Conv2d, Linear, Module, type Projection } from "../../nn/index.ts";
import { add, maxPool, mean, type RandomKey, relu, type Tensor, withScope } from "../../tensor/index.ts";
import { activation, choice, type Fields, flag, list, size } from "../config.ts";
import type { Json, LabelConfig } from "../labels.ts";
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
 * The stages of a ResNet. Mirrors transformers' ResNetConfig; the defaults are those of ResNet-50. arXiv:1512.03385,
 * table 1.
 */
export interface ResNetConfig extends LabelConfig {
  numChannels: number;
  /** Channels of the stem. */
  embeddingSize: number;
  /** Channels of each stage. */
  hiddenSizes: readonly number[];
  /** Layers of each stage. */
  depths: readonly number[];
  /** Two convolutions of 3 x 3 in a layer, or 1 x 1, 3 x 3, 1 x 1 with four times fewer channels inside. */
  layerType: "basic" | "bottleneck";
  activation: Activation;
  /** The first stage halves the map too. */
  downsampleInFirstStage: boolean;
  /** The stride is in the first convolution of a bottleneck, and not in the second. */
  downsampleInBottleneck: boolean;
}

/** The fields of a ResNet, which DETR's backbone has too. */
export const resnetFields: Fields<Omit<ResNetConfig, keyof LabelConfig>> = {
  numChannels: size("num_channels", 3),
  embeddingSize: size("embedding_size", 64),
  hiddenSizes: list(size("hidden_sizes", 1), [256, 512, 1024, 2048]),
  depths: list(size("depths", 1), [3, 4, 6, 3]),
  layerType: choice("layer_type", ["basic", "bottleneck"], "bottleneck"),
  activation: activation("hidden_act", "relu"),
  downsampleInFirstStage: flag("downsample_in_first_stage", false),
  downsampleInBottleneck: flag("downsample_in_bottleneck", false),
};

/** A bottleneck's inner layers are this much narrower. */
const REDUCTION = 4;

interface ConvNormConfig {
  inputs: number;
  outputs: number;
  kernelSize: number;
  stride?: number;
  isFrozen: boolean;
}

/** A convolution and its batch norm. */
class ConvNorm extends Module {
  readonly convolution: Conv2d;
  readonly normalization: BatchNorm2d;

  constructor({ inputs, outputs, kernelSize, stride, isFrozen }: ConvNormConfig, key: RandomKey) {
    super();
    const [convKey, normKey] = key.split(2);
    const padding = kernelSize >> 1;
    this.convolution = new Conv2d(
      { inChannels: inputs, outChannels: outputs, kernelSize, stride, padding, bias: false },
      convKey,
    );
    this.normalization = new BatchNorm2d({ channels: outputs, isFrozen }, normKey);
  }

  /** x: [B, C, h, w] -> [B, C', h', w'], smaller by the stride */
  forward(x: Tensor<"f32">, options: RunOptions): Tensor<"f32"> {
    return this.normalization.forward(this.convolution.forward(x), options);
  }
}

/** Two or three convolutions, added to their input: figures 2 and 5 of the paper. */
class Layer extends Module {
  readonly shortcut?: ConvNorm;
  readonly layer: ConvNorm[];
  private readonly activation: Activation;

  constructor(
    config: ResNetConfig,
    place: { inputs: number; outputs: number; stride: number; isFrozen: boolean },
    key: RandomKey,
  ) {
    super();
    const { inputs, outputs, stride, isFrozen } = place;
    const keys = key.split(4);
    if (inputs !== outputs || stride !== 1)
      this.shortcut = new ConvNorm({ inputs, outputs, kernelSize: 1, stride, isFrozen }, keys[0]);
    const inner = outputs / REDUCTION;
    const [first, second] = config.downsampleInBottleneck ? [stride, 1] : [1, stride];
    const parts: Omit<ConvNormConfig, "isFrozen">[] =
      config.layerType === "basic"
        ? [
            { inputs, outputs, kernelSize: 3, stride },
            { inputs: outputs, outputs, kernelSize: 3 },
          ]
        : [
            { inputs, outputs: inner, kernelSize: 1, stride: first },
            { inputs: inner, outputs: inner, kernelSize: 3, stride: second },
            { inputs: inner, outputs, kernelSize: 1 },
          ];
    this.layer = parts.map((part, i) => new ConvNorm({ ...part, isFrozen }, keys[i + 1]));
    this.activation = config.activation;
  }

  /** x: [B, C, h, w] -> [B, C', h', w'], smaller by the stride */
  forward(x: Tensor<"f32">, options: RunOptions): Tensor<"f32"> {
    const branch = this.layer.reduce((y, part, i) => {
      const next = part.forward(y, options);
      return i < this.layer.length - 1 ? relu(next) : next;
    }, x);
    return activations[this.activation](add(branch, this.shortcut?.forward(x, options) ?? x));
  }
}

class Stage extends Module {
  readonly layers: Layer[];

  constructor(config: ResNetConfig, index: number, isFrozen: boolean, key: RandomKey) {
    super();
    const { hiddenSizes, depths, embeddingSize, downsampleInFirstStage } = config;
    const outputs = hiddenSizes[index];
    const inputs = index === 0 ? embeddingSize : hiddenSizes[index - 1];
    const stride = index > 0 || downsampleInFirstStage ? 2 : 1;
    this.layers = key.split(depths[index]).map((part, i) => {
      const place = i === 0 ? { inputs, outputs, stride } : { inputs: outputs, outputs, stride: 1 };
      return new Layer(config, { ...place, isFrozen }, part);
    });
  }
}

/** A ResNet without a head: a stem that makes the image four times smaller, then stages of layers. */
export class ResNetEncoder extends ImageEncoder {
  readonly embedder: ConvNorm;
  readonly stages: Stage[];
  protected override readonly checkpointKeys = { embedder: "embedder.embedder", stages: "encoder.stages" };
  private readonly activation: Activation;

  /** @param isFrozen its batch norms are not trained: in DETR */
  constructor(config: ResNetConfig, key: RandomKey, isFrozen = false) {
    super();
    const [stemKey, stageKey] = key.split(2);
    this.embedder = new ConvNorm(
      { inputs: config.numChannels, outputs: config.embeddingSize, kernelSize: 7, stride: 2, isFrozen },
      stemKey,
    );
    this.stages = stageKey.split(config.depths.length).map((part, i) => new Stage(config, i, isFrozen, part));
    this.activation = config.activation;
  }

  /** pixelValues: [B, 3, H, W] -> [B, C, h, w]; poolerOutput: [B, C, 1, 1]; hiddenStates: of the stem and each stage */
  encode({ pixelValues, ...options }: ImageInputs & RunOptions): ImageOutput {
    const stem = withScope("stem", () => activations[this.activation](this.embedder.forward(pixelValues, options)));
    const hiddenStates = [maxPool(stem, { kernelSize: 3, stride: 2, padding: 1 })];
    for (const [i, { layers }] of this.stages.entries()) {
      const run = () =>
        layers.reduce((y, layer, j) => withScope(`layers.${j}`, () => layer.forward(y, options)), hiddenStates[i]);
      hiddenStates.push(withScope(`stages.${i}`, run));
    }
    const lastHiddenState = hiddenStates[hiddenStates.length - 1];
    return { lastHiddenState, poolerOutput: mean(lastHiddenState, { axes: [2, 3], keepDims: true }), hiddenStates };
  }
}

/** A linear layer on the mean over all places. */
class Classifier extends Module implements ImageHead {
  readonly classifier: Projection; // [N, C]
  protected override readonly checkpointKeys = { classifier: "classifier.1" };

  constructor({ hiddenSizes, labels }: ResNetConfig, key: RandomKey) {
    super();
    this.classifier = new Linear({ inFeatures: hiddenSizes[hiddenSizes.length - 1], outFeatures: labels.length }, key);
  }

  /** lastHiddenState: [B, C, h, w] -> logits [B, N] */
  forward({ lastHiddenState }: ImageOutput): Tensor<"f32"> {
    return this.classifier.forward(mean(lastHiddenState, { axes: [2, 3] }));
  }
}

/** timm's and torchvision's names, as they are called here; undefined for others. */
export function fromTimmName(name: string): string | undefined {
  const stem = /^(conv1|bn1)\.(.*)$/.exec(name);
  if (stem) return `embedder.embedder.${stem[1] === "conv1" ? "convolution" : "normalization"}.${stem[2]}`;
  const [, stage, layer, kind, number, rest] = /^layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(.*)$/.exec(name) ?? [];
  if (stage === undefined) return undefined;
  const isConvolution = kind === "conv" || (kind === "downsample." && number === "0");
  const part = kind === "downsample." ? "shortcut" : `layer.${Number(number) - 1}`;
  return `encoder.stages.${Number(stage) - 1}.layers.${layer}.${part}.${isConvolution ? "convolution" : "normalization"}.${rest}`;
}

const timmDepths: Readonly<Record<string, readonly number[]>> = {
  resnet18: [2, 2, 2, 2],
  resnet34: [3, 4, 6, 3],
  resnet50: [3, 4, 6, 3],
  resnet101: [3, 4, 23, 3],
  resnet152: [3, 8, 36, 3],
};

/** Whether a config.json is timm's, of one of its ResNets. */
const isTimm = ({ architecture, model_type: type }: Json): boolean =>
  type === undefined && typeof architecture === "string" && Object.hasOwn(timmDepths, architecture);

/** timm's config.json as one of transformers; others as they are. */
function fromTimmConfig(json: Json): Json {
  if (!isTimm(json)) return json;
  const { architecture, num_classes: count } = json as { architecture: string; num_classes?: unknown };
  const isBasic = architecture === "resnet18" || architecture === "resnet34";
  const names = (json.label_names ?? (json.pretrained_cfg as Json | undefined)?.label_names) as string[] | undefined;
  return {
    model_type: "resnet",
    architectures: ["ResNetForImageClassification"],
    layer_type: isBasic ? "basic" : "bottleneck",
    hidden_sizes: isBasic ? [64, 128, 256, 512] : [256, 512, 1024, 2048],
    depths: timmDepths[architecture],
    num_labels: count ?? 1000,
    ...(names && { id2label: Object.fromEntries(names.map((name, i) => [i, name])) }),
  };
}

/** ResNet that classifies pictures: [B, 3, H, W] -> logits [B, N]. arXiv:1512.03385. */
export class ResNetForImageClassification extends ImageClassifier<ResNetConfig> {
  constructor(options: Partial<ResNetConfig>, key: RandomKey) {
    super(resnet, options, key);
  }
}

/** ResNet without a head: [B, 3, H, W] -> a map [B, C, h, w], and its mean [B, C, 1, 1]. arXiv:1512.03385. */
export class ResNetModel extends ImageModel<ResNetConfig> {
  constructor(options: Partial<ResNetConfig>, key: RandomKey) {
    super(resnet, options, key);
  }
}

/** How ResNet is stored: model_type resnet, and timm's files. */
export const resnet = imageFamily<ResNetConfig>({
  modelType: "resnet",
  classes: { ResNetForImageClassification, ResNetModel },
  configName: "ResNetConfig",
  prefix: "resnet",
  fields: resnetFields,
  matches: (json) => json.model_type === "resnet" || isTimm(json),
  translate: fromTimmConfig,
  tensorName: (name) => fromTimmName(name) ?? name.replace(/^fc\./, "classifier.1."),
  encoder: (config, key) => new ResNetEncoder(config, key),
  classifier: (config, key) => new Classifier(config, key),
});

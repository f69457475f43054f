import { known, OptionError } from "../base/index.ts";
import {
  add,
  batchNorm,
  conv,
  mul,
  type RandomKey,
  reshape,
  rsqrt,
  sub,
  type Tensor,
  transpose,
} from "../tensor/index.ts";
import { constantInit, heUniform, type Initializer, uniformInit } from "./init.ts";
import { LayerNorm } from "./layers.ts";
import { ModelBuffer, Module, Parameter } from "./module.ts";
import { requireSizes } from "./sizes.ts";

/** Channels and window of a `Conv2d`, with the meaning that torch.nn.Conv2d gives them. */
export interface Conv2dConfig {
  /** Channels of the input, C. */
  inChannels: number;
  /** Channels of the output, a filter for each. */
  outChannels: number;
  /** One number, or height and width. */
  kernelSize: number | readonly [number, number];
  /** Pixels from one window to the next. @default 1 */
  stride?: number;
  /** Zeros around: one number, or pairs [before, after] for height and width. @default 0 */
  padding?: number | readonly (readonly [number, number])[];
  /** Pixels from one element of a window to the next. @default 1 */
  dilation?: number;
  /** Channels are split into so many groups that do not see one another. @default 1 */
  groups?: number;
  /** A learned number is added to each output channel. @default true */
  bias?: boolean;
  /** First weights. @default heUniform */
  init?: Initializer;
}

const convNames = {
  ...({ inChannels: true, outChannels: true, kernelSize: true, stride: true, padding: true } as const),
  ...({ dilation: true, groups: true, bias: true, init: true } as const),
};

/** Convolution of images: each output channel is a learned filter, moved over all input channels. */
export class Conv2d extends Module {
  readonly weight: Parameter; // [out, in / groups, height, width]
  readonly bias?: Parameter; //  [out]
  private readonly config: Conv2dConfig;

  /** @throws OptionError for a size that is no positive integer, and for groups that do not divide the channels */
  constructor(config: Conv2dConfig, key: RandomKey) {
    super();
    const {
      inChannels,
      outChannels,
      kernelSize,
      groups = 1,
      bias = true,
      init = heUniform,
    } = known("Conv2d", config, convNames);
    const [height, width] = typeof kernelSize === "number" ? [kernelSize, kernelSize] : kernelSize;
    requireSizes("Conv2d", { inChannels, outChannels, groups, height, width });
    requireGroups(inChannels, outChannels, groups);
    const [weightKey, biasKey] = key.split(2);
    const shape = [outChannels, inChannels / groups, height, width];
    this.weight = new Parameter(shape, init(weightKey, shape));
    if (bias)
      this.bias = new Parameter(
        [outChannels],
        uniformInit(1 / Math.sqrt((inChannels / groups) * height * width))(biasKey, [outChannels]),
      );
    this.config = config;
  }

  /**
   * x: [B, C, height, width] -> [B, outChannels, height', width'], in both directions size' = floor((size + padding
   * before and after - dilation (kernelSize - 1) - 1) / stride) + 1.
   * @param padding in place of the configured one
   */
  forward(x: Tensor<"f32">, padding = this.config.padding): Tensor<"f32"> {
    const { stride, dilation, groups } = this.config;
    return conv(x, this.weight.value, this.bias?.value, { stride, padding, dilation, groups });
  }
}

function requireGroups(inChannels: number, outChannels: number, groups: number): void {
  if (inChannels % groups === 0 && outChannels % groups === 0) return;
  throw new OptionError({
    where: "Conv2d",
    expected: "inChannels and outChannels to be multiples of groups",
    received: `inChannels ${inChannels}, outChannels ${outChannels}, groups ${groups}`,
    fix: "choose a number of groups that divides both",
  });
}

/** Channels of a `BatchNorm2d`, and how its running statistics move. */
export interface BatchNormConfig {
  /** Size of axis 1 of the input, C. */
  channels: number;
  /** Added to the variance. @default 1e-5 */
  epsilon?: number;
  /** Share of the batch in new running statistics. @default 0.1 */
  momentum?: number;
  /** Weight and bias are not trained, and statistics do not move. @default false */
  isFrozen?: boolean;
}

/**
 * Normalises each channel by running statistics, in training by those of the batch. Ioffe and Szegedy 2015,
 * arXiv:1502.03167.
 */
export class BatchNorm2d extends Module {
  readonly weight: Parameter | ModelBuffer; // [C]
  readonly bias: Parameter | ModelBuffer; //   [C]
  readonly runningMean: ModelBuffer; // [C]
  readonly runningVar: ModelBuffer; //  [C]
  private readonly config: BatchNormConfig;

  constructor(config: BatchNormConfig, key: RandomKey) {
    super();
    const { channels } = known("BatchNorm2d", config, {
      channels: true,
      epsilon: true,
      momentum: true,
      isFrozen: true,
    });
    requireSizes("BatchNorm2d", { channels });
    const shape = [channels];
    const make = (value: number) =>
      config.isFrozen
        ? new ModelBuffer(shape, constantInit(value)(key, shape))
        : new Parameter(shape, constantInit(value)(key, shape));
    this.weight = make(1);
    this.bias = make(0);
    this.runningMean = new ModelBuffer(shape, constantInit(0)(key, shape));
    this.runningVar = new ModelBuffer(shape, constantInit(1)(key, shape));
    this.config = config;
  }

  /**
   * x: [B, C, height, width] -> the same shape. With `isTraining` (false by default) x is normalised by its own mean
   * and variance, and the running ones are moved towards these; never where `isFrozen`.
   */
  forward(x: Tensor<"f32">, { isTraining = false }: { isTraining?: boolean } = {}): Tensor<"f32"> {
    const { epsilon = 1e-5, momentum, isFrozen = false } = this.config;
    if (isFrozen) {
      const scale = mul(this.weight.value, rsqrt(add(this.runningVar.value, epsilon)));
      const column = (vector: Tensor<"f32">) => reshape(vector, [1, -1, 1, 1]);
      return add(mul(x, column(scale)), column(sub(this.bias.value, mul(this.runningMean.value, scale))));
    }
    const state = {
      weight: this.weight.value,
      bias: this.bias.value,
      runningMean: this.runningMean.value,
      runningVariance: this.runningVar.value,
    };
    const result = batchNorm(x, state, { training: isTraining, epsilon, momentum });
    if (isTraining) {
      this.runningMean.assign(result.runningMean);
      this.runningVar.assign(result.runningVariance);
    }
    return result.y;
  }
}

/** Layer normalisation of each pixel over its channels. Ba et al. 2016, arXiv:1607.06450. */
export class ChannelNorm extends LayerNorm {
  /** x: [B, C, height, width] -> the same shape; weight and bias are [C]. */
  override forward(x: Tensor<"f32">): Tensor<"f32"> {
    return transpose(super.forward(transpose(x, [0, 2, 3, 1])), [0, 3, 1, 2]);
  }
}

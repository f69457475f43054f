import { known } from "../base/index.ts";
import type { RandomKey, Tensor } from "../tensor/index.ts";
import { add, logicalAnd, reshape, tensor } from "../tensor/index.ts";
import type { Activation } from "./activations.ts";
import { LayerNorm } from "./layers.ts";
import { Module } from "./module.ts";
import { TransformerLayer } from "./transformer-layer.ts";

/** Sizes of a `Transformer`. The defaults are those of the base model of the paper, and of torch.nn.Transformer. */
export interface TransformerConfig {
  /** Width of all states, D. @default 512 */
  hiddenSize?: number;
  /** Heads of attention, H. @default 8 */
  numHeads?: number;
  /** Layers of the encoder. @default 6 */
  numEncoderLayers?: number;
  /** Layers of the decoder. @default 6 */
  numDecoderLayers?: number;
  /** Width inside the feed-forward layers, F. @default 2048 */
  intermediateSize?: number;
  /** What is applied inside the feed-forward layers. @default "relu" */
  activation?: Activation;
  /** Probability of dropping attention weights and features, in runs that have a key. @default 0.1 */
  dropout?: number;
  /** Added to the variance in norms. @default 1e-5 */
  epsilon?: number;
}

const transformerNames = {
  ...({ hiddenSize: true, numHeads: true, numEncoderLayers: true, numDecoderLayers: true } as const),
  ...({ intermediateSize: true, activation: true, dropout: true, epsilon: true } as const),
};

/** Which positions of a `Transformer` see each other, and its dropout. */
export interface TransformerInputs {
  /** bool [B, S], false for padding. @default all true */
  sourceMask?: Tensor<"bool">;
  /** bool [B, T], false for padding. @default all true */
  targetMask?: Tensor<"bool">;
  /** Each target position sees only those before it. @default true */
  isCausal?: boolean;
  /**
   * Which pairs see each other besides, bool: source [S, S], target [T, T], and target to source [T, S]. @default all
   */
  attention?: { source?: Tensor<"bool">; target?: Tensor<"bool">; across?: Tensor<"bool"> };
  /** Random key of the dropout. @default none: nothing is dropped */
  key?: RandomKey;
}

/** Layers and a norm at the end. */
class Stack extends Module {
  readonly layers: TransformerLayer[];
  readonly norm: LayerNorm;

  constructor(config: Required<TransformerConfig>, isDecoder: boolean, key: RandomKey) {
    super();
    const { hiddenSize, numHeads, numEncoderLayers, numDecoderLayers, intermediateSize, activation, dropout, epsilon } =
      config;
    const shared = {
      hiddenSize,
      numHeads,
      intermediateSize,
      activation,
      epsilon,
      hiddenDropout: dropout,
      attentionDropout: dropout,
      activationDropout: dropout,
    };
    const make = (part: RandomKey) => new TransformerLayer({ ...shared, hasCrossAttention: isDecoder }, part);
    this.layers = key.split(isDecoder ? numDecoderLayers : numEncoderLayers).map(make);
    this.norm = new LayerNorm({ width: hiddenSize, epsilon }, key);
  }
}

/**
 * The encoder-decoder of 2017, on embedded sequences. Vaswani et al. 2017, arXiv:1706.03762; the layers of
 * torch.nn.Transformer.
 */
export class Transformer extends Module {
  readonly encoder: Stack;
  readonly decoder: Stack;

  constructor(config: TransformerConfig, key: RandomKey) {
    super();
    known("Transformer", config, transformerNames);
    const [encoderKey, decoderKey] = key.split(2);
    const base = {
      hiddenSize: 512,
      numHeads: 8,
      numEncoderLayers: 6,
      numDecoderLayers: 6,
      intermediateSize: 2048,
      activation: "relu",
      dropout: 0.1,
      epsilon: 1e-5,
    } as const;
    const whole = { ...base, ...config };
    this.encoder = new Stack(whole, false, encoderKey);
    this.decoder = new Stack(whole, true, decoderKey);
  }

  /** source: [B, S, D], target: [B, T, D], both with their positions -> [B, T, D] */
  forward(
    source: Tensor<"f32">,
    target: Tensor<"f32">,
    { sourceMask, targetMask, isCausal = true, attention = {}, key }: TransformerInputs = {},
  ): Tensor<"f32"> {
    const visible = (mask: Tensor<"bool"> | undefined, pairs: Tensor<"bool"> | undefined) => {
      const keys = mask && reshape(mask, [mask.shape[0], 1, 1, mask.shape[1]]);
      return keys && pairs ? logicalAnd(keys, pairs) : (keys ?? pairs);
    };
    const mask = visible(targetMask, attention.target);
    const encoderMask = visible(sourceMask, attention.across);
    const sourceSelfMask = visible(sourceMask, attention.source);
    const read = (x: Tensor<"f32">, layer: TransformerLayer, i: number) =>
      layer.forward(x, { mask: sourceSelfMask, key: key?.fold(i) });
    const encoderStates = this.encoder.norm.forward(this.encoder.layers.reduce(read, source));
    const write = (x: Tensor<"f32">, layer: TransformerLayer, i: number) =>
      layer.forward(x, { mask, isCausal, encoderStates, encoderMask, key: key?.fold(1000 + i) });
    return this.decoder.norm.forward(this.decoder.layers.reduce(write, target));
  }
}

/**
 * x: [B, T, D] -> the same shape, with sines and cosines of the positions added, alternating. Section 3.5 of the paper.
 */
export function addSinusoidalPositions(x: Tensor<"f32">): Tensor<"f32"> {
  const [length, width] = [x.size(1), x.size(2)];
  const values = Float32Array.from({ length: length * width }, (_, n) => {
    const [position, i] = [Math.floor(n / width), n % width];
    const angle = position / 10000 ** ((i - (i % 2)) / width);
    return i % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
  return add(x, tensor(values, { shape: [1, length, width] }));
}

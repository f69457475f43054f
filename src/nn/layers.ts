import { known } from "../base/index.ts";
import {
  add,
  embedding,
  layerNorm,
  linear,
  matmul,
  type RandomKey,
  rmsNorm,
  split,
  type Tensor,
  transpose,
  zeros,
} from "../tensor/index.ts";
import { constantInit, type Initializer, linearInit, normalInit, uniformInit } from "./init.ts";
import { Module, Parameter } from "./module.ts";
import { EmbeddingTable, Projection } from "./projection.ts";
import { requireSizes } from "./sizes.ts";

/** Widths of a `Linear`, and its first numbers. */
export interface LinearConfig {
  /** Width of the input, D. */
  inFeatures: number;
  /** Width of the output, F. */
  outFeatures: number;
  /** A learned vector is added to the product. @default true */
  bias?: boolean;
  /** First weights. @default uniform in plus or minus 1 / sqrt(inFeatures), as in PyTorch */
  init?: Initializer;
  /** First bias. @default that of the weight; zeros when there is an `init` */
  biasInit?: Initializer;
}

/** x Wᵀ + b with the weight in PyTorch's layout. */
export class Linear extends Projection {
  readonly weight: Parameter; // [F, D]
  readonly bias?: Parameter; //  [F]

  /** @throws OptionError for a size that is no positive integer */
  constructor(config: LinearConfig, key: RandomKey) {
    super();
    const names = { inFeatures: true, outFeatures: true, bias: true, init: true, biasInit: true } as const;
    const { inFeatures, outFeatures, bias = true, init, biasInit } = known("Linear", config, names);
    requireSizes("Linear", { inFeatures, outFeatures });
    const [weightKey, biasKey] = key.split(2);
    this.weight = new Parameter([outFeatures, inFeatures], (init ?? linearInit)(weightKey, [outFeatures, inFeatures]));
    const biasOf = biasInit ?? (init ? constantInit(0) : uniformInit(1 / Math.sqrt(inFeatures)));
    if (bias) this.bias = new Parameter([outFeatures], biasOf(biasKey, [outFeatures]));
  }

  get inFeatures(): number {
    return this.weight.shape[1];
  }

  get outFeatures(): number {
    return this.weight.shape[0];
  }

  matrix(): Tensor<"f32"> {
    return this.weight.value;
  }

  /** x: [..., D] -> [..., F] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    if (!this.bias) return matmul(x, this.weight.value, { transposeB: true });
    return linear(x, this.weight.value, this.bias.value, { transposeB: true });
  }
}

/** x W + b with the weight [in, out], as GPT-2's checkpoints have it; Hugging Face calls this layer Conv1D. */
export class Conv1D extends Projection {
  readonly weight: Parameter; // [D, F]
  readonly bias: Parameter; //   [F]

  /** @throws OptionError for a size that is no positive integer */
  constructor(config: Omit<LinearConfig, "bias">, key: RandomKey) {
    super();
    const names = { inFeatures: true, outFeatures: true, init: true, biasInit: true } as const;
    const {
      inFeatures,
      outFeatures,
      init = normalInit(0.02),
      biasInit = constantInit(0),
    } = known("Conv1D", config, names);
    requireSizes("Conv1D", { inFeatures, outFeatures });
    const [weightKey, biasKey] = key.split(2);
    this.weight = new Parameter([inFeatures, outFeatures], init(weightKey, [inFeatures, outFeatures]));
    this.bias = new Parameter([outFeatures], biasInit(biasKey, [outFeatures]));
  }

  get inFeatures(): number {
    return this.weight.shape[0];
  }

  get outFeatures(): number {
    return this.weight.shape[1];
  }

  matrix(): Tensor<"f32"> {
    return transpose(this.weight.value);
  }

  /** x: [..., D] -> [..., F] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return linear(x, this.weight.value, this.bias.value);
  }

  /**
   * The output cut into equal parts, `parts` times [..., F / parts]. For many rows the weight is cut and not the
   * output, since it is the smaller of the two; the results are the same.
   */
  override forwardParts(x: Tensor<"f32">, parts: number): Tensor<"f32">[] {
    const rows = x.shape.slice(0, -1);
    const isLarge =
      rows.every((size) => typeof size === "number") &&
      rows.reduce<number>((a, b) => a * (b as number), 1) >= this.weight.shape[0];
    if (!isLarge) return super.forwardParts(x, parts);
    const biases = split(this.bias.value, parts);
    return split(this.weight.value, parts).map((weight, i) => linear(x, weight, biases[i]));
  }
}

/** Size of an `Embedding`, and its first vectors. */
export interface EmbeddingConfig {
  /** Number of vectors, V: ids are 0 to V - 1. */
  numEmbeddings: number;
  /** Length of each vector, D. */
  embeddingDim: number;
  /** First vectors. @default standard normal */
  init?: Initializer;
  /** The row of this id gets no gradient from lookups. @default none */
  paddingIndex?: number | null;
}

/** A table of vectors looked up by integer. */
export class Embedding extends EmbeddingTable {
  readonly weight: Parameter; // [V, D]
  private readonly paddingIndex?: number;

  /** @throws OptionError for a size that is no positive integer */
  constructor(config: EmbeddingConfig, key: RandomKey) {
    super();
    const names = { numEmbeddings: true, embeddingDim: true, init: true, paddingIndex: true } as const;
    const { numEmbeddings, embeddingDim, init = normalInit(1), paddingIndex } = known("Embedding", config, names);
    requireSizes("Embedding", { numEmbeddings, embeddingDim });
    this.paddingIndex = paddingIndex ?? undefined;
    this.weight = new Parameter([numEmbeddings, embeddingDim], init(key, [numEmbeddings, embeddingDim]));
  }

  get numEmbeddings(): number {
    return this.weight.shape[0];
  }

  get embeddingDim(): number {
    return this.weight.shape[1];
  }

  /** ids: [...] -> [..., D] */
  forward(ids: Tensor<"i32">): Tensor<"f32"> {
    return embedding(this.weight.value, ids, { paddingIndex: this.paddingIndex });
  }

  /** x: [..., D] -> x Wᵀ [..., V]: an output layer that shares the table */
  project(x: Tensor<"f32">): Tensor<"f32"> {
    return matmul(x, this.weight.value, { transposeB: true });
  }

  /** -> [V, D] */
  rows(): Tensor<"f32"> {
    return this.weight.value;
  }
}

/** Width of a `LayerNorm` or an `RMSNorm`, and what keeps it from dividing by 0. */
export interface LayerNormConfig {
  /** Size of the last axis, D. */
  width: number;
  /** Added to the variance, or to the mean square. @default 1e-5, of RMSNorm 1e-6 */
  epsilon?: number;
}

/** What normalises vectors along the last axis: LayerNorm or RMSNorm. */
export interface Norm extends Module {
  /** x: [..., D] -> [..., D] */
  forward(x: Tensor<"f32">): Tensor<"f32">;
}

/** Layer normalisation over the last axis. Ba et al. 2016, arXiv:1607.06450. */
export class LayerNorm extends Module {
  readonly weight: Parameter; // [D]
  readonly bias?: Parameter; //  [D]
  private readonly epsilon: number;

  /**
   * @param config `bias`, true by default: a learned vector is added after the scaling
   * @throws OptionError for a width that is no positive integer
   */
  constructor(config: LayerNormConfig & { bias?: boolean }, key: RandomKey) {
    super();
    const {
      width,
      epsilon = 1e-5,
      bias = true,
    } = known("LayerNorm", config, { width: true, epsilon: true, bias: true });
    requireSizes("LayerNorm", { width });
    this.weight = new Parameter([width], constantInit(1)(key, [width]));
    if (bias) this.bias = new Parameter([width], constantInit(0)(key, [width]));
    this.epsilon = epsilon;
  }

  /** x: [..., D] -> [..., D] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return layerNorm(x, this.weight.value, this.bias?.value ?? zeros(this.weight.shape), this.epsilon);
  }
}

/**
 * Scales vectors along the last axis to a root mean square of 1, times a weight. Zhang and Sennrich 2019,
 * arXiv:1910.07467.
 */
export class RMSNorm extends Module {
  readonly weight: Parameter; // [D]
  private readonly epsilon: number;
  private readonly offset: number;

  /**
   * @param config `offset`, 0 by default: added to the weight, which then starts at 1 - offset; 1 in Gemma
   * @throws OptionError for a width that is no positive integer
   */
  constructor(config: LayerNormConfig & { offset?: number }, key: RandomKey) {
    super();
    const {
      width,
      epsilon = 1e-6,
      offset = 0,
    } = known("RMSNorm", config, { width: true, epsilon: true, offset: true });
    requireSizes("RMSNorm", { width });
    this.weight = new Parameter([width], constantInit(1 - offset)(key, [width]));
    this.epsilon = epsilon;
    this.offset = offset;
  }

  /** x: [..., D] -> [..., D] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return rmsNorm(x, this.offset === 0 ? this.weight.value : add(this.weight.value, this.offset), this.epsilon);
  }
}

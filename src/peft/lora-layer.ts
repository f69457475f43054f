/** Layers with a low-rank update beside their weight. */
import { biasOf, dropout, EmbeddingTable, Parameter, Projection } from "../nn/index.ts";
import {
  add,
  div,
  gather,
  matmul,
  mul,
  type RandomKey,
  sqrt,
  stopGradient,
  sub,
  sum,
  type Tensor,
  transpose,
} from "../tensor/index.ts";
import { widened } from "./adapter.ts";
import type { FittedLora } from "./fitted-layer.ts";

/** What layers of an adapter look at while a run is traced. */
export interface RunScope {
  /** Random key of the run; given, dropout is on. */
  key?: RandomKey;
}

/** Dropout of a layer's input of A. */
export interface LoraDropout {
  probability: number;
  scope: RunScope;
  /** Another for each layer of an adapter: they drop other numbers. */
  index: number;
}

/** Checkpoint names as peft has them. */
const LINEAR_NAMES = {
  base: "base_layer",
  loraA: "lora_A.weight",
  loraB: "lora_B.weight",
  loraBias: "lora_B.bias",
  magnitude: "lora_magnitude_vector",
};

/**
 * x Wᵀ + s x Aᵀ Bᵀ, with W as it is and A and B to be trained. Hu et al. 2021, arXiv:2106.09685, section 4.1. With a
 * magnitude, rows of W + s B A are brought to its lengths, which are held for constant in gradients, as the paper
 * proposes: Liu et al. 2024, arXiv:2402.09353, sections 4.1 and 4.3. Biases are added last. In runs that have a key A
 * sees x with some numbers dropped; with a magnitude, so does what W is scaled by beyond itself, as in peft.
 */
export class LoraProjection extends Projection {
  readonly base: Projection;
  readonly loraA: Parameter; // [r, D]
  readonly loraB: Parameter; // [F, r]
  readonly loraBias?: Parameter; //  [F]
  readonly magnitude?: Parameter; // [F]
  private readonly scaling: number;
  private readonly dropout?: LoraDropout;
  protected override readonly checkpointKeys = LINEAR_NAMES;

  constructor(
    base: Projection,
    { a, b, bias, magnitude, scaling }: Omit<FittedLora, "layer" | "path" | "rank">,
    dropout?: LoraDropout,
  ) {
    super();
    this.base = base;
    this.scaling = scaling;
    this.dropout = dropout;
    this.loraA = new Parameter(a.shape, widened(a));
    this.loraB = new Parameter(b.shape, widened(b));
    if (bias) this.loraBias = new Parameter(bias.shape, widened(bias));
    if (magnitude) this.magnitude = new Parameter(magnitude.shape, widened(magnitude));
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  /** W + s B A; with a magnitude, its rows of those lengths. [F, D] */
  matrix(): Tensor<"f32"> {
    const { base, loraA, loraB, scaling, magnitude } = this;
    const changed = add(base.matrix(), matmul(loraB.value, loraA.value, { scale: scaling })); // [F, D]
    return magnitude ? mul(changed, div(magnitude.value, lengthsOf(changed)).reshape([-1, 1])) : changed;
  }

  /** x: [..., D] -> [..., F] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    const { base, loraA, loraB, loraBias, magnitude, scaling } = this;
    const dropped = this.drop(x); // [..., D]
    const inner = matmul(dropped, loraA.value, { transposeB: true }); // [..., r]
    const product = matmul(inner, loraB.value, { transposeB: true, scale: scaling }); // [..., F]
    const update = loraBias ? add(product, mul(loraBias.value, scaling)) : product;
    const before = base.forward(x);
    if (!magnitude) return add(before, update);
    const changed = add(base.matrix(), matmul(loraB.value, loraA.value, { scale: scaling }));
    const factor = div(magnitude.value, stopGradient(lengthsOf(changed))); // [F]
    const bias = biasOf(base)?.value;
    const withoutBias = (y: Tensor<"f32">) => (bias ? sub(y, bias) : y);
    if (dropped !== x) {
      const more = mul(withoutBias(base.forward(dropped)), sub(factor, 1));
      return add(before, add(more, mul(update, factor)));
    }
    const scaled = mul(add(withoutBias(before), update), factor);
    return bias ? add(scaled, bias) : scaled;
  }

  private drop(x: Tensor<"f32">): Tensor<"f32"> {
    const { probability = 0, scope, index = 0 } = this.dropout ?? {};
    return dropout(x, probability, scope?.key?.fold(index));
  }
}

/** Lengths of the rows of a matrix: [F, D] -> [F] */
export const lengthsOf = (matrix: Tensor<"f32">): Tensor<"f32"> => sqrt(sum(mul(matrix, matrix), { axes: 1 }));

/**
 * A table with a low-rank update of the vectors that are looked up. As an output layer the table is as it was: peft
 * changes that by an adapter of its own.
 */
export class LoraEmbedding extends EmbeddingTable {
  readonly base: EmbeddingTable;
  readonly loraA: Parameter; // [r, V]
  readonly loraB: Parameter; // [D, r]
  private readonly scaling: number;
  protected override readonly checkpointKeys = {
    base: "base_layer",
    loraA: "lora_embedding_A",
    loraB: "lora_embedding_B",
  };

  constructor(base: EmbeddingTable, { a, b, scaling }: Pick<FittedLora, "a" | "b" | "scaling">) {
    super();
    this.base = base;
    this.scaling = scaling;
    this.loraA = new Parameter(a.shape, widened(a));
    this.loraB = new Parameter(b.shape, widened(b));
  }

  get numEmbeddings(): number {
    return this.base.numEmbeddings;
  }

  get embeddingDim(): number {
    return this.base.embeddingDim;
  }

  /** ids: [...] -> [..., D] */
  forward(ids: Tensor<"i32">): Tensor<"f32"> {
    const { base, loraA, loraB, scaling } = this;
    const inner = gather(transpose(loraA.value), ids, 0); // [..., r]
    return add(base.forward(ids), matmul(inner, loraB.value, { transposeB: true, scale: scaling }));
  }

  /** x: [..., D] -> [..., V] */
  project(x: Tensor<"f32">): Tensor<"f32"> {
    return this.base.project(x);
  }

  /** [V, D] */
  rows(): Tensor<"f32"> {
    return this.base.rows();
  }
}

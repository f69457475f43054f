/** What linear layers have in common, and what tables of vectors have, however their weights are kept. */
import { add, split, type Tensor } from "../tensor/index.ts";
import { Module, Parameter } from "./module.ts";

/** A linear map of the last axis, perhaps with a bias: what every field takes that holds a linear layer. */
export abstract class Projection extends Module {
  /** Width of the input. */
  abstract readonly inFeatures: number;
  /** Width of the output. */
  abstract readonly outFeatures: number;
  /** The matrix W that inputs meet: the output is x Wᵀ, and the bias. [outFeatures, inFeatures], in f32 */
  abstract matrix(): Tensor<"f32">;

  /** x: [..., inFeatures] -> [..., outFeatures] */
  abstract forward(x: Tensor<"f32">): Tensor<"f32">;

  /** The output cut into equal parts, such as queries, keys and values: `parts` times [..., outFeatures / parts]. */
  forwardParts(x: Tensor<"f32">, parts: number): Tensor<"f32">[] {
    return split(this.forward(x), parts);
  }
}

/** What a projection adds to the product with its matrix, if it has such a parameter. [outFeatures] */
export const biasOf = (projection: Projection): Parameter | undefined =>
  "bias" in projection && projection.bias instanceof Parameter ? projection.bias : undefined;

/** A table of vectors that is looked up by integers, and may serve as the output layer too. */
export abstract class EmbeddingTable extends Module {
  /** Number of vectors, V. */
  abstract readonly numEmbeddings: number;
  /** Length of each vector, D. */
  abstract readonly embeddingDim: number;

  /** ids: [...] -> [..., D] */
  abstract forward(ids: Tensor<"i32">): Tensor<"f32">;

  /** x: [..., D] -> its products with all rows, [..., V] */
  abstract project(x: Tensor<"f32">): Tensor<"f32">;

  /** All vectors: [V, D] */
  abstract rows(): Tensor<"f32">;
}

/** An output layer whose weight is a table that another module holds, and lists first. */
export class TiedProjection extends Projection {
  readonly table: EmbeddingTable; // [V, D]
  readonly bias?: Parameter; //      [V]

  constructor(table: EmbeddingTable, bias?: Parameter) {
    super();
    this.table = table;
    if (bias) this.bias = bias;
  }

  get inFeatures(): number {
    return this.table.embeddingDim;
  }

  get outFeatures(): number {
    return this.table.numEmbeddings;
  }

  matrix(): Tensor<"f32"> {
    return this.table.rows();
  }

  /** x: [..., D] -> [..., V] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    const product = this.table.project(x);
    return this.bias ? add(product, this.bias.value) : product;
  }
}

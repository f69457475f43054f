/** Layers whose output or input is scaled by learned factors. */
import { Parameter, Projection } from "../nn/index.ts";
import { mul, reshape, type Tensor } from "../tensor/index.ts";
import { widened } from "./adapter.ts";
import type { FittedIa3 } from "./fitted-layer.ts";

/** l (W x + b), or W (l x) + b, with factors l to be trained. Liu et al. 2022, arXiv:2205.05638, section 3.3. */
export class Ia3Projection extends Projection {
  readonly base: Projection;
  readonly factors: Parameter; // [F, 1], or of the input [1, D]
  protected override readonly checkpointKeys = { base: "base_layer", factors: "ia3_l" };

  constructor(base: Projection, { factors }: Pick<FittedIa3, "factors">) {
    super();
    this.base = base;
    this.factors = new Parameter(factors.shape, widened(factors));
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }

  get outFeatures(): number {
    return this.base.outFeatures;
  }

  /** Whether the factors are of the output, and of the bias with it. */
  get scalesOutput(): boolean {
    return this.factors.shape[1] === 1;
  }

  /** W with its rows, or its columns, scaled. [F, D] */
  matrix(): Tensor<"f32"> {
    return mul(this.base.matrix(), this.factors.value);
  }

  /** x: [..., D] -> [..., F] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    const factors = reshape(this.factors.value, [-1]);
    return this.scalesOutput ? mul(this.base.forward(x), factors) : this.base.forward(mul(x, factors));
  }
}

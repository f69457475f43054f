/** Bottleneck layers where a branch of a Transformer layer is added to its residual. */
import { activations, dropout, Linear, type Norm, ResidualAdapter } from "../nn/index.ts";
import { add, mul, randomKey, type Tensor } from "../tensor/index.ts";
import type { BottleneckConfig } from "./bottleneck-config.ts";
import type { LoraDropout } from "./lora-layer.ts";

/**
 * x + h + s up(f(down(z))) for a residual x and its branch h, with z = h (Houlsby et al. 2019, arXiv:1902.00751,
 * section 2.1), or z = norm(x + h) (Pfeiffer et al. 2020, arXiv:2005.00247, section 3.1), without a norm where the
 * layer has its norms before the branches.
 */
export class Bottleneck extends ResidualAdapter {
  readonly down: Linear; // [r, D]
  readonly up: Linear; //   [D, r]
  private readonly config: BottleneckConfig;
  private readonly dropout: LoraDropout;
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;

  /** Its numbers are 0. */
  constructor(config: BottleneckConfig, { width, size }: { width: number; size: number }, dropout: LoraDropout) {
    super();
    const { name } = config;
    this.checkpointKeys = { down: `adapters.${name}.adapter_down.0`, up: `adapters.${name}.adapter_up` };
    const key = randomKey(0);
    this.down = new Linear({ inFeatures: width, outFeatures: size }, key);
    this.up = new Linear({ inFeatures: size, outFeatures: width }, key);
    this.config = config;
    this.dropout = dropout;
  }

  sum(residual: Tensor<"f32">, branch: Tensor<"f32">, norm?: Norm): Tensor<"f32"> {
    const { originalLnBefore, residualBeforeLn, nonLinearity, scaling } = this.config;
    const { probability, scope, index } = this.dropout;
    const all = add(residual, branch); // [B, T, D]
    const input = originalLnBefore ? (norm?.forward(all) ?? all) : branch;
    const hidden = activations[nonLinearity](this.down.forward(input)); // [B, T, r]
    const output = this.up.forward(hidden); // [B, T, D]
    const scaled = scaling === 1 ? output : mul(output, scaling);
    const update = dropout(scaled, probability, scope.key?.fold(index));
    return add(residualBeforeLn ? all : add(residual, input), update);
  }
}

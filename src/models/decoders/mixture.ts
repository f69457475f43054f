import { Linear, Module, normalInit } from "../../nn/index.ts";
import {
  add,
  cond,
  greater,
  mul,
  oneHot,
  type RandomKey,
  reshape,
  slice,
  sum,
  type Tensor,
  tensor,
  unsqueeze,
  zeros,
} from "../../tensor/index.ts";
import { GatedMlp, type GatedMlpConfig } from "./decoder.ts";
import type { DecoderMlp } from "./traits.ts";

/** Which experts a token goes to, and with what weights: logits [N, E] -> indices and weights [N, k]. */
export type Routing = (logits: Tensor<"f32">) => { indices: Tensor<"i64">; weights: Tensor<"f32"> };

/** The sizes of a mixture of experts; intermediateSize is that of one expert. */
export interface MixtureConfig extends GatedMlpConfig {
  numExperts: number;
  /** Experts that each token goes to. */
  numExpertsPerToken: number;
}

/**
 * A mixture of experts: each token goes to a few of many feed-forward layers, and their outputs are added with the
 * router's weights. Shazeer et al. 2017, arXiv:1701.06538; Fedus et al. 2021, arXiv:2101.03961. In training every
 * expert runs on every token, with weight 0 where it was not chosen: shapes stay fixed. In generation an expert that no
 * token chose does not run.
 */
export class MixtureOfExperts extends Module implements DecoderMlp {
  readonly gate: Module & { logits(x: Tensor<"f32">): Tensor<"f32"> };
  readonly experts: GatedMlp[];
  readonly sharedExperts?: GatedMlp;
  readonly name?: string;
  private readonly routing: Routing;
  private readonly numExperts: number;

  /** @param name the checkpoint's name of the layer, if not "mlp" */
  constructor(
    config: MixtureConfig,
    { gate, routing, name, shared }: { gate?: Router; routing: Routing; name?: string; shared?: GatedMlp },
    key: RandomKey,
  ) {
    super();
    const [gateKey, expertKey] = key.split(2);
    const { numExperts } = config;
    this.gate = gate ?? new Router(config, gateKey);
    this.experts = expertKey.split(numExperts).map((part) => new GatedMlp(config, part));
    if (shared) this.sharedExperts = shared;
    if (name) this.name = name;
    this.routing = routing;
    this.numExperts = numExperts;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, { isGenerating = false }: { isGenerating?: boolean } = {}): Tensor<"f32"> {
    const width = x.shape[2];
    const rows = reshape(x, [-1, width]); // [N, D]
    const { indices, weights } = this.routing(this.gate.logits(rows));
    // [N, E], 0 where not chosen
    const byExpert = sum(mul(oneHot(indices, this.numExperts), unsqueeze(weights, 2)), { axes: 1 });
    let total: Tensor<"f32"> | undefined = this.sharedExperts?.forward(rows);
    for (const [e, expert] of this.experts.entries()) {
      const weight = slice(byExpert, { axis: 1, start: e, end: e + 1 }); // [N, 1]
      const run = (states: Tensor<"f32">) => mul(expert.forward(states), weight);
      const expertOutput = isGenerating ? cond(greater(sum(weight), 0), rows, run, zerosLike) : run(rows);
      total = total ? add(total, expertOutput) : expertOutput;
    }
    return reshape(total as Tensor<"f32">, x.shape);
  }
}

const zerosLike = (x: Tensor<"f32">): Tensor<"f32"> =>
  typeof x.shape[0] === "number" ? zeros(x.shape) : mul(x, tensor(0));

/** One number for each expert. */
export class Router extends Module {
  readonly weight: Linear["weight"]; // [E, D]

  constructor({ hiddenSize, numExperts, initializerRange }: MixtureConfig, key: RandomKey) {
    super();
    this.weight = new Linear(
      { inFeatures: hiddenSize, outFeatures: numExperts, bias: false, init: normalInit(initializerRange) },
      key,
    ).weight;
  }

  /** x: [N, D] -> [N, E] */
  logits(x: Tensor<"f32">): Tensor<"f32"> {
    return x.matmul(this.weight.value, { transposeB: true });
  }
}

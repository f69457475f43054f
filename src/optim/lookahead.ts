import { checkOptions, numberRules, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { add, equal, mul, remainder, sub, Variable, where } from "../tensor/index.ts";
import type { Gradients, Optimizer, UpdateOptions } from "./optimizer.ts";

/** How often `Lookahead` goes back, and how far. */
export interface LookaheadOptions {
  /** Steps of the inner optimizer between. @default 5 */
  interval?: number;
  /** Share of the way from the slow weights to the fast ones, above 0. @default 0.5 */
  alpha?: number;
}

/**
 * Around any optimizer: after some steps, weights go back a part of the way to where they were. Make it when the
 * weights are loaded, which are the first slow ones. Zhang et al. 2019, arXiv:1907.08610, algorithm 1.
 */
export class Lookahead implements Optimizer {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly state: ReadonlyMap<string, Variable>;
  private readonly inner: Optimizer;
  private readonly interval: number;
  private readonly alpha: number;
  private readonly count = new Variable({ name: "lookahead.step", dtype: "f32", shape: [] }, Float32Array.of(0));
  private readonly slow: ReadonlyMap<string, Variable<"f32">>;

  /** @throws OptionError for unknown options or values out of range */
  constructor(inner: Optimizer, options: LookaheadOptions = {}) {
    checkOptions("Lookahead", options, ["interval", "alpha"]);
    const { interval = 5, alpha = 0.5 } = options;
    const share = { range: "above 0 and at most 1", isFine: (value: number) => value > 0 && value <= 1 };
    requireNumbers("Lookahead", { interval, alpha }, { interval: numberRules.positiveInteger, alpha: share });
    this.inner = inner;
    this.parameters = inner.parameters;
    this.interval = interval;
    this.alpha = alpha;
    this.slow = new Map(
      [...inner.parameters].map(([key, { shape, value }]) => [
        key,
        new Variable({ name: `${key}.slow`, dtype: "f32", shape }, value),
      ]),
    );
    this.state = new Map<string, Variable>([
      ...inner.state,
      ["lookahead.step", this.count],
      ...[...this.slow].map(([key, variable]): [string, Variable] => [`${key}.slow`, variable]),
    ]);
  }

  update(gradients: Gradients, options: UpdateOptions): void {
    this.inner.update(gradients, options);
    const count = add(this.count.value, 1);
    this.count.assign(count);
    const isDue = equal(remainder(count, this.interval), 0);
    [...this.parameters].forEach(([key, parameter], i) => {
      const slow = this.slow.get(key) as Variable<"f32">;
      if (!gradients[i]) return;
      const back = add(slow.value, mul(sub(parameter.value, slow.value), this.alpha));
      slow.assign(where(isDue, back, slow.value));
      parameter.assign(where(isDue, back, parameter.value));
    });
  }
}

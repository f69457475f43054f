import { checkOptions, numberRules, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import {
  add,
  cast,
  compile,
  div,
  equal,
  greaterEqual,
  logicalAnd,
  mul,
  remainder,
  sub,
  type Tensor,
  tensor,
  Variable,
  where,
} from "../tensor/index.ts";
import type { Gradients, Optimizer, UpdateOptions } from "./optimizer.ts";

/** Which steps weights are averaged of. */
export interface AverageOptions {
  /** Steps before the first that counts. @default 0 */
  start?: number;
  /** Steps from one that counts to the next. @default 1 */
  interval?: number;
}

/** Which steps `ExponentialAverage` takes, and how long it remembers. */
export interface ExponentialAverageOptions extends AverageOptions {
  /** Share of the average that is kept, from 0 to 1. @default 0.999 */
  decay?: number;
}

/**
 * Around any optimizer: an average of the weights that training goes through, kept beside them and, with the
 * optimizer's state, in checkpoints. Statistics of BatchNorm are not averaged. Make it when the weights are loaded.
 */
abstract class WeightAverage implements Optimizer {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly state: ReadonlyMap<string, Variable>;
  private readonly inner: Optimizer;
  private readonly start: number;
  private readonly interval: number;
  private readonly step = new Variable({ name: "average.step", dtype: "f32", shape: [] }, Float32Array.of(0));
  private readonly count = new Variable({ name: "average.count", dtype: "f32", shape: [] }, Float32Array.of(0));
  private readonly averages: ReadonlyMap<string, Variable<"f32">>;
  private readonly exchange = compile(() => {
    for (const [key, parameter] of this.parameters) {
      const average = this.averages.get(key) as Variable<"f32">;
      const { value } = parameter;
      parameter.assign(average.value);
      average.assign(value);
    }
  });
  private swaps = 0;

  constructor(where: string, inner: Optimizer, { start = 0, interval = 1 }: AverageOptions) {
    const { wholeNumber, positiveInteger } = numberRules;
    requireNumbers(where, { start, interval }, { start: wholeNumber, interval: positiveInteger });
    this.inner = inner;
    this.parameters = inner.parameters;
    this.start = start;
    this.interval = interval;
    this.averages = new Map(
      [...inner.parameters].map(([key, { shape, value }]) => [
        key,
        new Variable({ name: `${key}.average`, dtype: "f32", shape }, value),
      ]),
    );
    this.state = new Map<string, Variable>([
      ...inner.state,
      ["average.step", this.step],
      ["average.count", this.count],
      ...[...this.averages].map(([key, variable]): [string, Variable] => [`${key}.average`, variable]),
    ]);
  }

  /** The share of new weights in an average that has `count` of them already, at least 1. [] -> [] */
  protected abstract share(count: Tensor<"f32">): Tensor<"f32">;

  /** Whether the model has the averaged weights now, and this the trained ones. */
  get isSwapped(): boolean {
    return this.swaps % 2 === 1;
  }

  /** Exchanges the model's weights and the averaged ones; a second call undoes the first. Do not train in between. */
  async swap(): Promise<void> {
    await this.exchange();
    this.swaps++;
  }

  /** Runs `body`, such as an evaluation, while the model has the averaged weights. */
  async withAverages<T>(body: () => Promise<T>): Promise<T> {
    await this.swap();
    try {
      return await body();
    } finally {
      await this.swap();
    }
  }

  update(gradients: Gradients, options: UpdateOptions): void {
    this.inner.update(gradients, options);
    const before = this.step.value; // steps done before this one
    this.step.assign(add(before, 1));
    const late = sub(before, this.start);
    const isDue = logicalAnd(greaterEqual(late, 0), equal(remainder(late, this.interval), 0));
    const count = this.count.value;
    const share = where(equal(count, 0), 1, this.share(count));
    const moved = where(isDue, share, 0);
    this.count.assign(add(count, cast(isDue, "f32")));
    for (const [key, parameter] of this.parameters) {
      const average = this.averages.get(key) as Variable<"f32">;
      average.assign(add(average.value, mul(sub(parameter.value, average.value), moved)));
    }
  }
}

export type { WeightAverage };

/**
 * The exponential moving average of weights around any optimizer, as torch.optim.swa_utils.AveragedModel with
 * get_ema_multi_avg_fn: it begins as the weights after the first step that counts. Polyak and Juditsky 1992.
 */
export class ExponentialAverage extends WeightAverage {
  private readonly decay: number;

  /** @throws OptionError for unknown options or values out of range */
  constructor(inner: Optimizer, options: ExponentialAverageOptions = {}) {
    checkOptions("ExponentialAverage", options, ["decay", "start", "interval"]);
    const { decay = 0.999 } = options;
    requireNumbers("ExponentialAverage", { decay }, { decay: numberRules.fraction });
    super("ExponentialAverage", inner, options);
    this.decay = decay;
  }

  protected share(): Tensor<"f32"> {
    return tensor(1 - this.decay);
  }
}

/**
 * The mean of all weights around any optimizer: stochastic weight averaging. Izmailov et al. 2018, arXiv:1803.05407; as
 * torch.optim.swa_utils.AveragedModel. It wants a learning rate that stays high from `start` on.
 */
export class StochasticAverage extends WeightAverage {
  /** @throws OptionError for unknown options or values out of range */
  constructor(inner: Optimizer, options: AverageOptions = {}) {
    checkOptions("StochasticAverage", options, ["start", "interval"]);
    super("StochasticAverage", inner, options);
  }

  protected share(count: Tensor<"f32">): Tensor<"f32"> {
    return div(1, add(count, 1));
  }
}

/** Whether an optimizer keeps averaged weights, which evaluation and what is saved in the end should use. */
export const isWeightAverage = (optimizer: Optimizer): optimizer is WeightAverage => optimizer instanceof WeightAverage;

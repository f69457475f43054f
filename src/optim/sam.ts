import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { Parameter } from "../nn/index.ts";
import { abs, add, div, mul, square, type Tensor, type Variable } from "../tensor/index.ts";
import { requireBooleans } from "./checks.ts";
import { globalNorm } from "./clip.ts";
import type { Gradients, Optimizer, UpdateOptions } from "./optimizer.ts";

/** How far `Sam` looks. */
export interface SamOptions {
  /** Distance, by the norm of all parameters together, above 0; `adaptive` wants about 10 times that. @default 0.05 */
  rho?: number;
  /** Measures the distance relative to the size of each weight. Kwon et al. 2021, arXiv:2102.11600. @default false */
  adaptive?: boolean;
}

const NORM_EPSILON = 1e-12;

/**
 * Sharpness-aware minimisation around any optimizer: updates by the gradients at the worst point nearby, so that flat
 * minima are chosen. Each step computes the loss and its gradients twice, with the same dropout. Foret et al. 2020,
 * arXiv:2010.01412.
 */
export class Sam implements Optimizer {
  private readonly inner: Optimizer;
  private readonly rho: number;
  private readonly isAdaptive: boolean;

  /** @throws OptionError for unknown options or values out of range */
  constructor(inner: Optimizer, options: SamOptions = {}) {
    checkOptions("Sam", options, ["rho", "adaptive"]);
    const { rho = 0.05, adaptive = false } = options;
    requireNumbers("Sam", { rho }, { rho: numberRules.positive });
    requireBooleans("Sam", { adaptive });
    this.inner = inner;
    this.rho = rho;
    this.isAdaptive = adaptive;
  }

  get parameters(): ReadonlyMap<string, Parameter> {
    return this.inner.parameters;
  }

  get state(): ReadonlyMap<string, Variable> {
    return this.inner.state;
  }

  /** @throws OptionError where there is no `gradientsAgain` */
  update(gradients: Gradients, { learningRate, gradientsAgain }: UpdateOptions): void {
    if (!gradientsAgain) {
      throw new OptionError({
        where: "Sam.update",
        expected: "gradientsAgain, the gradients of the same batch at other weights",
        received: "none",
        fix: "train with compileTrainStep, and without splitting a step into several batches",
      });
    }
    const shifts = [...this.parameters.values()].flatMap((parameter, i) => {
      const gradient = gradients[i];
      if (!gradient) return [];
      const { value } = parameter;
      return [{ parameter, value, gradient, weighed: this.isAdaptive ? mul(abs(value), gradient) : gradient }];
    });
    // the direction does not depend on the scale of the gradients
    const length = div(this.rho, add(globalNorm(shifts.map(({ weighed }) => weighed)), NORM_EPSILON));
    const direction = (value: Tensor<"f32">, gradient: Tensor<"f32">) =>
      this.isAdaptive ? mul(square(value), gradient) : gradient;
    for (const { parameter, value, gradient } of shifts)
      parameter.assign(add(value, mul(direction(value, gradient), length)));
    const again = gradientsAgain();
    for (const { parameter, value } of shifts) parameter.assign(value);
    this.inner.update(again.gradients, { learningRate, scale: again.scale, gradientsAgain });
  }
}

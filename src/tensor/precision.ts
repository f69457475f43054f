import * as autodiff from "../autodiff/index.ts";
import { type DType, type FloatDType, GraphError, known, numberRules, requireNumbers } from "../base/index.ts";
import type { Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { type GradientsOf, grad } from "./grad.ts";
import { Tensor } from "./tensor.ts";
import { currentTrace } from "./trace.ts";
import { Variable } from "./variable.ts";

/**
 * The same tensor with its products computed in bf16 or f16, and what is sensitive in f32. Use it on a loss before
 * `grad`: variables stay in f32 and get f32 gradients. With f16 scale the loss too (LossScaler), or small gradients
 * become 0. Tensors in `kept` stay as they are with all that they are computed from: what gradients are taken of, where
 * that is no variable's present value.
 *
 * @example
 * const x = tensor([[1, 2]]);
 * await autocast(matmul(x, x, { transposeB: true }), "bf16").toArray(); // [[5]]
 */
export function autocast<D extends DType>(
  x: Tensor<D>,
  dtype: Exclude<FloatDType, "f32">,
  kept: readonly Tensor[] = [],
): Tensor<D> {
  const values = kept.map(({ ir }) => ir);
  return new Tensor(autodiff.autocast([x.ir], dtype, values)[0]);
}

/** How the scale of a `LossScaler` begins and changes. */
export interface LossScalerOptions {
  /** Factor on the loss in the beginning, above 0. @default 65536 */
  initialScale?: number;
  /** Factor on the scale after many good steps, above 1. @default 2 */
  growthFactor?: number;
  /** Factor on the scale after a step with gradients that are not finite, between 0 and 1. @default 0.5 */
  backoffFactor?: number;
  /** Good steps in a row before the scale grows. @default 2000 */
  growthInterval?: number;
}

/**
 * Dynamic loss scaling for f16: gradients are computed of the loss times a scale, so that small ones are not rounded to
 * 0, and divided by it again. A step whose gradients overflow changes nothing but the scale. Micikevicius et al. 2018,
 * arXiv:1710.03740, section 3.2; the schedule is PyTorch's GradScaler.
 */
export class LossScaler {
  /** f32 [] */
  readonly scale: Variable<"f32">;
  /** Good steps since the scale changed. i32 [] */
  readonly goodSteps: Variable<"i32">;
  private readonly options: Required<LossScalerOptions>;

  /** @throws OptionError for unknown options or values out of range */
  constructor(options: LossScalerOptions = {}) {
    const names = { initialScale: true, growthFactor: true, backoffFactor: true, growthInterval: true } as const;
    const {
      initialScale = 65536,
      growthFactor = 2,
      backoffFactor = 0.5,
      growthInterval = 2000,
    } = known("LossScaler", options, names);
    this.options = { initialScale, growthFactor, backoffFactor, growthInterval };
    requireNumbers("LossScaler", this.options, {
      initialScale: numberRules.positive,
      growthFactor: numberRules.aboveOne,
      backoffFactor: numberRules.innerShare,
      growthInterval: numberRules.interval,
    });
    this.scale = new Variable({ name: "lossScale", dtype: "f32", shape: [] }, Float32Array.of(initialScale));
    this.goodSteps = new Variable({ name: "goodSteps", dtype: "i32", shape: [] }, Int32Array.of(0));
  }

  /** What a checkpoint has to keep. */
  get state(): ReadonlyMap<string, Variable> {
    return new Map<string, Variable>([
      ["lossScale", this.scale],
      ["goodSteps", this.goodSteps],
    ]);
  }

  /** Frees the memory of the scale and the count of good steps. */
  dispose(): void {
    for (const variable of this.state.values()) variable.dispose();
  }

  /** Gradients of the loss, in its true size, and whether all are finite. */
  gradients<const T extends readonly Tensor<FloatDType>[]>(
    loss: Tensor<FloatDType>,
    targets: T,
  ): { gradients: GradientsOf<T>; areFinite: Tensor<"bool"> } {
    const scale = this.scale.ir;
    const raw = grad(
      new Tensor<FloatDType>(ops.mul(loss.ir, ops.cast(scale, loss.dtype))),
      targets,
    ) as readonly Tensor[];
    const unscaled = raw.map(({ ir: value }) => ops.div(value, ops.cast(scale, value.dtype)));
    // x - x is 0 for finite x and NaN otherwise
    const checks = unscaled.map((value) => ops.sum(ops.cast(ops.sub(value, value), "f32")));
    const areFinite = ops.equal(
      checks.reduce((a: Value, b: Value) => ops.add(a, b)),
      0,
    );
    return {
      gradients: unscaled.map((value) => new Tensor(value)) as GradientsOf<T>,
      areFinite: new Tensor(areFinite),
    };
  }

  /**
   * Runs `update`, whose assignments take effect only if the gradients were finite, and moves the scale. In a trace. An
   * update that looks at further gradients returns whether those were finite.
   */
  step(areFirstFinite: Tensor<"bool">, update: () => unknown): void {
    const trace = currentTrace();
    if (!trace) {
      throw new GraphError({
        where: "LossScaler.step",
        expected: "a call inside a function passed to compile",
        received: "one outside",
        fix: "compile the step",
      });
    }
    const before = new Map(trace.updates);
    const areOthersFinite = update();
    const areFinite =
      areOthersFinite instanceof Tensor
        ? new Tensor<"bool">(ops.logicalAnd(areFirstFinite.ir, areOthersFinite.ir))
        : areFirstFinite;
    for (const [state, value] of [...trace.updates]) {
      if (before.get(state) === value) continue;
      trace.assign(state, ops.where(areFinite.ir, value, before.get(state) ?? state.value));
    }
    const { growthFactor, backoffFactor, growthInterval } = this.options;
    const [scale, steps] = [this.scale.ir, ops.add(this.goodSteps.ir, 1)];
    const isDue = ops.greaterEqual(steps, growthInterval);
    const grown = ops.where(isDue, ops.mul(scale, growthFactor), scale);
    this.scale.assign(new Tensor(ops.where(areFinite.ir, grown, ops.mul(scale, backoffFactor))));
    this.goodSteps.assign(new Tensor(ops.where(ops.logicalOr(isDue, ops.logicalNot(areFinite.ir)), 0, steps)));
  }
}

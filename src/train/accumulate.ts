/** A training step of several batches whose gradients are added up. */

import type { Parameter } from "../nn/index.ts";
import { clipFactor, clipGradientValue, globalNorm, type Optimizer } from "../optim/index.ts";
import {
  add,
  type CompiledFunction,
  cast,
  compile,
  div,
  full,
  grad,
  greater,
  logicalAnd,
  mul,
  type Tensor,
  tensor,
  Variable,
  where,
  withScope,
} from "../tensor/index.ts";
import type { Objective } from "./objective.ts";
import { type BatchArgument, lossOf, type StepOptions, type StepResult, stepSettings, usedBy } from "./step.ts";

/** The two halves of a step: `add` for each of its batches, and then `apply`. */
export interface AccumulatedStep<B> {
  /**
   * Runs all batches and then the update. `step` counts steps from 0.
   * @throws the signal's reason
   */
  run(batches: readonly B[], rate: number, step: number, signal?: AbortSignal): Promise<StepResult>;
  /** Puts the state back to what it was before the last update. Needs `keepPreviousState`. */
  rollback(): void;
  /** Frees the compiled graphs and the sums. */
  dispose(): void;
}

interface BatchResult extends StepResult {
  weight: Tensor<"f32">;
}

/**
 * A step of `count` batches: the update is that of one batch with all their examples, for the gradient of each is
 * weighted by how many things its loss is the mean of. Takes the memory of one more copy of the gradients. Batches in
 * which nothing has a label add nothing.
 * @throws OptionError for wrong options
 */
export function compileAccumulatedStep<B>(
  objective: Pick<Objective<B>, "loss">,
  optimizer: Optimizer,
  { count, ...options }: StepOptions & { count: number },
): AccumulatedStep<B> {
  const settings = stepSettings("compileAccumulatedStep", options);
  const { scaler, keepPreviousState, debugNans } = settings;
  const sums = new Sums([...optimizer.parameters.values()]);
  const addBatch = compile(((batch: B, index: Tensor<"i32">): BatchResult => {
    const key = settings.key?.fold(index);
    const { loss, weight = tensor(1), metrics = {} } = lossOf(objective, batch, { key, settings });
    const used = usedBy(loss, sums.parameters, settings.frozen);
    const scaled = scaler?.gradients(loss, used);
    withScope("accumulate", () => sums.add(used, scaled?.gradients ?? grad(loss, used), weight));
    if (scaled) sums.noteFinite(scaled.areFinite);
    return { loss, weight, gradientNorm: tensor(0), metrics };
  }) as never) as CompiledFunction<[batch: B, index: Tensor<"i32">], BatchResult>;
  const apply = compile(
    (learningRate: Tensor<"f32">) => {
      const gradients = sums.means(settings.clipValue);
      const present = gradients.filter((gradient) => gradient !== undefined);
      const gradientNorm = withScope("clip", () => globalNorm(present));
      const scale = clipFactor(gradientNorm, settings.clipNorm);
      const update = () => withScope("optimizer", () => optimizer.update(gradients, { learningRate, scale }));
      if (scaler) scaler.step(sums.areFinite, update);
      else update();
      sums.reset();
      return gradientNorm;
    },
    { keepPreviousState, debugNans },
  );
  return {
    async run(batches, rate, step, signal) {
      const results: BatchResult[] = [];
      for (const [i, batch] of batches.entries()) {
        const index = tensor(step * count + i, { dtype: "i32" });
        results.push(await addBatch.withSignal(signal)(batch as BatchArgument<B>, index as never));
      }
      return { ...meanOf(results), gradientNorm: await apply.withSignal(signal)(rate) };
    },
    rollback: () => apply.rollback(),
    dispose: () => {
      addBatch.dispose();
      apply.dispose();
      sums.dispose();
    },
  };
}

/** Sums of weighted gradients, of the parameters that some batch's loss depends on. */
class Sums {
  readonly parameters: readonly Parameter[];
  private readonly sums = new Map<Parameter, Variable<"f32">>();
  private readonly weight = new Variable({ name: "accumulated.weight", dtype: "f32", shape: [] }, new Float32Array(1));
  private readonly finite = new Variable({ name: "accumulated.finite", dtype: "f32", shape: [] }, Float32Array.of(1));

  constructor(parameters: readonly Parameter[]) {
    this.parameters = parameters;
  }

  get areFinite(): Tensor<"bool"> {
    return greater(this.finite, 0.5);
  }

  /** In a trace. A loss of nothing is NaN, and so are its gradients: they do not count. */
  add(used: readonly Parameter[], gradients: readonly Tensor<"f32">[], weight: Tensor<"f32">): void {
    const counts = greater(weight, 0);
    used.forEach((parameter, i) => {
      const sum = this.sumOf(parameter);
      sum.assign(add(sum.value, where(counts, mul(gradients[i], weight), 0)));
    });
    this.weight.assign(add(this.weight.value, weight));
  }

  noteFinite(areFinite: Tensor<"bool">): void {
    this.finite.assign(cast(logicalAnd(this.areFinite, areFinite), "f32"));
  }

  /** The mean gradients in the order of the parameters, in a trace; none of those that no batch used. */
  means(limit: number): (Tensor<"f32"> | undefined)[] {
    const total = this.weight.value;
    return this.parameters.map((parameter) => {
      const sum = this.sums.get(parameter);
      return sum && clipGradientValue([div(sum.value, total)], limit)[0];
    });
  }

  reset(): void {
    for (const sum of this.sums.values()) sum.assign(full(sum.shape, 0));
    this.weight.assign(tensor(0));
    this.finite.assign(tensor(1));
  }

  dispose(): void {
    for (const variable of [...this.sums.values(), this.weight, this.finite]) variable.dispose();
  }

  private sumOf(parameter: Parameter): Variable<"f32"> {
    const present = this.sums.get(parameter);
    if (present) return present;
    const { shape } = parameter;
    const name = `accumulated.${this.sums.size}`;
    const sum = new Variable({ name, dtype: "f32", shape }, new Float32Array(shape.reduce((a, b) => a * b, 1)));
    this.sums.set(parameter, sum);
    return sum;
  }
}

/** Loss and metrics of all batches together, each counted by its weight. */
function meanOf(results: readonly BatchResult[]): Omit<StepResult, "gradientNorm"> {
  const total = results.map(({ weight }) => weight).reduce((a, b) => add(a, b));
  const mean = (values: readonly Tensor<"f32">[]) =>
    div(
      values
        .map((value, i) => where(greater(results[i].weight, 0), mul(value, results[i].weight), 0))
        .reduce((a, b) => add(a, b)),
      total,
    );
  const names = Object.keys(results[0].metrics);
  return {
    loss: mean(results.map(({ loss }) => loss)),
    metrics: Object.fromEntries(names.map((name) => [name, mean(results.map(({ metrics }) => metrics[name]))])),
  };
}

/** The problem of golden/make_optimizers.py, in which gradients are elementwise, and its traces. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { Parameter } from "../nn/index.ts";
import type { Optimizer } from "../optim/index.ts";
import { add, compile, grad, mul, sub, sum, type Tensor, tensor } from "../tensor/index.ts";

const STEPS = 30;
const NOISES = 5;
const smallShapes = { tall: [6, 5], wide: [4, 8], bias: [7], kernel: [3, 2, 3, 3] };
const largeShapes = { table: [65, 70], bias: [7] };

/** Losses by step, and all numbers of the parameters after the first step and the last: every 37th of large ones. */
export interface OptimizerTrace {
  losses: number[];
  first: Record<string, number[]>;
  last: Record<string, number[]>;
}

const file = new URL("../../golden/train/optimizers.json.gz", import.meta.url);
export const {
  traces: optimizerTraces,
  dynamicMaps,
}: {
  traces: Readonly<Record<string, OptimizerTrace>>;
  /** The 256 numbers of 8-bit states, "signed" and "unsigned". */
  dynamicMaps: Readonly<Record<string, number[]>>;
} = JSON.parse(gunzipSync(readFileSync(file)).toString());

function numbers(seed: number, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const size = shape.reduce((a, b) => a * b, 1);
  return Float32Array.from({ length: size }, (_, i) => (((i * 7919 + seed * 104729) % 1009) - 504) / 512);
}

async function valuesOf(parameters: ReadonlyMap<string, Parameter>): Promise<Record<string, number[]>> {
  const entries = [...parameters].map(async ([name, parameter]): Promise<[string, number[]]> => {
    const data = Array.from(await parameter.read());
    return [name, data.length > 1000 ? data.filter((_, i) => i % 37 === 0) : data];
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** Runs an optimizer on the problem. `onEnd` is called before the last numbers are read. */
export async function traceOptimizer(
  create: (parameters: ReadonlyMap<string, Parameter>) => Optimizer,
  { learningRate, isLarge = false }: { learningRate: number; isLarge?: boolean },
  onEnd?: (optimizer: Optimizer) => Promise<void>,
): Promise<OptimizerTrace> {
  const problem = Object.entries(isLarge ? largeShapes : smallShapes).map(([name, shape], place) => ({
    parameter: new Parameter(shape, numbers(10 * place, shape)),
    name,
    target: tensor(numbers(10 * place + 1, shape), { shape }),
    curvature: tensor(
      numbers(10 * place + 2, shape).map((x) => Math.abs(x) + 0.5),
      { shape },
    ),
    noises: Array.from({ length: NOISES }, (_, t) =>
      tensor(
        numbers(10 * place + 3 + t, shape).map((x) => x / 2),
        { shape },
      ),
    ),
  }));
  const parameters = new Map(problem.map(({ name, parameter }) => [name, parameter]));
  const optimizer = create(parameters);
  const lossOf = (noises: readonly Tensor<"f32">[]) =>
    problem
      .map(({ parameter, target, curvature }, place) => {
        const away = sub(parameter.value, target);
        return add(mul(sum(mul(mul(curvature, away), away)), 0.5), sum(mul(noises[place], parameter.value)));
      })
      .reduce((a, b) => add(a, b));
  const step = compile((noises: Tensor<"f32">[]) => {
    const loss = lossOf(noises);
    const gradientsAgain = () => ({ gradients: grad(lossOf(noises), [...parameters.values()]) });
    optimizer.update(grad(loss, [...parameters.values()]), { learningRate, gradientsAgain });
    return loss;
  });
  const losses: number[] = [];
  let first: OptimizerTrace["first"] = {};
  for (let i = 0; i < STEPS; i++) {
    const loss = await step(problem.map(({ noises }) => noises[i % NOISES]));
    losses.push(await loss.item());
    if (i === 0) first = await valuesOf(parameters);
  }
  await onEnd?.(optimizer);
  const last = await valuesOf(parameters);
  step.dispose();
  for (const variable of [...parameters.values(), ...optimizer.state.values()]) variable.dispose();
  return { losses, first, last };
}

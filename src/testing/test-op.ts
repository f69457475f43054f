import { readFileSync } from "node:fs";
import { describe, test } from "vitest";
import { gradients } from "../autodiff/index.ts";
import { type DType, hostArrayFrom, isFloat, placeholder, type Value } from "../ir/index.ts";
import { add, type HostTensor, hostTensor, mul, sum } from "../ops/index.ts";
import { readTensors, Tensor } from "../tensor/index.ts";
import { DataOp, fromLeaf } from "../tensor/tensor.ts";
import { expectClose, tolerances } from "./close.ts";
import { interpret } from "./interpret.ts";

interface GoldenTensor {
  shape: number[];
  dtype: DType;
  data: number[];
}
interface GoldenCase {
  attrs: Record<string, never>;
  inputs: GoldenTensor[];
  output: GoldenTensor | GoldenTensor[];
  gradOutput?: GoldenTensor | GoldenTensor[];
  gradInputs?: (GoldenTensor | null)[];
}

export interface TestOpOptions {
  /** File below golden/ops/, without its extension. */
  golden: string;
  /** Applies the op to the inputs of a case. */
  // biome-ignore lint/suspicious/noExplicitAny: attributes come from JSON
  apply: (inputs: Value[], attributes: any) => Value | readonly Value[];
  /** Compare the gradient of the gradient with finite differences too. @default true */
  secondOrder?: boolean;
  /** Step of finite differences is too coarse at kinks of some ops. @default true */
  finiteDifferences?: boolean;
}

const asList = <T>(x: T | T[]): T[] => (Array.isArray(x) ? x : [x]);

/**
 * Tests an op against PyTorch's numbers: value and gradient as computed by the runtime, and by the plain reference; the
 * gradient against finite differences of the reference in double precision; and the gradient of the gradient likewise.
 */
export function testOp(name: string, { golden, apply, secondOrder = true, finiteDifferences = true }: TestOpOptions): void {
  const file = new URL(`../../golden/ops/${golden}.json`, import.meta.url);
  const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: GoldenCase[] };
  describe(name, () => {
    cases.forEach((example, i) => {
      const title = `${i}: ${example.inputs.map(({ dtype, shape }) => `${dtype}[${shape}]`).join(" ")} ${JSON.stringify(example.attrs)}`;
      test(title, () => checkCase(example, apply, { secondOrder, finiteDifferences }));
    });
  });
}

async function checkCase(
  example: GoldenCase,
  apply: TestOpOptions["apply"],
  { secondOrder, finiteDifferences }: { secondOrder: boolean; finiteDifferences: boolean },
): Promise<void> {
  const expected = asList(example.output);
  const leaves = example.inputs.map(({ dtype, shape, data }) => fromLeaf(new DataOp(dtype, shape, { host: hostArrayFrom(dtype, data) })).value);
  const build = (inputs: Value[]) => asList(apply(inputs, example.attrs) as Value | Value[]);

  const outputs = build(leaves);
  const computed = await readTensors(outputs.map((value) => new Tensor(value)));
  const hostInputs = new Map(leaves.map((leaf, i) => [leaf, hostTensor(leaf.shape, example.inputs[i].data)] as const));
  const plain = interpret(outputs, hostInputs);
  expected.forEach(({ shape, dtype, data }, i) => {
    const tolerance = tolerances[dtype] as number;
    if (JSON.stringify(outputs[i].shape) !== JSON.stringify(shape)) throw new Error(`shape [${outputs[i].shape}] instead of [${shape}]`);
    expectClose(`output ${i}, runtime`, computed[i] as Float32Array, data, tolerance);
    expectClose(`output ${i}, reference`, plain[i].data, data, tolerance);
  });
  if (!example.gradOutput || !example.gradInputs) return;

  const upstream = asList(example.gradOutput).map(({ shape, data }) => fromLeaf(new DataOp("f32", shape, { host: Float32Array.from(data) })).value);
  upstream.forEach((leaf, i) => {
    hostInputs.set(leaf, hostTensor(leaf.shape, asList(example.gradOutput as GoldenTensor)[i].data));
  });
  const loss = weightedSum(outputs, upstream);
  const targets = leaves.filter((_, i) => example.gradInputs?.[i]);
  const expectedGradients = example.gradInputs.filter((gradient) => gradient !== null);
  const graded = gradients(loss, targets);
  const numbers = await readTensors(graded.map((value) => new Tensor(value)));
  const plainGradients = interpret(graded, hostInputs);
  expectedGradients.forEach(({ data }, i) => {
    expectClose(`gradient ${i}, runtime`, numbers[i] as Float32Array, data, tolerances.f32 as number);
    expectClose(`gradient ${i}, reference`, plainGradients[i].data, data, tolerances.f32 as number);
  });
  if (!finiteDifferences) return;
  checkFiniteDifferences(loss, targets, graded, hostInputs, "gradient");
  if (!secondOrder) return;
  // a second scalar made of the gradients, differentiated again
  const directions = graded.map((value, i) => placeholder(`direction ${i}`, value));
  directions.forEach((leaf, i) => {
    hostInputs.set(
      leaf,
      hostTensor(
        leaf.shape,
        Array.from(plainGradients[i].data, (_, j) => Math.sin(1 + 3 * j + i)),
      ),
    );
  });
  const second = weightedSum(graded, directions);
  const usable = targets.filter((target) => dependsOn(second, target));
  if (usable.length > 0) checkFiniteDifferences(second, usable, gradients(second, usable), hostInputs, "second gradient");
}

function weightedSum(values: readonly Value[], weights: readonly Value[]): Value {
  return values.map((value, i) => sum(mul(value, weights[i]))).reduce((a, b) => add(a, b));
}

function dependsOn(value: Value, target: Value): boolean {
  try {
    gradients(value, [target]);
    return true;
  } catch {
    return false;
  }
}

const STEP = 1e-5;
/** Central differences in double precision are good to about STEP squared. */
const DIFFERENCE_TOLERANCE = 1e-5;

function checkFiniteDifferences(
  scalar: Value,
  targets: readonly Value[],
  graded: readonly Value[],
  inputs: ReadonlyMap<Value, HostTensor>,
  what: string,
): void {
  const analytic = interpret(graded, inputs);
  targets.forEach((target, t) => {
    if (!isFloat(target.dtype)) return;
    const base = inputs.get(target) as HostTensor;
    const numeric = Array.from(base.data, (_, i) => {
      const at = (delta: number) => {
        const moved = Float64Array.from(base.data);
        moved[i] += delta;
        return interpret([scalar], new Map([...inputs, [target, { shape: base.shape, data: moved }]]))[0].data[0];
      };
      return (at(STEP) - at(-STEP)) / (2 * STEP);
    });
    expectClose(`${what} ${t}, finite differences`, analytic[t].data, numeric, DIFFERENCE_TOLERANCE);
  });
}

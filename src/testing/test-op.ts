import { readFileSync } from "node:fs";
import { describe, test } from "vitest";
import { gradients } from "../autodiff/index.ts";
import { type DType, hostArrayFrom, isFloat, toNumbers } from "../base/index.ts";
import { placeholder, type Value } from "../ir/index.ts";
import { add, evaluate, type HostTensor, hostTensor, mul, sum } from "../ops/index.ts";
import type { Device } from "../runtime/index.ts";
import { readValues } from "../tensor/execute.ts";
import { DataLeaf } from "../tensor/leaf.ts";
import { fromLeaf } from "../tensor/tensor.ts";
import { expectClose, tolerances } from "./close.ts";

interface GoldenTensor {
  shape: number[];
  dtype: DType;
  data: number[];
}
interface GoldenCase {
  attrs: Record<string, never>;
  inputs: GoldenTensor[];
  output: GoldenTensor | GoldenTensor[];
  /** null for outputs that have no gradient. */
  gradOutput?: GoldenTensor | (GoldenTensor | null)[];
  gradInputs?: (GoldenTensor | null)[];
}

/** Applies an op to the inputs of a case. Attributes come from JSON. */
// biome-ignore lint/suspicious/noExplicitAny: the golden file says what they are
export type ApplyOp = (inputs: Value[], attributes: any) => Value | readonly Value[];

export interface TestOpOptions {
  /** File below golden/ops/, without its extension. */
  golden: string;
  apply: ApplyOp;
  /** Compare the gradient of the gradient with finite differences too. @default true */
  secondOrder?: boolean;
  /** Compare gradients with finite differences. @default true */
  finiteDifferences?: boolean;
  /** Where the runtime's numbers are computed. @default the shared CPU device */
  device?: () => Device;
  /** Only the first so many cases without f16, which not every GPU has. @default all */
  firstCases?: number;
  /** The least accurate that WebGPU may be, when its specification allows more than the table of tolerances. */
  webgpuTolerance?: number;
}

const asList = <T>(x: T | readonly T[]): readonly T[] => (Array.isArray(x) ? x : [x as T]);

function goldenCases(golden: string): GoldenCase[] {
  const file = new URL(`../../golden/ops/${golden}.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { cases: GoldenCase[] }).cases;
}

/**
 * Tests an op against PyTorch's numbers: value and gradient as computed by the runtime, and by the plain reference; the
 * gradient against finite differences of the reference in double precision; and the gradient of the gradient likewise.
 */
export function testOp(name: string, options: TestOpOptions): void {
  describe(name, () => {
    const all = goldenCases(options.golden);
    const isFull = ({ dtype, data }: GoldenTensor) => dtype !== "f16" && data.length > 0;
    const chosen = options.firstCases
      ? all.filter(({ inputs }) => inputs.every(isFull)).slice(0, options.firstCases)
      : all;
    chosen.forEach((example, i) => {
      const title = `${i}: ${example.inputs.map(({ dtype, shape }) => `${dtype}[${shape}]`).join(" ")} ${JSON.stringify(example.attrs)}`;
      test(title, () => checkCase(example, options));
    });
  });
}

const leafOf = ({ dtype, shape, data }: GoldenTensor) =>
  fromLeaf(new DataLeaf(dtype, shape, { host: hostArrayFrom(dtype, data) })).ir;

async function numbersOf(values: readonly Value[], device?: () => Device): Promise<number[][]> {
  const data = await readValues(values, device?.());
  return data.map((array, i) => toNumbers(values[i].dtype, array));
}

function expectNumbers(
  what: string,
  value: Value,
  actual: ArrayLike<number>,
  expected: GoldenTensor,
  atLeast = 0,
): void {
  if (JSON.stringify(value.shape) !== JSON.stringify(expected.shape))
    throw new Error(`${what}: shape [${value.shape}] instead of [${expected.shape}]`);
  if (value.dtype !== expected.dtype) throw new Error(`${what}: dtype ${value.dtype} instead of ${expected.dtype}`);
  expectClose(what, actual, expected.data, Math.max(atLeast, tolerances[expected.dtype] as number));
}

async function checkCase(
  example: GoldenCase,
  { apply, secondOrder = true, finiteDifferences = true, device, webgpuTolerance }: TestOpOptions,
): Promise<void> {
  const expected = asList(example.output);
  const leaves = example.inputs.map(leafOf);
  const outputs = asList(apply(leaves, example.attrs) as Value | Value[]);
  const computed = await numbersOf(outputs, device);
  const hostInputs = new Map(leaves.map((leaf, i) => [leaf, hostTensor(leaf.shape, example.inputs[i].data)] as const));
  const plain = evaluate(outputs, hostInputs);
  expected.forEach((golden, i) => {
    expectNumbers(`output ${i}, runtime`, outputs[i], computed[i], golden, device && webgpuTolerance);
    expectNumbers(`output ${i}, reference`, outputs[i], plain[i].data, golden);
  });
  if (!example.gradOutput || !example.gradInputs) return;

  const graded = asList<GoldenTensor | null>(example.gradOutput).flatMap((golden, i) =>
    golden ? [{ output: outputs[i], golden }] : [],
  );
  const upstream = graded.map(({ golden }) => leafOf(golden));
  upstream.forEach((leaf, i) => {
    hostInputs.set(leaf, hostTensor(leaf.shape, graded[i].golden.data));
  });
  const loss = weightedSum(
    graded.map(({ output }) => output),
    upstream,
  );
  const targets = leaves.filter((_, i) => example.gradInputs?.[i]);
  const expectedGradients = example.gradInputs.filter((gradient) => gradient !== null);
  const found = gradients(loss, targets);
  const numbers = await numbersOf(found, device);
  const plainGradients = evaluate(found, hostInputs);
  expectedGradients.forEach((golden, i) => {
    expectNumbers(`gradient ${i}, runtime`, found[i], numbers[i], golden, device && webgpuTolerance);
    expectNumbers(`gradient ${i}, reference`, found[i], plainGradients[i].data, golden);
  });
  if (!finiteDifferences || example.inputs.some(({ dtype }) => dtype === "f16")) return;
  checkFiniteDifferences(loss, targets, found, hostInputs, "gradient");
  if (!secondOrder) return;
  // a second scalar made of the gradients, differentiated again
  const directions = found.map((value, i) => placeholder(`direction ${i}`, value));
  directions.forEach((leaf, i) => {
    hostInputs.set(
      leaf,
      hostTensor(
        leaf.shape,
        Array.from(plainGradients[i].data, (_, j) => Math.sin(1 + 3 * j + i)),
      ),
    );
  });
  const second = weightedSum(found, directions);
  const usable = targets.filter((target) => dependsOn(second, target));
  if (usable.length > 0)
    checkFiniteDifferences(second, usable, gradients(second, usable), hostInputs, "second gradient");
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
  const analytic = evaluate(graded, inputs);
  targets.forEach((target, t) => {
    if (!isFloat(target.dtype)) return;
    const base = inputs.get(target) as HostTensor;
    const numeric = Array.from(base.data, (_, i) => {
      const at = (delta: number) => {
        const moved = Float64Array.from(base.data);
        moved[i] += delta;
        return evaluate([scalar], new Map([...inputs, [target, { shape: base.shape, data: moved }]]))[0].data[0];
      };
      return (at(STEP) - at(-STEP)) / (2 * STEP);
    });
    expectClose(`${what} ${t}, finite differences`, analytic[t].data, numeric, DIFFERENCE_TOLERANCE);
  });
}

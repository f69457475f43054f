import { describe, test } from "vitest";
import { gradients } from "../autodiff/index.ts";
import { isFloat } from "../base/index.ts";
import { placeholder, type Value } from "../ir/index.ts";
import { evaluate, type HostTensor, hostTensor } from "../ops/index.ts";
import type { Device } from "../runtime/index.ts";
import { expectClose } from "./close.ts";
import {
  type ApplyOp,
  type GoldenCase,
  type GoldenTensor,
  type GoldenValue,
  goldenCases,
  numbersOf,
  toleranceOf,
  traceCase,
  weightedSum,
} from "./golden-case.ts";

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

function expectNumbers(
  { what, value, golden }: GoldenValue,
  by: string,
  actual: ArrayLike<number>,
  tolerance: number,
): void {
  if (JSON.stringify(value.shape) !== JSON.stringify(golden.shape))
    throw new Error(`${what}, ${by}: shape [${value.shape}] instead of [${golden.shape}]`);
  if (value.dtype !== golden.dtype) throw new Error(`${what}, ${by}: dtype ${value.dtype} instead of ${golden.dtype}`);
  expectClose(`${what}, ${by}`, actual, golden.data, tolerance);
}

/** The checks of one case. */
export async function checkCase(
  example: GoldenCase,
  { apply, secondOrder = true, finiteDifferences = true, device, webgpuTolerance }: Omit<TestOpOptions, "golden">,
): Promise<void> {
  const { inputs, outputs, gradient } = traceCase(example, apply);
  const hostInputs = new Map([...inputs].map(([leaf, { shape, data }]) => [leaf, hostTensor(shape, data)] as const));
  const check = async (values: readonly GoldenValue[]): Promise<HostTensor[]> => {
    const computed = await numbersOf(values, device?.());
    const plain = evaluate(
      values.map(({ value }) => value),
      hostInputs,
    );
    values.forEach((value, i) => {
      expectNumbers(value, "runtime", computed[i], toleranceOf(value, device && webgpuTolerance));
      expectNumbers(value, "reference", plain[i].data, toleranceOf(value));
    });
    return plain;
  };
  await check(outputs);
  if (!gradient) return;
  const plainGradients = await check(gradient.values);
  const { loss, targets } = gradient;
  const gradientValues = gradient.values.map(({ value }) => value);
  if (!finiteDifferences || example.inputs.some(({ dtype }) => dtype === "f16")) return;
  checkFiniteDifferences(loss, targets, gradientValues, hostInputs, "gradient");
  if (!secondOrder) return;
  // a second scalar made of the gradients, differentiated again
  const directions = gradientValues.map((value, i) => placeholder(`direction ${i}`, value));
  directions.forEach((leaf, i) => {
    hostInputs.set(
      leaf,
      hostTensor(
        leaf.shape,
        Array.from(plainGradients[i].data, (_, j) => Math.sin(1 + 3 * j + i)),
      ),
    );
  });
  const second = weightedSum(gradientValues, directions);
  const usable = targets.filter((target) => dependsOn(second, target));
  if (usable.length > 0)
    checkFiniteDifferences(second, usable, gradients(second, usable), hostInputs, "second gradient");
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

/** Cases of golden/ops/: what an op computes by the runtime, beside PyTorch's numbers. Needs no test runner. */
import { readFileSync } from "node:fs";
import { gradients } from "../autodiff/index.ts";
import { type DType, hostArrayFrom, toNumbers } from "../base/index.ts";
import type { Value } from "../ir/index.ts";
import { add, mul, sum } from "../ops/index.ts";
import type { Device } from "../runtime/index.ts";
import { readValues } from "../tensor/execute.ts";
import { DataLeaf } from "../tensor/leaf.ts";
import { fromLeaf } from "../tensor/tensor.ts";
import { tolerances } from "./close.ts";

export interface GoldenTensor {
  shape: number[];
  dtype: DType;
  data: number[];
}
export interface GoldenCase {
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

const asList = <T>(x: T | readonly T[]): readonly T[] => (Array.isArray(x) ? x : [x as T]);

/** @param golden file below golden/ops/, without its extension */
export function goldenCases(golden: string): GoldenCase[] {
  const file = new URL(`../../golden/ops/${golden}.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { cases: GoldenCase[] }).cases;
}

const leafOf = ({ dtype, shape, data }: GoldenTensor) =>
  fromLeaf(new DataLeaf(dtype, shape, { host: hostArrayFrom(dtype, data) })).ir;

/** A value of a case, and what PyTorch says it is. */
export interface GoldenValue {
  /** "output 0", "gradient 1". */
  what: string;
  value: Value;
  golden: GoldenTensor;
}

/** A case as a graph. */
export interface TracedCase {
  /** Leaves that hold data, and their numbers. */
  inputs: ReadonlyMap<Value, GoldenTensor>;
  outputs: readonly GoldenValue[];
  /** Where the case has gradients: of which scalar, by which inputs. */
  gradient?: { loss: Value; targets: readonly Value[]; values: readonly GoldenValue[] };
}

export function traceCase(example: GoldenCase, apply: ApplyOp): TracedCase {
  const leaves = example.inputs.map(leafOf);
  const values = asList(apply(leaves, example.attrs) as Value | Value[]);
  const outputs = asList(example.output).map((golden, i) => ({ what: `output ${i}`, value: values[i], golden }));
  const inputs = new Map(leaves.map((leaf, i) => [leaf, example.inputs[i]] as const));
  const { gradOutput, gradInputs } = example;
  if (!gradOutput || !gradInputs) return { inputs, outputs };
  const graded = asList<GoldenTensor | null>(gradOutput).flatMap((golden, i) =>
    golden ? [{ output: values[i], golden, leaf: leafOf(golden) }] : [],
  );
  for (const { leaf, golden } of graded) inputs.set(leaf, golden);
  const loss = weightedSum(
    graded.map(({ output }) => output),
    graded.map(({ leaf }) => leaf),
  );
  const targets = leaves.filter((_, i) => gradInputs[i]);
  const expected = gradInputs.filter((gradient) => gradient !== null);
  const gradient = gradients(loss, targets).map((value, i) => ({ what: `gradient ${i}`, value, golden: expected[i] }));
  return { inputs, outputs, gradient: { loss, targets, values: gradient } };
}

export const weightedSum = (values: readonly Value[], weights: readonly Value[]): Value =>
  values.map((value, i) => sum(mul(value, weights[i]))).reduce((a, b) => add(a, b));

/** What the runtime computes. @param device @default the shared CPU device */
export async function numbersOf(values: readonly GoldenValue[], device?: Device): Promise<number[][]> {
  const data = await readValues(
    values.map(({ value }) => value),
    { on: device },
  );
  return data.map((array, i) => toNumbers(values[i].value.dtype, array));
}

/** What a value may differ by from PyTorch's. @param atLeast of a device whose specification allows more */
export const toleranceOf = ({ golden }: GoldenValue, atLeast = 0): number =>
  Math.max(atLeast, tolerances[golden.dtype] as number);

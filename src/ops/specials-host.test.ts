/**
 * Ops that PyTorch's table of special numbers lacks: decompositions and assignments on the host, quantized and random
 * ones. Folded into the graph and compiled they give the same of NaN, infinities and nothing at all, and they end.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type DType, type HostArray, hostArrayFrom, isFloat, KindlingError, toNumbers } from "../base/index.ts";
import { constantValue, type Value } from "../ir/index.ts";
import { readValues } from "../tensor/execute.ts";
import { DataLeaf } from "../tensor/leaf.ts";
import { fromLeaf } from "../tensor/tensor.ts";
import type { ApplyOp } from "../testing/golden-case.ts";
import { opTable } from "../testing/op-table.ts";
import * as ops from "./index.ts";

interface Input {
  dtype: DType;
  shape: number[];
  data: number[];
}
interface Case {
  attrs: Record<string, never>;
  inputs: Input[];
}
const casesOf = (name: string): Case[] =>
  JSON.parse(readFileSync(new URL(`../../golden/ops/${name}.json`, import.meta.url), "utf8")).cases;

type Outcome = { shape: readonly unknown[]; numbers: number[] }[] | string;

/** What an op gives, or how it refuses. */
async function outcomeOf(
  apply: ApplyOp,
  { attrs, inputs }: Case,
  leafOf: (input: Input, host: HostArray) => Value,
): Promise<Outcome> {
  try {
    const values = [
      apply(
        inputs.map((input) => leafOf(input, hostArrayFrom(input.dtype, input.data))),
        attrs,
      ),
    ].flat() as Value[];
    const arrays = await readValues(values);
    return values.map(({ dtype, shape }, i) => ({ shape, numbers: Array.from(toNumbers(dtype, arrays[i])) }));
  } catch (error) {
    if (error instanceof KindlingError) return error.message;
    throw error;
  }
}

const asConstant = ({ dtype, shape }: Input, host: HostArray) => constantValue(host, { dtype, shape });
const asLeaf = ({ dtype, shape }: Input, host: HostArray) => fromLeaf(new DataLeaf(dtype, shape, { host })).ir;

/** Rounding differs, where ONNX Runtime computes; NaN, infinities and shapes do not. */
function expectSame(folded: Outcome, compiled: Outcome): void {
  if (typeof folded === "string" || typeof compiled === "string") {
    expect(compiled).toEqual(folded);
    return;
  }
  expect(compiled.map(({ shape }) => shape)).toEqual(folded.map(({ shape }) => shape));
  for (const [i, { numbers }] of folded.entries()) {
    expect(compiled[i].numbers).toEqual(
      numbers.map((x) => (Number.isFinite(x) ? expect.closeTo(x, 4 - Math.ceil(Math.log10(1 + Math.abs(x)))) : x)),
    );
  }
}

const specials = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 1e30, 1e-40];

/** A case with a special number in each place in turn, of up to three places, or in all of them. */
function* withSpecials(example: Case): Generator<Case> {
  for (const [i, { dtype, data }] of example.inputs.entries()) {
    if (!isFloat(dtype) || data.length === 0) continue;
    const change = (at: (place: number) => boolean, value: number): Case => ({
      ...example,
      inputs: example.inputs.map((input, n) =>
        n === i ? { ...input, data: input.data.map((x, place) => (at(place) ? value : x)) } : input,
      ),
    });
    for (const value of specials) {
      for (const place of new Set([0, data.length >> 1, data.length - 1])) yield change((n) => n === place, value);
      yield change(() => true, value);
    }
  }
}

/** Without examples, and of matrices without rows; a single number is never nothing. */
function emptyOf({ attrs, inputs }: Case): Case[] {
  if (inputs.some(({ shape }) => shape.length === 0)) return [];
  const empty = (shapeOf: (shape: number[]) => number[]) => ({
    attrs,
    inputs: inputs.map((input) => ({ ...input, shape: shapeOf(input.shape), data: [] })),
  });
  return [empty((shape) => [0, ...shape]), empty((shape) => shape.map(() => 0))];
}

const names = [
  "cholesky",
  "solve",
  "inverse",
  "determinant",
  "logDeterminant",
  "triangularSolve",
  "qr",
  "eigh",
  "svd",
  "eigenvalues",
];
const quantized = ["quantizeLinear", "dequantizeLinear", "fakeQuantize", "blockMatmul", "float4Matmul"];

describe.each([...names, ...quantized, "linearSumAssignment", "oneHot"])("%s", (name) => {
  const { apply } = opTable[name];
  const examples = casesOf(name)
    .filter(({ inputs }) => inputs.every(({ dtype, data }) => dtype !== "f16" && data.length > 0))
    .slice(0, 3);

  test("folded and compiled agree on special numbers", async () => {
    for (const example of [...examples, ...examples.flatMap((each) => [...withSpecials(each)])]) {
      expectSame(await outcomeOf(apply, example, asConstant), await outcomeOf(apply, example, asLeaf));
    }
  });

  test("and on nothing", async () => {
    for (const example of examples.flatMap(emptyOf))
      expectSame(await outcomeOf(apply, example, asConstant), await outcomeOf(apply, example, asLeaf));
  });
});

describe("what decompositions make of NaN and infinities", () => {
  test.each(names)("%s is NaN or refused, never a number", async (name) => {
    const [example] = casesOf(name).filter(({ inputs }) =>
      inputs.every(({ dtype, data }) => dtype === "f32" && data.length > 1),
    );
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const inputs = example.inputs.map((input) => ({ ...input, data: input.data.map(() => value) }));
      const outcome = await outcomeOf(opTable[name].apply, { ...example, inputs }, asLeaf);
      if (typeof outcome !== "string")
        for (const { numbers } of outcome)
          expect([name, value, numbers.filter((x) => Number.isFinite(x) && x !== 0)]).toEqual([name, value, []]);
    }
  });
});

test("the determinant of no rows is the product of nothing", async () => {
  const matrices = fromLeaf(new DataLeaf("f32", [2, 0, 0], { host: new Float32Array(0) })).ir;
  expect(
    (await readValues([ops.determinant(matrices), ops.logDeterminant(matrices)])).map((numbers) => [...numbers]),
  ).toEqual([
    [1, 1],
    [0, 0],
  ]);
});

test("random numbers of a key are the same folded and compiled, and none of no places", async () => {
  const drawn: Record<string, (key: Value) => Value> = {
    uniform: (key) => ops.randomUniform(key, [5, 3]),
    normal: (key) => ops.randomNormal(key, [5, 3]),
    exponential: (key) => ops.randomExponential(key, [15]),
    gumbel: (key) => ops.randomGumbel(key, [15]),
    integer: (key) => ops.randomInteger(key, [15], -3, 9),
    permutation: (key) => ops.randomPermutation(key, 15),
    nothing: (key) => ops.randomNormal(key, [0, 3]),
    folded: (key) => ops.randomUniform(ops.foldKey(key, 7), [9]),
  };
  for (const key of [
    [0, 0],
    [-1, 2 ** 31 - 1],
    [-(2 ** 31), 12_345],
  ]) {
    const example = { attrs: {}, inputs: [{ dtype: "i32" as const, shape: [2], data: key }] };
    for (const [name, draw] of Object.entries(drawn)) {
      const apply: ApplyOp = ([value]) => draw(value);
      const [folded, compiled] = [await outcomeOf(apply, example, asConstant), await outcomeOf(apply, example, asLeaf)];
      expect([name, typeof folded]).toEqual([name, "object"]);
      expectSame(folded, compiled);
    }
  }
});

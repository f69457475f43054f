/** Every op at special numbers: folded into the graph, compiled, and in PyTorch (golden/make_specials.py). */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { pullBack } from "../autodiff/index.ts";
import { type DType, type HostArray, hostArrayFrom, isFloat, isInteger, toNumbers } from "../base/index.ts";
import { ConstantOp, constantValue, Graph, type Value } from "../ir/index.ts";
import { defaultPasses, foldConstants, optimize } from "../lower/index.ts";
import * as ops from "../ops/index.ts";
import { readValues } from "../tensor/execute.ts";
import { DataLeaf } from "../tensor/leaf.ts";
import { fromLeaf } from "../tensor/tensor.ts";
import { tolerances } from "./close.ts";
import type { ApplyOp } from "./golden-case.ts";
import { opTable } from "./op-table.ts";

type Packed = { shape: number[]; dtype: DType; data: (number | string)[] };
class WrongShape extends Error {}

export interface SpecialCase {
  op: string;
  attrs: Record<string, never>;
  inputs: Packed[];
  outputs: Packed[];
  /** Of the sum of all float outputs; null for an input that none depends on. */
  gradients?: (Packed | null)[];
}
type Numbers = readonly (number | bigint)[];

/** Those that golden/ops has no file of. */
const more: Record<string, ApplyOp> = {
  cast: ([x], { to }) => ops.cast(x, to),
  isNan: ([x]) => ops.isNan(x),
  isInfinite: ([x]) => ops.isInfinite(x),
};

export function readSpecials(): SpecialCase[] {
  const bytes = readFileSync(new URL("../../golden/specials.json.gz", import.meta.url));
  return (JSON.parse(gunzipSync(bytes).toString()) as { cases: SpecialCase[] }).cases;
}

const numberOf = (text: number | string, dtype: DType): number | bigint =>
  typeof text === "number"
    ? text
    : isInteger(dtype)
      ? BigInt(text)
      : Number(text.replace("inf", "Infinity").replace("nan", "NaN"));
const hostOf = ({ dtype, data }: Packed): HostArray =>
  hostArrayFrom(
    dtype,
    data.map((text) => numberOf(text, dtype)),
  );
const listOf = (dtype: DType, data: HostArray): Numbers =>
  dtype === "i64" ? [...(data as BigInt64Array)] : toNumbers(dtype, data);

/** The outputs and gradients of a case, and what they should be; a check for each number that PyTorch has. */
export interface Check {
  what: string;
  dtype: DType;
  expected: Numbers;
  value: Value;
}

/** The graph of a case over the given leaves. @throws DTypeError when the op does not take these dtypes */
function checksOf(example: SpecialCase, leaves: readonly Value[]): Check[] {
  const apply = more[example.op] ?? opTable[example.op].apply;
  const outputs = [apply([...leaves], example.attrs)].flat() as Value[];
  const checks = outputs.map((value, i) => {
    const golden = example.outputs[i];
    if (JSON.stringify(value.shape) !== JSON.stringify(golden?.shape))
      throw new WrongShape(`${example.op}: shape [${value.shape}] instead of [${golden?.shape}]`);
    return {
      what: `output ${i}`,
      dtype: value.dtype,
      value,
      expected: listOf(value.dtype, hostOf({ ...golden, dtype: value.dtype })),
    };
  });
  if (!example.gradients) return checks;
  const graded = outputs.filter(({ dtype }) => isFloat(dtype));
  const ones = graded.map(({ dtype, shape }) => ops.broadcastTo(ops.scalar(1, dtype), shape));
  const gradients = pullBack(graded, ones, leaves);
  for (const [i, golden] of example.gradients.entries()) {
    const value = gradients[i];
    if (golden && value)
      checks.push({ what: `gradient ${i}`, dtype: value.dtype, value, expected: listOf(value.dtype, hostOf(golden)) });
  }
  return checks;
}

const foldAll = defaultPasses.map((pass) =>
  pass.name === "foldConstants" ? foldConstants(Number.POSITIVE_INFINITY) : pass,
);

export interface Answer extends Check {
  /** undefined where the graph does not fold. */
  folded?: Numbers;
  compiled: Numbers;
}

/** Computes a case both ways. */
export async function answersOf(example: SpecialCase): Promise<Answer[]> {
  const constants = example.inputs.map((input) => constantValue(hostOf(input), input));
  const leaves = example.inputs.map(
    (input) => fromLeaf(new DataLeaf(input.dtype, input.shape, { host: hostOf(input) })).ir,
  );
  const foldable = checksOf(example, constants);
  const checks = checksOf(example, leaves);
  const graph = optimize(
    new Graph(
      [],
      foldable.map(({ value }) => value),
    ),
    foldAll,
  );
  const compiled = await readValues(checks.map(({ value }) => value));
  return checks.map((check, i) => {
    const { op } = graph.outputs[i].node;
    const folded = op instanceof ConstantOp ? listOf(check.dtype, op.data) : undefined;
    return { ...check, folded, compiled: listOf(check.dtype, compiled[i]) };
  });
}

/** A place where two of the three answers differ. */
export interface Difference {
  op: string;
  what: string;
  dtype: DType;
  /** Which answer differs from which. */
  between: "compiled and PyTorch" | "folded and PyTorch" | "folded and compiled";
  got: number | bigint;
  wanted: number | bigint;
  attributes: Readonly<Record<string, unknown>>;
  /** The elements of the inputs that belong to it, of an elementwise op; of others all elements. */
  inputs: readonly (number | bigint)[][];
  /** The numbers of all inputs. */
  all: Numbers;
}

/**
 * Sums of numbers far apart are as exact as their largest part: how large that is, up to those that are meant to
 * overflow.
 */
const LARGE = 1e5;
const largestPart = (inputs: readonly Numbers[]) =>
  inputs
    .flat()
    .reduce<number>(
      (largest, x) => (Math.abs(Number(x)) <= LARGE ? Math.max(largest, Math.abs(Number(x))) : largest),
      1,
    );

/** Whether two numbers agree: NaN is NaN, zeros have signs, infinities and integers are exact. */
function areSame(dtype: DType, got: number | bigint, wanted: number | bigint, scale: number): boolean {
  if (!isFloat(dtype)) return got === wanted;
  const [x, y] = [Number(got), Number(wanted)];
  if (Object.is(x, y)) return true;
  if ((x === 0 && y === 0) || !Number.isFinite(x) || !Number.isFinite(y)) return false;
  return Math.abs(x - y) <= (tolerances[dtype] as number) * Math.max(scale, Math.abs(y));
}

/** All places where the answers of a case differ from one another or from PyTorch's. */
export function differencesOf(example: SpecialCase, answers: readonly Answer[], isSum: boolean): Difference[] {
  const inputs = example.inputs.map((input) => listOf(input.dtype, hostOf(input)));
  const scale = isSum ? largestPart(inputs) : 1;
  return answers.flatMap(({ what, dtype, expected, folded, compiled }) => {
    const isElementwise = inputs.every(({ length }) => length === expected.length);
    const compare = (between: Difference["between"], got: Numbers, wanted: Numbers) =>
      wanted.flatMap((x, i) => {
        if (areSame(dtype, got[i], x, scale)) return [];
        const belonging = inputs.map((list) => (isElementwise ? [list[i]] : [...list]));
        return [
          {
            op: example.op,
            what,
            dtype,
            between,
            got: got[i],
            wanted: x,
            attributes: example.attrs,
            inputs: belonging,
            all: inputs.flat(),
          },
        ];
      });
    return [
      ...compare("compiled and PyTorch", compiled, expected),
      ...(folded
        ? [...compare("folded and PyTorch", folded, expected), ...compare("folded and compiled", folded, compiled)]
        : []),
    ];
  });
}

import fc from "fast-check";
import { isStatic, placeholder, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";

/** One step of a random program: which op, and numbers that choose its operands and attributes. */
interface Step {
  op: number;
  picks: number[];
}
export interface RandomProgram {
  shapes: number[][];
  steps: Step[];
}

const sizes = fc.integer({ min: 1, max: 4 });
export const randomProgram: fc.Arbitrary<RandomProgram> = fc.record({
  shapes: fc.array(fc.array(sizes, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
  steps: fc.array(fc.record({ op: fc.nat(), picks: fc.array(fc.nat({ max: 1000 }), { minLength: 4, maxLength: 4 }) }), {
    minLength: 1,
    maxLength: 12,
  }),
});

type Pick = (count: number) => number;
type Maker = (x: Value, other: Value, pick: Pick) => Value | undefined;

const broadcasts = (a: Value, b: Value) => {
  const rank = Math.max(a.shape.length, b.shape.length);
  return Array.from({ length: rank }, (_, i) => [
    a.shape[a.shape.length - 1 - i] ?? 1,
    b.shape[b.shape.length - 1 - i] ?? 1,
  ]).every(([x, y]) => x === y || x === 1 || y === 1);
};
const pair =
  (op: (a: Value, b: Value) => Value): Maker =>
  (x, y) =>
    broadcasts(x, y) ? op(x, y) : undefined;
const single =
  (op: (x: Value) => Value): Maker =>
  (x) =>
    op(x);
const axisOf = (x: Value, pick: Pick) => pick(x.shape.length);
/** Inputs lie in [-1, 1]; sums and products are brought back, so that long programs stay well conditioned. */
const bounded = (x: Value) => ops.tanh(x);

/** x xᵀ + 2, whose decompositions and their gradients are well conditioned. */
const positive = (x: Value) =>
  ops.add(
    ops.matmul(bounded(x), bounded(x), { transposeB: true }),
    ops.mul(ops.eye(x.shape[x.shape.length - 2] as number), 2),
  );

const makers: readonly Maker[] = [
  pair((a, b) => bounded(ops.add(a, b))),
  pair(ops.mul),
  pair(ops.sub),
  pair((a, b) => ops.div(a, ops.add(ops.square(b), 1))),
  pair((a, b) => ops.where(ops.greater(a, b), ops.mul(a, 0.5), b)),
  pair(ops.maximum),
  pair((a, b) => ops.atan2(a, ops.add(ops.square(b), 0.5))),
  ...[ops.sin, ops.cos, ops.sigmoid, ops.erf, ops.silu, ops.softplus, ops.relu, ops.mish, ops.neg, ops.abs].map(single),
  ...[ops.elu, ops.hardswish, ops.softsign, ops.atan, ops.asinh, ops.expm1].map((op) => single((x) => bounded(op(x)))),
  single((x) => ops.gelu(x)),
  single((x) => ops.gelu(x, "tanh")),
  single((x) => ops.log1p(ops.square(x))),
  single((x) => ops.sqrt(ops.add(ops.square(x), 0.1))),
  (x, _, pick) => ops.softmax(x, axisOf(x, pick)),
  (x, _, pick) => ops.mean(x, { axes: axisOf(x, pick), keepDims: true }),
  (x, _, pick) => bounded(ops.sum(x, { axes: axisOf(x, pick), keepDims: !(pick(2) === 0 && x.shape.length > 1) })),
  (x, _, pick) => ops.max(x, { axes: axisOf(x, pick), keepDims: true }),
  (x, _, pick) => bounded(ops.logSumExp(x, { axes: axisOf(x, pick), keepDims: true })),
  (x, _, pick) => bounded(ops.cumsum(x, { axis: axisOf(x, pick), reverse: pick(2) === 0 })),
  (x, _, pick) => ops.sort(x, { axis: axisOf(x, pick) }).values,
  (x, _, pick) => ops.flip(x, axisOf(x, pick)),
  (x, _, pick) => ops.roll(x, pick(3), axisOf(x, pick)),
  (x, _, pick) => ops.slice(x, { axis: axisOf(x, pick), start: pick(2), step: 1 + pick(2) }),
  (x, _, pick) => ops.pad(x, [[pick(2), pick(2)]], { mode: pick(2) === 0 ? "constant" : "replicate" }),
  (x, _, pick) => ops.concat([x, x], axisOf(x, pick)),
  (x, _, pick) => ops.repeatInterleave(x, 1 + pick(2), axisOf(x, pick)),
  (x) => ops.transpose(x),
  (x) => ops.reshape(x, [-1]),
  (x) => ops.tril(ops.reshape(x, [1, -1])),
  (x, y) =>
    x.shape.length >= 2 && y.shape.length === 2 && x.shape[x.shape.length - 1] === y.shape[0]
      ? bounded(ops.matmul(x, y))
      : undefined,
  (x) => (x.shape.length >= 2 ? bounded(ops.matmul(x, x, { transposeB: true, scale: 0.5 })) : undefined),
  (x) =>
    x.shape.length === 3 ? bounded(ops.conv(x, ops.filled([2, x.shape[1] as number, 1], 0.3, "f32"))) : undefined,
  (x) => (x.shape.length >= 2 ? bounded(ops.solve(positive(x), x)) : undefined),
  (x) => (x.shape.length >= 2 ? bounded(ops.cholesky(positive(x))) : undefined),
  (x) => (x.shape.length >= 3 ? bounded(ops.logDeterminant(positive(x))) : undefined),
  (x) => (x.shape.length === 3 ? ops.averagePool(x, { kernelSize: 2, padding: 1, stride: 1 }) : undefined),
];

/** A program as a graph: its inputs, and every value that no step uses any more. */
export function buildProgram({ shapes, steps }: RandomProgram): { inputs: Value[]; outputs: Value[] } {
  const inputs = shapes.map((shape, i) => placeholder(`x${i}`, { dtype: "f32", shape }));
  const pool: Value[] = [...inputs];
  const used = new Set<Value>();
  for (const { op, picks } of steps) {
    const rest = [...picks];
    const pick: Pick = (count) => (rest.shift() ?? 0) % count;
    const [x, y] = [pool[pool.length - 1 - pick(Math.min(3, pool.length))], pool[pick(pool.length)]];
    const result = makers[op % makers.length](x, y, pick);
    const isSmall =
      result && isStatic(result.shape) && result.shape.length <= 4 && result.shape.reduce((a, b) => a * b, 1) <= 256;
    if (!result || !isSmall || result.shape.length === 0 || result.shape.includes(0)) continue;
    used.add(x).add(y);
    pool.push(result);
  }
  const outputs = pool.filter((value) => !used.has(value) && !inputs.includes(value));
  return { inputs, outputs: outputs.length > 0 ? outputs : [ops.mul(inputs[0], 2)] };
}

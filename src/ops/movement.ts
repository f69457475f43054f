/** Moving elements about: composites of reshape, slice, concat, gather and the like, and the few entries they need. */
import { type DType, OptionError, ShapeError } from "../base/index.ts";
import {
  describe,
  isSize,
  multiplySizes,
  normalizeAxis,
  requireStatic,
  type Shape,
  type Size,
  type Value,
} from "../ir/index.ts";
import { apply, scalar, vector } from "./apply.ts";
import { defineOp, notDifferentiable } from "./define.ts";
import { cast, where } from "./elementwise.ts";
import { gather } from "./gather.ts";
import { forEachIndex, hostTensor, stridesOf } from "./host-tensor.ts";
import { equal } from "./logic.ts";
import { i64Vector, onnxTypeCode } from "./lowering.ts";
import { broadcastTo, reshape, transpose } from "./shape.ts";
import { concat, slice } from "./slice.ts";

/** Takes out axes of size 1. @default all of them */
export function squeeze(x: Value, axes?: number | readonly number[]): Value {
  const list =
    axes === undefined ? undefined : [axes].flat().map((axis) => normalizeAxis("squeeze", axis, x.shape.length));
  for (const axis of list ?? []) {
    if (x.shape[axis] !== 1)
      throw new ShapeError({
        where: "squeeze",
        expected: `size 1 at axis ${axis}`,
        received: describe(x),
        fix: "name other axes",
      });
  }
  return reshape(
    x,
    x.shape.filter((size, i) => (list ? !list.includes(i) : size !== 1)),
  );
}

/** Puts in axes of size 1, at these positions of the result. */
export function unsqueeze(x: Value, axes: number | readonly number[]): Value {
  const positions = [axes].flat();
  const rank = x.shape.length + positions.length;
  const at = new Set(positions.map((axis) => normalizeAxis("unsqueeze", axis, rank)));
  const rest = [...x.shape];
  return reshape(
    x,
    Array.from({ length: rank }, (_, i) => (at.has(i) ? 1 : (rest.shift() as Size))),
  );
}

/** Joins tensors of one shape along a new axis. */
export function stack(xs: readonly Value[], axis = 0): Value {
  return concat(
    xs.map((x) => unsqueeze(x, axis)),
    axis,
  );
}

/** Exchanges two axes. */
export function swapAxes(x: Value, a: number, b: number): Value {
  const order = x.shape.map((_, i) => i);
  const [from, to] = [a, b].map((axis) => normalizeAxis("swapAxes", axis, order.length));
  [order[from], order[to]] = [order[to], order[from]];
  return transpose(x, order);
}

/** Moves elements along axes by so many places; what leaves at the end comes in at the start. */
export function roll(x: Value, shifts: number | readonly number[], axes: number | readonly number[]): Value {
  const moves = [shifts].flat();
  return [axes].flat().reduce((rolled, axis, i) => {
    const at = normalizeAxis("roll", axis, x.shape.length);
    const [size] = requireStatic("roll", [x.shape[at]]);
    const shift = size === 0 ? 0 : ((moves[i] % size) + size) % size;
    return shift === 0
      ? rolled
      : concat([slice(rolled, { axis: at, start: size - shift }), slice(rolled, { axis: at, end: size - shift })], at);
  }, x);
}

/** How elements are found beyond the border. */
export type PadMode = "constant" | "reflect" | "replicate" | "circular";
/** Counts of elements added before and after, a pair for each axis. */
export type Padding = readonly (readonly [before: number, after: number])[];

const padEntry = defineOp<"x", { before: readonly number[]; after: readonly number[]; value: number }>({
  name: "pad",
  precision: "any",
  batch: "axes",
  inputs: ["x"],
  infer: ({ x }, { before, after }) => ({
    dtype: x.dtype,
    shape: x.shape.map((size, i) => (before[i] + after[i] === 0 ? size : (size as number) + before[i] + after[i])),
  }),
  gradient: ({ x, dy }, { before }) => ({
    x: before.reduce(
      (cut, start, axis) =>
        cut.shape[axis] === x.shape[axis] ? cut : slice(cut, { axis, start, end: start + (x.shape[axis] as number) }),
      dy,
    ),
  }),
  carries: ["x"],
  lower: (graph, { x }, { before, after, value }, node) => {
    const { dtype } = node.inputs[0];
    return graph.node("Pad", [x, i64Vector(graph, [...before, ...after]), graph.constant(dtype, [], [value])], {
      mode: "constant",
    });
  },
  reference: ({ x }, { before, value }, [type]) => {
    const out = hostTensor(type.shape);
    out.data.fill(value);
    const strides = stridesOf(out.shape);
    forEachIndex(x.shape, (index, flat) => {
      out.data[index.reduce((p, i, axis) => p + (i + before[axis]) * strides[axis], 0)] = x.data[flat];
    });
    return out;
  },
});

/**
 * Makes axes longer at both ends. `padding` has a pair [before, after] for each of the last axes, or for all.
 * reflect mirrors at the border element without repeating it, replicate repeats it, circular goes on at the other end.
 * @default zeros
 * @throws ShapeError when reflect or circular would need more elements than there are
 */
export function pad(
  x: Value,
  padding: Padding,
  { mode = "constant", value = 0 }: { mode?: PadMode; value?: number } = {},
): Value {
  const rank = x.shape.length;
  if (padding.length > rank || padding.flat().some((n) => !Number.isInteger(n) || n < 0)) {
    throw new ShapeError({
      where: "pad",
      expected: `up to ${rank} pairs of counts, none negative`,
      received: JSON.stringify(padding),
      fix: "use slice to take elements away",
    });
  }
  const pairs = [...Array.from({ length: rank - padding.length }, () => [0, 0] as const), ...padding];
  if (pairs.every(([before, after]) => before + after === 0)) return x;
  pairs.forEach(([before, after], axis) => {
    if (before + after > 0) requireStatic("pad", [x.shape[axis]]);
  });
  if (mode === "constant")
    return apply(padEntry, [x], {
      before: pairs.map(([before]) => before),
      after: pairs.map(([, after]) => after),
      value,
    });
  return pairs.reduce(
    (padded, [before, after], axis) => (before + after === 0 ? padded : padByIndex(padded, axis, before, after, mode)),
    x,
  );
}

function padByIndex(x: Value, axis: number, before: number, after: number, mode: Exclude<PadMode, "constant">): Value {
  const size = x.shape[axis] as number;
  const most = mode === "reflect" ? size - 1 : mode === "circular" ? size : size === 0 ? 0 : Number.POSITIVE_INFINITY;
  if (Math.max(before, after) > most) {
    throw new ShapeError({
      where: `pad (${mode})`,
      expected: `at most ${most} on each side of axis ${axis}`,
      received: `${before} and ${after}`,
      fix: "pad less",
    });
  }
  const position = (i: number) => {
    if (mode === "replicate") return Math.min(size - 1, Math.max(0, i));
    if (mode === "circular") return (i + size) % size;
    const mirrored = Math.abs(i);
    return mirrored < size ? mirrored : 2 * (size - 1) - mirrored;
  };
  return gather(x, vector(Array.from({ length: before + size + after }, (_, i) => position(i - before))), axis);
}

/** Repeats the whole tensor along each axis; more counts than axes add axes in front. */
export function tile(x: Value, repeats: readonly number[]): Value {
  const rank = Math.max(repeats.length, x.shape.length);
  const counts = [...Array.from({ length: rank - repeats.length }, () => 1), ...repeats];
  const sizes: Shape = [...Array.from({ length: rank - x.shape.length }, () => 1), ...x.shape];
  const paired = reshape(
    x,
    sizes.flatMap((size) => [1, size]),
  );
  const wide = broadcastTo(
    paired,
    sizes.flatMap((size, i) => [counts[i], size]),
  );
  return reshape(
    wide,
    sizes.map((size, i) => timesSize(size, counts[i])),
  );
}

/** Repeats each element along an axis. */
export function repeatInterleave(x: Value, repeats: number, axis = -1): Value {
  const at = normalizeAxis("repeatInterleave", axis, x.shape.length);
  const [front, size, back] = [x.shape.slice(0, at), x.shape[at], x.shape.slice(at + 1)];
  const wide = broadcastTo(reshape(x, [...front, size, 1, ...back]), [...front, size, repeats, ...back]);
  return reshape(wide, [...front, timesSize(size, repeats), ...back]);
}

function timesSize(size: Size, count: number): Size {
  if (!Number.isInteger(count) || count < 0) {
    throw new OptionError({
      where: "repeat",
      expected: "counts that are whole numbers, none negative",
      received: String(count),
      fix: "check the counts",
    });
  }
  return typeof size === "number" ? size * count : multiplySizes(size, count);
}

const iotaEntry = defineOp<never, { size: Size; dtype: string }>({
  name: "arange",
  precision: "f32",
  batch: "oneByOne",
  inputs: [],
  infer: (_, { size, dtype }) => ({ dtype: dtype as DType, shape: [size] }),
  gradient: notDifferentiable("is constant"),
  lower: (graph, _, { size, dtype }) => {
    const count = graph.node("Reshape", [graph.sizes([size]), graph.constant("i64", [0], [])]);
    const range = graph.node("Range", [graph.constant("i64", [], [0]), count, graph.constant("i64", [], [1])]);
    return dtype === "i64" ? range : graph.node("Cast", [range], { to: onnxTypeCode[dtype as DType] });
  },
  reference: (_, __, [type]) =>
    hostTensor(
      type.shape,
      Array.from({ length: type.shape[0] as number }, (_, i) => i),
    ),
});
/** 0, 1, ..., size - 1. @default i32 */
export function arange(size: Size, dtype: DType = "i32"): Value {
  return apply(iotaEntry, [], { size, dtype });
}

const triangleEntry = defineOp<never, { shape: Shape; diagonal: number }>({
  name: "triangularMask",
  precision: "f32",
  batch: "oneByOne",
  inputs: [],
  infer: (_, { shape }) => ({ dtype: "bool", shape }),
  gradient: notDifferentiable("is constant"),
  lower: (graph, _, { shape, diagonal }) => {
    const ones = graph.node("Expand", [graph.constant("bool", [1, 1], [1]), graph.sizes(shape)]);
    return graph.node("Trilu", [ones, graph.constant("i64", [], [diagonal])], { upper: 0 });
  },
  reference: (_, { diagonal }, [type]) => {
    const out = hostTensor(type.shape);
    forEachIndex(out.shape, ([row, column], flat) => {
      out.data[flat] = Number(column - row <= diagonal);
    });
    return out;
  },
});
/** bool [rows, columns]: true at and below a diagonal. @default the main one */
export function triangularMask(rows: Size, columns: Size, diagonal = 0): Value {
  return apply(triangleEntry, [], { shape: [rows, columns], diagonal });
}

/** bool [T, S], true where query t may see key s: s <= t + S - T, the last query seeing every key. */
export const causalMask = (queries: number, keys: number): Value => triangularMask(queries, keys, keys - queries);

/** Zero above a diagonal of the last two axes. @default the main diagonal */
export function tril(x: Value, diagonal = 0): Value {
  const [rows, columns] = requireStatic("tril", x.shape.slice(-2));
  return where(triangularMask(rows, columns, diagonal), x, 0);
}
/** Zero below a diagonal of the last two axes. @default the main diagonal */
export function triu(x: Value, diagonal = 0): Value {
  const [rows, columns] = requireStatic("triu", x.shape.slice(-2));
  return where(triangularMask(rows, columns, diagonal - 1), 0, x);
}
/** Ones on the diagonal of [rows, columns], zeros elsewhere. */
export function eye(rows: number, columns = rows, dtype: DType = "f32"): Value {
  return cast(equal(reshape(arange(rows), [rows, 1]), arange(columns)), dtype);
}

/** Elements x[..., i, ..., i + offset, ...] of two axes, as the last axis of the result. @default the last two axes */
export function diagonal(
  x: Value,
  { offset = 0, axis1 = -2, axis2 = -1 }: { offset?: number; axis1?: number; axis2?: number } = {},
): Value {
  const rank = x.shape.length;
  const [a, b] = [axis1, axis2].map((axis) => normalizeAxis("diagonal", axis, rank));
  const others = x.shape.map((_, i) => i).filter((i) => i !== a && i !== b);
  const [rows, columns] = requireStatic("diagonal", [x.shape[a], x.shape[b]]);
  const first = Math.max(0, -offset);
  const count = Math.max(0, Math.min(rows - first, columns - Math.max(0, offset)));
  const flat = reshape(transpose(x, [...others, a, b]), [...others.map((i) => x.shape[i]), rows * columns]);
  return gather(flat, vector(Array.from({ length: count }, (_, i) => (first + i) * columns + first + i + offset)), -1);
}

/** `value` where the mask is true, x elsewhere. */
export const maskedFill = (x: Value, mask: Value, value: number): Value => where(mask, scalar(value, x.dtype), x);

/**
 * 1 at each index along a new last axis of size `depth`, 0 elsewhere; all 0 for an index out of range. indices: [...]
 * -> [..., depth]
 * @throws OptionError for a depth that is no integer of at least 0
 */
export function oneHot(indices: Value, depth: Size, dtype: DType = "f32"): Value {
  if (!isSize(depth)) {
    throw new OptionError({
      where: "oneHot",
      expected: "a depth that is an integer of at least 0",
      received: typeof depth === "string" ? `"${depth}"` : String(depth),
      fix: "give the number of classes",
    });
  }
  return cast(equal(unsqueeze(indices, -1), arange(depth, indices.dtype)), dtype);
}

/** Parts of the given sizes along an axis. */
export function splitSizes(x: Value, sizes: readonly number[], axis = -1): Value[] {
  const at = normalizeAxis("split", axis, x.shape.length);
  const total = sizes.reduce((a, b) => a + b, 0);
  if (total !== x.shape[at]) {
    throw new ShapeError({
      where: "split",
      expected: `sizes that add up to ${x.shape[at]}`,
      received: `[${sizes}]`,
      fix: "check the sizes",
    });
  }
  let end = 0;
  return sizes.map((size) => {
    end += size;
    return slice(x, { axis: at, start: end - size, end });
  });
}

/** One tensor for each index of an axis, without that axis. */
export function unstack(x: Value, axis = 0): Value[] {
  const at = normalizeAxis("unstack", axis, x.shape.length);
  const [size] = requireStatic("unstack", [x.shape[at]]);
  return Array.from({ length: size }, (_, i) => squeeze(slice(x, { axis: at, start: i, end: i + 1 }), at));
}

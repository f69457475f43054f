/** Cutting along an axis, and joining. */
import { DTypeError, ShapeError } from "../base/index.ts";
import {
  addSizes,
  describe,
  divideSizes,
  normalizeAxis,
  type Shape,
  type Size,
  sizesEqual,
  type Value,
} from "../ir/index.ts";
import { apply, applyAll, filled } from "./apply.ts";
import { defineMultiOp, defineOp } from "./define.ts";
import type { OpEntry } from "./entry.ts";
import { forEachIndex, hostTensor, stridesOf } from "./host-tensor.ts";
import { i64Vector } from "./lowering.ts";
import { broadcastTo, reshape } from "./shape.ts";

/** Concatenation takes any number of inputs, so its entry is written out. */
const concatEntry: OpEntry = {
  name: "concat",
  carries: "all",
  precision: "any",
  batch: "axes",
  inferTypes: (inputs, attributes) => {
    const axis = attributes.axis as number;
    const [first, ...rest] = inputs;
    for (const other of rest) {
      const fits =
        other.shape.length === first.shape.length &&
        other.shape.every((size, i) => i === axis || sizesEqual(size, first.shape[i]));
      if (other.dtype !== first.dtype) {
        throw new DTypeError({
          where: "concat",
          expected: "one dtype",
          received: `${describe(first)} and ${describe(other)}`,
          fix: "cast one of them",
        });
      }
      if (!fits) {
        throw new ShapeError({
          where: "concat",
          expected: `shapes equal but for axis ${axis}`,
          received: `${describe(first)} and ${describe(other)}`,
          fix: "reshape or slice the odd one",
        });
      }
    }
    const total = inputs.reduce<Size>((sum, input) => addSizes(sum, input.shape[axis]), 0);
    return [{ dtype: first.dtype, shape: first.shape.map((size, i) => (i === axis ? total : size)) }];
  },
  gradient: (node, [dy]) => {
    if (dy === undefined) return [];
    const axis = node.attributes.axis as number;
    let start = 0;
    return node.inputs.map((input) => {
      const size = input.shape[axis] as number;
      start += size;
      return slice(dy, { axis, start: start - size, end: start });
    });
  },
  lower: (graph, inputs, node) => [graph.node("Concat", inputs, { axis: node.attributes.axis as number })],
  reference: (inputs, attributes, [type]) => {
    const axis = attributes.axis as number;
    const out = hostTensor(type.shape);
    const strides = stridesOf(out.shape);
    let start = 0;
    for (const input of inputs) {
      forEachIndex(input.shape, (index, flat) => {
        out.data[index.reduce((p, i, a) => p + (a === axis ? i + start : i) * strides[a], 0)] = input.data[flat];
      });
      start += input.shape[axis];
    }
    return [out];
  },
};

/** Joins tensors along an existing axis. */
export function concat(xs: readonly Value[], axis = 0): Value {
  return xs.length === 1 ? xs[0] : apply(concatEntry, xs, { axis: normalizeAxis("concat", axis, xs[0].shape.length) });
}

type SliceAttributes = { axis: number; start: number; end: number; step: number };
/**
 * Of an axis whose size is known later the part must begin and end inside; an end below 0, or TO_END, counts from its
 * end.
 */
function slicedSize(size: Size, { start, end, step }: Omit<SliceAttributes, "axis">): Size {
  if (typeof size === "number" || end >= 0) {
    if (end !== TO_END) return Math.max(0, Math.ceil((end - start) / step));
    return addSizes(size, -start);
  }
  return addSizes(size, end - start);
}

/** Beyond every axis: ONNX takes it for the end. */
const TO_END = 2 ** 53 - 1;

const sliceEntry = defineOp<"x", SliceAttributes>({
  name: "slice",
  precision: "any",
  batch: "axes",
  inputs: ["x"],
  infer: ({ x }, { axis, start, end, step }) => ({
    dtype: x.dtype,
    shape: x.shape.map((size, i) => (i === axis ? slicedSize(size, { start, end, step }) : size)),
  }),
  gradient: ({ x, dy }, attributes) => ({ x: unslice(dy, x.shape, attributes) }),
  carries: ["x"],
  lower: (graph, { x }, { axis, start, end, step }) =>
    graph.node("Slice", [x, ...[start, end, axis, step].map((value) => graph.constant("i64", [1], [value]))]),
  reference: ({ x }, { axis, start, step }, [type]) => {
    const strides = stridesOf(x.shape);
    const out = hostTensor(type.shape);
    forEachIndex(out.shape, (index, flat) => {
      out.data[flat] = x.data[index.reduce((p, i, a) => p + (a === axis ? start + i * step : i) * strides[a], 0)];
    });
    return out;
  },
});

/** The gradient of slice: zeros with `dy` put back where it came from. */
function unslice(dy: Value, shape: Shape, { axis, start, step }: SliceAttributes): Value {
  let spread = dy;
  if (step > 1) {
    const rows = dy.shape[axis] as number;
    const front = dy.shape.slice(0, axis);
    const back = dy.shape.slice(axis + 1);
    const paired = reshape(dy, [...front, rows, 1, ...back]);
    const gaps = broadcastTo(filled([], 0, dy.dtype), [...front, rows, step - 1, ...back]);
    spread = reshape(concat([paired, gaps], axis + 1), [...front, rows * step, ...back]);
    const excess = start + rows * step - (shape[axis] as number);
    if (excess > 0) spread = slice(spread, { axis, start: 0, end: rows * step - excess });
  }
  const before = start;
  const after = (shape[axis] as number) - before - (spread.shape[axis] as number);
  const zeros = (size: number) =>
    broadcastTo(
      filled([], 0, dy.dtype),
      dy.shape.map((s, i) => (i === axis ? size : s)),
    );
  return concat([...(before > 0 ? [zeros(before)] : []), spread, ...(after > 0 ? [zeros(after)] : [])], axis);
}

/** Which indices of which axis `slice` keeps. */
export interface SliceOptions {
  /** The axis; negative counts from the end. */
  axis: number;
  /** First index; negative counts from the end. @default 0 */
  start?: number;
  /** Index after the last; negative counts from the end. @default the axis' size */
  end?: number;
  /** Distance between indices taken, not 0. @default 1 */
  step?: number;
}

/**
 * Indices start, start + step, ... before end, along one axis of known size. With a negative step they go down, from
 * the last to the first by default; `end: -size - 1` then means up to and including index 0.
 */
export function slice(x: Value, { axis, start, end, step = 1 }: SliceOptions): Value {
  const at = normalizeAxis("slice", axis, x.shape.length);
  const size = x.shape[at];
  if (typeof size !== "number") return sliceLater(x, at, { start, end, step });
  if (!Number.isInteger(step) || step === 0) {
    throw new ShapeError({
      where: "slice",
      expected: "a step that is a whole number, not 0",
      received: String(step),
      fix: "use gather for other orders",
    });
  }
  if (step < 0) return sliceBackwards(x, at, size, { start, end, step });
  const clamp = (index: number) => Math.min(size, Math.max(0, index < 0 ? index + size : index));
  const first = clamp(start ?? 0);
  const last = Math.max(first, clamp(end ?? size));
  return first === 0 && last === size && step === 1
    ? x
    : apply(sliceEntry, [x], { axis: at, start: first, end: last, step });
}

/**
 * A part of an axis whose size is known only when the graph runs, which must have it: a start from the end needs none
 * but the end.
 */
function sliceLater(
  x: Value,
  axis: number,
  { start = 0, end = TO_END, step }: { start?: number; end?: number; step: number },
): Value {
  if (step === 1 && start >= 0)
    return start === 0 && end === TO_END ? x : apply(sliceEntry, [x], { axis, start, end, step });
  const fix = "use gather with computed indices";
  throw new ShapeError({
    where: "slice",
    expected: "an axis of known size, or a start from the front in steps of 1",
    received: describe(x),
    fix,
  });
}

/** The same elements are taken upwards and then turned round. */
function sliceBackwards(
  x: Value,
  axis: number,
  size: number,
  { start, end, step }: { start?: number; end?: number; step: number },
): Value {
  const clamp = (index: number) => Math.min(size - 1, Math.max(-1, index < 0 ? index + size : index));
  const first = clamp(start ?? size - 1);
  const last = end === undefined ? -1 : clamp(end);
  const count = Math.max(0, Math.ceil((first - last) / -step));
  const lowest = first + (count - 1) * step;
  const upwards = count === 0 ? { start: 0, end: 0 } : { start: lowest, end: first + 1, step: -step };
  return flip(slice(x, { axis, ...upwards }), axis);
}

type SplitAttributes = { axis: number; parts: number };
const splitEntry = defineMultiOp<"x", SplitAttributes>({
  name: "split",
  precision: "any",
  batch: "axes",
  inputs: ["x"],
  infer: ({ x }, { axis, parts }) => {
    const size = divideSizes(x.shape[axis], parts);
    if (size === undefined) {
      throw new ShapeError({
        where: "split",
        expected: `axis ${axis} to divide into ${parts} equal parts`,
        received: describe(x),
        fix: "choose another number",
      });
    }
    return Array.from({ length: parts }, () => ({
      dtype: x.dtype,
      shape: x.shape.map((s, i) => (i === axis ? size : s)),
    }));
  },
  gradient: ({ ys, dys }, { axis }) => {
    const zeros = (part: Value) => broadcastTo(filled([], 0, part.dtype), part.shape);
    return {
      x: concat(
        ys.map((part, i) => dys[i] ?? zeros(part)),
        axis,
      ),
    };
  },
  carries: ["x"],
  lower: (graph, { x }, { axis, parts }, { outputs }) => {
    // ONNX Runtime splits no axis of size 0
    if (outputs[0].shape[axis] === 0)
      return outputs.map(({ dtype, shape }) =>
        graph.node("Expand", [graph.constant(dtype, [1], [0]), graph.sizes(shape)]),
      );
    return graph.nodes("Split", [x], parts, { axis, num_outputs: parts });
  },
  reference: ({ x }, { axis }, types) => {
    const strides = stridesOf(x.shape);
    return types.map((type, part) => {
      const out = hostTensor(type.shape);
      forEachIndex(out.shape, (index, flat) => {
        out.data[flat] =
          x.data[index.reduce((p, i, a) => p + (a === axis ? i + part * out.shape[axis] : i) * strides[a], 0)];
      });
      return out;
    });
  },
});

/** Equal parts along an axis of known size. */
export function split(x: Value, parts: number, axis = -1): readonly Value[] {
  return applyAll(splitEntry, [x], { axis: normalizeAxis("split", axis, x.shape.length), parts });
}

const flipEntry = defineOp<"x", { axes: readonly number[] }>({
  name: "flip",
  precision: "any",
  batch: "axes",
  inputs: ["x"],
  infer: ({ x }) => x,
  gradient: ({ dy }, { axes }) => ({ x: flip(dy, axes) }),
  carries: ["x"],
  lower: (graph, { x }, { axes }) => {
    const each = (value: number) =>
      graph.constant(
        "i64",
        [axes.length],
        axes.map(() => value),
      );
    return graph.node("Slice", [x, each(-1), each(-(2 ** 31)), i64Vector(graph, axes), each(-1)]);
  },
  reference: ({ x }, { axes }) => {
    const out = hostTensor(x.shape);
    const strides = stridesOf(x.shape);
    forEachIndex(x.shape, (index, flat) => {
      out.data[flat] =
        x.data[index.reduce((p, i, axis) => p + (axes.includes(axis) ? x.shape[axis] - 1 - i : i) * strides[axis], 0)];
    });
    return out;
  },
});
/** Reverses the order along axes. @default all */
export function flip(x: Value, axes: number | readonly number[] = x.shape.map((_, i) => i)): Value {
  const list = [...new Set([axes].flat().map((axis) => normalizeAxis("flip", axis, x.shape.length)))];
  return list.length === 0 ? x : apply(flipEntry, [x], { axes: list });
}

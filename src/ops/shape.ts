import { DTypeError, ShapeError } from "../base/index.ts";
import {
  addSizes,
  broadcastShapes,
  describe,
  divideSizes,
  isStatic,
  normalizeAxis,
  type Shape,
  type Size,
  shapesEqual,
  sizeOf,
  sizesEqual,
  type Value,
} from "../ir/index.ts";
import { alongAxes } from "./batch.ts";
import {
  apply,
  applyAll,
  broadcastPosition,
  defineOp,
  filled,
  forEachIndex,
  hostTensor,
  notDifferentiable,
  type OpEntry,
  stridesOf,
} from "./define.ts";
import { flip } from "./movement.ts";
import { sumTo } from "./reduce.ts";

const text = (shape: Shape) => `[${shape.join(", ")}]`;

const reshapeEntry: OpEntry = defineOp<"x", { shape: Shape }>({
  name: "reshape",
  precision: "any",
  batch: alongAxes,
  inputs: ["x"],
  infer: ({ x }, { shape }) => {
    if (!sizesEqual(sizeOf(x.shape), sizeOf(shape))) {
      throw new ShapeError({
        where: "reshape",
        expected: `a shape with ${sizeOf(x.shape)} elements`,
        received: `${describe(x)} to ${text(shape)}`,
        fix: "make the products of the sizes equal, or use -1 for one size",
      });
    }
    return { dtype: x.dtype, shape };
  },
  gradient: ({ x, dy }) => ({ x: reshape(dy, x.shape) }),
  lower: (graph, { x }, { shape }) =>
    graph.node("Reshape", [x, graph.sizes(shape)], { allowzero: isStatic(shape) && shape.includes(0) ? 1 : 0 }),
  carries: ["x"],
  reference: ({ x }, _, [type]) => hostTensor(type.shape, x.data),
  isView: true,
  simplify: ({ x }, { shape }) =>
    x.node.op === reshapeEntry || shapesEqual(x.shape, shape) ? reshape(beneathReshapes(x), shape) : undefined,
});

/** What a chain of reshapes started from. */
export function beneathReshapes(x: Value): Value {
  return x.node.op === reshapeEntry ? beneathReshapes(x.node.inputs[0]) : x;
}

/** Same elements in row-major order, other shape. One size may be -1 and is then worked out. */
export function reshape(x: Value, shape: Shape): Value {
  const unknown = shape.indexOf(-1);
  let target = shape;
  if (unknown >= 0) {
    const rest = sizeOf(shape.filter((_, i) => i !== unknown));
    const size = divideSizes(sizeOf(x.shape), rest);
    if (size === undefined) {
      throw new ShapeError({
        where: "reshape",
        expected: `${sizeOf(x.shape)} to be a multiple of ${rest}`,
        received: text(shape),
        fix: "change the other sizes",
      });
    }
    target = shape.map((s, i) => (i === unknown ? size : s));
  }
  return shapesEqual(x.shape, target) ? x : apply(reshapeEntry, [x], { shape: target });
}

/** For those who look for reshapes in a graph. */
reshape.entry = reshapeEntry;

const transposeEntry: OpEntry = defineOp<"x", { permutation: readonly number[] }>({
  name: "transpose",
  precision: "any",
  batch: alongAxes,
  inputs: ["x"],
  infer: ({ x }, { permutation }) => ({ dtype: x.dtype, shape: permutation.map((axis) => x.shape[axis]) }),
  gradient: ({ dy }, { permutation }) => ({
    x: transpose(
      dy,
      permutation.map((_, i) => permutation.indexOf(i)),
    ),
  }),
  carries: ["x"],
  lower: (graph, { x }, { permutation }) => graph.node("Transpose", [x], { perm: permutation }),
  reference: ({ x }, { permutation }, [type]) => {
    const strides = stridesOf(x.shape);
    const out = hostTensor(type.shape);
    forEachIndex(out.shape, (index, flat) => {
      out.data[flat] = x.data[index.reduce((p, i, axis) => p + i * strides[permutation[axis]], 0)];
    });
    return out;
  },
  simplify: ({ x }, { permutation }) => {
    if (x.node.op !== transposeEntry) return undefined;
    const inner = x.node.attributes.permutation as readonly number[];
    return transpose(
      x.node.inputs[0],
      permutation.map((axis) => inner[axis]),
    );
  },
});

/** Reorders axes: axis i of the result is axis permutation[i] of x. @default reverses the axes */
export function transpose(x: Value, permutation?: readonly number[]): Value {
  const rank = x.shape.length;
  const order = (permutation ?? x.shape.map((_, i) => rank - 1 - i)).map((axis) =>
    normalizeAxis("transpose", axis, rank),
  );
  if (order.length !== rank || new Set(order).size !== rank) {
    throw new ShapeError({
      where: "transpose",
      expected: `each of the ${rank} axes once`,
      received: text(permutation ?? []),
      fix: "list every axis",
    });
  }
  return order.every((axis, i) => axis === i) ? x : apply(transposeEntry, [x], { permutation: order });
}
transpose.entry = transposeEntry;

const broadcastEntry = defineOp<"x", { shape: Shape }>({
  name: "broadcastTo",
  precision: "any",
  // the example may have fewer axes than it is stretched to
  batch: (node, [x]) => {
    const shape = node.outputs[0].shape;
    const ones = new Array<number>(shape.length - node.inputs[0].shape.length).fill(1);
    return [broadcastTo(reshape(x, [x.shape[0], ...ones, ...x.shape.slice(1)]), [x.shape[0], ...shape])];
  },
  inputs: ["x"],
  infer: ({ x }, { shape }) => {
    const result = broadcastShapes(x.shape, shape);
    if (!result || !shapesEqual(result, shape)) {
      throw new ShapeError({
        where: "broadcastTo",
        expected: `a shape that ${describe(x)} stretches to`,
        received: text(shape),
        fix: "only sizes of 1 stretch",
      });
    }
    return { dtype: x.dtype, shape };
  },
  gradient: ({ x, dy }) => ({ x: sumTo(dy, x.shape) }),
  carries: ["x"],
  lower: (graph, { x }, { shape }) => graph.node("Expand", [x, graph.sizes(shape)]),
  reference: ({ x }, _, [type]) => {
    const strides = stridesOf(x.shape);
    const out = hostTensor(type.shape);
    forEachIndex(out.shape, (index, flat) => {
      out.data[flat] = x.data[broadcastPosition(x.shape, strides, index)];
    });
    return out;
  },
});

/** Stretches sizes of 1, and adds leading axes, to reach `shape`. */
export function broadcastTo(x: Value, shape: Shape): Value {
  return shapesEqual(x.shape, shape) ? x : apply(broadcastEntry, [x], { shape });
}

/** Concatenation takes any number of inputs, so its entry is written out. */
const concatEntry: OpEntry = {
  name: "concat",
  carries: "all",
  precision: "any",
  batch: alongAxes,
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
  batch: alongAxes,
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

export interface SliceOptions {
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
const splitBase = defineOp<"x", SplitAttributes>({
  name: "split",
  precision: "any",
  batch: alongAxes,
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
  gradient: notDifferentiable("has several outputs; see splitEntry"),
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

const splitEntry: OpEntry = {
  ...splitBase,
  gradient: (node, dys) => {
    const { axis } = node.attributes as SplitAttributes;
    const zeros = (part: Value) => broadcastTo(filled([], 0, part.dtype), part.shape);
    return [
      concat(
        node.outputs.map((part, i) => dys[i] ?? zeros(part)),
        axis,
      ),
    ];
  },
};

/** Equal parts along an axis of known size. */
export function split(x: Value, parts: number, axis = -1): readonly Value[] {
  return applyAll(splitEntry, [x], { axis: normalizeAxis("split", axis, x.shape.length), parts });
}

import { DTypeError, ShapeError, toNumbers } from "../base/index.ts";
import {
  ConstantOp,
  describe,
  isStatic,
  type Node,
  normalizeAxis,
  type Shape,
  type Size,
  shapesEqual,
  sizeOf,
  sizesEqual,
  type TensorType,
  type Value,
} from "../ir/index.ts";
import { apply, scalar } from "./apply.ts";
import { stopGradient } from "./control.ts";
import { defineOp } from "./define.ts";
import { cast, where, widenedFrom } from "./elementwise.ts";
import { forEachIndex, hostTensor, stridesOf } from "./host-tensor.ts";
import { equal } from "./logic.ts";
import { i64Vector, type Lowering, onnxTypeCode } from "./lowering.ts";
import { broadcastTo, moveAxis, reshape, transpose } from "./shape.ts";

function requireIndices(where: string, indices: TensorType): void {
  if (indices.dtype === "i32" || indices.dtype === "i64") return;
  throw new DTypeError({
    where,
    expected: "i32 or i64 indices",
    received: describe(indices),
    fix: `cast them: cast(indices, "i32")`,
  });
}

/** @throws ShapeError for indices that are constants and out of range; others are checked when they are used. */
function requireInRange(where: string, indices: Value, size: Value["shape"][number]): void {
  const { op } = indices.node;
  if (!(op instanceof ConstantOp) || typeof size !== "number") return;
  for (const [at, index] of toNumbers(indices.dtype, op.data).entries()) {
    if (index >= -size && index < size) continue;
    throw new ShapeError({
      where,
      expected: `indices from ${-size} to ${size - 1}`,
      received: `${index} at position ${at}`,
      fix: "check the indices",
    });
  }
}

/** Indices must lie within the axis of input 0 that they select from. */
const withinAxis = ({ inputs: [{ shape }], attributes: { axis = 0 } }: Node): Size => shape[axis as number];

/** A negative index counts from the end, as in ONNX. @throws ShapeError for one out of range */
function wrap(index: number, size: number): number {
  if (index >= -size && index < size) return index < 0 ? index + size : index;
  throw new ShapeError({
    where: "indices",
    expected: `indices from ${-size} to ${size - 1}`,
    received: String(index),
    fix: "check the indices",
  });
}

const gatherEntry = defineOp<"x" | "indices", { axis: number }>({
  name: "gather",
  indexBound: withinAxis,
  acceptsBfloat16: true,
  precision: "any",
  batch: (node, [x, indices], isBatched) => {
    const axis = node.attributes.axis as number;
    if (isBatched[0]) return isBatched[1] ? "oneByOne" : [gather(x, indices, axis + 1)];
    return [moveAxis(gather(x, indices, axis), axis, 0)];
  },
  inputs: ["x", "indices"],
  infer: ({ x, indices }, { axis }) => {
    requireIndices("gather", indices);
    return { dtype: x.dtype, shape: [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)] };
  },
  gradient: ({ x, indices, dy }, { axis }) => {
    // bring the gathered axes to the front, add rows, and put the axis back
    const k = indices.shape.length;
    const front = dy.shape.map((_, i) => i);
    const order = [...front.slice(axis, axis + k), ...front.slice(0, axis), ...front.slice(axis + k)];
    const rest = [...x.shape.slice(0, axis), ...x.shape.slice(axis + 1)];
    const zeros = broadcastTo(scalar(0, dy.dtype), [x.shape[axis], ...rest]);
    const rows = indexAdd(zeros, indices, transpose(dy, order));
    const back = x.shape.map((_, i) => (i < axis ? i + 1 : i === axis ? 0 : i));
    return { x: transpose(rows, back) };
  },
  carries: ["x"],
  // of a table in 16 bits only what is looked up is widened
  simplify: ({ x, indices }, { axis }) => {
    const narrow = widenedFrom(x);
    return narrow && cast(gather(narrow, indices, axis), x.dtype);
  },
  lower: (graph, { x, indices }, { axis }) => graph.node("Gather", [x, indices], { axis }),
  reference: ({ x, indices }, { axis }, [type]) => {
    const out = hostTensor(type.shape);
    const strides = stridesOf(x.shape);
    const k = indices.shape.length;
    const indexStrides = stridesOf(indices.shape);
    forEachIndex(out.shape, (index, flat) => {
      const at = indices.data[indexStrides.reduce((p, stride, i) => p + index[axis + i] * stride, 0)];
      const source = [...index.slice(0, axis), wrap(at, x.shape[axis]), ...index.slice(axis + k)];
      out.data[flat] = x.data[source.reduce((p, i, a) => p + i * strides[a], 0)];
    });
    return out;
  },
});

/**
 * Slices of x at integer indices of any rank: the axis is replaced by the shape of `indices`. Embedding lookup is axis
 * 0.
 */
export function gather(x: Value, indices: Value, axis = 0): Value {
  const at = normalizeAxis("gather", axis, x.shape.length);
  requireInRange("gather", indices, x.shape[at]);
  return apply(gatherEntry, [x, indices], { axis: at });
}

/** ONNX Runtime adds no f16 numbers when it scatters: they are widened before and rounded after. */
function inFloat32(
  graph: Lowering,
  { inputs: [{ dtype }] }: Node,
  names: readonly string[],
  emit: (names: readonly string[]) => string,
): string {
  if (dtype !== "f16") return emit(names);
  const result = emit(names.map((name) => graph.node("Cast", [name], { to: onnxTypeCode.f32 })));
  return graph.node("Cast", [result], { to: onnxTypeCode.f16 });
}

/** Where each number of the rows with these indices is in the table's numbers, one after the other. */
function positionsInRows(graph: Lowering, indices: string, { inputs: [base, { dtype }] }: Node): string {
  const width = sizeOf(base.shape.slice(1));
  const isSmall = isStatic(base.shape) && Number(sizeOf(base.shape)) < 2 ** 31;
  const type = isSmall ? "i32" : "i64";
  const typed = dtype === type ? indices : graph.node("Cast", [indices], { to: onnxTypeCode[type] });
  if (width === 1) return graph.node("Reshape", [typed, i64Vector(graph, [-1])]);
  const row =
    typeof width === "number" ? graph.constant(type, [], [width]) : graph.node("Squeeze", [graph.sizes([width])]);
  const within = graph.node("Range", [graph.constant(type, [], [0]), row, graph.constant(type, [], [1])]);
  const first = graph.node("Mul", [graph.node("Reshape", [typed, i64Vector(graph, [-1, 1])]), row]);
  return graph.node("Reshape", [graph.node("Add", [first, within]), i64Vector(graph, [-1])]);
}

const indexAddEntry = defineOp({
  name: "indexAdd",
  precision: "f32",
  batch: "oneByOne",
  indexBound: withinAxis,
  inputs: ["base", "indices", "updates"],
  infer: ({ base, indices, updates }) => {
    requireIndices("indexAdd", indices);
    if (!shapesEqual(updates.shape, [...indices.shape, ...base.shape.slice(1)])) {
      throw new ShapeError({
        where: "indexAdd",
        expected: `updates of shape [${[...indices.shape, ...base.shape.slice(1)].join(", ")}]`,
        received: describe(updates),
        fix: "give one row for each index",
      });
    }
    return base;
  },
  gradient: ({ indices, dy }) => ({ base: dy, updates: gather(dy, indices, 0) }),
  lower: (graph, { base, indices, updates }, _, node) => {
    const { shape } = node.outputs[0];
    if (graph.isWebGpu) {
      // it reshapes no i64
      const [
        {
          shape: [count],
        },
        { dtype, shape: indexShape },
      ] = node.inputs;
      const isLong = dtype === "i64" && !(typeof count === "number" && count < 2 ** 31);
      const short = dtype === "i64" && !isLong ? graph.node("Cast", [indices], { to: onnxTypeCode.i32 }) : indices;
      const column = graph.node("Reshape", [short, graph.sizes([...indexShape, 1])]);
      const rows = isLong ? column : graph.node("Cast", [column], { to: onnxTypeCode.i64 });
      return inFloat32(graph, node, [base, updates], ([b, u]) =>
        graph.node("ScatterND", [b, rows, u], { reduction: "add" }),
      );
    }
    // ScatterND adds in several threads and loses what two of them add to one row; ScatterElements adds one number
    // after the other
    const positions = positionsInRows(graph, indices, node);
    const flat = (name: string) => graph.node("Reshape", [name, i64Vector(graph, [-1])]);
    const add = ([b, u]: readonly string[]) =>
      graph.node("ScatterElements", [flat(b), positions, flat(u)], { axis: 0, reduction: "add" });
    return graph.node("Reshape", [inFloat32(graph, node, [base, updates], add), graph.sizes(shape)], { allowzero: 1 });
  },
  reference: ({ base, indices, updates }, _, [type]) => {
    const out = hostTensor(type.shape, base.data);
    const row = out.data.length / Math.max(1, base.shape[0]);
    indices.data.forEach((index, i) => {
      for (let j = 0; j < row; j++) out.data[wrap(index, base.shape[0]) * row + j] += updates.data[i * row + j];
    });
    return out;
  },
  exact: ({ base, indices, updates }) => {
    const data = [...base.data];
    const row = data.length / Math.max(1, base.shape[0]);
    indices.data.forEach((index, i) => {
      for (let j = 0; j < row; j++) data[wrap(Number(index), base.shape[0]) * row + j] += updates.data[i * row + j];
    });
    return { shape: base.shape, data };
  },
});

/** base with updates[i] added to row indices[i]; repeated indices add up. The gradient of an embedding lookup. */
export function indexAdd(base: Value, indices: Value, updates: Value): Value {
  return apply(indexAddEntry, [base, indices, updates]);
}

const takeAlongEntry = defineOp<"x" | "indices", { axis: number }>({
  name: "takeAlong",
  indexBound: withinAxis,
  precision: "any",
  batch: "axes",
  inputs: ["x", "indices"],
  infer: ({ x, indices }, { axis }) => {
    requireIndices("takeAlong", indices);
    requireAligned("takeAlong", x, indices, axis);
    return { dtype: x.dtype, shape: indices.shape };
  },
  gradient: ({ x, indices, dy }, { axis }) => ({
    x: scatterAddAlong(broadcastTo(scalar(0, dy.dtype), x.shape), indices, dy, axis),
  }),
  carries: ["x"],
  lower: (graph, { x, indices }, { axis }) => graph.node("GatherElements", [x, indices], { axis }),
  reference: ({ x, indices }, { axis }, [type]) => {
    const strides = stridesOf(x.shape);
    const out = hostTensor(type.shape);
    forEachIndex(out.shape, (index, flat) => {
      const at = wrap(indices.data[flat], x.shape[axis]);
      out.data[flat] = x.data[index.reduce((p, i, a) => p + (a === axis ? at : i) * strides[a], 0)];
    });
    return out;
  },
});

function requireAligned(where: string, x: TensorType, indices: TensorType, axis: number): void {
  if (
    x.shape.length === indices.shape.length &&
    indices.shape.every((size, i) => i === axis || sizesEqual(size, x.shape[i]))
  )
    return;
  throw new ShapeError({
    where,
    expected: `indices with the shape of x but for axis ${axis}`,
    received: `x ${describe(x)}, indices ${describe(indices)}`,
    fix: "reshape the indices, or use gather to take whole slices",
  });
}

/** result[i][j] = x[i][indices[i][j]] for axis 1; likewise for other axes and ranks. */
export function takeAlong(x: Value, indices: Value, axis = -1): Value {
  const at = normalizeAxis("takeAlong", axis, x.shape.length);
  requireInRange("takeAlong", indices, x.shape[at]);
  return apply(takeAlongEntry, [x, indices], { axis: at });
}

const scatterAddAlongEntry = defineOp<"base" | "indices" | "updates", { axis: number }>({
  name: "scatterAddAlong",
  precision: "f32",
  indexBound: withinAxis,
  batch: "axes",
  inputs: ["base", "indices", "updates"],
  infer: ({ base, indices, updates }, { axis }) => {
    requireIndices("scatterAddAlong", indices);
    requireAligned("scatterAddAlong", base, indices, axis);
    requireAligned("scatterAddAlong", updates, indices, -1);
    return base;
  },
  gradient: ({ indices, dy }, { axis }) => ({ base: dy, updates: takeAlong(dy, indices, axis) }),
  lower: (graph, { base, indices, updates }, { axis }, node) =>
    inFloat32(graph, node, [base, updates], ([b, u]) =>
      graph.node("ScatterElements", [b, indices, u], { axis, reduction: "add" }),
    ),
  reference: ({ base, indices, updates }, { axis }, [type]) => {
    const out = hostTensor(type.shape, base.data);
    const strides = stridesOf(base.shape);
    forEachIndex(indices.shape, (index, flat) => {
      const at = wrap(indices.data[flat], base.shape[axis]);
      out.data[index.reduce((p, i, a) => p + (a === axis ? at : i) * strides[a], 0)] += updates.data[flat];
    });
    return out;
  },
  exact: ({ base, indices, updates }, { axis }) => {
    const data = [...base.data];
    const strides = stridesOf(base.shape);
    forEachIndex(indices.shape, (index, flat) => {
      const at = wrap(Number(indices.data[flat]), base.shape[axis]);
      data[index.reduce((p, i, a) => p + (a === axis ? at : i) * strides[a], 0)] += updates.data[flat];
    });
    return { shape: base.shape, data };
  },
});

/** The reverse of takeAlong: base with updates added at the indices along one axis. */
export function scatterAddAlong(base: Value, indices: Value, updates: Value, axis = -1): Value {
  return apply(scatterAddAlongEntry, [base, indices, updates], {
    axis: normalizeAxis("scatterAddAlong", axis, base.shape.length),
  });
}

const scatterEntry = defineOp<"base" | "indices" | "updates", { axis: number }>({
  name: "scatter",
  precision: "f32",
  indexBound: withinAxis,
  batch: "axes",
  inputs: ["base", "indices", "updates"],
  infer: ({ base, indices, updates }, { axis }) => {
    requireIndices("scatter", indices);
    requireAligned("scatter", base, indices, axis);
    requireAligned("scatter", updates, indices, -1);
    return base;
  },
  gradient: ({ indices, updates, dy }, { axis }) => ({
    base: scatter(dy, indices, broadcastTo(scalar(0, dy.dtype), updates.shape), axis),
    updates: takeAlong(dy, indices, axis),
  }),
  carries: ["base", "updates"],
  lower: (graph, { base, indices, updates }, { axis }) =>
    graph.node("ScatterElements", [base, indices, updates], { axis }),
  reference: ({ base, indices, updates }, { axis }, [type]) => {
    const out = hostTensor(type.shape, base.data);
    const strides = stridesOf(base.shape);
    forEachIndex(indices.shape, (index, flat) => {
      const at = wrap(indices.data[flat], base.shape[axis]);
      out.data[index.reduce((p, i, a) => p + (a === axis ? at : i) * strides[a], 0)] = updates.data[flat];
    });
    return out;
  },
});

/** base with updates written at the indices along one axis; where indices repeat, one of the updates. */
export function scatter(base: Value, indices: Value, updates: Value, axis = -1): Value {
  return apply(scatterEntry, [base, indices, updates], { axis: normalizeAxis("scatter", axis, base.shape.length) });
}

/** Rows of a table. weight: [V, D], indices: [...] -> [..., D]. The row `paddingIndex` gets no gradient. */
export function embedding(weight: Value, indices: Value, { paddingIndex }: { paddingIndex?: number } = {}): Value {
  const rows = gather(weight, indices, 0);
  if (paddingIndex === undefined) return rows;
  const isPadding = reshape(equal(indices, paddingIndex), [...indices.shape, 1]);
  return where(isPadding, stopGradient(rows), rows);
}

/** base with updates[i] added at flat position indices[i]: the reverse of taking elements of a flattened tensor. */
export function addAtPositions(shape: Shape, indices: Value, updates: Value): Value {
  const zeros = broadcastTo(scalar(0, updates.dtype), [sizeOf(shape)]);
  return reshape(indexAdd(zeros, indices, updates), shape);
}

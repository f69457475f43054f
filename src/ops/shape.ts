import { ShapeError } from "../base/index.ts";
import {
  broadcastShapes,
  describe,
  divideSizes,
  isSize,
  isStatic,
  normalizeAxis,
  type Shape,
  shapesEqual,
  sizeOf,
  sizesEqual,
  type Value,
} from "../ir/index.ts";
import { apply } from "./apply.ts";
import { defineOp } from "./define.ts";
import type { OpEntry } from "./entry.ts";
import { broadcastPosition, forEachIndex, hostTensor, stridesOf } from "./host-tensor.ts";

const text = (shape: Shape) => `[${shape.join(", ")}]`;

const reshapeEntry: OpEntry = defineOp<"x", { shape: Shape }>({
  name: "reshape",
  precision: "any",
  batch: "axes",
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

function requireTarget(x: Value, shape: Shape): void {
  const unknown = shape.filter((size) => size === -1).length;
  if (unknown < 2 && shape.every((size) => size === -1 || isSize(size))) return;
  throw new ShapeError({
    where: "reshape",
    expected: "sizes that are integers of at least 0, of which one may be -1",
    received: `${describe(x)} to ${text(shape)}`,
    fix: unknown > 1 ? "leave one size to be worked out, and give the others" : "correct the sizes",
  });
}

/**
 * Same elements in row-major order, other shape. One size may be -1 and is then worked out.
 * @throws ShapeError for sizes that cannot be, or of another number of elements
 */
export function reshape(x: Value, shape: Shape): Value {
  requireTarget(x, shape);
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
  batch: "axes",
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

/** Takes an axis out at one position and puts it in at another. */
export function moveAxis(x: Value, source: number, destination: number): Value {
  const rank = x.shape.length;
  const from = normalizeAxis("moveAxis", source, rank);
  const order = x.shape.map((_, i) => i).filter((i) => i !== from);
  order.splice(normalizeAxis("moveAxis", destination, rank), 0, from);
  return transpose(x, order);
}

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
  gradient: ({ dy }) => ({ x: dy }), // summed back to the shape of x (autodiff/reverse.ts)
  carries: ["x"],
  lower: (graph, { x }, { shape }, node) => {
    // ONNX Runtime takes a size of 1 that is stretched to none for one that stays, and reuses its memory
    const isOfNothing = shape.includes(0) && shape.every((size) => typeof size === "number");
    return isOfNothing
      ? graph.constant(node.outputs[0].dtype, shape as number[], [])
      : graph.node("Expand", [x, graph.sizes(shape)]);
  },
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

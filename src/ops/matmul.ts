import { DTypeError, requireFloatDType, ShapeError } from "../base/index.ts";
import {
  broadcastShapes,
  describe,
  isStatic,
  type Node,
  type Shape,
  sizeOf,
  sizesEqual,
  type TensorType,
  type Value,
} from "../ir/index.ts";
import { apply } from "./apply.ts";
import { add } from "./arithmetic.ts";
import { defineOp } from "./define.ts";
import type { OpEntry } from "./entry.ts";
import { broadcastPosition, forEachIndex, hostTensor, stridesOf } from "./host-tensor.ts";
import { type Lowering, OnnxFloat } from "./lowering.ts";
import { sum } from "./reduce.ts";
import { reshape, transpose } from "./shape.ts";

/** Transposes of the operands and a factor on the product, all of them part of the one op. */
export interface MatmulOptions {
  /** Transpose the last two axes of a first. @default false */
  transposeA?: boolean;
  /** Transpose the last two axes of b first. @default false */
  transposeB?: boolean;
  /** Factor on the product. @default 1 */
  scale?: number;
}
type MatmulAttributes = { transposeA: boolean; transposeB: boolean; scale: number };

function isMatrixTranspose({ node, shape: { length } }: Value): boolean {
  const order = node.attributes.permutation as readonly number[];
  return (
    node.op === transpose.entry &&
    order[length - 1] === length - 2 &&
    order.every((axis, i) => i >= length - 2 || axis === i)
  );
}

/** [..., rows, columns] of an operand after its transpose. */
function matrixSizes(type: TensorType, isTransposed: boolean) {
  const [rows, columns] = type.shape.slice(-2);
  return isTransposed ? { rows: columns, columns: rows } : { rows, columns };
}

function inferMatmul(
  where: string,
  a: TensorType,
  b: TensorType,
  { transposeA, transposeB }: MatmulAttributes,
): TensorType {
  requireFloatDType(where, a.dtype);
  if (a.dtype !== b.dtype) {
    throw new DTypeError({
      where,
      expected: "one dtype",
      received: `a ${describe(a)}, b ${describe(b)}`,
      fix: `cast one of them, for example cast(b, "${a.dtype}")`,
    });
  }
  if (a.shape.length < 2 || b.shape.length < 2) {
    throw new ShapeError({
      where,
      expected: "operands with at least 2 axes",
      received: `a ${describe(a)}, b ${describe(b)}`,
      fix: "reshape a vector to [1, n] or [n, 1]",
    });
  }
  const left = matrixSizes(a, transposeA);
  const right = matrixSizes(b, transposeB);
  if (!sizesEqual(left.columns, right.rows)) {
    throw new ShapeError({
      where,
      expected: `the ${transposeA ? "second-last" : "last"} size of a to equal the ${transposeB ? "last" : "second-last"} size of b`,
      received: `a ${describe(a)}, b ${describe(b)}`,
      fix: "check that inFeatures of this layer equals the width of its input, or transpose b",
    });
  }
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  if (!batch) {
    throw new ShapeError({
      where,
      expected: "leading axes that broadcast",
      received: `a ${describe(a)}, b ${describe(b)}`,
      fix: "reshape so that the batch axes agree",
    });
  }
  return { dtype: a.dtype, shape: [...batch, left.rows, right.columns] };
}

/** The batch becomes the first of the leading axes. */
function products(node: Node, operands: readonly Value[], isBatched: readonly boolean[]): readonly Value[] {
  const rank = Math.max(...node.inputs.map(({ shape }) => shape.length));
  const [a, b] = operands.map((x, i) => {
    const ones = new Array<number>(rank - node.inputs[i].shape.length).fill(1);
    return isBatched[i] ? reshape(x, [x.shape[0], ...ones, ...x.shape.slice(1)]) : x;
  });
  return [matmul(a, b, node.attributes as MatmulAttributes)];
}

/**
 * scale op(a) op(b) of operands with more than two axes, of these types. ONNX Runtime has it as one node for the CPU
 * and CUDA; its WebGPU provider has not, and would leave the node to the CPU.
 */
export function lowerProduct(
  graph: Lowering,
  [a, b]: readonly [string, string],
  types: readonly TensorType[],
  { transposeA, transposeB, scale }: MatmulAttributes,
): string {
  if (!graph.isWebGpu) {
    const flags = { transA: Number(transposeA), transB: Number(transposeB), alpha: new OnnxFloat(scale) };
    return graph.node("FusedMatMul", [a, b], flags, "com.microsoft");
  }
  const matrices = [a, b].map((x, i) => {
    const rank = types[i].shape.length;
    const order = Array.from({ length: rank }, (_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));
    return [transposeA, transposeB][i] ? graph.node("Transpose", [x], { perm: order }) : x;
  });
  if (scale !== 1) {
    const [sizeA, sizeB] = types.map(({ shape }) => sizeOf(shape));
    const smaller = typeof sizeA === "number" && typeof sizeB === "number" && sizeB < sizeA ? 1 : 0;
    matrices[smaller] = graph.node("Mul", [matrices[smaller], graph.constant(types[smaller].dtype, [], [scale])]);
  }
  return graph.node("MatMul", matrices);
}

/** Rows of a right operand up to which the order that kernels bring it into is no faster than its own. */
const UNPACKED_ROWS = 64;

const matmulEntry: OpEntry = defineOp<"a" | "b", MatmulAttributes>({
  name: "matmul",
  precision: "low",
  batch: products,
  inputs: ["a", "b"],
  infer: ({ a, b }, attributes) => inferMatmul("matmul", a, b, attributes),
  // y = s op(a) op(b), so d op(a) = s dy op(b)^T and d op(b) = s op(a)^T dy; transposing once more undoes op
  gradient: ({ a, b, dy }, { transposeA, transposeB, scale }) => ({
    a: transposeA
      ? matmul(b, dy, { transposeA: transposeB, transposeB: true, scale })
      : matmul(dy, b, { transposeB: !transposeB, scale }),
    b: transposeB
      ? matmul(dy, a, { transposeA: true, transposeB: transposeA, scale })
      : matmul(a, dy, { transposeA: !transposeA, scale }),
  }),
  lower: (graph, { a, b }, { transposeA, transposeB, scale }, node) => {
    // ONNX Runtime leaves a product over nothing as it finds the memory, and refuses some that have no elements
    const [{ dtype, shape }] = node.outputs;
    const inner = matrixSizes(node.inputs[0], transposeA).columns;
    if (inner === 0 || shape.includes(0))
      return graph.node("Expand", [graph.constant(dtype, [], [0]), graph.sizes(shape)]);
    if (typeof inner === "number" && inner <= UNPACKED_ROWS) graph.keepUnpacked(b);
    const flags = { transA: Number(transposeA), transB: Number(transposeB), alpha: new OnnxFloat(scale) };
    if (node.inputs.every((input) => input.shape.length === 2)) return graph.node("Gemm", [a, b], flags);
    if (!transposeA && !transposeB && scale === 1) return graph.node("MatMul", [a, b]);
    if (graph.isWebGpu && !transposeA && node.inputs[1].shape.length === 2 && typeof inner === "number") {
      // the rows of a as one matrix, since lowerProduct would transpose a weight at every run
      const rows = graph.node("Reshape", [a, graph.constant("i64", [2], [-1, inner])]);
      return graph.node("Reshape", [graph.node("Gemm", [rows, b], flags), graph.sizes(shape)]);
    }
    return lowerProduct(graph, [a, b], node.inputs, { transposeA, transposeB, scale });
  },
  // a transpose of the last two axes is a flag of the product
  simplify: ({ a, b }, { transposeA, transposeB, scale }) => {
    const [plainA, plainB] = [a, b].map((x) => (isMatrixTranspose(x) ? x.node.inputs[0] : undefined));
    if (!plainA && !plainB) return undefined;
    const flags = {
      transposeA: transposeA !== (plainA !== undefined),
      transposeB: transposeB !== (plainB !== undefined),
      scale,
    };
    return apply(matmulEntry, [plainA ?? a, plainB ?? b], flags);
  },
  reference: ({ a, b }, { transposeA, transposeB, scale }, [type]) => {
    const out = hostTensor(type.shape);
    const stridesA = stridesOf(a.shape);
    const stridesB = stridesOf(b.shape);
    const rank = out.shape.length;
    const inner = a.shape[a.shape.length - (transposeA ? 2 : 1)];
    forEachIndex(out.shape, (index, flat) => {
      const [row, column] = index.slice(-2);
      let total = 0;
      for (let k = 0; k < inner; k++) {
        const batch = index.slice(0, rank - 2);
        const atA = broadcastPosition(a.shape, stridesA, [...batch, ...(transposeA ? [k, row] : [row, k])]);
        const atB = broadcastPosition(b.shape, stridesB, [...batch, ...(transposeB ? [column, k] : [k, column])]);
        total += a.data[atA] * b.data[atB];
      }
      out.data[flat] = scale * total;
    });
    return out;
  },
});

/**
 * Matrix product over the last two axes; leading axes broadcast. a: [..., M, K], b: [..., K, N] -> [..., M, N].
 * When b is one matrix, the leading axes of a are folded into M, so that one large product runs.
 */
export function matmul(
  a: Value,
  b: Value,
  { transposeA = false, transposeB = false, scale = 1 }: MatmulOptions = {},
): Value {
  const attributes = { transposeA, transposeB, scale };
  const leading = a.shape.slice(0, -1);
  if (b.shape.length === 2 && a.shape.length > 2 && !transposeA && isStatic(leading)) {
    const { shape } = inferMatmul("matmul", a, b, attributes);
    return reshape(apply(matmulEntry, [flattenRows(a), b], attributes), shape);
  }
  return apply(matmulEntry, [a, b], attributes);
}

/** For those who look for products in a graph. */
matmul.entry = matmulEntry;

/** [..., D] -> [rows, D] */
function flattenRows(x: Value): Value {
  const rows = x.shape.slice(0, -1).reduce<number>((product, size) => product * (size as number), 1);
  return reshape(x, [rows, x.shape[x.shape.length - 1]]);
}

type LinearAttributes = { transposeB: boolean };
const linearEntry = defineOp<"x" | "weight" | "bias", LinearAttributes>({
  name: "linear",
  precision: "low",
  batch: (node, [x, weight, bias], isBatched) =>
    isBatched[1] || isBatched[2] ? "oneByOne" : [linear(x, weight, bias, node.attributes as LinearAttributes)],
  inputs: ["x", "weight", "bias"],
  infer: ({ x, weight, bias }, { transposeB }) => {
    const type = inferMatmul("linear", x, weight, { transposeA: false, transposeB, scale: 1 });
    if (
      bias.dtype !== x.dtype ||
      bias.shape.length !== 1 ||
      !sizesEqual(bias.shape[0], type.shape[type.shape.length - 1])
    ) {
      throw new ShapeError({
        where: "linear",
        expected: `a bias of ${x.dtype}[${type.shape.at(-1)}]`,
        received: describe(bias),
        fix: "give one bias per output feature",
      });
    }
    return type;
  },
  gradient: ({ x, weight, dy }, { transposeB }) => ({
    x: matmul(dy, weight, { transposeB: !transposeB }),
    weight: transposeB ? matmul(dy, x, { transposeA: true }) : matmul(x, dy, { transposeA: true }),
    bias: sum(dy, { axes: 0 }),
  }),
  lower: (graph, { x, weight, bias }, { transposeB }) =>
    graph.node("Gemm", [x, weight, bias], { transB: Number(transposeB) }),
  reference: ({ x, weight, bias }, { transposeB }, [type]) => {
    const [product] = matmulEntry.reference([x, weight], { transposeA: false, transposeB, scale: 1 }, [type]);
    return hostTensor(
      type.shape,
      product.data.map((v, i) => v + bias.data[i % bias.data.length]),
    );
  },
});

/**
 * x W + b in one operation. x: [..., D]; weight: [D, F], or [F, D] with transposeB; bias: [F] -> [..., F].
 * The plain path is add(matmul(x, weight), bias).
 */
export function linear(
  x: Value,
  weight: Value,
  bias: Value,
  { transposeB = false }: { transposeB?: boolean } = {},
): Value {
  const leading: Shape = x.shape.slice(0, -1);
  if (!isStatic(leading)) {
    const product = matmul(x, weight, { transposeB });
    return add(product, bias);
  }
  const features = weight.shape[transposeB ? 0 : 1];
  return reshape(apply(linearEntry, [flattenRows(x), weight, bias], { transposeB }), [...leading, features]);
}
linear.entry = linearEntry;

/**
 * Systems of linear equations, and determinants, of small matrices. ONNX has none of them: they are computed on the
 * host, in double precision, by ml-matrix, and cut the graph in two there. Leading axes are batches. Gradients are
 * graphs like any other.
 */
import { matrixLibrary } from "#ops/matrix-library";
import { ShapeError } from "../base/index.ts";
import { broadcastShapes, describe, sizesEqual, type TensorType, type Value } from "../ir/index.ts";
import { apply } from "./apply.ts";
import { mul, neg, sub } from "./arithmetic.ts";
import { defineOp } from "./define.ts";
import { mapMatrices } from "./each-matrix.ts";
import type { OpEntry } from "./entry.ts";
import { hostTensor } from "./host-tensor.ts";
import { matmul } from "./matmul.ts";
import { batchOf, eyeLike, requireMatrices, symmetric, transposed } from "./matrices.ts";
import { tril, triu, unsqueeze } from "./movement.ts";
import { broadcastTo } from "./shape.ts";

const choleskyEntry: OpEntry = defineOp({
  name: "cholesky",
  precision: "f32",
  batch: "matrices",
  inputs: ["x"],
  infer: ({ x }) => {
    requireMatrices("cholesky", x, true);
    return x;
  },
  // S = L^-T P(Lᵀ dL) L^-1 with P the lower triangle and half of the diagonal; symmetric, as x is. Murray 2016,
  // arXiv:1602.07527.
  gradient: ({ y, dy }) => {
    const lower = tril(matmul(y, dy, { transposeA: true }));
    const half = sub(lower, mul(lower, mul(eyeLike(lower), 0.5)));
    const left = triangularSolve(transposed(y), half, { upper: true });
    return { x: symmetric(transposed(triangularSolve(transposed(y), transposed(left), { upper: true }))) };
  },
  lower: "reference",
  reference: ({ x }, _, [type]) =>
    mapMatrices([x], type, (matrix) => {
      const { CholeskyDecomposition } = matrixLibrary();
      const decomposition = new CholeskyDecomposition(matrix.add(matrix.transpose()).mul(0.5));
      return decomposition.isPositiveDefinite() ? decomposition.lowerTriangularMatrix.to1DArray() : undefined;
    }),
});
/** L with x = L Lᵀ, lower triangular; only symmetric positive definite x have one, others give NaN. x: [..., N, N] */
export const cholesky = (x: Value): Value => apply(choleskyEntry, [x]);

const solveEntry: OpEntry = defineOp({
  name: "solve",
  precision: "f32",
  batch: "matrices",
  inputs: ["a", "b"],
  infer: ({ a, b }) => {
    requireMatrices("solve", a, true);
    checkSystem("solve", a, b);
    return b;
  },
  gradient: ({ a, y, dy }) => {
    const db = solve(transposed(a), dy);
    return { a: neg(matmul(db, y, { transposeB: true })), b: db };
  },
  lower: "reference",
  reference: ({ a, b }, _, [type]) =>
    mapMatrices([a, b], type, (matrix, right) => {
      const { LuDecomposition } = matrixLibrary();
      const decomposition = new LuDecomposition(matrix);
      return decomposition.isSingular() ? undefined : decomposition.solve(right).to1DArray();
    }),
});
function checkSystem(where: string, a: TensorType, b: TensorType): void {
  const isFine =
    b.shape.length >= 2 &&
    String(batchOf(a)) === String(batchOf(b)) &&
    sizesEqual(a.shape[a.shape.length - 1], b.shape[b.shape.length - 2]);
  if (isFine && a.dtype === b.dtype) return;
  throw new ShapeError({
    where,
    expected: "a [..., N, N] and b [..., N, K]",
    received: `a ${describe(a)}, b ${describe(b)}`,
    fix: "a vector is [N, 1]",
  });
}
/** Gives both the same batch axes. */
function sameBatch(where: string, a: Value, b: Value): [Value, Value] {
  const batch = broadcastShapes(batchOf(a), batchOf(b));
  if (!batch)
    throw new ShapeError({
      where,
      expected: "leading axes that broadcast",
      received: `${describe(a)}, ${describe(b)}`,
      fix: "check the shapes",
    });
  return [broadcastTo(a, [...batch, ...a.shape.slice(-2)]), broadcastTo(b, [...batch, ...b.shape.slice(-2)])];
}
/** X with a X = b. a: [..., N, N], b: [..., N, K] -> [..., N, K]; NaN for singular a */
export const solve = (a: Value, b: Value): Value => apply(solveEntry, sameBatch("solve", a, b));
/** The inverse matrix; NaN for a singular one. x: [..., N, N] */
export const inverse = (x: Value): Value => solve(x, eyeLike(x));

type TriangularAttributes = { upper: boolean; unitriangular: boolean };
const triangularSolveEntry: OpEntry = defineOp<"a" | "b", TriangularAttributes>({
  name: "triangularSolve",
  precision: "f32",
  batch: "matrices",
  inputs: ["a", "b"],
  infer: ({ a, b }) => {
    requireMatrices("triangularSolve", a, true);
    checkSystem("triangularSolve", a, b);
    return b;
  },
  gradient: ({ a, y, dy }, { upper, unitriangular }) => {
    const db = triangularSolve(transposed(a), dy, { upper: !upper, unitriangular });
    const da = neg(matmul(db, y, { transposeB: true }));
    const offset = unitriangular ? 1 : 0; // the diagonal is not read then
    return { a: upper ? triu(da, offset) : tril(da, -offset), b: db };
  },
  lower: "reference",
  reference: ({ a, b }, { upper, unitriangular }, [type]) =>
    mapMatrices([a, b], type, (matrix, right) => {
      const size = matrix.rows;
      for (let step = 0; step < size; step++) {
        const row = upper ? size - 1 - step : step;
        for (let k = 0; k < right.columns; k++) {
          let rest = right.get(row, k);
          for (let done = 0; done < step; done++) {
            const column = upper ? size - 1 - done : done;
            rest -= matrix.get(row, column) * right.get(column, k);
          }
          right.set(row, k, unitriangular ? rest : rest / matrix.get(row, row));
        }
      }
      return right.to1DArray();
    }),
});
/** Which elements of a `triangularSolve` reads. */
export interface TriangularOptions {
  /** a is upper triangular. @default false: lower */
  upper?: boolean;
  /** The diagonal of a counts as ones. @default false */
  unitriangular?: boolean;
}
/** X with a X = b, for triangular a: the other triangle is not read. */
export function triangularSolve(
  a: Value,
  b: Value,
  { upper = false, unitriangular = false }: TriangularOptions = {},
): Value {
  return apply(triangularSolveEntry, sameBatch("triangularSolve", a, b), { upper, unitriangular });
}

const determinantEntry: OpEntry = defineOp({
  name: "determinant",
  precision: "f32",
  batch: "matrices",
  inputs: ["x"],
  infer: ({ x }) => {
    requireMatrices("determinant", x, true);
    return { dtype: x.dtype, shape: batchOf(x) };
  },
  gradient: ({ x, y, dy }) => ({ x: mul(unsqueeze(mul(dy, y), [-1, -2]), transposed(inverse(x))) }), // Jacobi's formula
  lower: "reference",
  reference: ({ x }, _, [type]) => {
    if (x.shape[x.shape.length - 1] > 0)
      return mapMatrices([x], type, (matrix) => [matrixLibrary().determinant(matrix)]);
    const y = hostTensor(type.shape);
    y.data.fill(1); // the product of nothing
    return y;
  },
});
/** x: [..., N, N] -> [...] */
export const determinant = (x: Value): Value => apply(determinantEntry, [x]);

const logDeterminantEntry: OpEntry = defineOp({
  name: "logDeterminant",
  precision: "f32",
  batch: "matrices",
  inputs: ["x"],
  infer: ({ x }) => {
    requireMatrices("logDeterminant", x, true);
    return { dtype: x.dtype, shape: batchOf(x) };
  },
  gradient: ({ x, dy }) => ({ x: mul(unsqueeze(dy, [-1, -2]), transposed(inverse(x))) }),
  lower: "reference",
  reference: ({ x }, _, [type]) =>
    mapMatrices([x], type, (matrix) => {
      const { LuDecomposition } = matrixLibrary();
      const upper = new LuDecomposition(matrix).upperTriangularMatrix;
      return [upper.diagonal().reduce((total, v) => total + Math.log(Math.abs(v)), 0)];
    }),
});
/** log |det x|, which does not overflow. x: [..., N, N] -> [...] */
export const logDeterminant = (x: Value): Value => apply(logDeterminantEntry, [x]);

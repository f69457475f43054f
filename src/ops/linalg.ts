/**
 * Decompositions of small matrices. ONNX has none of them: they are computed on the host, in double precision, by
 * ml-matrix, and cut the graph in two there. Leading axes are batches. Gradients are graphs like any other.
 */
import {
  CholeskyDecomposition,
  determinant as determinantOf,
  EigenvalueDecomposition,
  LuDecomposition,
  QrDecomposition,
  SingularValueDecomposition,
} from "ml-matrix";
import { requireFloatDType, ShapeError } from "../base/index.ts";
import {
  broadcastShapes,
  describe,
  type Shape,
  type Size,
  sizesEqual,
  type TensorType,
  type Value,
} from "../ir/index.ts";
import { add, div, mul, neg, sub } from "./arithmetic.ts";
import { alongMatrices } from "./batch.ts";
import { apply, applyAll, defineOp, hostTensor, notDifferentiable, type OpEntry } from "./define.ts";
import { eachMatrix, ofFinite } from "./each-matrix.ts";
import { where } from "./elementwise.ts";
import { equal } from "./logic.ts";
import { matmul } from "./matmul.ts";
import { eye, swapAxes, tril, triu, unsqueeze } from "./movement.ts";
import { broadcastTo, concat, reshape, slice } from "./shape.ts";

const transposed = (x: Value) => swapAxes(x, -1, -2);
const symmetric = (x: Value) => mul(add(x, transposed(x)), 0.5);
const batchOf = (x: TensorType): Shape => x.shape.slice(0, -2);

function requireMatrices(where: string, x: TensorType, isSquare: boolean): { rows: number; columns: number } {
  requireFloatDType(where, x.dtype);
  const [rows, columns] = x.shape.slice(-2);
  const isFine =
    x.shape.length >= 2 && typeof rows === "number" && typeof columns === "number" && (!isSquare || rows === columns);
  if (isFine) return { rows, columns };
  throw new ShapeError({
    where,
    expected: `${isSquare ? "square " : ""}matrices [..., M, N] of known size`,
    received: describe(x),
    fix: "check the shape",
  });
}

const choleskyEntry: OpEntry = defineOp({
  name: "cholesky",
  batch: alongMatrices,
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
  lower: "host",
  reference: ({ x }, _, types) =>
    eachMatrix([x], types, (matrix) => {
      const decomposition = new CholeskyDecomposition(matrix.add(matrix.transpose()).mul(0.5));
      return decomposition.isPositiveDefinite() ? [decomposition.lowerTriangularMatrix.to1DArray()] : undefined;
    }),
});
/** L with x = L Lᵀ, lower triangular; only symmetric positive definite x have one, others give NaN. x: [..., N, N] */
export const cholesky = (x: Value): Value => apply(choleskyEntry, [x]);

const eyeLike = (x: Value) =>
  eye(x.shape[x.shape.length - 2] as number, x.shape[x.shape.length - 1] as number, x.dtype);

const solveEntry: OpEntry = defineOp({
  name: "solve",
  batch: alongMatrices,
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
  lower: "host",
  reference: ({ a, b }, _, types) =>
    eachMatrix([a, b], types, (matrix, right) => {
      const decomposition = new LuDecomposition(matrix);
      return decomposition.isSingular() ? undefined : [decomposition.solve(right).to1DArray()];
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
  batch: alongMatrices,
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
  lower: "host",
  reference: ({ a, b }, { upper, unitriangular }, types) =>
    eachMatrix([a, b], types, (matrix, right) => {
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
      return [right.to1DArray()];
    }),
});
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
  batch: alongMatrices,
  inputs: ["x"],
  infer: ({ x }) => {
    requireMatrices("determinant", x, true);
    return { dtype: x.dtype, shape: batchOf(x) };
  },
  gradient: ({ x, y, dy }) => ({ x: mul(unsqueeze(mul(dy, y), [-1, -2]), transposed(inverse(x))) }), // Jacobi's formula
  lower: "host",
  reference: ({ x }, _, types) => {
    if (x.shape[x.shape.length - 1] > 0) return eachMatrix([x], types, (matrix) => [[determinantOf(matrix)]]);
    const y = hostTensor(types[0].shape);
    y.data.fill(1); // the product of nothing
    return [y];
  },
});
/** x: [..., N, N] -> [...] */
export const determinant = (x: Value): Value => apply(determinantEntry, [x]);

const logDeterminantEntry: OpEntry = defineOp({
  name: "logDeterminant",
  batch: alongMatrices,
  inputs: ["x"],
  infer: ({ x }) => {
    requireMatrices("logDeterminant", x, true);
    return { dtype: x.dtype, shape: batchOf(x) };
  },
  gradient: ({ x, dy }) => ({ x: mul(unsqueeze(dy, [-1, -2]), transposed(inverse(x))) }),
  lower: "host",
  reference: ({ x }, _, types) =>
    eachMatrix([x], types, (matrix) => {
      const upper = new LuDecomposition(matrix).upperTriangularMatrix;
      return [[upper.diagonal().reduce((total, v) => total + Math.log(Math.abs(v)), 0)]];
    }),
});
/** log |det x|, which does not overflow. x: [..., N, N] -> [...] */
export const logDeterminant = (x: Value): Value => apply(logDeterminantEntry, [x]);

const qrEntry: OpEntry = {
  ...defineOp({
    name: "qr",
    batch: alongMatrices,
    inputs: ["x"],
    infer: ({ x }) => {
      const { columns } = requireMatrices("qr", x, false);
      return [x, { dtype: x.dtype, shape: [...batchOf(x), columns, columns] }];
    },
    gradient: notDifferentiable("has several outputs; see below"),
    lower: "host",
    reference: ({ x }, _, types) =>
      eachMatrix([x], types, (matrix) => {
        const decomposition = new QrDecomposition(matrix);
        const [q, r] = [decomposition.orthogonalMatrix, decomposition.upperTriangularMatrix];
        // with a diagonal of R that is not negative the decomposition is unique
        for (let i = 0; i < r.rows; i++) {
          if (r.get(i, i) >= 0) continue;
          r.mulRow(i, -1);
          q.mulColumn(i, -1);
        }
        return [q.to1DArray(), r.to1DArray()];
      }),
  }),
  // dX = (dQ + Q C(R dRᵀ - dQᵀ Q)) R^-T with C the lower triangle made symmetric. Walter and Lehmann 2010,
  // arXiv:1009.6112.
  gradient: (node, [dq, dr]) => {
    const [q, r] = node.outputs;
    const terms = [
      ...(dr ? [matmul(r, dr, { transposeB: true })] : []),
      ...(dq ? [neg(matmul(dq, q, { transposeA: true }))] : []),
    ];
    const inner = terms.reduce((a, b) => add(a, b));
    const copied = add(tril(inner), transposed(tril(inner, -1)));
    const left = dq ? add(dq, matmul(q, copied)) : matmul(q, copied);
    return [transposed(triangularSolve(r, transposed(left), { upper: true }))];
  },
};
/**
 * x = q r with orthonormal columns in q and an upper triangular r whose diagonal is not negative. x: [..., M, N] ->
 * [..., M, K], [..., K, N], K = min(M, N)
 */
export function qr(x: Value): { q: Value; r: Value } {
  const { rows, columns } = requireMatrices("qr", x, false);
  if (rows < columns) {
    const { q, r } = qr(slice(x, { axis: -1, end: rows }));
    return { q, r: concat([r, matmul(q, slice(x, { axis: -1, start: rows }), { transposeA: true })], -1) };
  }
  const [q, r] = applyAll(qrEntry, [x]);
  return { q, r };
}

/** 1 / (w_j - w_i), 0 where they are equal. */
function inverseGaps(w: Value): Value {
  const gaps = sub(unsqueeze(w, -2), unsqueeze(w, -1));
  const isSame = equal(gaps, 0);
  return where(isSame, 0, div(1, where(isSame, 1, gaps)));
}
const asDiagonal = (x: Value) => mul(unsqueeze(x, -1), eye(x.shape[x.shape.length - 1] as number, undefined, x.dtype));

const eighEntry: OpEntry = {
  ...defineOp({
    name: "eigh",
    batch: alongMatrices,
    inputs: ["x"],
    infer: ({ x }) => {
      requireMatrices("eigh", x, true);
      return [{ dtype: x.dtype, shape: x.shape.slice(0, -1) }, x];
    },
    gradient: notDifferentiable("has several outputs; see below"),
    lower: "host",
    reference: ({ x }, _, types) =>
      eachMatrix(
        [x],
        types,
        ofFinite((matrix) => {
          const { realEigenvalues: values, eigenvectorMatrix: vectors } = new EigenvalueDecomposition(
            matrix.add(matrix.transpose()).mul(0.5),
            {
              assumeSymmetric: true,
            },
          );
          const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
          return [order.map((i) => values[i]), vectors.subMatrixColumn(order).to1DArray()];
        }),
      ),
  }),
  gradient: (node, [dw, dv]) => {
    const [w, v] = node.outputs;
    const terms = [
      ...(dw ? [asDiagonal(dw)] : []),
      ...(dv ? [mul(matmul(v, dv, { transposeA: true }), inverseGaps(w))] : []),
    ];
    return [
      symmetric(
        matmul(
          matmul(
            v,
            terms.reduce((a, b) => add(a, b)),
          ),
          v,
          { transposeB: true },
        ),
      ),
    ];
  },
};
/** Eigenvalues, ascending, and eigenvectors (columns) of symmetric matrices. x: [..., N, N] -> [..., N], [..., N, N] */
export function eigh(x: Value): { values: Value; vectors: Value } {
  const [values, vectors] = applyAll(eighEntry, [x]);
  return { values, vectors };
}

const svdEntry: OpEntry = {
  ...defineOp({
    name: "svd",
    batch: alongMatrices,
    inputs: ["x"],
    infer: ({ x }) => {
      const { rows, columns } = requireMatrices("svd", x, false);
      const [batch, rank] = [batchOf(x), Math.min(rows, columns)];
      const type = (...sizes: Size[]) => ({ dtype: x.dtype, shape: [...batch, ...sizes] });
      return [type(rows, rank), type(rank), type(rank, columns)];
    },
    gradient: notDifferentiable("has several outputs; see below"),
    lower: "host",
    reference: ({ x }, _, types) =>
      eachMatrix(
        [x],
        types,
        ofFinite((matrix) => {
          const {
            leftSingularVectors: u,
            diagonal: s,
            rightSingularVectors: v,
          } = new SingularValueDecomposition(matrix, { autoTranspose: true });
          const order = s.map((_, i) => i).slice(0, Math.min(matrix.rows, matrix.columns));
          return [
            u.subMatrixColumn(order).to1DArray(),
            order.map((i) => s[i]),
            v.subMatrixColumn(order).transpose().to1DArray(),
          ];
        }),
      ),
  }),
  gradient: (node, [du, ds, dvh]) => svdGradient(node.outputs, du, ds, dvh),
};

/**
 * Townsend 2016, "Differentiating the singular value decomposition", with the terms for matrices that are not square.
 */
function svdGradient(
  [u, s, vh]: readonly Value[],
  du: Value | undefined,
  ds: Value | undefined,
  dvh: Value | undefined,
): Value[] {
  const skew = (x: Value) => sub(x, transposed(x));
  const gaps = inverseGaps(mul(s, s)); // 1 / (s_j² - s_i²)
  const [row, column] = [unsqueeze(s, -2), unsqueeze(s, -1)];
  const inner: Value[] = ds ? [asDiagonal(ds)] : [];
  if (du) inner.push(mul(mul(skew(matmul(u, du, { transposeA: true })), gaps), row));
  if (dvh) inner.push(mul(column, mul(skew(matmul(vh, dvh, { transposeB: true })), gaps)));
  const outer = [
    matmul(
      matmul(
        u,
        inner.reduce((a, b) => add(a, b)),
      ),
      vh,
    ),
  ];
  const size = (x: Value, axis: number) => x.shape[x.shape.length + axis] as number;
  if (du && size(u, -2) > size(u, -1)) {
    const scaled = div(du, row);
    outer.push(matmul(sub(scaled, matmul(u, matmul(u, scaled, { transposeA: true }))), vh));
  }
  if (dvh && size(vh, -1) > size(vh, -2)) {
    const scaled = div(dvh, column);
    outer.push(matmul(u, sub(scaled, matmul(matmul(scaled, vh, { transposeB: true }), vh))));
  }
  return [outer.reduce((a, b) => add(a, b))];
}
/**
 * x = u diag(s) vh with s descending, in its reduced form. x: [..., M, N] -> [..., M, K], [..., K], [..., K, N], K =
 * min(M, N)
 */
export function svd(x: Value): { u: Value; s: Value; vh: Value } {
  const [u, s, vh] = applyAll(svdEntry, [x]);
  return { u, s, vh };
}

const eigenvaluesEntry: OpEntry = {
  ...defineOp({
    name: "eigenvalues",
    batch: alongMatrices,
    inputs: ["x"],
    infer: ({ x }) => {
      requireMatrices("eigenvalues", x, true);
      return [
        { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 2] },
        { dtype: x.dtype, shape: [...x.shape, 2] },
      ];
    },
    gradient: notDifferentiable("has several outputs; see below"),
    lower: "host",
    reference: ({ x }, _, types) =>
      eachMatrix(
        [x],
        types,
        ofFinite((matrix) => {
          const {
            realEigenvalues: re,
            imaginaryEigenvalues: im,
            eigenvectorMatrix: packed,
          } = new EigenvalueDecomposition(matrix);
          const order = re.map((_, i) => i).sort((a, b) => re[a] - re[b] || im[a] - im[b]);
          // a pair of complex vectors is stored as its real and its imaginary part, in the columns of the pair
          const entry = (row: number, i: number) => {
            if (im[i] === 0) return [packed.get(row, i), 0];
            return im[i] > 0
              ? [packed.get(row, i), packed.get(row, i + 1)]
              : [packed.get(row, i - 1), -packed.get(row, i)];
          };
          return [order.flatMap((i) => [re[i], im[i]]), re.flatMap((_, row) => order.flatMap((i) => entry(row, i)))];
        }),
      ),
  }),
  // dX = Re(V^-H diag(dw) V^H); complex matrices are written as real ones of twice the size, [[re, -im], [im, re]]
  gradient: (node, [dw]) => {
    if (!dw) return [];
    const size = node.inputs[0].shape[node.inputs[0].shape.length - 1] as number;
    const part = (x: Value, i: number) => reshape(slice(x, { axis: -1, start: i, end: i + 1 }), x.shape.slice(0, -1));
    const block = (re: Value, im: Value) => concat([concat([re, neg(im)], -1), concat([im, re], -1)], -2);
    const vectors = block(part(node.outputs[1], 0), part(node.outputs[1], 1));
    const weights = block(asDiagonal(part(dw, 0)), asDiagonal(part(dw, 1)));
    const full = matmul(solve(transposed(vectors), weights), vectors, { transposeB: true });
    return [slice(slice(full, { axis: -2, end: size }), { axis: -1, end: size })];
  },
};
/**
 * Eigenvalues of any square matrices as complex pairs, by their real parts, ascending. x: [..., N, N] -> [..., N, 2]
 */
export const eigenvalues = (x: Value): Value => applyAll(eigenvaluesEntry, [x])[0];

/**
 * Decompositions of small matrices. ONNX has none of them: they are computed on the host, in double precision, by
 * ml-matrix, and cut the graph in two there. Leading axes are batches. Gradients are graphs like any other.
 */
import { matrixLibrary } from "#ops/matrix-library";
import type { Size, Value } from "../ir/index.ts";
import { applyAll } from "./apply.ts";
import { add, div, mul, neg, sub } from "./arithmetic.ts";
import { defineMultiOp } from "./define.ts";
import { eachMatrix, ofFinite } from "./each-matrix.ts";
import { where } from "./elementwise.ts";
import { solve, triangularSolve } from "./linear-systems.ts";
import { equal } from "./logic.ts";
import { matmul } from "./matmul.ts";
import { batchOf, requireMatrices, symmetric, transposed } from "./matrices.ts";
import { eye, tril, unsqueeze } from "./movement.ts";
import { reshape } from "./shape.ts";
import { concat, slice } from "./slice.ts";

/** 1 / (w_j - w_i), 0 where they are equal. */
function inverseGaps(w: Value): Value {
  const gaps = sub(unsqueeze(w, -2), unsqueeze(w, -1));
  const isSame = equal(gaps, 0);
  return where(isSame, 0, div(1, where(isSame, 1, gaps)));
}
const asDiagonal = (x: Value) => mul(unsqueeze(x, -1), eye(x.shape[x.shape.length - 1] as number, undefined, x.dtype));

const qrEntry = defineMultiOp({
  name: "qr",
  precision: "f32",
  batch: "matrices",
  inputs: ["x"],
  infer: ({ x }) => {
    const { columns } = requireMatrices("qr", x, false);
    return [x, { dtype: x.dtype, shape: [...batchOf(x), columns, columns] }];
  },
  // dX = (dQ + Q C(R dRᵀ - dQᵀ Q)) R^-T with C the lower triangle made symmetric. Walter and Lehmann 2010,
  // arXiv:1009.6112.
  gradient: ({ ys: [q, r], dys: [dq, dr] }) => {
    const terms = [
      ...(dr ? [matmul(r, dr, { transposeB: true })] : []),
      ...(dq ? [neg(matmul(dq, q, { transposeA: true }))] : []),
    ];
    const inner = terms.reduce((a, b) => add(a, b));
    const copied = add(tril(inner), transposed(tril(inner, -1)));
    const left = dq ? add(dq, matmul(q, copied)) : matmul(q, copied);
    return { x: transposed(triangularSolve(r, transposed(left), { upper: true })) };
  },
  lower: "reference",
  reference: ({ x }, _, types) =>
    eachMatrix([x], types, (matrix) => {
      const { QrDecomposition } = matrixLibrary();
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
});
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

const eighEntry = defineMultiOp({
  name: "eigh",
  precision: "f32",
  batch: "matrices",
  inputs: ["x"],
  infer: ({ x }) => {
    requireMatrices("eigh", x, true);
    return [{ dtype: x.dtype, shape: x.shape.slice(0, -1) }, x];
  },
  gradient: ({ ys: [w, v], dys: [dw, dv] }) => {
    const terms = [
      ...(dw ? [asDiagonal(dw)] : []),
      ...(dv ? [mul(matmul(v, dv, { transposeA: true }), inverseGaps(w))] : []),
    ];
    const inner = terms.reduce((a, b) => add(a, b));
    return { x: symmetric(matmul(matmul(v, inner), v, { transposeB: true })) };
  },
  lower: "reference",
  reference: ({ x }, _, types) =>
    eachMatrix(
      [x],
      types,
      ofFinite((matrix) => {
        const { EigenvalueDecomposition } = matrixLibrary();
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
});
/** Eigenvalues, ascending, and eigenvectors (columns) of symmetric matrices. x: [..., N, N] -> [..., N], [..., N, N] */
export function eigh(x: Value): { values: Value; vectors: Value } {
  const [values, vectors] = applyAll(eighEntry, [x]);
  return { values, vectors };
}

const svdEntry = defineMultiOp({
  name: "svd",
  precision: "f32",
  batch: "matrices",
  inputs: ["x"],
  infer: ({ x }) => {
    const { rows, columns } = requireMatrices("svd", x, false);
    const [batch, rank] = [batchOf(x), Math.min(rows, columns)];
    const type = (...sizes: Size[]) => ({ dtype: x.dtype, shape: [...batch, ...sizes] });
    return [type(rows, rank), type(rank), type(rank, columns)];
  },
  gradient: ({ ys, dys }) => ({ x: svdGradient(ys, dys) }),
  lower: "reference",
  reference: ({ x }, _, types) =>
    eachMatrix(
      [x],
      types,
      ofFinite((matrix) => {
        const { SingularValueDecomposition } = matrixLibrary();
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
});

/**
 * Townsend 2016, "Differentiating the singular value decomposition", with the terms for matrices that are not square.
 */
function svdGradient([u, s, vh]: readonly Value[], [du, ds, dvh]: readonly (Value | undefined)[]): Value {
  const skew = (x: Value) => sub(x, transposed(x));
  const gaps = inverseGaps(mul(s, s)); // 1 / (s_j² - s_i²)
  const [row, column] = [unsqueeze(s, -2), unsqueeze(s, -1)];
  const inner: Value[] = ds ? [asDiagonal(ds)] : [];
  if (du) inner.push(mul(mul(skew(matmul(u, du, { transposeA: true })), gaps), row));
  if (dvh) inner.push(mul(column, mul(skew(matmul(vh, dvh, { transposeB: true })), gaps)));
  const square = inner.reduce((a, b) => add(a, b));
  const outer = [matmul(matmul(u, square), vh)];
  const size = (x: Value, axis: number) => x.shape[x.shape.length + axis] as number;
  if (du && size(u, -2) > size(u, -1)) {
    const scaled = div(du, row);
    outer.push(matmul(sub(scaled, matmul(u, matmul(u, scaled, { transposeA: true }))), vh));
  }
  if (dvh && size(vh, -1) > size(vh, -2)) {
    const scaled = div(dvh, column);
    outer.push(matmul(u, sub(scaled, matmul(matmul(scaled, vh, { transposeB: true }), vh))));
  }
  return outer.reduce((a, b) => add(a, b));
}
/**
 * x = u diag(s) vh with s descending, in its reduced form. x: [..., M, N] -> [..., M, K], [..., K], [..., K, N], K =
 * min(M, N)
 */
export function svd(x: Value): { u: Value; s: Value; vh: Value } {
  const [u, s, vh] = applyAll(svdEntry, [x]);
  return { u, s, vh };
}

const eigenvaluesEntry = defineMultiOp({
  name: "eigenvalues",
  precision: "f32",
  batch: "matrices",
  inputs: ["x"],
  infer: ({ x }) => {
    requireMatrices("eigenvalues", x, true);
    return [
      { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 2] },
      { dtype: x.dtype, shape: [...x.shape, 2] },
    ];
  },
  // dX = Re(V^-H diag(dw) V^H); complex matrices are written as real ones of twice the size, [[re, -im], [im, re]]
  gradient: ({ x, ys: [, packed], dys: [dw] }) => {
    if (!dw) return {};
    const size = x.shape[x.shape.length - 1] as number;
    const part = (x: Value, i: number) => reshape(slice(x, { axis: -1, start: i, end: i + 1 }), x.shape.slice(0, -1));
    const block = (re: Value, im: Value) => concat([concat([re, neg(im)], -1), concat([im, re], -1)], -2);
    const vectors = block(part(packed, 0), part(packed, 1));
    const weights = block(asDiagonal(part(dw, 0)), asDiagonal(part(dw, 1)));
    const full = matmul(solve(transposed(vectors), weights), vectors, { transposeB: true });
    return { x: slice(slice(full, { axis: -2, end: size }), { axis: -1, end: size }) };
  },
  lower: "reference",
  reference: ({ x }, _, types) =>
    eachMatrix(
      [x],
      types,
      ofFinite((matrix) => {
        const { EigenvalueDecomposition } = matrixLibrary();
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
});
/**
 * Eigenvalues of any square matrices as complex pairs, by their real parts, ascending. x: [..., N, N] -> [..., N, 2]
 */
export const eigenvalues = (x: Value): Value => applyAll(eigenvaluesEntry, [x])[0];

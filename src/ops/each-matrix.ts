/** Decompositions on the host, of one matrix after the other. */
import type { Matrix } from "ml-matrix";
import { matrixLibrary } from "#ops/matrix-library";
import type { TensorType } from "../ir/index.ts";
import { type HostTensor, hostTensor } from "./host-tensor.ts";

/**
 * Computes matrix after matrix. `compute` gives the numbers of each output, row-major, or nothing where all are NaN.
 */
export function eachMatrix(
  inputs: readonly HostTensor[],
  types: readonly TensorType[],
  compute: (...matrices: Matrix[]) => readonly ArrayLike<number>[] | undefined,
): HostTensor[] {
  const outputs = types.map(({ shape }) => hostTensor(shape));
  const [first] = inputs;
  const size = ({ shape }: HostTensor) => shape[shape.length - 2] * shape[shape.length - 1];
  const count = size(first) === 0 ? 0 : first.data.length / size(first);
  for (let i = 0; i < count; i++) {
    const matrices = inputs.map((input) => {
      const [rows, columns] = input.shape.slice(-2);
      return matrixLibrary().Matrix.from1DArray(rows, columns, [
        ...input.data.subarray(i * size(input), (i + 1) * size(input)),
      ]);
    });
    const numbers = compute(...matrices);
    for (const [k, { data }] of outputs.entries()) {
      const width = data.length / count;
      if (numbers) data.set(numbers[k], i * width);
      else data.fill(Number.NaN, i * width, (i + 1) * width);
    }
  }
  return outputs;
}

/** The same for one output. */
export function mapMatrices(
  inputs: readonly HostTensor[],
  type: TensorType,
  compute: (...matrices: Matrix[]) => ArrayLike<number> | undefined,
): HostTensor {
  const [output] = eachMatrix(inputs, [type], (...matrices) => {
    const numbers = compute(...matrices);
    return numbers && [numbers];
  });
  return output;
}

/** Of NaN and infinities nothing: iterations would not end. */
export const ofFinite =
  (compute: (matrix: Matrix) => readonly ArrayLike<number>[]) =>
  (matrix: Matrix): readonly ArrayLike<number>[] | undefined =>
    matrix.to1DArray().every(Number.isFinite) ? compute(matrix) : undefined;

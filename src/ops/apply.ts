import { type DType, decodeElement, hostArrayFrom, OptionError } from "../base/index.ts";
import { type Attributes, applyOp, ConstantOp, constantValue, Value } from "../ir/index.ts";
import type { OpEntry } from "./entry.ts";
import { currentScope } from "./scope.ts";

/** What an op takes: a tensor, or a number, which stands for a scalar of the other operands' dtype. */
export type Operand = Value | number;

/** Applies an entry; numbers become scalars of the dtype of the first operand that is a tensor. */
export function apply(entry: OpEntry, operands: readonly Operand[], attributes: Attributes = {}): Value {
  return applyAll(entry, operands, attributes)[0];
}

/**
 * Applies an entry and gives all its outputs; numbers as in `apply`.
 * @throws OptionError for an operand that is neither a tensor nor a number; ShapeError or DTypeError where the op does
 *   not take such operands
 */
export function applyAll(entry: OpEntry, operands: readonly Operand[], attributes: Attributes = {}): readonly Value[] {
  const like = operands.find((operand) => operand instanceof Value);
  const wrong = operands.findIndex((operand) => !(operand instanceof Value) && typeof operand !== "number");
  if (wrong >= 0) throw operandError(entry.name, operands[wrong]);
  const values = operands.map((operand) =>
    operand instanceof Value ? operand : scalar(operand, like?.dtype ?? "f32"),
  );
  return applyOp(entry, values, attributes, currentScope());
}

function operandError(where: string, operand: unknown): OptionError {
  const received =
    typeof operand === "string" ? JSON.stringify(operand) : (operand?.constructor?.name ?? String(operand));
  const fix = "make it a tensor: tensor([1, 2]), or of a variable take its value: variable.value";
  return new OptionError({ where, expected: "tensors or numbers", received, fix });
}

/** A scalar constant. */
export function scalar(value: number, dtype: DType): Value {
  return filled([], value, dtype);
}

/** A small constant with every element equal; large ones are better made by broadcastTo. */
export function filled(shape: readonly number[], value: number, dtype: DType): Value {
  const count = shape.reduce((a, b) => a * b, 1);
  return constantValue(hostArrayFrom(dtype, new Array<number>(count).fill(value)), { dtype, shape });
}

/** A constant tensor with these numbers, row-major. */
export function constantOf(values: readonly number[], shape: readonly number[], dtype: DType): Value {
  return constantValue(hostArrayFrom(dtype, values), { dtype, shape });
}

/** A vector of integers as a constant. @default i64 */
export function vector(values: readonly number[], dtype: DType = "i64"): Value {
  return constantValue(hostArrayFrom(dtype, values), { dtype, shape: [values.length] });
}

/** `operand` as a value, numbers as scalars of `dtype`. */
export function toValue(operand: Operand, dtype: DType): Value {
  return operand instanceof Value ? operand : scalar(operand, dtype);
}

/** The number that a scalar constant holds, or undefined for any other value. */
export function constantScalar(value: Value): number | undefined {
  const { op } = value.node;
  return op instanceof ConstantOp && op.data.length === 1 && value.shape.length === 0
    ? decodeElement(value.dtype, op.data, 0)
    : undefined;
}

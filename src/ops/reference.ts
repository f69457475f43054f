import {
  decodeElement,
  GraphError,
  type HostArray,
  hostArray,
  hostArrayFrom,
  isFloat,
  toNumbers,
} from "../base/index.ts";
import { ConstantOp, type Node, PlaceholderOp, type TensorType, topologicalOrder, type Value } from "../ir/index.ts";
import type { OpEntry } from "./entry.ts";
import { type HostTensor, hostTensor } from "./host-tensor.ts";

/** Computes values by the ops' plain reference implementations, in double precision. Static shapes only. */
export function evaluate(outputs: readonly Value[], inputs: ReadonlyMap<Value, HostTensor>): HostTensor[] {
  const results = new Map<Node, readonly HostTensor[]>();
  for (const node of topologicalOrder(outputs)) {
    const { op } = node;
    if (op instanceof PlaceholderOp) {
      const tensor = inputs.get(node.outputs[0]);
      if (!tensor)
        throw new GraphError({
          where: "evaluate",
          expected: `numbers for ${op.label}`,
          received: "none",
          fix: "pass them",
        });
      results.set(node, [tensor]);
    } else if (op instanceof ConstantOp) {
      const numbers = Array.from({ length: op.data.length }, (_, i) => decodeElement(op.type.dtype, op.data, i));
      results.set(node, [hostTensor(op.type.shape, numbers)]);
    } else {
      const operands = node.inputs.map((input) => (results.get(input.node) as readonly HostTensor[])[input.index]);
      results.set(node, (op as OpEntry).reference(operands, node.attributes, node.outputs));
    }
  }
  return outputs.map((output) => (results.get(output.node) as readonly HostTensor[])[output.index]);
}

/**
 * What a node gives for constants, in the host form of each output's dtype. Integers are computed without error, others
 * in doubles that are then rounded.
 */
export function foldNode(node: Node, constants: readonly ConstantOp[]): HostArray[] {
  const entry = node.op as OpEntry;
  const types = node.outputs;
  const shapes = constants.map(({ type }) => type.shape as readonly number[]);
  const areWhole = constants.every(({ type }) => !isFloat(type.dtype));
  if (areWhole && entry.exact) {
    const inputs = constants.map(({ data }, i) => ({ shape: shapes[i], data: Array.from(data, BigInt) }));
    return entry.exact(inputs, node.attributes, types).map(({ data }, i) => wholeArray(types[i], data));
  }
  const inputs = constants.map(({ type, data }, i) => hostTensor(shapes[i], toNumbers(type.dtype, data)));
  if (types[0].dtype === "i64" && entry.carries) return [...moved(node, constants, inputs)];
  return entry.reference(inputs, node.attributes, types).map(({ data }, i) => hostArrayFrom(types[i].dtype, data));
}

/** Integers modulo 2 to the number of their bits; a float, rounded once. */
function wholeArray({ dtype }: TensorType, values: readonly bigint[]): HostArray {
  if (dtype === "i64") return BigInt64Array.from(values);
  if (!isFloat(dtype))
    return hostArrayFrom(dtype, dtype === "bool" ? values : values.map((value) => BigInt.asIntN(32, value)));
  return hostArrayFrom(dtype, values.map(toFloat32));
}

/**
 * The f32 nearest to an integer. Rounding to a double first could make a tie of what is none: it is moved off the tie.
 */
function toFloat32(value: bigint): number {
  const double = Number(value);
  const error = value - BigInt(double);
  return Math.fround(error === 0n ? double : double + Math.sign(Number(error)) * Math.abs(double) * Number.EPSILON);
}

/** Added to positions to know them from numbers that the op puts in itself: none of those has just this fraction. */
const MARK = 2 ** -10;

/** An op that moves elements is given their positions in their place, which doubles hold. */
function moved(node: Node, constants: readonly ConstantOp[], inputs: readonly HostTensor[]): HostArray[] {
  const entry = node.op as OpEntry;
  const elements: bigint[] = [];
  const marked = inputs.map((input, i) => {
    if (entry.carries !== "all" && !entry.carries?.includes(i)) return input;
    const first = elements.length;
    for (const value of constants[i].data) elements.push(BigInt(value));
    return hostTensor(
      input.shape,
      Float64Array.from(input.data, (_, j) => first + j + MARK),
    );
  });
  return entry.reference(marked, node.attributes, node.outputs).map(({ data }) => {
    const out = hostArray("i64", data.length);
    data.forEach((x, i) => {
      out[i] = x - Math.floor(x) === MARK ? elements[x - MARK] : BigInt(Math.trunc(x));
    });
    return out;
  });
}

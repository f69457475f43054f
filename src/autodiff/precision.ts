import { type FloatDType, isFloat } from "../base/index.ts";
import { applyOp, ConstantOp, Node, PlaceholderOp, topologicalOrder, type Value } from "../ir/index.ts";
import { cast, type OpEntry, withScope } from "../ops/index.ts";

/**
 * The same values with their products (matmul, convolution, attention) in a shorter float dtype, and what is sensitive
 * (sums, norms, softmax, losses, exponentials) in f32, as each op's entry says; what is neither follows its inputs.
 * Leaves stay as they are, so trained weights remain in f32 and get f32 gradients. Micikevicius et al. 2018,
 * arXiv:1710.03740. So do `kept` values, whatever they are computed from: weights that a step has changed already.
 */
export function autocast(
  values: readonly Value[],
  dtype: Exclude<FloatDType, "f32">,
  kept: readonly Value[] = [],
): Value[] {
  const isKept = new Set(kept);
  const replacements = new Map<Value, Value>();
  const casts = new Map<Value, Map<FloatDType, Value>>();
  const lookUp = (value: Value) => (isKept.has(value) ? value : (replacements.get(value) ?? value));
  /** One cast for all users of a value, in the scope of the first. */
  const inDType = (value: Value, to: FloatDType, scope = ""): Value => {
    if (value.dtype === to) return value;
    const known = casts.get(value) ?? new Map<FloatDType, Value>();
    const result = known.get(to) ?? withScope(scope, () => cast(value, to));
    casts.set(value, known.set(to, result));
    return result;
  };
  for (const node of topologicalOrder(values)) {
    if (node.op instanceof PlaceholderOp || node.op instanceof ConstantOp || node.inputs.length === 0) continue;
    const inputs = node.inputs.map(lookUp);
    const isConstant = (value: Value) => value.node.op instanceof ConstantOp;
    const floats = inputs.filter((input) => isFloat(input.dtype) && !isConstant(input));
    const { precision } = node.op as OpEntry;
    const isLow =
      precision === "low" ||
      (precision === "any" && floats.length > 0 && floats.every((input) => input.dtype === dtype));
    const target = isLow ? dtype : "f32";
    const operands = inputs.map((input, i) =>
      isFloat(node.inputs[i].dtype) && (input.dtype === "f32" || input.dtype === dtype)
        ? inDType(input, target, node.scope)
        : input,
    );
    const outputs =
      node.op.bodies || operands.every((operand, i) => operand === node.inputs[i])
        ? new Node(node.op, operands, node.attributes, node.outputs, node.scope).outputs
        : applyOp(node.op, operands, node.attributes, node.scope);
    for (const [i, output] of node.outputs.entries()) replacements.set(output, outputs[i]);
  }
  return values.map((value) => (isFloat(value.dtype) ? inDType(lookUp(value), value.dtype) : lookUp(value)));
}

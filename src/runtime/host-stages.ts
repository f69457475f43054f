import { bytesPerElement, RuntimeError } from "../base/index.ts";
import { describe, type Node, nameNode, type TensorType } from "../ir/index.ts";
import { type HostContext, type HostFunction, type HostValue, hostFunctionOf } from "../lower/index.ts";
import { fromBoundary } from "./boundary.ts";
import type { HostStages } from "./connection.ts";
import { type HostData, ortTypes } from "./protocol.ts";

/** The computations of a program's nodes that are computed in the program. @param nodes by the number of their stage */
export function hostStagesOf(nodes: ReadonlyMap<number, Node>): HostStages {
  return (stage, inputs, signal) => computeNode(nodes.get(stage) as Node, inputs, signal);
}

async function computeNode(node: Node, inputs: readonly HostData[], signal: AbortSignal): Promise<HostData[]> {
  const operands = inputs.map(({ shape, data }, i): HostValue => {
    const { dtype } = node.inputs[i];
    return { dtype, shape, data: fromBoundary(dtype, data) };
  });
  const types = node.op.inferTypes(operands, node.attributes);
  const outputs = await callHost(node, operands, { attributes: node.attributes, types, signal });
  return outputs.map(({ dtype, shape, data }) => ({ type: ortTypes[dtype], shape, data }));
}

/** @throws RuntimeError that names the operation, when it fails or gives other types than it should */
async function callHost(
  node: Node,
  operands: readonly HostValue[],
  context: HostContext,
): Promise<readonly HostValue[]> {
  const where = nameNode(node);
  let outputs: readonly HostValue[];
  try {
    outputs = await (hostFunctionOf(node) as HostFunction)(operands, context);
  } catch (cause) {
    throw new RuntimeError({
      where,
      expected: "its computation on the host to succeed",
      received: cause instanceof Error ? cause.message : String(cause),
      fix: "see the message, and the cause of this error",
      cause,
    });
  }
  if (outputs.length === context.types.length && outputs.every((output, i) => hasType(output, context.types[i])))
    return outputs;
  throw new RuntimeError({
    where,
    expected: `its computation on the host to give ${context.types.map(describe).join(", ")}`,
    received: outputs.map((output) => `${describe(output)} of ${output.data.length} numbers`).join(", ") || "nothing",
    fix: "give what `infer` of its entry says",
  });
}

const hasType = (value: HostValue, type: TensorType): boolean =>
  describe(value) === describe(type) &&
  value.data.byteLength === value.shape.reduce((a, b) => a * b, bytesPerElement[value.dtype]);

import { applyOp, type Graph, type Node, rewrite, sizeOf, type Value } from "../ir/index.ts";
import { biasedGeluEntry, biasedGeluGradientEntry, gelu, linear, matmul, reshape } from "../ops/index.ts";
import type { Pass } from "./pass.ts";

/** What is below the reshapes on top of a value. */
const below = (value: Value): Value => (value.node.op === reshape.entry ? below(value.node.inputs[0]) : value);

/** A layer's bias in front of GELU is added by GELU, forward and backward, where nothing else reads their sum. */
export const addBiasInGelu: Pass = {
  name: "addBiasInGelu",
  run: (graph) => {
    const users = usersThroughReshapes(graph);
    const products = new Map<Node, Value>();
    const isGelu = ({ op, attributes }: Node) => (op === gelu.entry && attributes.approximate === "tanh") || op === gelu.tanhGradientEntry;
    return rewrite(graph, (node, inputs) => {
      const source = node.inputs[0] && below(node.inputs[0]).node;
      if (!isGelu(node) || source.op !== linear.entry || node.inputs[0].dtype !== "f32") return undefined;
      if (!keepsLastAxis(node.inputs[0], source) || !users.get(source.outputs[0])?.every((user) => isGelu(user) && below(user.inputs[0]).node === source))
        return undefined;
      const { inputs: operands, attributes, scope } = below(inputs[0]).node;
      const [x, weight, bias] = operands;
      const product = products.get(source) ?? applyOp(matmul.entry, [x, weight], { transposeA: false, scale: 1, ...attributes }, scope)[0];
      products.set(source, product);
      const shaped = reshape(product, node.outputs[0].shape);
      return node.op === gelu.entry
        ? applyOp(biasedGeluEntry, [shaped, bias], {}, node.scope)
        : applyOp(biasedGeluGradientEntry, [shaped, bias, inputs[1]], {}, node.scope);
    });
  },
};

const keepsLastAxis = (value: Value, { outputs: [{ shape }] }: Node) => value.shape.length > 0 && sizeOf(value.shape.slice(-1)) === sizeOf(shape.slice(-1));

/** The nodes that read a value or a reshape of it; a graph that returns one has a user of none. */
function usersThroughReshapes(graph: Graph): Map<Value, Node[]> {
  const users = new Map<Value, Node[]>();
  for (const node of graph.nodes) {
    if (node.op === reshape.entry) continue;
    for (const input of new Set(node.inputs.map(below))) users.set(input, [...(users.get(input) ?? []), node]);
  }
  for (const output of graph.outputs) users.set(below(output), [...(users.get(below(output)) ?? []), output.node]);
  return users;
}

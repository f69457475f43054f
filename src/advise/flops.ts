/** Counts what a graph computes. */
import { type Graph, isStatic, type Node, type Shape } from "../ir/index.ts";

const sizeOf = (shape: Shape): number =>
  isStatic(shape) ? (shape as readonly number[]).reduce((a, b) => a * b, 1) : 0;

/** Sums of so many products make one number of an output. */
const innerSize: Readonly<Record<string, (node: Node) => number>> = {
  matmul: ({ inputs: [a], attributes }) => Number(a.shape.at(attributes.transposeA ? -2 : -1)),
  blockMatmul: ({ inputs: [a] }) => Number(a.shape.at(-1)),
  float4Matmul: ({ inputs: [a] }) => Number(a.shape.at(-1)),
  conv: ({ inputs: [, weight] }) => sizeOf(weight.shape.slice(1)),
};

/**
 * Multiplications and additions of a graph's products and convolutions, two for each pair. What works element by
 * element is left out: it waits for memory, and not for arithmetic.
 */
export function countFlops(graph: Graph): number {
  let total = 0;
  for (const node of graph.nodes) {
    for (const body of node.op.bodies ?? []) total += countFlops(body);
    total += flopsOf(node);
  }
  return total;
}

function flopsOf(node: Node): number {
  const { name } = node.op;
  const [output] = node.outputs;
  if (name === "attention") {
    // q k^T, and the probabilities times v: [B, H, T, Dh] and [B, K, S, Dh]
    const [q, k] = node.inputs;
    return 4 * sizeOf(q.shape) * Number(k.shape.at(-2));
  }
  const [first, second] = node.inputs;
  // each number of the output's gradient meets the weights of its channel: dy [N, O, ...], weight [O, C / groups, ...]
  if (name === "convTranspose") return 2 * sizeOf(first.shape) * sizeOf(second.shape.slice(1));
  // and each weight the positions of its channel: x, dy [N, O, ...]
  if (name === "convWeightGradient") return (2 * sizeOf(output.shape) * sizeOf(second.shape)) / Number(second.shape[1]);
  const inner = innerSize[name]?.(node);
  return inner === undefined ? 0 : 2 * sizeOf(output.shape) * inner;
}

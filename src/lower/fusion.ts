import {
  applyOp,
  countUses,
  type Graph,
  isStatic,
  type Node,
  rewrite,
  shapesEqual,
  sizeOf,
  sizesEqual,
  type Value,
} from "../ir/index.ts";
import {
  add,
  beneathReshapes,
  biasedGeluEntry,
  biasedGeluGradientEntry,
  blockMatmul,
  blockMatmulMinimumsEntry,
  blockMatmulPlusEntry,
  gelu,
  LEAST_TILED_NUMBERS,
  linear,
  matmul,
  reshape,
  sum,
  tiledMatmulEntry,
  tiledMatmulRowsEntry,
  tilesOf,
  widenedFrom,
} from "../ops/index.ts";
import type { Pass } from "./pass.ts";

/** A layer's bias in front of GELU is added by GELU, forward and backward, where nothing else reads their sum. */
export const addBiasInGelu: Pass = {
  name: "addBiasInGelu",
  run: (graph) => {
    const users = usersThroughReshapes(graph);
    const products = new Map<Node, Value>();
    const isGelu = ({ op, attributes }: Node) =>
      (op === gelu.entry && attributes.approximate === "tanh") || op === gelu.tanhGradientEntry;
    return rewrite(graph, (node, inputs) => {
      const source = node.inputs[0] && beneathReshapes(node.inputs[0]).node;
      if (!isGelu(node) || source.op !== linear.entry || node.inputs[0].dtype !== "f32") return undefined;
      if (
        !keepsLastAxis(node.inputs[0], source) ||
        !users.get(source.outputs[0])?.every((user) => isGelu(user) && beneathReshapes(user.inputs[0]).node === source)
      )
        return undefined;
      const { inputs: operands, attributes, scope } = beneathReshapes(inputs[0]).node;
      const [x, weight, bias] = operands;
      const product =
        products.get(source) ??
        applyOp(matmul.entry, [x, weight], { transposeA: false, scale: 1, ...attributes }, scope)[0];
      products.set(source, product);
      const shaped = reshape(product, node.outputs[0].shape);
      return node.op === gelu.entry
        ? applyOp(biasedGeluEntry, [shaped, bias], {}, node.scope)
        : applyOp(biasedGeluGradientEntry, [shaped, bias, inputs[1]], {}, node.scope);
    });
  },
};

/** What is added to a product with a matrix in blocks is added by the product, for one row, as in generation. */
export const addInBlockMatmul: Pass = {
  name: "addInBlockMatmul",
  run: (graph) => {
    const uses = countUses(graph);
    return rewrite(graph, (node, inputs) => {
      if (node.op !== add.entry) return undefined;
      const { shape } = node.outputs[0];
      const at = node.inputs.findIndex(
        (x) => x.node.op === blockMatmul.entry && uses.get(x) === 1 && shapesEqual(x.shape, shape),
      );
      if (at < 0 || inputs[at].dtype !== "f32") return undefined;
      const features = shape[shape.length - 1] as number;
      const addend = inputs[1 - at];
      if (sizeOf(shape) !== features || sizeOf(addend.shape) !== features) return undefined;
      const { inputs: operands, attributes } = inputs[at].node;
      const minimums = minimumsIn(beneathReshapes(addend), operands[0]);
      if (minimums) return applyOp(blockMatmulMinimumsEntry, [...operands, minimums], attributes, node.scope);
      return applyOp(
        blockMatmulPlusEntry,
        [...operands, reshape(beneathReshapes(addend), [features])],
        attributes,
        node.scope,
      );
    });
  },
};

/** The minimums [blocks, N] that meet the sums of x's blocks in a product, where that is what `value` is. */
function minimumsIn(value: Value, x: Value): Value | undefined {
  const { op, inputs, attributes } = value.node;
  if (op !== matmul.entry || attributes.transposeA || attributes.transposeB || attributes.scale !== 1) return undefined;
  const sums = beneathReshapes(inputs[0]).node;
  const isSum = sums.op === sum.entry && String(sums.attributes.axes) === "2" && sums.inputs[0].shape.length === 3;
  return isSum && beneathReshapes(sums.inputs[0]) === beneathReshapes(x) ? inputs[1] : undefined;
}

/** A weight in 16 bits is widened as it is used, of a large one a tile at a time; see tiledMatmulEntry. */
export const tileWidenedWeights: Pass = {
  name: "tileWidenedWeights",
  run: (graph) =>
    rewrite(graph, (node, [x, weight, bias]) => {
      const isProduct = node.op === matmul.entry || node.op === linear.entry;
      const { transposeA = false, transposeB, scale = 1 } = node.attributes;
      if (!isProduct || transposeA) return undefined;
      const narrow = widenedFrom(weight);
      if (narrow?.shape.length !== 2 || !isStatic(narrow.shape)) return undefined;
      if (narrow.shape[0] * narrow.shape[1] < LEAST_TILED_NUMBERS) return undefined;
      const attributes = { tiles: tilesOf(narrow.shape), scale };
      const entry = transposeB ? tiledMatmulEntry : tiledMatmulRowsEntry;
      const product = applyOp(entry, [x, narrow], attributes, node.scope)[0];
      return [bias ? add(product, bias) : product];
    }),
};

const keepsLastAxis = (value: Value, { outputs: [{ shape }] }: Node) =>
  value.shape.length > 0 && sizesEqual(value.shape[value.shape.length - 1], shape[shape.length - 1]);

/** The nodes that read a value or a reshape of it; a graph that returns one has a user of none. */
function usersThroughReshapes(graph: Graph): Map<Value, Node[]> {
  const users = new Map<Value, Node[]>();
  for (const node of graph.nodes) {
    if (node.op === reshape.entry) continue;
    for (const input of new Set(node.inputs.map(beneathReshapes)))
      users.set(input, [...(users.get(input) ?? []), node]);
  }
  for (const output of graph.outputs)
    users.set(beneathReshapes(output), [...(users.get(beneathReshapes(output)) ?? []), output.node]);
  return users;
}

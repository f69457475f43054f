import {
  type Attributes,
  ConstantOp,
  checkGraph,
  constantValue,
  decodeElement,
  type Graph,
  GraphError,
  hashBytes,
  hostArrayFrom,
  isStatic,
  Node,
  nameNode,
  type Op,
  rewrite,
  type Value,
} from "../ir/index.ts";
import { hostTensor, type OpEntry } from "../ops/index.ts";

/** A pass takes a graph and returns an equivalent, cheaper one. */
export interface Pass {
  readonly name: string;
  run(graph: Graph): Graph;
}

/** Largest result, in elements, that constant folding stores in the graph. */
const FOLD_LIMIT = 256;

/** The entry behind a node. @throws GraphError for a node whose op was not made by `ops/`. */
export function entryOf(node: Node): OpEntry {
  if ("lower" in node.op) return node.op as OpEntry;
  throw new GraphError({ where: nameNode(node), expected: "an op with an entry in ops/", received: node.op.name, fix: "define the op with defineOp" });
}

/** Replaces nodes by the cheaper equals that their entries know: x * 1, reshape of reshape and the like. */
export const simplify: Pass = {
  name: "simplify",
  run: (graph) =>
    rewrite(graph, (node, inputs) => {
      const simpler = "simplify" in node.op ? (node.op as OpEntry).simplify?.(inputs, node.attributes) : undefined;
      return simpler && [simpler];
    }),
};

/** Computes small nodes whose inputs are all constants, by the entries' reference implementations. */
export const foldConstants: Pass = {
  name: "foldConstants",
  run: (graph) =>
    rewrite(graph, (node, inputs) => {
      if (inputs.length === 0 || !inputs.every((input) => input.node.op instanceof ConstantOp)) return undefined;
      if (!node.outputs.every(({ shape }) => isStatic(shape) && shape.reduce((a, b) => a * b, 1) <= FOLD_LIMIT)) return undefined;
      const results = entryOf(node).reference(inputs.map(toHost), node.attributes, node.outputs);
      return results.map(({ data }, i) => constantValue(hostArrayFrom(node.outputs[i].dtype, data), node.outputs[i]));
    }),
};

function toHost(value: Value) {
  const { data } = value.node.op as ConstantOp;
  return hostTensor(
    value.shape,
    Array.from({ length: data.length }, (_, i) => decodeElement(value.dtype, data, i)),
  );
}

/** Computes equal expressions once. */
export const shareCommonSubexpressions: Pass = {
  name: "shareCommonSubexpressions",
  run: (graph) => {
    const opIds = new Map<Op, number>();
    const nodeIds = new Map<Node, number>();
    const known = new Map<string, readonly Value[]>();
    const idOf = <T>(ids: Map<T, number>, key: T) => {
      const id = ids.get(key) ?? ids.size;
      ids.set(key, id);
      return id;
    };
    return rewrite(graph, (node, inputs) => {
      const { op } = node;
      const operation = op instanceof ConstantOp ? `${op.type.dtype}[${op.type.shape}]${hashBytes(op.data)}` : idOf(opIds, op);
      const operands = inputs.map((input) => `${idOf(nodeIds, input.node)}.${input.index}`);
      const key = `${operation}(${operands})${attributeKey(node.attributes)}`;
      const same = known.get(key);
      if (same) return same;
      const unchanged = inputs.every((input, i) => input === node.inputs[i]);
      const outputs = unchanged ? node.outputs : new Node(op, inputs, node.attributes, node.outputs, node.scope).outputs;
      known.set(key, outputs);
      return outputs;
    });
  },
};

function attributeKey(attributes: Attributes): string {
  return Object.keys(attributes)
    .sort()
    .map((key) => `${key}=${attributes[key]}`)
    .join(";");
}

/** The passes in the order they run. Dead nodes need no pass: a graph holds only what its outputs reach. */
export const defaultPasses: readonly Pass[] = [simplify, foldConstants, simplify, shareCommonSubexpressions];

/** Runs passes with the checker between them. */
export function optimize(graph: Graph, passes: readonly Pass[] = defaultPasses): Graph {
  checkGraph(graph, "tracing");
  return passes.reduce((current, pass) => {
    const next = pass.run(current);
    checkGraph(next, pass.name);
    return next;
  }, graph);
}

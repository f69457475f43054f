import { GraphError } from "../base/index.ts";
import {
  type Attributes,
  ConstantOp,
  checkGraph,
  constantValue,
  countUses,
  type Graph,
  isStatic,
  Node,
  nameNode,
  type Op,
  rewrite,
  type Value,
} from "../ir/index.ts";
import { foldNode, type OpEntry } from "../ops/index.ts";
import { addBiasInGelu, addInBlockMatmul, tileWidenedWeights } from "./fusion.ts";
import type { Pass } from "./pass.ts";

/** Largest result, in elements, that constant folding stores in the graph. */
const FOLD_LIMIT = 256;

/** The entry behind a node. @throws GraphError for a node whose op was not made by `ops/`. */
export function entryOf(node: Node): OpEntry {
  if ("lower" in node.op) return node.op as OpEntry;
  throw new GraphError({
    where: nameNode(node),
    expected: "an op with an entry in ops/",
    received: node.op.name,
    fix: "define the op with defineOp",
  });
}

/** Replaces ops that exist only for their gradient by what they stand for. */
const expandCalls: Pass = {
  name: "expandCalls",
  run: (graph) => {
    let current = graph;
    while (current.nodes.some(({ op }) => "expand" in op)) {
      current = rewrite(current, (node, inputs) =>
        "expand" in node.op ? (node.op as OpEntry).expand?.(inputs) : undefined,
      );
    }
    return current;
  },
};

/** Where an op is applied and another that extends it, to the same inputs, only the latter runs. */
const shareExtended: Pass = {
  name: "shareExtended",
  run: (graph) => {
    const isSame = (a: Node, b: Node) =>
      a.inputs.length === b.inputs.length && a.inputs.every((input, i) => input === b.inputs[i]);
    const extensions = graph.nodes.filter(({ op }) => (op as OpEntry).extendsOp !== undefined);
    if (extensions.length === 0) return graph;
    const extensionOf = (node: Node): Node => {
      const next = extensions.find((other) => (other.op as OpEntry).extendsOp === node.op && isSame(node, other));
      return next ? extensionOf(next) : node;
    };
    const replacements = new Map<Node, Node>();
    return rewrite(graph, (node, inputs) => {
      const best = extensionOf(node);
      if (best === node && !replacements.has(node)) return undefined;
      const known = replacements.get(best) ?? new Node(best.op, inputs, best.attributes, best.outputs, best.scope);
      replacements.set(best, known);
      return known.outputs.slice(0, node.outputs.length);
    });
  },
};

/** Takes away outputs that nothing uses from ops that can do without. */
const dropUnusedOutputs: Pass = {
  name: "dropUnusedOutputs",
  run: (graph) => {
    const uses = countUses(graph);
    return rewrite(graph, (node, inputs) => {
      const { withoutOutputs } = node.op as OpEntry;
      const unused = new Set(node.outputs.filter((output) => !uses.has(output)).map(({ index }) => index));
      if (!withoutOutputs || unused.size === 0) return undefined;
      const smaller = (node.op as OpEntry).withoutOutputs?.(unused);
      if (!smaller) return undefined;
      const types = smaller.kept.map((i) => node.outputs[i]);
      const { outputs } = new Node(smaller.op, inputs, node.attributes, types, node.scope);
      return node.outputs.map((output, i) => outputs[smaller.kept.indexOf(i)] ?? output);
    });
  },
};

/** Runs all passes on the bodies of loops and branches. */
const optimizeBodies: Pass = {
  name: "optimizeBodies",
  run: (graph) =>
    rewrite(graph, (node, inputs) => {
      if (!node.op.bodies || !node.op.withBodies) return undefined;
      const op = node.op.withBodies(node.op.bodies.map((body) => optimize(body)));
      return new Node(op, inputs, node.attributes, node.outputs, node.scope).outputs;
    }),
};

/** Replaces nodes by the cheaper equals that their entries know: x * 1, reshape of reshape and the like. */
export const simplify: Pass = {
  name: "simplify",
  run: (graph) =>
    rewrite(graph, (node, inputs) => {
      const simpler = "simplify" in node.op ? (node.op as OpEntry).simplify?.(inputs, node.attributes) : undefined;
      return simpler && [simpler];
    }),
};

/**
 * Computes nodes whose inputs are all constants, by the entries' reference implementations. @default results of up to
 * 256 elements
 */
export const foldConstants = (limit = FOLD_LIMIT): Pass => ({
  name: "foldConstants",
  run: (graph) =>
    rewrite(graph, (node, inputs) => {
      if (inputs.length === 0 || !inputs.every((input) => input.node.op instanceof ConstantOp)) return undefined;
      if (!node.outputs.every(({ shape }) => isStatic(shape) && shape.reduce((a, b) => a * b, 1) <= limit))
        return undefined;
      entryOf(node);
      const constants = inputs.map((input) => input.node.op as ConstantOp);
      return foldNode(node, constants).map((data, i) => constantValue(data, node.outputs[i]));
    }),
});

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
      const operation =
        op instanceof ConstantOp ? `${op.type.dtype}[${op.type.shape}]${op.fingerprint}` : idOf(opIds, op);
      const operands = inputs.map((input) => `${idOf(nodeIds, input.node)}.${input.index}`);
      const key = `${operation}(${operands})${attributeKey(node.attributes)}`;
      const same = known.get(key);
      if (same) return same;
      const unchanged = inputs.every((input, i) => input === node.inputs[i]);
      const outputs = unchanged
        ? node.outputs
        : new Node(op, inputs, node.attributes, node.outputs, node.scope).outputs;
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
export const defaultPasses: readonly Pass[] = [
  expandCalls,
  shareExtended,
  dropUnusedOutputs,
  optimizeBodies,
  simplify,
  foldConstants(),
  simplify,
  shareCommonSubexpressions,
  addBiasInGelu,
  addInBlockMatmul,
  tileWidenedWeights,
];

/** Runs passes with the checker between them. */
export function optimize(graph: Graph, passes: readonly Pass[] = defaultPasses): Graph {
  checkGraph(graph, "tracing");
  return passes.reduce((current, pass) => {
    const next = pass.run(current);
    checkGraph(next, pass.name);
    return next;
  }, graph);
}

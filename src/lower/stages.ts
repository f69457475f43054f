import { GraphError } from "../base/index.ts";
import {
  ConstantOp,
  Graph,
  type Node,
  nameNode,
  PlaceholderOp,
  placeholder,
  substitute,
  type Value,
} from "../ir/index.ts";
import type { HostFunction, OpEntry } from "../ops/index.ts";

/**
 * A part of a program: a graph for ONNX Runtime, or one node that is computed on the host.
 * Values pass in numbered slots, of which the first are the program's inputs.
 */
export type GraphStage = { graph: Graph; inputs: number[]; outputs: number[] };
export type HostStage = { node: Node; inputs: number[]; outputs: number[] };
/** A graph cut into parts that run one after another. */
export interface Program {
  stages: (GraphStage | HostStage)[];
  /** Slot of each output of the graph. */
  results: number[];
}

/** What computes a node on the host; undefined for those that ONNX Runtime computes. */
export const hostFunctionOf = ({ op }: Node): HostFunction | undefined =>
  "computeOnHost" in op ? (op as OpEntry).computeOnHost : undefined;

/** The computations of a graph that are done on the host. */
export const hostFunctionsOf = (graph: Graph): HostFunction[] =>
  graph.nodes.flatMap((node) => hostFunctionOf(node) ?? []);

const isHost = (node: Node) => hostFunctionOf(node) !== undefined;

/**
 * Whether a node runs before another in all runs of their graph: the other needs it, or is in a later stage.
 * @param needs whether the second of two nodes needs the first
 */
export function orderOf(graph: Graph, needs: (first: Node, second: Node) => boolean): typeof needs {
  const levels = graph.nodes.some(isHost) ? levelsOf(graph) : undefined;
  const level = (node: Node) => levels?.get(node) ?? 0;
  return (first, second) => {
    if (needs(first, second)) return true;
    if (isHost(first) && !isHost(second)) return level(first) <= level(second);
    return level(first) < level(second);
  };
}

/** Cuts a graph at the ops that ONNX Runtime cannot compute. Nearly all graphs have none and are one stage. */
export function splitStages(graph: Graph): Program {
  const inputs = graph.inputs.map((_, i) => i);
  if (!graph.nodes.some(isHost)) {
    const outputs = graph.outputs.map((_, i) => inputs.length + i);
    return { stages: [{ graph, inputs, outputs }], results: outputs };
  }
  const levels = levelsOf(graph);
  const level = (value: Value) => levels.get(value.node) ?? 0;
  const last = Math.max(...levels.values());
  const slots = new Map<Value, number>(graph.inputs.map((input, i) => [input, i] as const));
  const slotOf = (value: Value) => {
    const slot = slots.get(value) ?? slots.size;
    slots.set(value, slot);
    return slot;
  };
  // what crosses from one stage to another, or leaves
  const crossing = new Set<Value>(graph.outputs);
  for (const node of graph.nodes) {
    for (const input of node.inputs) {
      const isLater = level(input) < (levels.get(node) ?? 0) && !(input.node.op instanceof ConstantOp);
      if (isHost(node) || isHost(input.node) || isLater) crossing.add(input);
    }
  }
  const stages: Program["stages"] = [];
  for (let current = 0; current <= last; current++) {
    const results = [...crossing].filter(
      (value) => level(value) === current && !isHost(value.node) && !(value.node.op instanceof PlaceholderOp),
    );
    if (results.length > 0) stages.push(graphStage(results, [...crossing, ...graph.inputs], current, level, slotOf));
    for (const node of graph.nodes) {
      if (isHost(node) && levels.get(node) === current + 1)
        stages.push({ node, inputs: node.inputs.map(slotOf), outputs: node.outputs.map(slotOf) });
    }
  }
  return { stages, results: graph.outputs.map(slotOf) };
}

/**
 * How many host ops come one after another before a node can run; a host op's own outputs count it. Nodes run in the
 * order of their levels, and of one level the host ops first.
 */
function levelsOf(graph: Graph): Map<Node, number> {
  const levels = new Map<Node, number>();
  for (const node of graph.nodes) {
    const inside = node.op.bodies?.flatMap(({ nodes }) => nodes).find(isHost);
    if (inside) {
      throw new GraphError({
        where: nameNode(inside),
        expected: "to be outside of loops and branches",
        received: `one inside ${nameNode(node)}`,
        fix: "it is computed on the host: move it out of the loop",
      });
    }
    levels.set(node, Math.max(0, ...node.inputs.map((input) => levels.get(input.node) ?? 0)) + (isHost(node) ? 1 : 0));
  }
  return levels;
}

function graphStage(
  results: Value[],
  known: readonly Value[],
  current: number,
  level: (value: Value) => number,
  slotOf: (value: Value) => number,
): GraphStage {
  const isGiven = (value: Value) =>
    value.node.op instanceof PlaceholderOp ||
    level(value) < current ||
    (level(value) === current && isHost(value.node));
  const formals = new Map(known.filter(isGiven).map((value) => [value, placeholder("crossing", value)] as const));
  const outputs = substitute(results, formals);
  const used = new Set(new Graph([...formals.values()], outputs).nodes);
  const inputs = [...formals].filter(([, formal]) => used.has(formal.node));
  return {
    graph: new Graph(
      inputs.map(([, formal]) => formal),
      outputs,
    ),
    inputs: inputs.map(([value]) => slotOf(value)),
    outputs: results.map(slotOf),
  };
}

import { ConstantOp, type Graph, type Node, type Size, shapesEqual, sizesEqual, type Value } from "../ir/index.ts";
import { Ancestors } from "./ancestors.ts";
import { entryOf } from "./passes.ts";
import { hostFunctionOf, orderOf } from "./stages.ts";

/**
 * Whether the graph may write output `outputIndex` into the memory of input `inputIndex` while it runs: every node that
 * reads the input must have finished before the node that makes the output starts, or be that node itself and allow it.
 * And whatever may fail, lookups and computations on the host, must have succeeded by then, so that a run which fails
 * has written nothing.
 */
export function mayOverwrite(graph: Graph, outputIndex: number, inputIndex: number): boolean {
  const output = graph.outputs[outputIndex];
  const input = graph.inputs[inputIndex];
  const isOnlyUse = graph.outputs.filter((value) => value === output).length === 1;
  if (!isOnlyUse || output.node.inputs.length === 0 || graph.outputs.includes(input)) return false;
  const { hosts, checks, readers, comesFirst } = factsOf(graph);
  const isBefore = (node: Node) => node !== output.node && comesFirst(node, output.node);
  // the result of a host op is put in its place when the run has succeeded
  if (!hosts.every((node) => node === output.node || isBefore(node))) return false;
  const earlierChecks = [...checks].flatMap(([node, list]) => (isBefore(node) ? list : []));
  const isEarlier = ({ indices, bound }: Check) =>
    earlierChecks.some((check) => check.indices === indices && sizesEqual(check.bound, bound));
  if (![...checks].every(([node, list]) => isBefore(node) || list.every(isEarlier))) return false;
  return (readers.get(input) ?? []).every(({ node, value }) => {
    if (node === output.node) {
      const isAllowed = (entryOf(node).inPlace ?? []).some(
        ([i, o]) => node.inputs[i] === value && node.outputs[o] === output,
      );
      // a broadcast operand is read again after its place was written
      return isAllowed && shapesEqual(value.shape, output.shape);
    }
    return isBefore(node);
  });
}

/** A node that reads the memory of a value, which may be a view of another. */
interface Reader {
  node: Node;
  value: Value;
}

/** What all questions about a graph need, found once. */
interface GraphFacts {
  hosts: readonly Node[];
  checks: ReadonlyMap<Node, readonly Check[]>;
  /** Of each input. */
  readers: ReadonlyMap<Value, readonly Reader[]>;
  /** Whether a host, a check or a reader runs before the node of an output. */
  comesFirst: (node: Node, outputNode: Node) => boolean;
}

const cachedFacts = new WeakMap<Graph, GraphFacts>();

function factsOf(graph: Graph): GraphFacts {
  const known = cachedFacts.get(graph);
  if (known) return known;
  const hosts = graph.nodes.filter(hostFunctionOf);
  const checks = checksOf(graph);
  const users = usersOf(graph);
  const readers = new Map(graph.inputs.map((input) => [input, readersOf(input, users)] as const));
  const asked = [...hosts, ...checks.keys(), ...[...readers.values()].flatMap((list) => list.map(({ node }) => node))];
  const ancestors = new Ancestors(
    graph.nodes,
    asked,
    graph.outputs.map(({ node }) => node),
  );
  const comesFirst = orderOf(graph, (first, second) => ancestors.has(first, second));
  const facts = { hosts, checks, readers, comesFirst };
  cachedFacts.set(graph, facts);
  return facts;
}

/** That indices lie within a size, which a node checks when it runs. */
interface Check {
  indices: Value;
  bound: Size;
}

/** The nodes of a graph that check something. */
function checksOf(graph: Graph): ReadonlyMap<Node, readonly Check[]> {
  return new Map(graph.nodes.map((node) => [node, checksOfNode(node)] as const).filter(([, { length }]) => length > 0));
}

function checksOfNode(node: Node): Check[] {
  const inBodies = (node.op.bodies ?? []).flatMap((body) => [...checksOf(body).values()].flat());
  const bound = "indexBound" in node.op ? entryOf(node).indexBound?.(node) : undefined;
  if (bound === undefined) return inBodies;
  const indices = sourceOf(node.inputs[1]);
  // constants were checked before
  return indices.node.op instanceof ConstantOp ? inBodies : [...inBodies, { indices, bound }];
}

/** The value of which another is a view. */
function sourceOf(value: Value): Value {
  const { op, inputs } = value.node;
  return "isView" in op && op.isView ? sourceOf(inputs[0]) : value;
}

/** Nodes that read the memory of `value`, directly or through views of it. */
function readersOf(value: Value, users: Map<Value, Node[]>): Reader[] {
  return (users.get(value) ?? []).flatMap((node) => {
    const direct = { node, value };
    return entryOf(node).isView ? [direct, ...readersOf(node.outputs[0], users)] : [direct];
  });
}

function usersOf(graph: Graph): Map<Value, Node[]> {
  const users = new Map<Value, Node[]>();
  for (const node of graph.nodes) {
    for (const input of new Set(node.inputs)) {
      const list = users.get(input);
      if (list) list.push(node);
      else users.set(input, [node]);
    }
  }
  return users;
}

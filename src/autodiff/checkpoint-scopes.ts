import { ConstantOp, type Node, PlaceholderOp, substitute, topologicalOrder, type Value } from "../ir/index.ts";
import { checkpoint } from "./call.ts";

/** Nodes that are computed again together, or one node that is not. */
interface Part {
  nodes: Node[];
  isSegment: boolean;
}

/** The layer that a node belongs to: its scope up to the first number, as "h.3" of "h.3.attn"; or none. */
const layerOfScope = (scope: string): string | undefined => /^((?:[^.]+\.)*?\d+)(?:\.|$)/.exec(scope)?.[1];

/**
 * The same values, but what is computed inside of each layer is not kept for the gradient: it is computed again when
 * the gradient is. A layer is what `layerOf` says of its nodes' scopes. One whose results come back into it by way of
 * others is left as it is. Chen et al. 2016, arXiv:1604.06174.
 */
export function checkpointScopes(
  values: readonly Value[],
  layerOf: (scope: string) => string | undefined = layerOfScope,
): Value[] {
  const nodes = topologicalOrder(values).filter(({ op }) => !(op instanceof PlaceholderOp || op instanceof ConstantOp));
  const partOf = partsOf(nodes, layerOf);
  const order = orderOf(nodes, partOf);
  const users = usersOf(nodes, values);
  const replaced = new Map<Value, Value>();
  for (const part of order) {
    const inside = new Set(part.nodes);
    const isInside = (value: Value) => inside.has(value.node);
    const results = part.nodes
      .flatMap(({ outputs }) => outputs)
      .filter((output) => users.get(output)?.some((user) => !user || !inside.has(user)));
    const inputs = [...new Set(part.nodes.flatMap((node) => node.inputs))].filter(
      (input) => !isInside(input) && !(input.node.op instanceof ConstantOp),
    );
    const rebuild = (operands: readonly Value[]) =>
      substitute(results, new Map(inputs.map((input, i) => [input, operands[i]])));
    const operands = inputs.map((input) => replaced.get(input) ?? input);
    const outputs = part.isSegment ? checkpoint((...args) => rebuild(args), operands) : rebuild(operands);
    for (const [i, result] of results.entries()) replaced.set(result, outputs[i]);
  }
  return values.map((value) => replaced.get(value) ?? value);
}

/** Each node's part: its layer, or itself alone. */
function partsOf(nodes: readonly Node[], layerOf: (scope: string) => string | undefined): Map<Node, Part> {
  const layers = new Map<string, Part>();
  const parts = new Map<Node, Part>();
  for (const node of nodes) {
    const layer = layerOf(node.scope);
    const part = (layer !== undefined && layers.get(layer)) || { nodes: [], isSegment: layer !== undefined };
    if (layer !== undefined) layers.set(layer, part);
    part.nodes.push(node);
    parts.set(node, part);
  }
  return parts;
}

/** Parts in an order in which each comes after those it needs; a layer for which there is none falls apart. */
function orderOf(nodes: readonly Node[], partOf: Map<Node, Part>): Part[] {
  for (;;) {
    const parts = [...new Set(partOf.values())];
    const needs = new Map(parts.map((part) => [part, new Set<Part>()]));
    for (const node of nodes) {
      const part = partOf.get(node) as Part;
      for (const { node: source } of node.inputs) {
        const other = partOf.get(source);
        if (other && other !== part) needs.get(part)?.add(other);
      }
    }
    const order = sorted(parts, needs);
    if (order.length === parts.length) return order;
    const done = new Set(order);
    for (const part of parts.filter((each) => each.isSegment && !done.has(each)))
      for (const node of part.nodes) partOf.set(node, { nodes: [node], isSegment: false });
  }
}

/** Those parts that can be ordered. */
function sorted(parts: readonly Part[], needs: ReadonlyMap<Part, ReadonlySet<Part>>): Part[] {
  const users = new Map<Part, Part[]>();
  const missing = new Map<Part, number>();
  for (const part of parts) {
    const sources = needs.get(part) as ReadonlySet<Part>;
    missing.set(part, sources.size);
    for (const source of sources) users.set(source, [...(users.get(source) ?? []), part]);
  }
  const order = parts.filter((part) => missing.get(part) === 0);
  for (const part of order) {
    for (const user of users.get(part) ?? []) {
      const left = (missing.get(user) as number) - 1;
      missing.set(user, left);
      if (left === 0) order.push(user);
    }
  }
  return order;
}

/** Who uses each value; undefined stands for the caller. */
function usersOf(nodes: readonly Node[], values: readonly Value[]): Map<Value, (Node | undefined)[]> {
  const users = new Map<Value, (Node | undefined)[]>();
  const note = (value: Value, user: Node | undefined) => {
    const list = users.get(value);
    if (list) list.push(user);
    else users.set(value, [user]);
  };
  for (const node of nodes) for (const input of node.inputs) note(input, node);
  for (const value of values) note(value, undefined);
  return users;
}

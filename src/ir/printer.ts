/**
 * Text form of a graph. Grammar (EBNF):
 *
 *   graph      = "graph(" [ input { ", " input } ] ") {" { line } "  return " [ names ] "}"
 *   input      = "%" name ": " type
 *   line       = "  " names " = " op "(" [ names ] ")" [ attributes ] " : " type { ", " type } { graph }
 *   names      = "%" name { ", %" name }
 *   attributes = " {" key "=" value { ", " key "=" value } "}"
 *   type       = dtype "[" [ size { ", " size } ] "]"
 *   size       = integer | polynomial over symbols, such as "2*T + 1"
 *
 * The bodies of loops and branches follow their line, indented. Inputs print as %a0, %a1, ...; other values as %0, %1,
 * ... in topological order. Constants print their numbers when there are at most 8, otherwise their count and a hash of
 * the bytes. Equal text means equal computation (up to a hash collision in large constants), so the text is also the
 * key of the cache of compiled graphs.
 */
import { toNumbers } from "../base/index.ts";
import type { Graph } from "./graph.ts";
import { type Attribute, type Attributes, ConstantOp, describe, type Node, type Value } from "./graph.ts";

const INLINE_CONSTANT = 8;

/**
 * The text of a graph, by the grammar above; of equal graphs it is the same.
 * @param hashOf what it says of large constants. @default a hash of their bytes
 */
export function printGraph(graph: Graph, hashOf = (constant: ConstantOp) => constant.contentHash): string {
  const names = new Map<Value, string>();
  graph.inputs.forEach((input, i) => {
    names.set(input, `%a${i}`);
  });
  const lines: string[] = [
    `graph(${graph.inputs.map((input) => `${names.get(input)}: ${describe(input)}`).join(", ")}) {`,
  ];
  let next = 0;
  for (const node of graph.nodes) {
    if (names.has(node.outputs[0])) continue;
    for (const output of node.outputs) names.set(output, `%${next++}`);
    const left = node.outputs.map((output) => names.get(output)).join(", ");
    const operands =
      node.op instanceof ConstantOp
        ? printConstant(node.op, hashOf)
        : node.inputs.map((input) => names.get(input)).join(", ");
    lines.push(
      `  ${left} = ${node.op.name}(${operands})${printAttributes(node.attributes)} : ${node.outputs.map(describe).join(", ")}`,
    );
    for (const body of node.op.bodies ?? [])
      lines.push(
        ...printGraph(body, hashOf)
          .split("\n")
          .map((line) => `    ${line}`),
      );
  }
  lines.push(`  return ${graph.outputs.map((output) => names.get(output)).join(", ")}`, "}");
  return lines.join("\n");
}

function printConstant(constant: ConstantOp, hashOf: (constant: ConstantOp) => string): string {
  const { data, type } = constant;
  if (data.length <= INLINE_CONSTANT) return toNumbers(type.dtype, data).map(formatNumber).join(" ");
  return `${data.length} elements, hash ${hashOf(constant)}`;
}

function formatNumber(x: number): string {
  return Object.is(x, -0) ? "-0" : String(x);
}

function printAttributes(attributes: Attributes): string {
  const parts = Object.keys(attributes)
    .sort()
    .filter((key) => attributes[key] !== undefined)
    .map((key) => `${key}=${printAttribute(attributes[key])}`);
  return parts.length > 0 ? ` {${parts.join(", ")}}` : "";
}

function printAttribute(value: Attribute): string {
  return Array.isArray(value)
    ? `[${value.join(", ")}]`
    : typeof value === "string"
      ? JSON.stringify(value)
      : String(value);
}

/** "matmul in h.0.attn" for messages. */
export function nameNode(node: Node): string {
  return node.scope ? `${node.op.name} in ${node.scope}` : node.op.name;
}

/** What an entry must say of its op, where nothing else would tell that it was forgotten: checked on what it emits. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ConstantOp, Graph, type Node, PlaceholderOp, placeholder, topologicalOrder, type Value } from "../ir/index.ts";
import { entryOf, type GraphProto, hostFunctionOf, onnxFormat } from "../lower/index.ts";
import { opTable } from "../testing/op-table.ts";
import type { OpEntry } from "./index.ts";

interface Case {
  attrs: Record<string, unknown>;
  inputs: { shape: number[]; dtype: "f32" }[];
}

/** A node of each op in the table that ONNX Runtime computes. */
function oneNodeOfEach(): Map<OpEntry, Node> {
  const nodes = new Map<OpEntry, Node>();
  for (const [golden, { apply }] of Object.entries(opTable)) {
    const file = new URL(`../../golden/ops/${golden}.json`, import.meta.url);
    for (const { inputs, attrs } of (JSON.parse(readFileSync(file, "utf8")) as { cases: Case[] }).cases) {
      const leaves = inputs.map((type, i) => placeholder(`x${i}`, type));
      const outputs = [apply(leaves, attrs)].flat() as Value[];
      for (const node of topologicalOrder(outputs)) {
        if (node.op instanceof PlaceholderOp || node.op instanceof ConstantOp || node.op.bodies) continue;
        if (node.inputs.length > 0 && !hostFunctionOf(node)) nodes.set(entryOf(node), node);
      }
    }
  }
  return nodes;
}

const { parseModel, writeOnnx } = await onnxFormat();

/** What a node alone is in ONNX, with all its operands as inputs. */
function graphOf(node: Node): GraphProto {
  const inputs = node.inputs.map((type, i) => placeholder(`x${i}`, type));
  const { op, attributes, scope, outputs } = node;
  const { outputs: results } = new (node.constructor as typeof Node)(op, inputs, attributes, outputs, scope);
  return parseModel(writeOnnx(new Graph(inputs, results)).bytes).graph as GraphProto;
}

const nodes = oneNodeOfEach();

test("the table has all kinds of ops", () => expect(nodes.size).toBeGreaterThan(80));

test("an op whose result ONNX Runtime gives in the memory of its operand says that it is a view", () => {
  const aliases = new Set(["Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"]);
  for (const [entry, node] of nodes) {
    const { node: emitted } = graphOf(node);
    const isAlias = emitted.every(({ opType, input }) => aliases.has(opType) && input[0] !== "");
    if (isAlias && emitted.some(({ input }) => input[0] === "in0"))
      expect([entry.name, entry.isView]).toEqual([entry.name, true]);
  }
});

test("an op that looks up its operand's numbers says where they must lie, so that no state is written before", () => {
  const lookups = new Set(["Gather", "GatherElements", "GatherND", "ScatterElements", "ScatterND"]);
  for (const [entry, node] of nodes) {
    const { node: emitted } = graphOf(node);
    const makers = new Map(emitted.flatMap((proto) => proto.output.map((name) => [name, proto] as const)));
    const isInteger = (name: string) => ["i32", "i64"].includes(node.inputs[Number(name.slice(2))]?.dtype ?? "");
    const comesFromOperand = (name: string): boolean => {
      if (/^in\d+$/.test(name)) return isInteger(name);
      const maker = makers.get(name);
      return maker !== undefined && maker.opType !== "Shape" && maker.input.some(comesFromOperand);
    };
    const looksUp = emitted.some(({ opType, input }) => lookups.has(opType) && comesFromOperand(input[1]));
    if (looksUp) expect([entry.name, typeof entry.indexBound]).toEqual([entry.name, "function"]);
  }
});

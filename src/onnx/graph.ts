import { DataError, KindlingError } from "../base/index.ts";
import type { Value } from "../ir/index.ts";
import type { GraphProto, NodeProto } from "../lower/index.ts";
import { withScope } from "../ops/index.ts";
import { type Converter, type Converters, constantTensor, folded, OnnxNode, unknownOperator } from "./context.ts";
import { control } from "./control.ts";
import { elementwise } from "./elementwise.ts";
import { normalizations } from "./normalization.ts";
import { products } from "./products.ts";
import { ImportProgress } from "./progress.ts";
import { quantization } from "./quantization.ts";
import { structure } from "./structure.ts";
import { windows } from "./windows.ts";

const converters: Converters = {
  ...elementwise,
  ...structure,
  ...products,
  ...windows,
  ...normalizations,
  ...quantization,
  ...control,
};
/** Operators that can be imported. */
export const onnxOperators: readonly string[] = Object.keys(converters).sort();

/** Bodies inside of bodies; real files have two or three. */
const DEEPEST = 64;

export interface ConvertOptions {
  opset: number;
  /** Values by name: the inputs, the weights, and for a body what is around it. */
  known: ReadonlyMap<string, Value>;
  depth?: number;
  progress?: ImportProgress;
}

/** Converts a graph's nodes and gives the values of its outputs. */
export function convertGraph(
  graph: GraphProto,
  { opset, known, depth = 0, progress = new ImportProgress() }: ConvertOptions,
): Value[] {
  if (depth > DEEPEST) {
    throw new DataError({
      where: `ONNX graph "${graph.name}"`,
      expected: `at most ${DEEPEST} graphs inside one another`,
      received: "more",
      fix: "the file is hostile",
    });
  }
  const values = new Map(known);
  for (const node of inOrder(graph, values)) {
    const inputs = node.input.map((name) => (name === "" ? undefined : values.get(name)));
    const context = new OnnxNode(node, opset, inputs, (body, bodyInputs) => {
      const inner = new Map(values);
      body.input.forEach(({ name }, i) => {
        if (bodyInputs[i]) inner.set(name, bodyInputs[i]);
      });
      for (const tensor of body.initializer) inner.set(tensor.name, constantTensor(context, tensor));
      return convertGraph(body, { opset, known: inner, depth: depth + 1, progress });
    });
    progress.count(`ONNX graph "${graph.name}"`);
    const converter = Object.hasOwn(converters, node.opType) ? converters[node.opType] : undefined;
    if (!converter) throw unknownOperator(context, onnxOperators);
    const scope = node.name.replace(/^\/|\/[^/]*$/g, "").replaceAll("/", ".") || node.opType;
    const results = withScope(scope, () => converted(context, converter));
    const outputs = folded(Array.isArray(results) ? results : [results as Value], progress);
    node.output.forEach((name, i) => {
      if (name === "") return;
      if (!outputs[i]) throw context.fail(`${outputs.length} outputs`, `${node.output.length}`);
      values.set(name, outputs[i]);
    });
  }
  return graph.output.map(({ name }) => {
    const value = values.get(name);
    if (value) return value;
    throw new DataError({
      where: `ONNX graph "${graph.name}"`,
      expected: `a node that makes output "${name}"`,
      received: "none",
      fix: "the file is damaged",
    });
  });
}

/** What a converter gives; a node that is not as the standard says is an error that names it, whatever it breaks. */
function converted(node: OnnxNode, converter: Converter): Value | readonly Value[] {
  try {
    return converter(node);
  } catch (cause) {
    if (cause instanceof KindlingError) throw cause;
    throw node.fail("a node as the standard has it", `one that breaks the import: ${(cause as Error).message}`);
  }
}

/**
 * Nodes with inputs before users. Files should be in order, but not all are. @throws DataError for cycles and unknown
 * names
 */
function inOrder(graph: GraphProto, known: ReadonlyMap<string, Value>): NodeProto[] {
  const makers = new Map<string, NodeProto>();
  for (const node of graph.node) {
    for (const name of node.output) {
      if (name === "") continue;
      if (makers.has(name) || graph.input.some((input) => input.name === name))
        throw broken(graph, `"${name}" to be made once`, "several times");
      makers.set(name, node);
    }
  }
  const order: NodeProto[] = [];
  const state = new Map<NodeProto, "open" | "done">();
  for (const root of graph.node) {
    const stack = [root];
    while (stack.length > 0) {
      const node = stack[stack.length - 1];
      if (state.get(node) === "done") {
        stack.pop();
        continue;
      }
      const waiting = namesUsed(node).flatMap((name) => {
        const maker = makers.get(name);
        if (!maker && node.input.includes(name) && name !== "" && !known.has(name))
          throw broken(graph, `"${name}" to be made by a node`, "none that makes it");
        return maker && state.get(maker) !== "done" ? [maker] : [];
      });
      if (waiting.length === 0) {
        order.push(node);
        state.set(node, "done");
        stack.pop();
        continue;
      }
      if (state.get(node) === "open") throw broken(graph, "no cycles", `one through "${node.output[0]}"`);
      state.set(node, "open");
      const open = waiting.find((maker) => state.get(maker) === "open");
      if (open) throw broken(graph, "no cycles", `one through "${open.output[0]}"`);
      stack.push(...waiting);
    }
  }
  return order;
}

/** Inputs of a node, and names that its bodies take from outside. */
function namesUsed(node: NodeProto): string[] {
  const inner = node.attribute.flatMap(({ g }) => g?.node.flatMap(namesUsed) ?? []);
  return [...node.input, ...inner, ...node.attribute.flatMap(({ g }) => g?.output.map(({ name }) => name) ?? [])];
}

function broken(graph: GraphProto, expected: string, received: string): DataError {
  return new DataError({ where: `ONNX graph "${graph.name}"`, expected, received, fix: "the file is damaged" });
}

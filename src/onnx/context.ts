import {
  DataError,
  type DType,
  decodeElement,
  hostArrayFrom,
  isFloat,
  type LimitName,
  limits,
  nearest,
  overLimit,
} from "../base/index.ts";
import { ConstantOp, constantValue, type Value } from "../ir/index.ts";
import type { GraphProto, NodeProto, TensorProto } from "../lower/index.ts";
import { evaluate } from "../ops/index.ts";
import type { ImportProgress } from "./progress.ts";
import { readInlineTensor } from "./tensors.ts";

/** The sizes of a tensor of an imported graph, in which all of them are known. */
export const shapeOf = (x: Value): readonly number[] => x.shape as readonly number[];

/** Kinds of attributes, by their numbers: AttributeProto.AttributeType of onnx.proto. */
const kinds = ["UNDEFINED", "FLOAT", "INT", "STRING", "TENSOR", "GRAPH", "FLOATS", "INTS", "STRINGS"] as const;
type AttributeKind = (typeof kinds)[number];

/** What a converter sees of one ONNX node. */
export class OnnxNode {
  readonly proto: NodeProto;
  readonly opset: number;
  /** Values of the inputs; undefined for optional ones that are left out. */
  readonly inputs: readonly (Value | undefined)[];
  /** Converts a graph that is an attribute; names from outside are seen in it. */
  readonly convertGraph: (graph: GraphProto, inputs: readonly Value[]) => Value[];

  constructor(
    proto: NodeProto,
    opset: number,
    inputs: readonly (Value | undefined)[],
    convertGraph: OnnxNode["convertGraph"],
  ) {
    this.proto = proto;
    this.opset = opset;
    this.inputs = inputs;
    this.convertGraph = convertGraph;
  }

  get name(): string {
    return `${this.proto.domain ? `${this.proto.domain}.` : ""}${this.proto.opType}${this.proto.name ? ` "${this.proto.name}"` : ""}`;
  }

  fail(expected: string, received: string): DataError {
    return new DataError({
      where: `ONNX node ${this.name}`,
      expected,
      received,
      fix: "Kindling cannot import this model",
    });
  }

  /** A number that the file states, if things of that number may be made. @throws DataError beyond the limit */
  within(limit: LimitName, value: number, what: string): number {
    if (value <= limits[limit]) return value;
    throw overLimit(limit, `ONNX node ${this.name}`, what, String(value));
  }

  input(index: number): Value {
    const value = this.inputs[index];
    if (value) return value;
    throw this.fail(`input ${index}`, "none");
  }

  /** The inputs without those that are left out. */
  get presentInputs(): Value[] {
    return this.inputs.filter((input) => input !== undefined);
  }

  private attribute(name: string, kind: AttributeKind) {
    const attribute = this.proto.attribute.find((candidate) => candidate.name === name);
    // files of the first versions leave the type out
    if (attribute && attribute.type !== kinds.indexOf(kind) && attribute.type !== kinds.indexOf("UNDEFINED")) {
      throw this.fail(
        `attribute ${name} of type ${kind}`,
        (kinds as readonly string[])[attribute.type] ?? `number ${attribute.type}`,
      );
    }
    return attribute;
  }

  int<T>(name: string, otherwise: T): number | T {
    const attribute = this.attribute(name, "INT");
    return attribute ? Number(attribute.i) : otherwise;
  }
  flag(name: string, otherwise = 0): boolean {
    return this.int(name, otherwise) !== 0;
  }
  float<T>(name: string, otherwise: T): number | T {
    return this.attribute(name, "FLOAT")?.f ?? otherwise;
  }
  text(name: string, otherwise: string): string {
    const bytes = this.attribute(name, "STRING")?.s;
    return bytes ? new TextDecoder().decode(bytes) : otherwise;
  }
  ints<T>(name: string, otherwise: T): number[] | T {
    const attribute = this.attribute(name, "INTS");
    return attribute ? attribute.ints.map(Number) : otherwise;
  }
  floats<T>(name: string, otherwise: T): number[] | T {
    const attribute = this.attribute(name, "FLOATS");
    return attribute ? [...attribute.floats] : otherwise;
  }
  texts(name: string, otherwise: string[]): string[] {
    const attribute = this.attribute(name, "STRINGS");
    return attribute ? attribute.strings.map((bytes) => new TextDecoder().decode(bytes)) : otherwise;
  }
  tensor(name: string): TensorProto | undefined {
    return this.attribute(name, "TENSOR")?.t;
  }
  graph(name: string): GraphProto {
    const graph = this.attribute(name, "GRAPH")?.g;
    if (graph) return graph;
    throw this.fail(`a graph as attribute ${name}`, "none");
  }

  /** Numbers of an input that must be known when the graph is made, such as a shape. undefined when it is left out. */
  constant(index: number): number[] | undefined {
    const value = this.inputs[index];
    if (!value) return undefined;
    const numbers = constantNumbers(value);
    if (numbers) return numbers;
    throw this.fail(`input ${index} to be known before the model runs`, "one that is computed from its inputs");
  }
  required(index: number): number[] {
    const numbers = this.constant(index);
    if (numbers) return numbers;
    throw this.fail(`input ${index}`, "none");
  }
}

/** The numbers of a constant, or of what is computed from constants alone; undefined for others. */
export function constantNumbers(value: Value): number[] | undefined {
  const { op } = value.node;
  if (op instanceof ConstantOp)
    return Array.from({ length: op.data.length }, (_, i) => decodeElement(value.dtype, op.data, i));
  return undefined;
}

/** Largest result that is worked out while importing. */
const FOLD_LIMIT = 4096;

/** Replaces values that depend on constants alone by constants: shapes are computed this way in nearly every file. */
export function folded(values: readonly Value[], progress: ImportProgress): Value[] {
  return values.map((value) => {
    const isSmall =
      value.shape.every((size) => typeof size === "number") &&
      (value.shape as number[]).reduce((a, b) => a * b, 1) <= FOLD_LIMIT;
    if (value.node.op instanceof ConstantOp || !isSmall || !progress.isConstant(value.node)) return value;
    const [{ data }] = evaluate([value], new Map());
    // what no integer can hold is left to the runtime
    if (!isFloat(value.dtype) && !data.every(Number.isFinite)) return value;
    return constantOf(value.dtype, value.shape as number[], data);
  });
}

export function constantOf(dtype: DType, shape: readonly number[], numbers: ArrayLike<number>): Value {
  return constantValue(hostArrayFrom(dtype, numbers), { dtype, shape });
}

/** A tensor attribute as a constant. */
export function constantTensor(node: OnnxNode, proto: TensorProto): Value {
  const { dtype, shape, data } = readInlineTensor(proto, `ONNX node ${node.name}`);
  return constantValue(data, { dtype, shape });
}

/** Gives the values of a node's outputs. */
export type Converter = (node: OnnxNode) => Value | readonly Value[];
export type Converters = Readonly<Record<string, Converter>>;

export function unknownOperator(node: OnnxNode, known: readonly string[]): DataError {
  const near = nearest(node.proto.opType, known);
  return new DataError({
    where: `ONNX node ${node.name}`,
    expected: "an operator that Kindling can import",
    received: `${node.proto.domain ? `${node.proto.domain}.` : ""}${node.proto.opType}`,
    fix: near && near !== node.proto.opType ? `the nearest known is ${near}` : "report which model needs it",
  });
}

import {
  type DType,
  decodeElement,
  GraphError,
  hostArrayFrom,
  KindlingError,
  OptionError,
  ShapeError,
} from "../base/index.ts";
import {
  type Attributes,
  applyOp,
  ConstantOp,
  constantValue,
  type Graph,
  type Node,
  type Op,
  type Shape,
  type Size,
  type TensorType,
  Value,
} from "../ir/index.ts";
import type { BatchRule } from "./batch.ts";

/** Plain numbers for the reference implementations, whatever the dtype. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** Whole numbers of any size, row-major, for the exact implementations; of bool 0 and 1. */
export interface ExactTensor {
  readonly shape: readonly number[];
  readonly data: readonly bigint[];
}

/** A float attribute of an ONNX node; plain numbers are integer attributes. */
export class OnnxFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}
export type OnnxAttribute = number | string | OnnxFloat | readonly number[];
export type OnnxAttributes = Readonly<Record<string, OnnxAttribute | undefined>>;

/** What an op's `lower` may use; implemented by the ONNX writer in `lower/`. Strings are ONNX tensor names. */
export interface Lowering {
  /** Emits a node with one output. */
  node(opType: string, inputs: readonly string[], attributes?: OnnxAttributes, domain?: OnnxDomain): string;
  /** Emits a node with several outputs. */
  nodes(
    opType: string,
    inputs: readonly string[],
    outputs: number,
    attributes?: OnnxAttributes,
    domain?: OnnxDomain,
  ): string[];
  /** A constant tensor; equal constants are stored once. */
  constant(dtype: DType, shape: readonly number[], values: readonly number[]): string;
  /** Lets kernels use a large constant as it is: none keeps it a second time, in an order of its own. */
  keepUnpacked(constant: string): void;
  /**
   * Emits a node that has graphs as attributes, such as Loop. The first inputs of each body are given by the operator,
   * with the types of the body's inputs; the others are the captured names, which the body sees as they are.
   */
  withBodies(
    opType: string,
    inputs: readonly string[],
    outputs: number,
    bodies: Readonly<Record<string, LoweredBody>>,
    attributes?: OnnxAttributes,
  ): string[];
  /** Whether this is for ONNX Runtime's WebGPU provider, whose kernels are not the same in everything. */
  readonly isWebGpu: boolean;
  /**
   * How many channels ONNX Runtime's CPU convolutions keep beside one another, 8 or 16, when tensors are turned into
   * that layout first (domain com.microsoft.nchwc); 0 where it has none.
   */
  readonly channelBlock: number;
  /** The node emitted last runs on the CPU, since the device's kernel for it lacks something. */
  keepOnCpu(): void;
  /** The names of a graph's outputs, given those of its inputs: its nodes are emitted here. */
  inline(graph: Graph, inputs: readonly string[]): string[];
  /** An i64 vector with these sizes; symbolic ones are computed when the graph runs. */
  sizes(shape: Shape): string;
  /**
   * Runs `body` on one slice of the inputs' first axis after another and stacks the results (ONNX Scan). A long chain
   * of elementwise operations on slices that fit the cache is faster than one operation after the other on the whole.
   */
  scan(inputs: readonly string[], dtype: DType, body: (inputs: readonly string[]) => string): string;
}

export interface LoweredBody {
  graph: Graph;
  /** Names for the body's last inputs, from the graph around it. */
  captured: readonly string[];
  /** Scalars that an operator such as Loop gives its body in front of the inputs that we use. @default none */
  extraInputs?: readonly DType[];
  /** A bool scalar that the operator wants in front of the body's outputs, made from these. @default none */
  condition?: (outputs: readonly string[]) => string;
}

/** Operators of ONNX Runtime beyond the ONNX standard live in these domains. */
export type OnnxDomain = "" | "com.microsoft" | "com.microsoft.nchwc";

/** A constant i64 vector: axes, starts, pads. */
export const i64Vector = (graph: Lowering, values: readonly number[]): string =>
  graph.constant("i64", [values.length], values);

/** Everything Kindling knows about one op. */
export interface OpEntry extends Op {
  /** Gradients of the inputs, given those of the outputs; undefined where there is none. */
  gradient(node: Node, dys: readonly (Value | undefined)[]): readonly (Value | undefined)[];
  /** Emits ONNX and returns the names of all outputs. */
  lower(graph: Lowering, inputs: readonly string[], node: Node): readonly string[];
  /** Plain, slow, obviously right. `types` are the outputs' types with all sizes known. */
  reference(inputs: readonly HostTensor[], attributes: Attributes, types: readonly TensorType[]): readonly HostTensor[];
  /** The same for inputs that are all integers or bool, beyond the 2^53 up to which doubles count. */
  exact?(inputs: readonly ExactTensor[], attributes: Attributes, types: readonly TensorType[]): readonly ExactTensor[];
  /**
   * Inputs whose elements the op only moves: each element of the outputs is one of these, or a number that the op puts
   * between them.
   */
  readonly carries?: readonly number[] | "all";
  /** Output i may be written over input j while the op runs, if they have the same type: pairs [j, i]. */
  readonly inPlace?: readonly (readonly [number, number])[];
  /** The output is the same memory as input 0. */
  readonly isView?: boolean;
  /**
   * The size that the indices in input 1 must lie in: a run with others fails at this op. @default it takes any numbers
   */
  indexBound?(node: Node): Size;
  /** The op in terms of others, for ops that exist only for their gradient; it is replaced by these before lowering. */
  expand?(inputs: readonly Value[]): readonly Value[];
  /** ONNX has no such op: it is computed on the host by `reference`, which cuts the graph in two there. */
  readonly isHost?: boolean;
  /** An op whose outputs are the first ones of this, from the same inputs: where both are applied, this is enough. */
  readonly extendsOp?: Op;
  /** The same op without some outputs that nothing uses, and the outputs it keeps; undefined when it needs all. */
  withoutOutputs?(unused: ReadonlySet<number>): { op: Op; kept: readonly number[] } | undefined;
  /**
   * In mixed precision: "low" computes in the shorter dtype, "any" in that of its inputs. @default f32, for what loses
   * accuracy: sums, norms, exponentials, losses
   */
  readonly precision?: "low" | "any";
  /** Applies the op to a whole batch; without it, vmap goes through the batch example by example. See batch.ts. */
  batch?: BatchRule;
  /** A cheaper value equal to the node's only output, or undefined. The node's inputs are simplified already. */
  simplify?(inputs: readonly Value[], attributes: Attributes): Value | undefined;
}

export type Operand = Value | number;

interface Definition<In extends string, A extends Attributes> {
  name: string;
  inputs: readonly In[];
  infer: (inputs: Record<In, TensorType>, attributes: A) => TensorType | readonly TensorType[];
  /** `y` is the output and `dy` its gradient; ops with several outputs write their entry's `gradient` themselves. */
  gradient:
    | ((values: Record<In, Value> & { y: Value; dy: Value }, attributes: A) => Partial<Record<In, Value>>)
    | NotDifferentiable;
  /** "host": there is no such operator; `reference` computes it. */
  lower:
    | ((graph: Lowering, inputs: Record<In, string>, attributes: A, node: Node) => string | readonly string[])
    | "host";
  reference: (
    inputs: Record<In, HostTensor>,
    attributes: A,
    types: readonly TensorType[],
  ) => HostTensor | readonly HostTensor[];
  exact?: (
    inputs: Record<In, ExactTensor>,
    attributes: A,
    types: readonly TensorType[],
  ) => ExactTensor | readonly ExactTensor[];
  carries?: readonly In[];
  inPlace?: OpEntry["inPlace"];
  isView?: boolean;
  indexBound?: OpEntry["indexBound"];
  simplify?: (inputs: Record<In, Value>, attributes: A) => Value | undefined;
  batch?: BatchRule;
  precision?: OpEntry["precision"];
}

class NotDifferentiable {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** For `gradient` of an op that has none: a gradient through it is an error that gives this reason. */
export function notDifferentiable(reason: string): NotDifferentiable {
  return new NotDifferentiable(reason);
}

function named<In extends string, T>(names: readonly In[], values: readonly T[]): Record<In, T> {
  return Object.fromEntries(names.map((name, i) => [name, values[i]])) as Record<In, T>;
}

const asArray = <T>(x: T | readonly T[]): readonly T[] => (Array.isArray(x) ? x : [x as T]);

/** Makes the entry of an op with a fixed list of named inputs. */
export function defineOp<const In extends string, A extends Attributes = Attributes>(
  definition: Definition<In, A>,
): OpEntry {
  const {
    name,
    inputs,
    infer,
    gradient,
    lower,
    reference,
    exact,
    carries,
    inPlace,
    isView,
    indexBound,
    simplify,
    batch,
    precision,
  } = definition;
  return {
    name,
    inPlace,
    isView,
    indexBound,
    batch,
    precision,
    simplify: simplify && ((values, attributes) => simplify(named(inputs, values), attributes as A)),
    inferTypes: (types, attributes) => asArray(infer(named(inputs, types), attributes as A)),
    gradient(node, [dy]) {
      if (gradient instanceof NotDifferentiable) throw notDifferentiableError(name, gradient.reason);
      if (dy === undefined) return [];
      const values = { ...named(inputs, node.inputs), y: node.outputs[0], dy };
      const result: Partial<Record<In, Value>> = gradient(values, node.attributes as A);
      return inputs.map((input) => result[input]);
    },
    isHost: lower === "host",
    lower: (graph, names, node) =>
      lower === "host" ? [] : asArray(lower(graph, named(inputs, names), node.attributes as A, node)),
    reference: (hostInputs, attributes, types) => asArray(reference(named(inputs, hostInputs), attributes as A, types)),
    exact:
      exact && ((exactInputs, attributes, types) => asArray(exact(named(inputs, exactInputs), attributes as A, types))),
    carries: carries?.map((input) => inputs.indexOf(input)),
  };
}

function notDifferentiableError(op: string, reason: string): GraphError {
  return new GraphError({
    where: `gradient of ${op}`,
    expected: "an operation with a derivative",
    received: `${op}, which has none: it ${reason}`,
    fix: "use stopGradient on its result, or a differentiable operation instead",
  });
}

/** Applies an entry; numbers become scalars of the dtype of the first operand that is a tensor. */
export function apply(entry: OpEntry, operands: readonly Operand[], attributes: Attributes = {}): Value {
  return applyAll(entry, operands, attributes)[0];
}

export function applyAll(entry: OpEntry, operands: readonly Operand[], attributes: Attributes = {}): readonly Value[] {
  const like = operands.find((operand) => operand instanceof Value);
  const wrong = operands.findIndex((operand) => !(operand instanceof Value) && typeof operand !== "number");
  if (wrong >= 0) throw operandError(entry.name, operands[wrong]);
  const values = operands.map((operand) =>
    operand instanceof Value ? operand : scalar(operand, like?.dtype ?? "f32"),
  );
  return applyOp(entry, values, attributes, currentScope());
}

function operandError(where: string, operand: unknown): OptionError {
  const received =
    typeof operand === "string" ? JSON.stringify(operand) : (operand?.constructor?.name ?? String(operand));
  const fix = "make it a tensor: tensor([1, 2]), or of a variable take its value: variable.value";
  return new OptionError({ where, expected: "tensors or numbers", received, fix });
}

/** A scalar constant. */
export function scalar(value: number, dtype: DType): Value {
  return filled([], value, dtype);
}

/** A small constant with every element equal; large ones are better made by broadcastTo. */
export function filled(shape: readonly number[], value: number, dtype: DType): Value {
  const count = shape.reduce((a, b) => a * b, 1);
  return constantValue(hostArrayFrom(dtype, new Array<number>(count).fill(value)), { dtype, shape });
}

/** A constant tensor with these numbers, row-major. */
export function constantOf(values: readonly number[], shape: readonly number[], dtype: DType): Value {
  return constantValue(hostArrayFrom(dtype, values), { dtype, shape });
}

/** A vector of integers as a constant. @default i64 */
export function vector(values: readonly number[], dtype: DType = "i64"): Value {
  return constantValue(hostArrayFrom(dtype, values), { dtype, shape: [values.length] });
}

export function hostTensor(shape: Shape, data?: ArrayLike<number>): HostTensor {
  const sizes = shape as readonly number[];
  const count = sizes.reduce((a, b) => a * b, 1);
  if (data && data.length !== count) {
    throw new ShapeError({
      where: "reference",
      expected: `${count} numbers`,
      received: String(data.length),
      fix: "check the shape",
    });
  }
  return { shape: sizes, data: data ? Float64Array.from(data) : new Float64Array(count) };
}

/** Row-major strides. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

/** Calls `visit` with each index of `shape` in row-major order; the array is reused between calls. */
export function forEachIndex(shape: readonly number[], visit: (index: readonly number[], flat: number) => void): void {
  const count = shape.reduce((a, b) => a * b, 1);
  const index = new Array<number>(shape.length).fill(0);
  for (let flat = 0; flat < count; flat++) {
    visit(index, flat);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
}

/** Flat position of `index` in a tensor that broadcasts to the index's shape. */
export function broadcastPosition(
  shape: readonly number[],
  strides: readonly number[],
  index: readonly number[],
): number {
  const shift = index.length - shape.length;
  let position = 0;
  for (let axis = 0; axis < shape.length; axis++)
    if (shape[axis] !== 1) position += index[axis + shift] * strides[axis];
  return position;
}

/*
 * The scope is where in the user's model a node is being made, so that an error or a profile can say "h.3.attn". Graph
 * building is synchronous, which makes a plain stack safe; it is empty whenever no trace is running.
 */
const scopes: string[] = [];

export function currentScope(): string {
  return scopes.length > 0 ? scopes[scopes.length - 1] : "";
}

/** Runs `body` with all nodes and errors it makes marked as belonging to `name`, nested inside the current scope. */
export function withScope<T>(name: string, body: () => T): T {
  const outer = currentScope();
  scopes.push(outer && name ? `${outer}.${name}` : outer || name);
  try {
    return body();
  } catch (error) {
    if (error instanceof KindlingError) error.locate(currentScope());
    throw error;
  } finally {
    scopes.pop();
  }
}

/** `operand` as a value, numbers as scalars of `dtype`. */
export function toValue(operand: Operand, dtype: DType): Value {
  return operand instanceof Value ? operand : scalar(operand, dtype);
}

/** The number that a scalar constant holds, or undefined for any other value. */
export function constantScalar(value: Value): number | undefined {
  const { op } = value.node;
  return op instanceof ConstantOp && op.data.length === 1 && value.shape.length === 0
    ? decodeElement(value.dtype, op.data, 0)
    : undefined;
}

/** TensorProto.DataType of ONNX. */
export const onnxTypeCode: Readonly<Record<DType, number>> = {
  f32: 1,
  u8: 2,
  i8: 3,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  bf16: 16,
};
/** ONNX types that we compute with inside some lowerings and that are no dtypes of ours. */
export const ONNX_UINT32 = 12;
export const ONNX_UINT64 = 13;

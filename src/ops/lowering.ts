import type { DType } from "../base/index.ts";
import type { Graph, Shape, TensorType } from "../ir/index.ts";

/** A float attribute of an ONNX node; plain numbers are integer attributes. */
export class OnnxFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}
/** An attribute of an ONNX node: an integer, a text, a float, or several integers. */
export type OnnxAttribute = number | string | OnnxFloat | readonly number[];
/** Attributes of an ONNX node by name; those that are undefined are not written. */
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
  /** A constant scalar of 32 bits without sign, which no dtype here has. */
  unsigned(value: number): string;
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
   * `slice` is what the body makes, in the dtype of its inputs.
   */
  scan(inputs: readonly string[], slice: TensorType, body: (inputs: readonly string[]) => string): string;
}

/** A graph inside a node of ONNX, such as the body of a Loop or a branch of an If. */
export interface LoweredBody {
  /** What it computes: its last inputs are those that it captures. */
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

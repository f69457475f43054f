import type { DType, HostArray } from "../base/index.ts";
import type { Attributes, Graph, Node, Op, Size, TensorType, Value } from "../ir/index.ts";
import type { ExactTensor, HostTensor } from "./host-tensor.ts";
import type { Lowering } from "./lowering.ts";

/**
 * How an op works on a whole batch at once, for vmap, when operands have the batch as a new axis 0 (interpreted in
 * autodiff/batching.ts):
 * - "elementwise": operands broadcast; sizes of 1 are put after the batch, so that the examples line up at the right.
 * - "axes": its attributes name axes or sizes, which move up by one.
 * - "leading": it treats all leading axes of the first operand alike, and its other operands belong to the last axes.
 * - "matrices": it works on the last two axes, and the leading axes of all operands agree.
 * - fold: it works on each of the N of operands [N, ...] alone, and the batch becomes part of N; so many operands, the
 *   first ones, have an N.
 * - "oneByOne": it does not; a scan goes through the examples, which is slow.
 * - a function, for what none of these says.
 */
export type BatchRule = NamedBatchRule | BatchFunction;
/** The rules of `BatchRule` that are not functions. */
export type NamedBatchRule = "elementwise" | "axes" | "leading" | "matrices" | { readonly fold: number } | "oneByOne";

/**
 * Applies a node to operands that have a batch as axis 0 where `isBatched`: gives outputs that all have it, or the rule
 * that holds in this case.
 */
export type BatchFunction = (
  node: Node,
  operands: readonly Value[],
  isBatched: readonly boolean[],
) => readonly Value[] | NamedBatchRule;

/** A tensor whose numbers are in the program's memory, row-major, in the host form of its dtype. */
export interface HostValue {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: HostArray;
}

/** What a computation on the host knows besides its operands. */
export interface HostContext {
  /** Attributes of the node. */
  readonly attributes: Attributes;
  /** Types of the outputs, with all sizes known. */
  readonly types: readonly TensorType[];
  /** Aborted when the run is to end; what is given up then should fail. */
  readonly signal: AbortSignal;
}

/**
 * Computes an op on the host. It may take its time: the device waits for it, the program does not. The arrays it is
 * given are its own; those it gives are read until the run has ended.
 */
export type HostFunction = (
  inputs: readonly HostValue[],
  context: HostContext,
) => readonly HostValue[] | Promise<readonly HostValue[]>;

/**
 * Everything Kindling knows about one op. What must be said of each op is required. What is optional makes graphs
 * cheaper where an op allows it, or is checked by a test that goes through all ops (entries.test.ts).
 */
export interface OpEntry extends Op {
  /**
   * Gradients of the inputs, given those of the outputs; undefined where there is none. They may have the shape that an
   * input broadcasts to, or one that broadcasts to the input's: the reverse pass brings them to the input's own.
   */
  gradient(node: Node, dys: readonly (Value | undefined)[]): readonly (Value | undefined)[];
  /** Emits ONNX and returns the names of all outputs. @throws GraphError for an op that is computed on the host */
  lower(graph: Lowering, inputs: readonly string[], node: Node): readonly string[];
  /** Plain, slow, obviously right. `types` are the outputs' types with all sizes known. */
  reference(inputs: readonly HostTensor[], attributes: Attributes, types: readonly TensorType[]): readonly HostTensor[];
  /** How it works on a batch. */
  readonly batch: BatchRule;
  /**
   * In mixed precision: "low" computes in the shorter dtype, "any" in that of its inputs, "f32" is for what loses
   * accuracy: sums, norms, exponentials, losses.
   */
  readonly precision: "low" | "any" | "f32";
  /** ONNX has no such op: it is computed on the host by this, which cuts the graph in two there. */
  readonly computeOnHost?: HostFunction;
  /** Its ONNX operator takes bf16 as it is; those of others are given f32, and what they give is rounded back. */
  readonly acceptsBfloat16?: boolean;
  /** The output is the same memory as input 0. */
  readonly isView?: boolean;
  /** The size that the indices in input 1 must lie in: a run with others fails at this op. */
  indexBound?(node: Node): Size;
  /** Output i may be written over input j while the op runs, if they have the same type: pairs [j, i]. */
  readonly inPlace?: readonly (readonly [number, number])[];
  /** The reference for inputs that are all integers or bool, beyond the 2^53 up to which doubles count. */
  exact?(inputs: readonly ExactTensor[], attributes: Attributes, types: readonly TensorType[]): readonly ExactTensor[];
  /**
   * Inputs whose elements the op only moves: each element of the outputs is one of these, or a number that the op puts
   * between them.
   */
  readonly carries?: readonly number[] | "all";
  /** The op in terms of others, for ops that exist only for their gradient; it is replaced by these before lowering. */
  expand?(inputs: readonly Value[]): readonly Value[];
  /**
   * Of an op with bodies that a gradient goes through: the op with bodies that have further inputs behind theirs, the
   * same for each, and its inputs with values for those.
   */
  withCaptured?(
    bodies: readonly Graph[],
    inputs: readonly Value[],
    captured: readonly Value[],
  ): { op: OpEntry; inputs: Value[] };
  /** An op whose outputs are the first ones of this, from the same inputs: where both are applied, this is enough. */
  readonly extendsOp?: Op;
  /** The same op without some outputs that nothing uses, and the outputs it keeps; undefined when it needs all. */
  withoutOutputs?(unused: ReadonlySet<number>): { op: Op; kept: readonly number[] } | undefined;
  /** A cheaper value equal to the node's only output, or undefined. The node's inputs are simplified already. */
  simplify?(inputs: readonly Value[], attributes: Attributes): Value | undefined;
}

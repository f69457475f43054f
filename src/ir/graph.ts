import { type DType, GraphError, type HostArray, hashNumbers, knownHash } from "../base/index.ts";
import type { Shape, Size } from "./size.ts";

/** What a tensor is before its numbers are known. */
export interface TensorType {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A setting of a node, besides its inputs: a number or size, a text, a flag, or a list of sizes. */
export type Attribute = Size | string | boolean | readonly Size[] | undefined;
/** Settings of a node by name. */
export type Attributes = Readonly<Record<string, Attribute>>;

/** The part of an op's entry that the graph itself needs; `ops/` adds gradient, lowering and reference. */
export interface Op {
  /** How graphs, messages and profiles call it, such as "matmul". */
  readonly name: string;
  /** Types of all outputs. @throws ShapeError or DTypeError naming both shapes and a fix. */
  inferTypes(inputs: readonly TensorType[], attributes: Attributes): readonly TensorType[];
  /** Graphs that the op runs, such as the body of a loop; passes work on them too. */
  readonly bodies?: readonly Graph[];
  /** The same op with other, equivalent bodies. */
  withBodies?(bodies: readonly Graph[]): Op;
}

/** One application of an op, or a leaf. Immutable; a graph is whatever can be reached from its outputs. */
export class Node {
  readonly op: Op;
  readonly inputs: readonly Value[];
  readonly attributes: Attributes;
  readonly outputs: readonly Value[];
  /** Where the user's code made it, such as "h.0.attn"; for messages only. */
  readonly scope: string;

  constructor(op: Op, inputs: readonly Value[], attributes: Attributes, types: readonly TensorType[], scope = "") {
    this.op = op;
    this.inputs = inputs;
    this.attributes = attributes;
    this.scope = scope;
    this.outputs = types.map((type, index) => new Value(this, index, type));
  }
}

/** One output of a node: an edge of the graph, with its dtype and shape. */
export class Value implements TensorType {
  readonly node: Node;
  readonly index: number;
  readonly dtype: DType;
  readonly shape: Shape;

  constructor(node: Node, index: number, type: TensorType) {
    this.node = node;
    this.index = index;
    this.dtype = type.dtype;
    this.shape = type.shape;
  }
}

/**
 * A leaf whose numbers come from outside when the graph runs: an argument, a variable or a buffer that exists already.
 */
export class PlaceholderOp implements Op {
  readonly name = "placeholder";
  /** What messages call it. */
  readonly label: string;
  readonly type: TensorType;
  constructor(label: string, type: TensorType) {
    this.label = label;
    this.type = type;
  }
  inferTypes(): readonly TensorType[] {
    return [this.type];
  }
}

/** Bytes of a constant from which on to compare it with another by its numbers takes too long. */
const LARGE_BYTES = 2 ** 16;

/** Large constants that were told apart so far. */
let largeConstants = 0;

/** A leaf whose numbers are part of the graph. */
export class ConstantOp implements Op {
  readonly name = "constant";
  readonly data: HostArray;
  readonly type: TensorType;
  constructor(data: HostArray, type: TensorType) {
    this.data = data;
    this.type = type;
  }
  inferTypes(): readonly TensorType[] {
    return [this.type];
  }

  private hash?: string;
  private identity?: string;

  /** The same for equal numbers, in hexadecimal. Computed once: it reads all of them. */
  get contentHash(): string {
    this.hash ??= knownHash(this.data) ?? hashNumbers(this.data);
    return this.hash;
  }

  /** The same for equal numbers, in this process; of large ones, such as weights, only in the same constant. */
  get fingerprint(): string {
    if (this.data.byteLength < LARGE_BYTES) return this.contentHash;
    this.identity ??= `constant ${++largeConstants}`;
    return this.identity;
  }
}

/** The constants of a graph. */
export const constantsOf = ({ nodes }: Graph): ConstantOp[] =>
  nodes.flatMap(({ op }) => (op instanceof ConstantOp ? [op] : []));

/** A new placeholder of the given type. */
export function placeholder(label: string, type: TensorType): Value {
  return new Node(new PlaceholderOp(label, type), [], {}, [type]).outputs[0];
}

/** A constant with the given numbers, row-major. */
export function constantValue(data: HostArray, type: TensorType): Value {
  return new Node(new ConstantOp(data, type), [], {}, [type]).outputs[0];
}

/** "f32[B, 3]" */
export function describe(type: TensorType): string {
  return `${type.dtype}[${type.shape.join(", ")}]`;
}

/**
 * A computation: placeholders in, values out. `nodes` is derived, in an order where inputs come before their users.
 * Graphs are immutable; a pass takes one and returns another.
 */
export class Graph {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly nodes: readonly Node[];

  /** @throws GraphError when an output depends on a placeholder that is not among the inputs. */
  constructor(inputs: readonly Value[], outputs: readonly Value[]) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.nodes = topologicalOrder(outputs);
    const known = new Set(inputs.map((input) => input.node));
    for (const node of this.nodes) {
      if (node.op instanceof PlaceholderOp && !known.has(node)) {
        throw new GraphError({
          where: "graph",
          expected: "every placeholder to be an input of the graph",
          received: `"${node.op.label}", which is not`,
          fix: "pass this tensor as an argument of the compiled function, and do not keep tensors of an earlier trace",
        });
      }
    }
  }
}

/** All nodes that `values` depend on, inputs before users. Iterative: graphs can be deeper than the call stack. */
export function topologicalOrder(values: readonly Value[]): Node[] {
  const order: Node[] = [];
  const state = new Map<Node, number>(); // how many inputs of the node were visited
  for (const value of values) {
    const stack = [value.node];
    while (stack.length > 0) {
      const node = stack[stack.length - 1];
      const visited = state.get(node) ?? 0;
      if (visited > node.inputs.length) {
        stack.pop();
      } else if (visited === node.inputs.length) {
        order.push(node);
        state.set(node, visited + 1);
        stack.pop();
      } else {
        state.set(node, visited + 1);
        const next = node.inputs[visited].node;
        if (!state.has(next)) stack.push(next);
      }
    }
  }
  return order;
}

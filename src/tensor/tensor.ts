import {
  type DType,
  GraphError,
  type HostArray,
  type HostArrays,
  hostArrayFrom,
  known,
  requireDType,
  ShapeError,
  toNumbers,
} from "../base/index.ts";
import {
  constantValue,
  describe,
  isSize,
  nameNode,
  normalizeAxis,
  PlaceholderOp,
  type Shape,
  type Value,
} from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { readValues } from "./execute.ts";
import { DataLeaf, Leaf } from "./leaf.ts";

/** Up to this many elements, numbers become part of the graph; more are passed to it as an input. */
const CONSTANT_LIMIT = 64;

/** An operand of elementwise functions: a tensor, or a number, which stands for a scalar of the same dtype. */
export type TensorLike<D extends DType = DType> = Tensor<D> | number;

/** Indices start, start + step, ... before end of one axis. */
export interface SliceOptions extends Omit<ops.SliceOptions, "axis"> {
  /** @default 0 */
  axis?: number;
}

/** Part of one axis of a value. */
export function sliceOf(x: Value, options: SliceOptions): Value {
  const { axis = 0, ...range } = known("slice", options, { axis: true, start: true, end: true, step: true });
  return ops.slice(x, { axis, ...range });
}

/** Nested arrays of numbers. */
export type NestedNumbers = number | boolean | readonly NestedNumbers[];

/**
 * An immutable, typed array of numbers: a node in a graph. Nothing is computed until `read`, `item` or a compiled
 * function asks for numbers.
 *
 * @example
 * const x = tensor([[1, 2], [3, 4]]);
 * await mul(x, x).toArray(); // [[1, 4], [9, 16]]
 */
export class Tensor<D extends DType = DType> {
  private readonly graphValue: Value;

  /** @internal */
  constructor(value: Value) {
    this.graphValue = value;
  }

  /** What the tensor is in the graph. @internal */
  get ir(): Value {
    return this.graphValue;
  }

  get dtype(): D {
    return this.ir.dtype as D;
  }

  /** Sizes; symbolic ones only inside a function compiled with symbolic sizes. */
  get shape(): Shape {
    return this.ir.shape;
  }

  get rank(): number {
    return this.ir.shape.length;
  }

  /**
   * The size of an axis; a negative one counts from the last.
   * @throws ShapeError for an axis that is not there, or whose size is symbolic
   *
   * @example
   * tensor([[1, 2, 3]]).size(-1); // 3
   */
  size(axis: number): number {
    const size = this.ir.shape[normalizeAxis("size", axis, this.rank)];
    if (typeof size === "number") return size;
    const { node } = this.ir;
    throw new ShapeError({
      where: `size of ${node.op instanceof PlaceholderOp ? node.op.label : nameNode(node)}`,
      expected: `a size of axis ${axis} that is known while the function is traced`,
      received: describe(this.ir),
      fix: "use x.shape, whose sizes may be symbols and stand in other shapes, or leave this axis out of symbolicSizes",
    });
  }

  /**
   * A copy of the numbers, row-major, in the host form of the dtype: what is not computed yet is computed now, and the
   * result of a compiled function waited for. @throws the error of the run that should have made them
   */
  async read(): Promise<HostArrays[D]> {
    const [data] = await readValues([this.ir]);
    return data as HostArrays[D];
  }

  /**
   * The numbers, as `read` gives them, but those of a result are not copied where they are here: the tensor is disposed
   * of, and of no use afterwards. @throws as `read`
   */
  async take(): Promise<HostArrays[D]> {
    const [data] = await readValues([this.ir], { isTaken: true });
    this.dispose();
    return data as HostArrays[D];
  }

  /** The only number of a tensor with one element. @throws ShapeError when there are more. */
  async item(): Promise<number> {
    const data = await this.read();
    if (data.length !== 1) {
      throw new ShapeError({
        where: "item",
        expected: "a tensor with one element",
        received: describe(this.ir),
        fix: "use read() or toArray()",
      });
    }
    return toNumbers(this.dtype, data)[0];
  }

  /**
   * The numbers as nested arrays of the tensor's shape. Name their type to index them without a cast; it is not looked
   * at when it runs.
   *
   * @example
   * const rows = await tensor([[1, 2], [3, 4]]).toArray<number[][]>();
   * rows[1][0]; // 3
   */
  async toArray<T extends NestedNumbers = NestedNumbers>(): Promise<T> {
    const flat = toNumbers(this.dtype, await this.read());
    const nest = (depth: number, offset: number, stride: number): NestedNumbers => {
      if (depth === this.rank) return flat[offset];
      const size = this.shape[depth] as number;
      const inner = stride / size;
      return Array.from({ length: size }, (_, i) => nest(depth + 1, offset + i * inner, inner));
    };
    return nest(0, 0, flat.length) as T;
  }

  /**
   * Frees device memory that this tensor holds, if it is the result of a compiled function. Calls and readings made
   * before have it still; what is computed from it and was not used in one has not.
   */
  dispose(): void {
    if (this.ir.node.op instanceof Leaf) this.ir.node.op.dispose();
  }

  /** Elementwise sum, with broadcasting. */
  add(other: TensorLike<D>): Tensor<D> {
    return new Tensor(ops.add(this.ir, unwrap(other)));
  }
  /** Elementwise difference, with broadcasting. */
  sub(other: TensorLike<D>): Tensor<D> {
    return new Tensor(ops.sub(this.ir, unwrap(other)));
  }
  /** Elementwise product, with broadcasting. */
  mul(other: TensorLike<D>): Tensor<D> {
    return new Tensor(ops.mul(this.ir, unwrap(other)));
  }
  /** Elementwise quotient, with broadcasting. */
  div(other: TensorLike<D>): Tensor<D> {
    return new Tensor(ops.div(this.ir, unwrap(other)));
  }
  /** Matrix product over the last two axes. */
  matmul(other: Tensor<D>, options?: ops.MatmulOptions): Tensor<D> {
    return new Tensor(
      ops.matmul(this.ir, other.ir, known("matmul", options, { transposeA: true, transposeB: true, scale: true })),
    );
  }
  /** Sum over axes. @default all axes */
  sum(options?: ops.ReduceOptions): Tensor<D> {
    return new Tensor(ops.sum(this.ir, known("sum", options, { axes: true, keepDims: true })));
  }
  /** Mean over axes. @default all axes */
  mean(options?: ops.ReduceOptions): Tensor<D> {
    return new Tensor(ops.mean(this.ir, known("mean", options, { axes: true, keepDims: true })));
  }
  /** Same elements, other shape; one size may be -1. */
  reshape(shape: Shape): Tensor<D> {
    return new Tensor(ops.reshape(this.ir, shape));
  }
  /** Reorders axes. @default reverses them */
  transpose(permutation?: readonly number[]): Tensor<D> {
    return new Tensor(ops.transpose(this.ir, permutation));
  }
  /**
   * Part of one axis, from start to before end; negative ones count from the end.
   *
   * @example
   * await tensor([1, 2, 3, 4]).slice({ start: 1, end: -1 }).toArray(); // [2, 3]
   */
  slice(options: SliceOptions): Tensor<D> {
    return new Tensor(sliceOf(this.ir, options));
  }
  /**
   * The tensor at an index of an axis, which is gone from its shape; a negative index counts from the end. An index
   * that is a tensor, of any shape, picks several: its axes take the place of that one. @default axis 0
   * @throws ShapeError when the index is outside
   *
   * @example
   * const x = tensor([[1, 2], [3, 4], [5, 6]]);
   * await x.at(-1).toArray(); // [5, 6]
   * await x.at(0, 1).toArray(); // [1, 3, 5]
   * await x.at(tensor([2, 0], { dtype: "i32" })).toArray(); // [[5, 6], [1, 2]]
   */
  at(index: number | Tensor<"i32" | "i64">, axis = 0): Tensor<D> {
    if (index instanceof Tensor) return new Tensor(ops.gather(this.ir, index.ir, axis));
    const { shape } = this.ir;
    const position = normalizeAxis("at", axis, shape.length);
    const size = shape[position];
    if (!Number.isInteger(index) || (typeof size === "number" && (index < -size || index >= size))) {
      throw new ShapeError({
        where: "at",
        expected: `an index inside axis ${axis}`,
        received: `${index} for ${describe(this.ir)}`,
        fix: "check the shape",
      });
    }
    if (typeof size !== "number" && index < 0) {
      return new Tensor(
        ops.gather(this.ir, constantValue(Int32Array.of(index), { dtype: "i32", shape: [] }), position),
      );
    }
    const part = ops.slice(this.ir, { axis: position, start: index, end: index === -1 ? undefined : index + 1 });
    return new Tensor(ops.reshape(part, shape.toSpliced(position, 1)));
  }
  /** Converts to another dtype. */
  cast<E extends DType>(to: E): Tensor<E> {
    return new Tensor(ops.cast(this.ir, requireDType("cast", to)));
  }

  /** Dtype and shape, such as "Tensor(f32[2, 3])"; its numbers are known only to `read`. */
  toString(): string {
    return `Tensor(${describe(this.ir)})`;
  }

  /** Keeps JavaScript's operators from taking a tensor for a number. @throws GraphError for all but text */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === "string") return this.toString();
    throw new GraphError({
      where: "tensor",
      expected: "a function of tensors, such as add or greater",
      received: `an operator of JavaScript on ${this}`,
      fix: "numbers of a tensor are known only after it has run: use functions of tensors, or await x.item() outside of compile",
    });
  }
}

/** Computes several tensors in one run and gives their numbers. */
export async function readTensors<D extends DType>(tensors: readonly Tensor<D>[]): Promise<HostArrays[D][]> {
  return (await readValues(tensors.map(({ ir: value }) => value))) as HostArrays[D][];
}

/** The operand an op takes. */
export function unwrap(x: TensorLike): Value | number {
  return x instanceof Tensor ? x.ir : x; // the op refuses what is neither
}

function shapeOf(nested: NestedNumbers): number[] {
  return Array.isArray(nested) ? [nested.length, ...(nested.length > 0 ? shapeOf(nested[0]) : [])] : [];
}

function flatten(
  nested: NestedNumbers,
  shape: readonly number[],
  out: (number | boolean)[] = [],
): (number | boolean)[] {
  if (!Array.isArray(nested)) {
    if (shape.length > 0) throw raggedError(nested);
    out.push(nested as number | boolean);
    return out;
  }
  if (nested.length !== shape[0]) throw raggedError(nested);
  for (const element of nested) flatten(element, shape.slice(1), out);
  return out;
}

function raggedError(at: NestedNumbers): ShapeError {
  const received = JSON.stringify(at)?.slice(0, 60);
  return new ShapeError({
    where: "tensor",
    expected: "nested arrays of equal lengths",
    received,
    fix: "pad the shorter rows",
  });
}

const dtypeOfArray = (data: HostArray): DType => {
  if (data instanceof Float32Array) return "f32";
  if (data instanceof Int32Array) return "i32";
  if (data instanceof BigInt64Array) return "i64";
  if (data instanceof Int8Array) return "i8";
  return data instanceof Uint16Array ? "f16" : "u8";
};

/** The dtype that numbers get when none is named. */
type DTypeOf<T> = T extends Int32Array
  ? "i32"
  : T extends BigInt64Array
    ? "i64"
    : T extends Int8Array
      ? "i8"
      : T extends Uint8Array
        ? "u8"
        : T extends Uint16Array
          ? "f16"
          : "f32";

/** Options of `tensor`. */
export interface TensorOptions<D extends DType> {
  /** Element type. @default f32 for numbers, otherwise that of the typed array */
  dtype?: D;
  /** Sizes, for flat data. @default the nesting of the arrays */
  shape?: readonly number[];
}

/**
 * A tensor from nested arrays, a number or a typed array. Typed arrays are not copied: do not change them afterwards.
 * @throws ShapeError when rows have different lengths, or the shape does not fit.
 *
 * @example
 * tensor([[1, 2, 3], [4, 5, 6]]).shape; // [2, 3]
 * tensor([1, 2, 3], { dtype: "i32" }).dtype; // "i32"
 */
export function tensor<const T extends NestedNumbers | HostArray, D extends DType = DTypeOf<T>>(
  data: T,
  options: TensorOptions<D> = {},
): Tensor<D> {
  const { dtype, shape } = known("tensor", options, { dtype: true, shape: true });
  const isTyped = ArrayBuffer.isView(data);
  const type = dtype !== undefined ? requireDType("tensor", dtype) : isTyped ? dtypeOfArray(data as HostArray) : "f32";
  const natural = isTyped ? [(data as HostArray).length] : shapeOf(data as NestedNumbers);
  const sizes = shape ?? natural;
  requireStoredShape(sizes);
  const flat = isTyped ? (data as HostArray) : flatten(data as NestedNumbers, natural);
  if (sizes.reduce((a, b) => a * b, 1) !== flat.length) {
    throw new ShapeError({
      where: "tensor",
      expected: `${sizes.reduce((a, b) => a * b, 1)} numbers for shape [${sizes.join(", ")}]`,
      received: `${flat.length}`,
      fix: "check the shape",
    });
  }
  const isStored =
    isTyped &&
    (dtypeOfArray(flat as HostArray) === type ||
      ((type === "bf16" || type === "bool") && flat instanceof (type === "bool" ? Uint8Array : Uint16Array)));
  const host = isStored ? (flat as HostArray) : hostArrayFrom(type, flat as ArrayLike<number>);
  return fromHost(type, sizes, host as never) as Tensor<D>;
}

function requireStoredShape(shape: readonly number[]): void {
  if (shape.every((size) => typeof size === "number" && isSize(size))) return;
  throw new ShapeError({
    where: "tensor",
    expected: "sizes that are integers of at least 0",
    received: `[${shape.join(", ")}]`,
    fix: "correct the shape",
  });
}

/**
 * Numbers that become a part of each graph that uses them, and not one of its inputs: the runtime may then bring them
 * into another order in advance. For weights that never change; each graph has its own copy. `data` is in the dtype's
 * form, and not copied.
 */
export function constant<D extends DType>(dtype: D, shape: readonly number[], data: HostArrays[D]): Tensor<D> {
  return new Tensor(constantValue(data, { dtype, shape }));
}

/** A tensor over host numbers that are already in the dtype's form. */
export function fromHost<D extends DType>(dtype: D, shape: readonly number[], host: HostArrays[D]): Tensor<D> {
  if (host.length <= CONSTANT_LIMIT) return new Tensor(constantValue(host, { dtype, shape }));
  return fromLeaf(new DataLeaf(dtype, shape, { host }));
}

/** The tensor of a leaf. */
export function fromLeaf<D extends DType>(leaf: Leaf): Tensor<D> {
  return new Tensor(leaf.value);
}

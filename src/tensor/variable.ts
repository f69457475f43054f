import {
  type DType,
  GraphError,
  HalfArray,
  type HostArrays,
  known,
  RuntimeError,
  requireDType,
  ShapeError,
} from "../base/index.ts";
import { describe, PlaceholderOp, type Shape, shapesEqual, symbol, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { Device, type DeviceBuffer } from "../runtime/index.ts";
import { computeTogether, materialize } from "./execute.ts";
import { DataOp, fromLeaf, Tensor } from "./tensor.ts";
import { currentTrace } from "./trace.ts";

/** The leaf that stands for a variable's value before the graph runs. */
export class VariableOp extends PlaceholderOp {
  readonly variable: Variable;
  constructor(variable: Variable, shape: Shape) {
    super(variable.name, { dtype: variable.dtype, shape });
    this.variable = variable;
  }
}

/** Numbers, those of f32 perhaps still in 16 bits; or a tensor that will be computed when they are first needed. */
export type Initial<D extends DType> = Tensor<D> | HostArrays[D] | (D extends "f32" ? HalfArray : never);

export interface VariableOptions<D extends DType> {
  /** For messages. @default "variable" */
  name?: string;
  dtype: D;
  shape: readonly number[];
  /**
   * For each axis a name, such as "S", when `lengthenVariables` may change its size, and null otherwise: functions are
   * then compiled once for all sizes. @default no axis changes
   */
  symbolicSizes?: readonly (string | null)[];
}

/**
 * State that outlives a run of a graph: a parameter, an optimizer's moment, a cache. Inside a traced function `value`
 * is its current tensor and `assign` gives it a new one, which takes effect when the compiled function has run.
 */
export class Variable<D extends DType = DType> {
  readonly name: string;
  readonly dtype: D;
  private sizes: readonly number[];
  private changes = 0;
  private initial: Initial<D> | undefined;
  private stored: DeviceBuffer | undefined;
  private readonly leaf: Value;

  constructor(options: VariableOptions<D>, initial: Initial<D>) {
    const {
      name = "variable",
      dtype,
      shape,
      symbolicSizes,
    } = known("Variable", options, { name: true, dtype: true, shape: true, symbolicSizes: true });
    this.name = name;
    this.dtype = requireDType("Variable", dtype);
    this.sizes = shape;
    this.initial = this.checked(initial, shape);
    const tracedShape = shape.map((size, axis) => (symbolicSizes?.[axis] ? symbol(symbolicSizes[axis]) : size));
    this.leaf = fromLeaf(new VariableOp(this as unknown as Variable, tracedShape)).value;
  }

  /** The shape of the current value. */
  get shape(): readonly number[] {
    return this.sizes;
  }

  /** Grows with every change of the value: who keeps what was computed from it can see whether that still holds. */
  get version(): number {
    return this.changes;
  }

  private checked(initial: Initial<D>, shape: Shape): Initial<D> {
    const received = initial instanceof Tensor ? describe(initial.value) : `${initial.length} numbers`;
    const fits =
      initial instanceof Tensor
        ? initial.dtype === this.dtype && shapesEqual(initial.shape, shape)
        : initial.length === this.shape.reduce((a, b) => a * b, 1);
    if (fits) return initial;
    const expected = describe({ dtype: this.dtype, shape });
    throw new ShapeError({
      where: `variable ${this.name}`,
      expected,
      received,
      fix: "give a value of the variable's shape and dtype",
    });
  }

  /** The current value: in a traced function after `assign`, the assigned one. */
  get value(): Tensor<D> {
    return new Tensor(currentTrace()?.assigned(this as unknown as Variable) ?? this.leaf);
  }

  /** The value before the function being traced. @internal */
  get leafValue(): Value {
    return this.leaf;
  }

  /** Gives the variable a new value when the function being traced has run. @throws GraphError outside of a trace */
  assign(next: Tensor<D>): void {
    const trace = currentTrace();
    if (!trace) {
      throw new GraphError({
        where: `assign to ${this.name}`,
        expected: "to be called inside a function passed to compile",
        received: "a call outside",
        fix: "use set",
      });
    }
    this.checked(next, this.leaf.shape);
    trace.assign(this as unknown as Variable, next.value);
  }

  /** Replaces the value now. Numbers are copied at their first use. */
  set(next: Initial<D>): void {
    this.initial = this.checked(next, this.shape);
    this.changes++;
    this.stored?.dispose();
    this.stored = undefined;
  }

  /** A copy of the current numbers. */
  async read(): Promise<HostArrays[D]> {
    if (this.initial instanceof HalfArray) return this.initial.widened() as HostArrays[D];
    if (this.initial !== undefined && !(this.initial instanceof Tensor))
      return (this.initial as HostArrays[D]).slice() as HostArrays[D];
    await initializeVariables([this as unknown as Variable]);
    return (await (this.stored as DeviceBuffer).read()) as HostArrays[D];
  }

  /** Whether the value is on the device already. @internal */
  get isInitialized(): boolean {
    return this.stored !== undefined;
  }

  /** @internal */
  get pendingInitial(): Initial<D> | undefined {
    return this.initial;
  }

  /** @internal */
  get buffer(): DeviceBuffer {
    if (this.stored) return this.stored;
    throw new RuntimeError({
      where: `variable ${this.name}`,
      expected: "a value",
      received: "none: it was disposed",
      fix: "set a new value",
    });
  }

  /** Counts a change of the value that a run makes. @internal */
  countChange(): void {
    this.changes++;
  }

  /** Takes over a buffer as the value and returns the one it replaces. @internal */
  replaceBuffer(next: DeviceBuffer): DeviceBuffer | undefined {
    const previous = this.stored;
    this.stored = next;
    this.sizes = next.shape;
    this.initial = undefined;
    return previous;
  }

  /** Frees the memory. The variable can be used again after `set`. */
  dispose(): void {
    this.stored?.dispose();
    this.stored = undefined;
    this.initial = undefined;
  }
}

/** Whether a variable has a value that is not on a device yet. */
export const isWaiting = (variable: Variable): boolean =>
  !variable.isInitialized && variable.pendingInitial !== undefined;

/** Puts the values of variables on their device; initial values that are tensors are computed by one graph together. */
export async function initializeVariables(variables: readonly Variable[], on?: Device): Promise<void> {
  for (;;) {
    const waiting = variables.filter(isWaiting);
    if (waiting.length === 0) return;
    const unseen = waiting.filter((variable) => !underWay.has(variable));
    if (unseen.length > 0) {
      const done = place(unseen, on).finally(() => {
        for (const variable of unseen) underWay.delete(variable);
      });
      for (const variable of unseen) underWay.set(variable, done);
    }
    await Promise.all(waiting.map((variable) => underWay.get(variable)));
  }
}

/** Variables whose first values are being put on a device: calls that begin together put them there once. */
const underWay = new WeakMap<Variable, Promise<void>>();

async function place(variables: readonly Variable[], on?: Device): Promise<void> {
  const initials = variables.map((variable) => variable.pendingInitial as Initial<DType>);
  const buffers = await materialize(
    initials.map((initial, i) =>
      initial instanceof Tensor
        ? initial.value
        : { dtype: variables[i].dtype, shape: variables[i].shape, data: initial },
    ),
    on,
  );
  variables.forEach((variable, i) => {
    if (variable.pendingInitial === initials[i]) variable.replaceBuffer(buffers[i]);
    else buffers[i].dispose(); // it was set anew meanwhile
  });
}

/**
 * Makes an axis of symbolic size longer, of variables of one shape: what is there stays at its beginning, and what is
 * new is 0. Costs one copy of their numbers, and while it is made the memory of both.
 * @throws RuntimeError when the memory is not there; nothing is changed then
 */
export async function lengthenVariables(variables: readonly Variable[], axis: number, size: number): Promise<void> {
  await initializeVariables(variables);
  const longer = variables.map(({ dtype, shape, buffer }) => {
    const padding = shape.map((now, i): [number, number] => [0, i === axis ? size - now : 0]);
    return ops.pad(fromLeaf(new DataOp(dtype, shape, { buffer })).value, padding);
  });
  const buffers = await computeTogether(longer, variables[0] && Device.of(variables[0].buffer));
  variables.forEach((variable, i) => {
    variable.replaceBuffer(buffers[i])?.dispose();
  });
}

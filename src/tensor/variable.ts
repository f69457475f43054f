import {
  type DType,
  describe,
  GraphError,
  HalfArray,
  type HostArrays,
  known,
  PlaceholderOp,
  RuntimeError,
  requireDType,
  ShapeError,
  shapesEqual,
  type Value,
} from "../ir/index.ts";
import type { Device, DeviceBuffer } from "../runtime/index.ts";
import { materialize } from "./execute.ts";
import { fromLeaf, Tensor } from "./tensor.ts";
import { currentTrace } from "./trace.ts";

/** The leaf that stands for a variable's value before the graph runs. */
export class VariableOp extends PlaceholderOp {
  readonly variable: Variable;
  constructor(variable: Variable) {
    super(variable.name, variable);
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
}

/**
 * State that outlives a run of a graph: a parameter, an optimizer's moment, a cache. Inside a traced function `value` is
 * its current tensor and `assign` gives it a new one, which takes effect when the compiled function has run.
 */
export class Variable<D extends DType = DType> {
  readonly name: string;
  readonly dtype: D;
  readonly shape: readonly number[];
  private initial: Initial<D> | undefined;
  private stored: DeviceBuffer | undefined;
  private readonly leaf: Value;

  constructor(options: VariableOptions<D>, initial: Initial<D>) {
    const { name = "variable", dtype, shape } = known("Variable", options, { name: true, dtype: true, shape: true });
    this.name = name;
    this.dtype = requireDType("Variable", dtype);
    this.shape = shape;
    this.initial = this.checked(initial);
    this.leaf = fromLeaf(new VariableOp(this as unknown as Variable)).value;
  }

  private checked(initial: Initial<D>): Initial<D> {
    const received = initial instanceof Tensor ? describe(initial.value) : `${initial.length} numbers`;
    const fits =
      initial instanceof Tensor
        ? initial.dtype === this.dtype && shapesEqual(initial.shape, this.shape)
        : initial.length === this.shape.reduce((a, b) => a * b, 1);
    if (fits) return initial;
    throw new ShapeError({ where: `variable ${this.name}`, expected: describe(this), received, fix: "give a value of the variable's shape and dtype" });
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
    this.checked(next);
    trace.assign(this as unknown as Variable, next.value);
  }

  /** Replaces the value now. Numbers are copied at their first use. */
  set(next: Initial<D>): void {
    this.initial = this.checked(next);
    this.stored?.dispose();
    this.stored = undefined;
  }

  /** A copy of the current numbers. */
  async read(): Promise<HostArrays[D]> {
    if (this.initial instanceof HalfArray) return this.initial.widened() as HostArrays[D];
    if (this.initial !== undefined && !(this.initial instanceof Tensor)) return (this.initial as HostArrays[D]).slice() as HostArrays[D];
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
    throw new RuntimeError({ where: `variable ${this.name}`, expected: "a value", received: "none: it was disposed", fix: "set a new value" });
  }

  /** Takes over a buffer as the value and returns the one it replaces. @internal */
  replaceBuffer(next: DeviceBuffer): DeviceBuffer | undefined {
    const previous = this.stored;
    this.stored = next;
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

/** Puts the values of variables on their device; initial values that are tensors are computed by one graph together. */
export async function initializeVariables(variables: readonly Variable[], on?: Device): Promise<void> {
  const waiting = variables.filter((variable) => !variable.isInitialized && variable.pendingInitial !== undefined);
  if (waiting.length === 0) return;
  const initials = waiting.map((variable) => variable.pendingInitial as Initial<DType>);
  const buffers = await materialize(
    initials.map((initial, i) => (initial instanceof Tensor ? initial.value : { dtype: waiting[i].dtype, shape: waiting[i].shape, data: initial })),
    on,
  );
  waiting.forEach((variable, i) => {
    variable.replaceBuffer(buffers[i]);
  });
}

import {
  type DType,
  type FloatDType,
  GraphError,
  HalfArray,
  type HostArray,
  type HostArrays,
  hostArrayFrom,
  known,
  OptionError,
  RuntimeError,
  requireDType,
  ShapeError,
  widenToF32,
} from "../base/index.ts";
import { describe, type Shape, shapesEqual, symbol, type Value } from "../ir/index.ts";
import * as ops from "../ops/index.ts";
import { type Argument, Device, DeviceBuffer } from "../runtime/index.ts";
import { capturedLeaves, computeTogether, prepareLeaves } from "./execute.ts";
import { DataLeaf, type HostData, Leaf, type Source } from "./leaf.ts";
import { isPassing, presentValue } from "./present-value.ts";
import { calls } from "./queue.ts";
import { Run } from "./run.ts";
import { Tensor } from "./tensor.ts";
import { currentTrace } from "./trace.ts";

/** The leaf that stands for a variable's value before the graph runs. */
export class VariableLeaf extends Leaf {
  readonly isState = true;
  /** The variable, which sets this when it is made. */
  variable!: Variable;
  /** The last run that has begun to change it. */
  lastRun: Source | undefined;
  /** The first run that failed to change it and of which nobody was told. */
  private failedRun: Source | undefined;

  get isOnHost(): boolean {
    const { pendingInitial: initial } = this.variable;
    return initial !== undefined && !(initial instanceof Tensor);
  }

  get host(): HostArray | undefined {
    const { pendingInitial: initial } = this.variable;
    if (initial instanceof HalfArray) return initial.widened();
    return initial instanceof Tensor ? undefined : initial;
  }

  get buffer(): DeviceBuffer | undefined {
    return this.variable.isInitialized ? this.variable.buffer : undefined;
  }

  get lack(): Value | HostData | Promise<void> | undefined {
    const { variable } = this;
    if (variable.firstValue) return variable.firstValue;
    if (variable.isInitialized || variable.pendingInitial === undefined) return undefined;
    const { pendingInitial: initial, stored, shape } = variable;
    return initial instanceof Tensor ? initial.ir : { dtype: stored, shape, data: initial };
  }

  place(lack: Value | HostData, buffer: DeviceBuffer): void {
    const { pendingInitial: initial } = this.variable;
    const isCurrent = "data" in lack ? lack.data === initial : initial instanceof Tensor && initial.ir === lack;
    if (isCurrent) this.variable.replaceBuffer(buffer);
    else buffer.dispose(); // it was set anew meanwhile
  }

  get sources(): readonly Source[] {
    return [this.failedRun, this.lastRun].filter((run) => run !== undefined && !run.isOver) as Source[];
  }

  noteFailure(run: Source): void {
    if (!this.failedRun?.hasUntoldFailure) this.failedRun = run;
  }

  /** A new value: how the old one came about does not matter any more. */
  forgetRuns(): void {
    this.lastRun = this.failedRun = undefined;
  }

  override argument(): Argument {
    return this.variable.buffer;
  }

  /** A tensor that stands for a variable owns none of its memory. */
  protected free(): void {}
}

/**
 * Numbers, those of f32 perhaps still in 16 bits; or a tensor. One that depends on variables or on results of compiled
 * functions counts as it is at the time of the call; another is computed when it is first needed.
 */
export type Initial<D extends DType> = Tensor<D> | HostArrays[D] | (D extends "f32" ? HalfArray : never);

/** How a value of a dtype may be kept. */
export type Storage<D extends DType> = D extends "f32" ? FloatDType : D;

/** A value that is not on a device yet, in the dtype in which it is kept there. */
type Pending = Tensor | HostArray | HalfArray;

/** Dtype and shape of a `Variable`, and how its numbers are kept. */
export interface VariableOptions<D extends DType> {
  /** For messages. @default "variable" */
  name?: string;
  /** Dtype of the value. */
  dtype: D;
  shape: readonly number[];
  /**
   * The dtype in which the numbers of an f32 variable are kept, in half the memory: the value widens them, and what is
   * set or assigned is rounded to them, halves to even. So an update smaller than half a step of the shorter dtype is
   * lost, as with PyTorch's 16-bit parameters. @default that of the value
   */
  stored?: Storage<D>;
  /**
   * For each axis a name, such as "S", when `lengthenVariables` may change its size, and null otherwise: functions are
   * then compiled once for all sizes. @default no axis changes
   */
  symbolicSizes?: readonly (string | null)[];
}

/**
 * State that outlives a run of a graph: a parameter, an optimizer's moment, a cache. It is a tensor, its current value,
 * and may stand wherever functions take one. `assign` gives it a new value in a traced function, which takes effect
 * when the compiled function has run.
 *
 * @example
 * const weight = new Variable({ dtype: "f32", shape: [2] }, Float32Array.of(1, 2));
 * const step = compile((x: Tensor<"f32">) => weight.assign(sub(weight, mul(x, 0.5))));
 * step(tensor([2, 2]));
 * await weight.toArray(); // [0, 1]
 */
export class Variable<D extends DType = DType> extends Tensor<D> {
  readonly name: string;
  /** Whether new values go into the memory that it has, and no other takes its place. @internal */
  readonly keepsBuffer: boolean = false;
  /** The dtype in which the numbers are kept. */
  readonly stored: Storage<D>;
  private sizes: readonly number[];
  private changes = 0;
  private initial: Pending | undefined;
  private deviceBuffer: DeviceBuffer | undefined;
  /** Values as users see them, by those that are kept: `grad` wants one node for one value. */
  private readonly widened = new WeakMap<Value, Value>();
  /** While the value that it is made with is computed in its turn among the calls. @internal */
  firstValue: Promise<void> | undefined;
  /** What stands for it in graphs. @internal */
  readonly leaf: VariableLeaf;

  constructor(options: VariableOptions<D>, initial: Initial<D>) {
    const {
      name = "variable",
      dtype,
      shape,
      stored = dtype as Storage<D>,
      symbolicSizes,
    } = known("Variable", options, { name: true, dtype: true, shape: true, stored: true, symbolicSizes: true });
    const tracedShape = shape.map((size, axis) => (symbolicSizes?.[axis] ? symbol(symbolicSizes[axis]) : size));
    const leaf = new VariableLeaf(name, { dtype: requireStorage(name, dtype, stored), shape: tracedShape });
    super(ops.cast(leaf.value, dtype));
    leaf.variable = this as unknown as Variable;
    this.leaf = leaf;
    this.name = name;
    this.stored = stored;
    this.sizes = shape;
    const first = this.rounded(this.checked(initial, shape));
    if (!isPassingTensor(first)) {
      this.initial = first;
      return;
    }
    this.firstValue = calls.add(async () => {
      await this.takeOver(first);
      this.firstValue = undefined;
    }) as Promise<void>;
  }

  /** The shape of the current value. */
  override get shape(): readonly number[] {
    return this.sizes;
  }

  /** Grows with every change of the value: who keeps what was computed from it can see whether that still holds. */
  get version(): number {
    return this.changes;
  }

  private checked(initial: Initial<D>, shape: Shape): Initial<D> {
    const received = initial instanceof Tensor ? describe(initial.ir) : `${initial.length} numbers`;
    const fits =
      initial instanceof Tensor
        ? initial.dtype === this.dtype && shapesEqual(initial.shape, shape)
        : initial.length === this.shape.reduce((a, b) => a * b, 1);
    if (fits) return initial instanceof Variable ? initial.value : initial;
    const expected = describe({ dtype: this.dtype, shape });
    throw new ShapeError({
      where: `variable ${this.name}`,
      expected,
      received,
      fix: "give a value of the variable's shape and dtype",
    });
  }

  /** A value as it is kept until it is on the device. */
  private rounded(initial: Initial<D>): Pending {
    const { dtype, stored } = this;
    if (stored === (dtype as DType)) return initial as Pending;
    if (initial instanceof Tensor) return new Tensor(ops.cast(initial.ir, stored));
    if (initial instanceof HalfArray && initial.dtype === stored) return initial.bits;
    return hostArrayFrom(stored, initial instanceof HalfArray ? initial.widened() : (initial as HostArrays[D]));
  }

  /** What is kept; in a traced function after `assign`, what will be. */
  private get kept(): Value {
    return currentTrace()?.assigned(this.leaf) ?? this.leaf.value;
  }

  /** In a traced function after `assign`, what was assigned. @internal */
  override get ir(): Value {
    const { kept, widened } = this;
    if (kept === this.leaf.value) return super.ir;
    const value = widened.get(kept) ?? ops.cast(kept, super.ir.dtype);
    widened.set(kept, value);
    return value;
  }

  override async read(): Promise<HostArrays[D]> {
    const numbers = await new Tensor(this.kept).read();
    const isNarrow = this.stored !== (this.dtype as DType);
    return (isNarrow ? widenToF32(this.stored as FloatDType, numbers) : numbers) as HostArrays[D];
  }

  /**
   * The current value as a tensor. In a traced function it goes on to be that when another is assigned. Outside of one
   * it stands for the variable: it is what the variable holds when it is used in a call or read.
   */
  get value(): Tensor<D> {
    return new Tensor(this.ir);
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
    this.checked(next, this.leaf.type.shape);
    trace.assign(this.leaf, ops.cast(next.ir, this.stored));
  }

  /**
   * Replaces the value: calls made before this see the old one. Numbers are copied at their first use. A tensor that
   * depends on variables, this one too, is what it is after the calls made so far; an error in computing it is thrown
   * to whoever reads the variable, which is as before then.
   * @throws GraphError in a traced function
   */
  set(next: Initial<D>): void {
    if (currentTrace()) {
      throw new GraphError({
        where: `set of ${this.name}`,
        expected: "to be called outside of functions passed to compile",
        received: "a call inside",
        fix: "use assign",
      });
    }
    const initial = this.rounded(this.checked(next, this.shape));
    this.changes++;
    calls.add(() => (isPassingTensor(initial) ? this.takeOver(initial) : this.replace(initial)));
  }

  /** Makes what a tensor is now the value. */
  private async takeOver({ ir }: Tensor): Promise<void> {
    const sources = capturedLeaves([ir]).flatMap((leaf) => leaf.sources);
    try {
      const present = await presentValue(ir);
      this.replace(present instanceof DeviceBuffer ? present : new Tensor(present));
      for (const run of sources) if (run.hasUntoldFailure) this.leaf.noteFailure(run);
    } catch (cause) {
      const failed = new Run([]);
      failed.failed(cause as Error);
      this.leaf.noteFailure(failed);
    }
  }

  private replace(next: Pending | DeviceBuffer): void {
    this.release();
    this.leaf.forgetRuns();
    if (next instanceof DeviceBuffer) this.replaceBuffer(next);
    else this.initial = next;
  }

  /** Whether the value is on the device already. @internal */
  get isInitialized(): boolean {
    return this.deviceBuffer !== undefined;
  }

  /** @internal */
  get pendingInitial(): Pending | undefined {
    return this.initial;
  }

  /** @internal */
  get buffer(): DeviceBuffer {
    if (this.deviceBuffer) return this.deviceBuffer;
    throw new RuntimeError({
      where: `variable ${this.name}`,
      expected: "a value",
      received: "none: it was disposed",
      fix: "set a new value",
    });
  }

  /** Counts a change of the value that a run makes. @internal */
  countChange(run?: Source): void {
    this.changes++;
    this.leaf.lastRun = run;
  }

  /** Takes over a buffer as the value and returns the one it replaces. @internal */
  replaceBuffer(next: DeviceBuffer): DeviceBuffer | undefined {
    const previous = this.deviceBuffer;
    this.deviceBuffer = next;
    this.sizes = next.shape;
    this.initial = undefined;
    return previous;
  }

  /** Frees the memory. The variable can be used again after `set`. */
  override dispose(): void {
    calls.add(() => this.release());
  }

  private release(): void {
    this.deviceBuffer?.dispose();
    this.deviceBuffer = undefined;
    this.initial = undefined;
  }
}

function isPassingTensor(x: Pending): x is Tensor {
  return x instanceof Tensor && isPassing(x.ir);
}

/** @throws OptionError for another storage than the dtype's own, or 16-bit floats for f32 */
function requireStorage<D extends DType>(name: string, dtype: D, stored: Storage<D>): Storage<D> {
  requireDType("Variable", dtype);
  if (stored === dtype || (dtype === "f32" && (stored === "f16" || stored === "bf16"))) return stored;
  throw new OptionError({
    where: `variable ${name}`,
    expected: `${dtype} to be stored as ${dtype === "f32" ? "f32, f16 or bf16" : "itself"}`,
    received: String(stored),
    fix: 'leave "stored" out',
  });
}

/** Puts the values of variables on their device; initial values that are tensors are computed with one wait. */
export async function initializeVariables(variables: readonly Variable[], on?: Device): Promise<void> {
  await prepareLeaves(
    variables.map(({ leaf }) => leaf),
    on,
  );
}

/**
 * Makes an axis of symbolic size longer, of variables of one shape: what is there stays at its beginning, and what is
 * new is 0. Costs one copy of their numbers, and while it is made the memory of both.
 * @throws RuntimeError when the memory is not there; nothing is changed then
 */
export async function lengthenVariables(variables: readonly Variable[], axis: number, size: number): Promise<void> {
  await calls.add(async () => {
    await initializeVariables(variables);
    const longer = variables.map(({ stored, shape, buffer }) => {
      const padding = shape.map((now, i): [number, number] => [0, i === axis ? size - now : 0]);
      return ops.pad(new DataLeaf(stored, shape, { buffer }).value, padding);
    });
    const buffers = await computeTogether(longer, variables[0] && Device.of(variables[0].buffer));
    variables.forEach((variable, i) => {
      variable.replaceBuffer(buffers[i])?.dispose();
    });
  });
}

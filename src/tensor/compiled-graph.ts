import type { HostArray } from "../base/index.ts";
import { evaluateSize, Graph, isStatic, type Shape, type TensorType } from "../ir/index.ts";
import { type Argument, Device, type DeviceBuffer, type Executable } from "../runtime/index.ts";
import type { Leaf } from "./leaf.ts";
import type { Probe } from "./probe.ts";
import { calls } from "./queue.ts";
import type { Run } from "./run.ts";
import {
  type Change,
  replaceState,
  restoreState,
  SpareBuffers,
  settleChanges,
  type Update,
  undoChanges,
} from "./state-changes.ts";
import type { Tensor } from "./tensor.ts";
import type { TracedFunction } from "./trace-function.ts";
import { VariableLeaf } from "./variable.ts";
import { watchNans } from "./watch-nans.ts";

/** Results up to this size come back with the run, so that reading a loss needs no second message. */
const INLINE_BYTES = 1 << 18;

export interface GraphSettings {
  keepPreviousState: boolean;
  keepsPartialState: boolean;
  reusesResults: boolean;
  debugNans: boolean;
  profile: boolean;
}

/** What a run of a graph does. */
export interface Launched {
  /** State that was not written in place, with what it was before. */
  changes: readonly Change[];
  /** Milliseconds inside the runtime, or the error of the run. */
  end: Promise<number>;
}

/** A traced function that was compiled for a device, for arguments of certain shapes. */
export class CompiledGraph {
  readonly executable: Executable;
  /** What it captured: variables and data. */
  readonly leaves: readonly Leaf[];
  readonly rebuild: (results: readonly Tensor[]) => unknown;
  private readonly graph: Graph;
  private readonly updates: readonly Update[];
  private readonly resultCount: number;
  private readonly probes: readonly Probe[];
  private readonly keepsPartialState: boolean;
  private readonly reusesArrays: boolean;
  private readonly spares = new SpareBuffers();
  /** The outputs whose numbers come back with the run. */
  private readonly hostOutputs: readonly number[];
  private readonly isStatic: boolean;
  private isDisposed = false;

  /**
   * @throws RuntimeError when its results will not fit into memory. That it does not compile shows at its first run.
   */
  constructor(traced: TracedFunction, device: Device, settings: GraphSettings) {
    const { leaves, results, rebuild } = traced;
    const nanProbe = settings.debugNans ? watchNans(traced.graph.outputs) : undefined;
    this.probes = [...traced.watches.map(({ value, probe }) => probe(value)), ...(nanProbe ? [nanProbe] : [])];
    const probed = this.probes.flatMap(({ values }) => values);
    this.graph = new Graph(traced.graph.inputs, [...traced.graph.outputs, ...probed]);
    this.leaves = leaves;
    this.rebuild = rebuild;
    this.resultCount = results.length;
    this.keepsPartialState = settings.keepsPartialState;
    this.reusesArrays = settings.reusesResults;
    this.updates = traced.updates.flatMap(([leaf], i) =>
      leaf instanceof VariableLeaf ? [{ variable: leaf.variable, output: results.length + i }] : [],
    );
    const probedFrom = traced.graph.outputs.length;
    this.hostOutputs = [
      ...results.flatMap((result, i) => (settings.reusesResults || byteLength(result) <= INLINE_BYTES ? [i] : [])),
      ...probed.map((_, i) => probedFrom + i),
    ];
    this.isStatic = [...results, ...probed].every(({ shape }) => isStatic(shape));
    this.executable = device.compile(this.graph, {
      // a variable that is only written has no input to swap with: its new value simply replaces the old
      updates: this.updates.flatMap(({ variable, output }) => {
        const captured = leaves.indexOf(variable.leaf);
        return captured < 0 ? [] : [{ output, input: traced.argumentCount + captured }];
      }),
      keepPreviousState: settings.keepPreviousState || settings.debugNans,
      hostOutputs: this.hostOutputs,
      profile: settings.profile,
    });
  }

  /** What the results of a call are, by the shapes of its arguments and of the state. */
  resultTypes(argumentShapes: readonly Shape[]): TensorType[] {
    const types = this.graph.outputs.slice(0, this.resultCount);
    if (this.isStatic) return types;
    const symbols = this.symbols([...argumentShapes, ...this.leaves.map((leaf) => shapeNow(leaf))]);
    return types.map(({ dtype, shape }) => ({ dtype, shape: shape.map((size) => evaluateSize(size, symbols)) }));
  }

  /** What the symbolic sizes are where the inputs of the graph have these shapes. */
  private symbols(shapes: readonly Shape[]): Map<string, number> {
    const symbols = new Map<string, number>();
    this.graph.inputs.forEach(({ shape }, i) => {
      shape.forEach((size, axis) => {
        const actual = shapes[i][axis];
        // arguments come first: what state will be when the run begins is perhaps not known yet
        const isNew = typeof size !== "number" && !symbols.has(size.text);
        if (isNew && typeof actual === "number") symbols.set(size.text, actual);
      });
    });
    return symbols;
  }

  /** Hands a run to the device. What the graph captured lacks nothing by now. */
  launch(run: Run, inputs: readonly Argument[], signal: AbortSignal | undefined): Launched {
    const { executable, updates, spares, keepsPartialState, reusesArrays } = this;
    const into = new Map<number, DeviceBuffer | "host">();
    for (const output of this.hostOutputs) into.set(output, "host");
    for (const { variable, output } of updates) {
      const buffer = executable.inPlace.has(output) ? variable.buffer : spares.take(variable);
      into.set(output, buffer ?? Device.of(executable).allocate(variable.stored, variable.shape));
      variable.countChange(run);
    }
    const all = [...inputs, ...this.leaves.map((leaf) => leaf.argument())];
    const { outputs, done } = executable.run(all, into, { signal, keepsPartialState, reusesArrays });
    run.began(outputs, calls.follow(run.end));
    this.copyIntoKept(outputs);
    const changes = replaceState(
      updates.filter(({ variable }) => !variable.keepsBuffer),
      executable,
      outputs,
      spares,
    );
    const finish = async (): Promise<number> => {
      const { data, computeMs } = await executable.ready
        .then(() => done)
        .catch((cause) => {
          for (const change of changes) restoreState(change);
          throw cause;
        });
      try {
        this.look(data, all);
      } catch (cause) {
        undoChanges(changes);
        throw cause;
      }
      settleChanges(changes);
      run.ended(data);
      return computeMs;
    };
    const end = finish();
    end.catch((cause) => this.fail(run, cause));
    return { changes, end };
  }

  /** Puts new state where it belongs, of variables that keep their memory and were not written in place. */
  private copyIntoKept(outputs: readonly (DeviceBuffer | undefined)[]): void {
    const device = Device.of(this.executable);
    for (const { variable, output } of this.updates) {
      if (!variable.keepsBuffer || this.executable.inPlace.has(output)) continue;
      const from = outputs[output] as DeviceBuffer;
      const start = from.shape.map(() => 0);
      device.copy([{ from, to: variable.buffer, fromStart: start, toStart: start, size: from.shape }]);
      from.dispose();
    }
  }

  /** Ends a run with an error, of which those who look at the state that it should have written are told. */
  fail(run: Run, cause: Error): void {
    for (const { variable } of this.updates) variable.leaf.noteFailure(run);
    run.failed(cause);
  }

  private look(data: readonly (HostArray | undefined)[], inputs: readonly Argument[]): void {
    if (this.probes.length === 0) return;
    const symbols = this.symbols(inputs.map(({ shape }) => shape));
    let next = this.graph.outputs.length - this.probes.reduce((count, { values }) => count + values.length, 0);
    for (const { values, look } of this.probes) {
      const numbers = data.slice(next, next + values.length) as HostArray[];
      next += values.length;
      look(
        numbers,
        values.map(({ shape }) => shape.map((size) => evaluateSize(size, symbols))),
      );
    }
  }

  dispose(): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    Device.of(this.executable).release(this.executable);
    this.spares.dispose();
  }
}

/** Bytes that a result has at most; of symbolic sizes it is not known. */
function byteLength({ shape }: TensorType): number {
  return isStatic(shape) ? shape.reduce((a, b) => a * b, 4) : Number.POSITIVE_INFINITY;
}

/** The shape of a leaf at this moment: that of a variable may have grown. */
function shapeNow(leaf: Leaf): Shape {
  return leaf instanceof VariableLeaf ? leaf.variable.shape : leaf.type.shape;
}

import { GraphError, type HostArray, known, OptionError } from "../base/index.ts";
import {
  describe,
  Graph,
  type Node,
  placeholder,
  type Shape,
  shapesEqual,
  symbol,
  type TensorType,
  type Value,
} from "../ir/index.ts";
import { Device, type DeviceBuffer, type Executable, Profile } from "../runtime/index.ts";
import { argumentOf, capturedLeaves, defaultDevice, materialize, variablesOf } from "./execute.ts";
import { mapStructure, type Structure } from "./structure.ts";
import { DataOp, fromHost, fromLeaf, Tensor } from "./tensor.ts";
import { Trace, traced } from "./trace.ts";
import { initializeVariables, isWaiting, type Variable } from "./variable.ts";
import { nanError, watchNans } from "./watch-nans.ts";

export interface CompileFunctionOptions {
  /** @default the shared CPU device */
  device?: Device;
  /**
   * Sizes that may differ between calls without compiling again: for each argument (in order of its tensors) a list
   * with a name, such as "B", for each axis that varies, and null for the others.
   */
  symbolicSizes?: readonly (readonly (string | null)[] | null)[];
  /**
   * Keep the state from before each run, so that `rollback` can bring it back. Doubles the memory of state. @default
   * false
   */
  keepPreviousState?: boolean;
  /**
   * State that a run was writing in place when it failed, or was ended, stays as the run left it: for a caller who
   * knows which part of it a run writes, and has that part written again. Otherwise such state is an error when it is
   * used, until it is set anew. @default false
   */
  keepsPartialState?: boolean;
  /**
   * Look for NaN in everything that is computed: a run that makes one fails, names the first op and its module, and
   * leaves the state as it was. @default false
   */
  debugNans?: boolean;
  /**
   * Measure each kernel: the compiled function's `profile` gives times and memory by op and module. In Node. @default
   * false
   */
  profile?: boolean;
}

const compileOptions = {
  device: true,
  symbolicSizes: true,
  keepPreviousState: true,
  keepsPartialState: true,
  debugNans: true,
  profile: true,
} as const;

/** A function that was traced and compiled; calling it runs the graph. */
export interface CompiledFunction<A extends readonly unknown[], R> {
  (...args: CallArguments<A>): Promise<R>;
  /**
   * The function with runs that a signal ends: the call fails with the signal's reason, and a run that waits for its
   * turn is not begun. Runs by onnxruntime-node and in pages go on to their end when they have begun. Of state, see
   * `keepsPartialState`.
   */
  withSignal(signal: AbortSignal | undefined): (...args: CallArguments<A>) => Promise<R>;
  /** Puts the state back to what it was before the last run. Needs `keepPreviousState`. */
  rollback(): void;
  /** The graph made for these arguments, for inspection with printGraph. */
  graph(...args: CallArguments<A>): Graph;
  /** Milliseconds inside the runtime in the last finished run. */
  readonly lastComputeMs: number;
  /** What the kernels of the runs so far took, of all graphs of this function. Needs `profile`, ends the measuring. */
  profile(): Promise<Profile>;
  /** Frees the compiled graphs. */
  dispose(): void;
}

/** A traced function when its arguments are not looked at. */
// biome-ignore lint/suspicious/noExplicitAny: the arguments are rebuilt with the structure that they came with
type Traceable = (...args: any[]) => unknown;

/** Results up to this size come back with the run, so that reading a loss needs no second message. */
const INLINE_BYTES = 1 << 18;

interface Entry {
  executable: Executable;
  leaves: ReturnType<typeof capturedLeaves>;
  graph: Graph;
  updates: { variable: Variable; output: number }[];
  /** Buffers to write new state into, where it is not written in place. */
  spare: Map<Variable, DeviceBuffer>;
  rebuild: (results: Tensor[]) => unknown;
  results: number;
  /** With debugNans: the nodes of which the last output tells whether they made NaN. */
  watched: readonly Node[];
}

/**
 * Traces `fn` once for each new combination of argument shapes and dtypes, compiles the graph, and runs it on every
 * call. Variables that `fn` assigns are updated by the run. The result has the structure that `fn` returned.
 *
 * Numbers among the arguments are inputs too: `fn` sees them as f32 scalars, so it declares tensors there, and a
 * changed learning rate does not compile again. Strings and booleans are part of the function: each combination is
 * compiled for itself. Calls that do not wait for each other run in the order in which they were made.
 *
 * @example
 * const lengthOf = compile((x: Tensor<"f32">) => sqrt(sum(mul(x, x))));
 * await (await lengthOf(tensor([3, 4]))).item(); // 5
 */
export function compile<A extends readonly unknown[], R>(
  fn: ((...args: A) => R) & WithoutNumbers<A>,
  options: CompileFunctionOptions = {},
): CompiledFunction<A, R> {
  known("compile", options, compileOptions);
  const entries = new Map<string, Promise<Entry>>();
  const made: Entry[] = [];
  let lastComputeMs = 0;
  let previous: Replaced[] = [];

  /**
   * Settles when the last call has been handed to the device: the next follows then, so that state changes in the order
   * of the calls.
   */
  let turn: Promise<unknown> = Promise.resolve();

  const callWith = async (args: readonly Structure[], signal?: AbortSignal): Promise<R> => {
    signal?.throwIfAborted();
    const device = options.device ?? defaultDevice();
    const { leaves, signature } = flattenArguments(args, options.symbolicSizes);
    const pending = entryFor(signature, args, device);
    const launched = turn.then(async () => {
      const entry = await pending;
      const inputs = await argumentsOf(leaves, device);
      const variables = variablesOf(entry.leaves);
      do await initializeVariables(variables, device);
      while (variables.some(isWaiting)); // one was set anew meanwhile
      signal?.throwIfAborted();
      return { result: launch(entry, inputs, device, signal) };
    });
    // a run that finds a NaN takes the state back, which no other may have read by then
    turn = (options.debugNans ? launched.then(({ result }) => result) : launched).catch(() => undefined);
    return (await launched).result;
  };

  const entryFor = (signature: string, args: readonly Structure[], device: Device): Promise<Entry> => {
    let pending = entries.get(signature);
    if (!pending) {
      pending = build(fn as Traceable, args, options, device).then((entry) => {
        made.push(entry);
        return entry;
      });
      entries.set(signature, pending);
      pending.catch(() => entries.delete(signature)); // a failed trace may succeed when called again
    }
    return pending;
  };

  const launch = async (
    entry: Entry,
    inputs: Awaited<ReturnType<typeof argumentsOf>>,
    device: Device,
    signal?: AbortSignal,
  ): Promise<R> => {
    const { executable, graph, updates } = entry;
    const into = new Map<number, DeviceBuffer | "host">();
    for (const { variable, output } of updates) {
      if (executable.inPlace.has(output)) into.set(output, variable.buffer);
      else into.set(output, spareOf(entry, variable) ?? device.allocate(variable.dtype, variable.shape));
      variable.countChange();
    }
    if (entry.watched.length > 0) into.set(graph.outputs.length - 1, "host");
    for (let i = 0; i < entry.results; i++) if (byteLength(graph.outputs[i]) <= INLINE_BYTES) into.set(i, "host");
    const { outputs, done } = executable.run([...inputs, ...entry.leaves.map(argumentOf)], into, {
      signal,
      keepsPartialState: options.keepsPartialState,
    });
    // the device works in order, so the new state can be handed to the next run before this one has finished
    previous = [];
    for (const { variable, output } of updates) {
      const next = outputs[output] as DeviceBuffer;
      if (executable.inPlace.has(output)) continue;
      const old = variable.replaceBuffer(next);
      if (old) {
        entry.spare.set(variable, old);
        const change = { variable, next, buffer: old, entry, before: latest.get(variable), hasFailed: false };
        latest.set(variable, change);
        previous.push(change);
      }
    }
    const replaced = previous;
    const { data, computeMs } = await done.catch((cause) => {
      for (const change of replaced) restore(change);
      throw cause;
    });
    for (const change of replaced) change.before = undefined;
    lastComputeMs = computeMs;
    if (entry.watched.length > 0) {
      const flags = data[graph.outputs.length - 1] as HostArray;
      const first = entry.watched.find((_, i) => Number(flags[i]) !== 0);
      if (first) {
        undo();
        throw nanError(first);
      }
    }
    const results = Array.from({ length: entry.results }, (_, i) => {
      const buffer = outputs[i];
      if (buffer) return fromLeaf(new DataOp(buffer.dtype, buffer.shape, { buffer }));
      const { dtype, shape } = graph.outputs[i];
      return fromHost(dtype, shape as readonly number[], data[i] as never);
    });
    return entry.rebuild(results) as R;
  };

  const undo = () => {
    for (const { variable, buffer, entry } of previous) {
      variable.countChange();
      const undone = variable.replaceBuffer(buffer);
      if (undone) entry.spare.set(variable, undone);
    }
    previous = [];
  };

  const rollback = () => {
    if (!options.keepPreviousState) {
      throw new OptionError({
        where: "rollback",
        expected: "a function compiled with keepPreviousState",
        received: "one without",
        fix: "compile(fn, { keepPreviousState: true })",
      });
    }
    undo();
  };

  const dispose = () => {
    for (const entry of made.splice(0)) {
      Device.of(entry.executable).release(entry.executable);
      for (const buffer of entry.spare.values()) buffer.dispose();
    }
    entries.clear();
  };

  const profile = async () => {
    const profiles = [];
    for (const { executable } of made) profiles.push(await executable.profile());
    return new Profile(profiles.flatMap(({ events }) => events));
  };

  const graph = (...args: CallArguments<A>) =>
    traceFunction(fn as Traceable, args as readonly Structure[], options).graph;
  const call = (...args: CallArguments<A>) => callWith(args as readonly Structure[]);
  const withSignal =
    (signal: AbortSignal | undefined) =>
    (...args: CallArguments<A>) =>
      callWith(args as readonly Structure[], signal);
  const compiled = Object.assign(call, { withSignal, rollback, dispose, graph, profile });
  return Object.defineProperty(compiled, "lastComputeMs", { get: () => lastComputeMs }) as CompiledFunction<A, R>;
}

/** A variable's buffer that a run has replaced. */
interface Replaced {
  variable: Variable;
  next: DeviceBuffer;
  buffer: DeviceBuffer;
  entry: Entry;
  /** The change before it, while that may still fail. */
  before: Replaced | undefined;
  hasFailed: boolean;
}

/**
 * The last change of each variable, by whichever function. Two buffers take turns, so that a buffer does not tell whose
 * it is.
 */
const latest = new WeakMap<Variable, Replaced>();

/**
 * After a failed run: gives a variable its value from before, unless a later call has changed it; those that read what
 * it was to make fail too.
 */
function restore(failure: Replaced): void {
  failure.hasFailed = true;
  const { variable } = failure;
  let change = latest.get(variable);
  if (!change?.hasFailed || !variable.isInitialized || variable.buffer !== change.next) return;
  let restored = change.buffer;
  for (; change?.hasFailed; change = change.before) {
    change.next.isFilled = false; // a run that was not begun has not made it
    change.entry.spare.set(variable, change.next);
    restored = change.buffer;
  }
  restored.isFilled = true;
  variable.replaceBuffer(restored);
  if (change) latest.set(variable, change);
  else latest.delete(variable);
}

/**
 * Refuses functions with numbers among their parameters: while they are traced these would be tensors, and `n > 3`
 * would not compare numbers.
 */
type WithoutNumbers<A> =
  true extends HasNumber<A>
    ? "declare this parameter as Tensor<'f32'>: numbers are tensors while a function is traced"
    : unknown;
type HasNumber<T> = 0 extends 1 & T // any is not looked into
  ? false
  : [Extract<T, number>] extends [never]
    ? T extends Tensor | string | boolean | null | undefined | ((...args: never) => unknown)
      ? false
      : T extends readonly (infer E)[]
        ? HasNumber<E>
        : { [K in keyof T]: HasNumber<T[K]> }[keyof T]
    : true;

/** What a compiled function is called with: where the traced function takes a scalar tensor, a number will do. */
export type CallArguments<A extends readonly unknown[]> = {
  [K in keyof A]: A[K] extends Tensor ? A[K] | number : A[K];
};

/** The buffer that waits for the variable's next value; one of a size that it has no longer is freed. */
function spareOf({ spare }: Entry, variable: Variable): DeviceBuffer | undefined {
  const buffer = spare.get(variable);
  if (!buffer || shapesEqual(buffer.shape, variable.shape)) return buffer;
  spare.delete(variable);
  buffer.dispose();
  return undefined;
}

function byteLength({ shape }: TensorType): number {
  return shape.every((size) => typeof size === "number")
    ? shape.reduce<number>((a, b) => a * (b as number), 4)
    : Number.POSITIVE_INFINITY;
}

interface Flat {
  leaves: (Tensor | number)[];
  signature: string;
}

/** Tensors and numbers of the arguments in order, and a text that is equal for arguments that one graph can serve. */
function flattenArguments(args: Structure, symbolicSizes: CompileFunctionOptions["symbolicSizes"]): Flat {
  const leaves: (Tensor | number)[] = [];
  const visit = (x: Structure): string => {
    if (x instanceof Tensor) {
      const names = symbolicSizes?.[leaves.length];
      leaves.push(x);
      return describe({
        dtype: x.dtype,
        shape: x.shape.map((size, axis) => (names?.[axis] ? symbol(names[axis]) : size)),
      });
    }
    if (typeof x === "number") {
      leaves.push(x);
      return "number";
    }
    if (Array.isArray(x)) return `[${x.map(visit)}]`;
    if (x !== null && typeof x === "object") {
      return `{${Object.entries(x as Record<string, Structure>).map(([key, child]) => `${key}:${visit(child)}`)}}`;
    }
    return JSON.stringify(x) ?? "undefined";
  };
  return { signature: visit(args), leaves };
}

function traceFunction(fn: Traceable, args: readonly Structure[], { symbolicSizes }: CompileFunctionOptions) {
  const inputs: Value[] = [];
  const traceArgs = mapStructure(args, (leaf) => {
    const type: TensorType = leaf instanceof Tensor ? leaf.value : { dtype: "f32", shape: [] };
    const names = symbolicSizes?.[inputs.length];
    const shape: Shape = type.shape.map((size, axis) => (names?.[axis] ? symbol(names[axis]) : size));
    const input = placeholder(`argument ${inputs.length}`, { dtype: type.dtype, shape });
    inputs.push(input);
    return new Tensor(input);
  }) as unknown[];
  const trace = new Trace();
  const returned = traced(trace, () => fn(...traceArgs));
  if (returned instanceof Promise) {
    throw new GraphError({
      where: "compile",
      expected: "a synchronous function",
      received: "one that returns a promise",
      fix: "remove async and await; read results after the call",
    });
  }
  const results: Value[] = [];
  const positions = mapStructure(returned as Structure, (leaf) => {
    results.push(leaf instanceof Tensor ? leaf.value : new Tensor(traced(trace, () => constantOf(leaf))).value);
    return results.length - 1;
  });
  const updated = [...trace.updates];
  const outputs = [...results, ...updated.map(([, value]) => value)];
  const leaves = capturedLeaves(outputs);
  const graph = new Graph([...inputs, ...leaves.map((leaf) => leaf.outputs[0])], outputs);
  return { graph, leaves, results, updated, positions, arguments: inputs.length };
}

function constantOf(x: number): Value {
  return fromHost("f32", [], Float32Array.of(x)).value;
}

async function build(
  fn: Traceable,
  args: readonly Structure[],
  options: CompileFunctionOptions,
  device: Device,
): Promise<Entry> {
  const traced = traceFunction(fn, args, options);
  const { leaves, results, updated, positions, arguments: count } = traced;
  const watch = options.debugNans ? watchNans(traced.graph.outputs) : undefined;
  const graph = watch ? new Graph(traced.graph.inputs, [...traced.graph.outputs, watch.flags]) : traced.graph;
  const captured = variablesOf(leaves);
  // a variable that is only written has no input to swap with: its new value simply replaces the old
  const updates = updated.map(([variable], i) => ({
    variable,
    output: results.length + i,
    input: captured.indexOf(variable),
  }));
  const inputOf = (variable: Variable) =>
    count + leaves.findIndex(({ op }) => "variable" in op && op.variable === variable);
  const executable = device.compile(graph, {
    updates: updates
      .filter(({ input }) => input >= 0)
      .map(({ output, variable }) => ({ output, input: inputOf(variable) })),
    keepPreviousState: options.keepPreviousState || options.debugNans,
    hostOutputs: [
      ...results.flatMap((result, i) => (byteLength(result) <= INLINE_BYTES ? [i] : [])),
      ...(watch ? [graph.outputs.length - 1] : []),
    ],
    profile: options.profile,
  });
  try {
    await executable.ready;
  } catch (cause) {
    device.release(executable);
    throw cause;
  }
  const rebuild = (tensors: Tensor[]) =>
    mapStructure(positions as Structure, (position) => tensors[position as number]);
  return {
    executable,
    leaves,
    graph,
    updates,
    spare: new Map(),
    rebuild,
    results: results.length,
    watched: watch?.watched ?? [],
  };
}

/** Arguments as the runtime takes them; a tensor that is still a computation is computed first. */
async function argumentsOf(leaves: readonly (Tensor | number)[], device: Device) {
  const out = [];
  for (const leaf of leaves) {
    if (typeof leaf === "number") out.push({ data: Float32Array.of(leaf), shape: [] });
    else if (leaf.value.node.op instanceof DataOp) out.push(argumentOf(leaf.value.node));
    else if ("data" in leaf.value.node.op)
      out.push({ data: leaf.value.node.op.data as HostArray, shape: leaf.shape as readonly number[] });
    else out.push((await materialize([leaf.value], device))[0]);
  }
  return out;
}

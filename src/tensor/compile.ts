import { GraphError, known, OptionError } from "../base/index.ts";
import { ConstantOp, type Graph } from "../ir/index.ts";
import { estimateMemory, type MemoryEstimate, optimize } from "../lower/index.ts";
import { type Argument, type Device, type DeviceBuffer, Profile } from "../runtime/index.ts";
import { CompiledGraph } from "./compiled-graph.ts";
import { defaultDevice, materialize, prepareLeaves } from "./execute.ts";
import { Leaf } from "./leaf.ts";
import { calls } from "./queue.ts";
import { Run } from "./run.ts";
import {
  type CallArguments,
  flattenArguments,
  type SymbolicSizes,
  type Traceable,
  type WithoutNumbers,
} from "./signature.ts";
import { type Change, undoChanges } from "./state-changes.ts";
import { mapStructure, type Structure } from "./structure.ts";
import { fromLeaf, type Tensor, tensor } from "./tensor.ts";
import { currentTrace } from "./trace.ts";
import { callSynchronous, traceFunction } from "./trace-function.ts";

/** Where a compiled function runs, which sizes may vary, and what is done about its state. */
export interface CompileFunctionOptions {
  /** Where it computes. @default the shared CPU device */
  device?: Device;
  /**
   * Sizes that may differ between calls without compiling again: for each argument (in order of its tensors) a list
   * with a name, such as "B", for each axis that varies, and null for the others.
   */
  symbolicSizes?: SymbolicSizes;
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
   * Results come back to the host with each run, however large, and in the memory of the run before: for a caller who
   * has each with `take`, and is done with its numbers, before the next call. @default false
   */
  reusesResults?: boolean;
  /**
   * Look for NaN in everything that is computed: a run that makes one fails, names the first op and its module, and
   * leaves the state as it was. Calls then wait for each other's end. @default false
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
  reusesResults: true,
  debugNans: true,
  profile: true,
} as const;

/** A function that was traced and compiled; calling it runs the graph. */
export interface CompiledFunction<A extends readonly unknown[], R> {
  /**
   * Starts a run and gives its results at once: their shapes are known, and reading them waits for their numbers. An
   * error of the run is thrown to who reads a result, or state that the run should have written. In another traced
   * function, the call becomes part of that. @throws the errors of `fn` itself, such as those of shapes
   */
  (...args: CallArguments<A>): R;
  /** Runs, and waits for the end. @throws (rejects with) the error of the run */
  run(...args: CallArguments<A>): Promise<R>;
  /**
   * `run` with an end that a signal sets: the call fails with the signal's reason, and a run that waits for its turn is
   * not begun. Runs by onnxruntime-node and in pages go on to their end when they have begun. Of state, see
   * `keepsPartialState`.
   */
  withSignal(signal: AbortSignal | undefined): (...args: CallArguments<A>) => Promise<R>;
  /**
   * Compiles for arguments of these shapes, as a call does, and runs nothing: a call that comes later need not wait.
   * The function is traced before this returns. @throws (rejects with) the error of compiling
   */
  prepare(...args: CallArguments<A>): Promise<void>;
  /** Waits for the calls made so far. @throws (rejects with) the first of their errors of which nobody was told */
  finished(): Promise<void>;
  /** Puts the state back to what it was before the last run. Needs `keepPreviousState`. */
  rollback(): void;
  /** The graph made for these arguments, for inspection with printGraph. */
  graph(...args: CallArguments<A>): Graph;
  /**
   * What a run with these arguments needs: bytes of its inputs (arguments, state and other leaves), and most bytes that
   * are computed and alive at the same time. Compiles nothing.
   */
  memory(...args: CallArguments<A>): MemoryEstimate;
  /** Milliseconds inside the runtime in the last finished run. */
  readonly lastComputeMs: number;
  /** What the kernels of the runs so far took, of all graphs of this function. Needs `profile`, ends the measuring. */
  profile(): Promise<Profile>;
  /** Frees the compiled graphs, after the calls made so far. */
  dispose(): void;
}

/**
 * Traces `fn` once for each new combination of argument shapes and dtypes, compiles the graph, and runs it on every
 * call. Variables that `fn` assigns are updated by the run. The result has the structure that `fn` returned.
 *
 * A call gives its results before they are computed: `read`, `item` and `toArray` wait, and a further function can take
 * them at once. Calls run in the order in which they were made, of all compiled functions; reading and setting
 * variables have their turn among them. `f.run` waits for the end of the run.
 *
 * Numbers among the arguments are inputs too: `fn` sees them as f32 scalars, so it declares tensors there, and a
 * changed learning rate does not compile again. Strings, booleans and functions are part of the function: each
 * combination is compiled for itself. A function among the arguments counts by its identity: define it once outside of
 * the call, since one that is written in the call is new at each, and compiled again.
 *
 * @example
 * const lengthOf = compile((x: Tensor<"f32">) => sqrt(sum(mul(x, x))));
 * await lengthOf(tensor([3, 4])).item(); // 5
 */
export function compile<A extends readonly unknown[], R>(
  fn: ((...args: A) => R) & WithoutNumbers<A>,
  options: CompileFunctionOptions = {},
): CompiledFunction<A, R> {
  const runner = new Runner(fn as Traceable, known("compile", options, compileOptions));
  const call = (...args: readonly Structure[]) => (currentTrace() ? runner.inline(args) : runner.start(args).result);
  const finish = async (args: readonly Structure[], signal?: AbortSignal) => {
    signal?.throwIfAborted();
    const { run, result } = runner.start(args, signal);
    await run.wait();
    return result;
  };
  const compiled = Object.assign(call, {
    run: (...args: readonly Structure[]) => finish(args),
    withSignal:
      (signal: AbortSignal | undefined) =>
      (...args: readonly Structure[]) =>
        finish(args, signal),
    prepare: async (...args: readonly Structure[]) => runner.prepare(args),
    finished: () => runner.finished(),
    rollback: () => runner.rollback(),
    graph: (...args: readonly Structure[]) => traceFunction(fn as Traceable, args, options.symbolicSizes).graph,
    memory: (...args: readonly Structure[]) =>
      estimateMemory(optimize(traceFunction(fn as Traceable, args, options.symbolicSizes).graph)),
    profile: () => runner.profile(),
    dispose: () => runner.dispose(),
  });
  const lastComputeMs = { get: () => runner.lastComputeMs };
  return Object.defineProperty(compiled, "lastComputeMs", lastComputeMs) as unknown as CompiledFunction<A, R>;
}

/** The graphs of a compiled function, and its calls. */
class Runner {
  lastComputeMs = 0;
  private readonly fn: Traceable;
  private readonly options: CompileFunctionOptions;
  private readonly graphs = new Map<string, CompiledGraph>();
  private readonly unfinished = new Set<Run>();
  /** Runs that failed, of which perhaps nobody was told. */
  private failed: readonly Run[] = [];
  /** What the last run changed. */
  private changes: readonly Change[] = [];

  constructor(fn: Traceable, options: CompileFunctionOptions) {
    this.fn = fn;
    this.options = options;
  }

  /** The function as a part of the one that is being traced. */
  inline(args: readonly Structure[]): unknown {
    const tensors = mapStructure(args, (leaf) => (typeof leaf === "number" ? tensor(leaf) : leaf));
    return callSynchronous(this.fn, tensors as unknown[]);
  }

  async prepare(args: readonly Structure[]): Promise<void> {
    requireNoTrace();
    const { signature } = flattenArguments(args, this.options.symbolicSizes);
    await this.graphFor(signature, args, this.options.device ?? defaultDevice()).executable.ready;
  }

  start(args: readonly Structure[], signal?: AbortSignal): { run: Run; result: never } {
    requireNoTrace();
    const device = this.options.device ?? defaultDevice();
    const { leaves, signature } = flattenArguments(args, this.options.symbolicSizes);
    const graph = this.graphFor(signature, args, device);
    const run = new Run(graph.resultTypes(leaves.map((leaf) => (typeof leaf === "number" ? [] : leaf.shape))));
    const result = graph.rebuild(run.results.map((leaf) => fromLeaf(leaf))) as never;
    this.watch(run);
    try {
      const begun = calls.add(() => this.begin(graph, run, leaves, { device, signal }));
      if (begun instanceof Promise) begun.catch((cause) => graph.fail(run, cause));
    } catch (cause) {
      graph.fail(run, cause as Error);
    }
    return { run, result };
  }

  /** Notes when a run ends, and how. */
  private watch(run: Run): void {
    this.unfinished.add(run);
    run.end
      .catch(() => {
        this.failed = [...this.failed.filter((other) => other.hasUntoldFailure).slice(0, KEPT_FAILURES), run];
      })
      .finally(() => this.unfinished.delete(run));
  }

  private graphFor(signature: string, args: readonly Structure[], device: Device): CompiledGraph {
    const present = this.graphs.get(signature);
    if (present) return present;
    const { keepPreviousState = false, keepsPartialState = false, reusesResults = false } = this.options;
    const { debugNans = false, profile = false } = this.options;
    const traced = traceFunction(this.fn, args, this.options.symbolicSizes);
    const graph = new CompiledGraph(traced, device, {
      keepPreviousState,
      keepsPartialState,
      reusesResults,
      debugNans,
      profile,
    });
    this.graphs.set(signature, graph);
    graph.executable.ready.catch(() => {
      if (this.graphs.get(signature) === graph) this.graphs.delete(signature); // it may compile when called again
      graph.dispose();
    });
    return graph;
  }

  /**
   * Begins a run, at once when it lacks nothing. With debugNans, others wait for its end: it may take the state back.
   */
  private begin(
    graph: CompiledGraph,
    run: Run,
    leaves: readonly (Tensor | number)[],
    { device, signal }: { device: Device; signal: AbortSignal | undefined },
  ): void | Promise<void> {
    const inputs = leaves.map((leaf) => inputFor(leaf, device));
    const launch = (ready: readonly Input[]): void | Promise<void> => {
      signal?.throwIfAborted();
      const { changes, end } = graph.launch(
        run,
        ready.map(({ argument }) => argument),
        signal,
      );
      for (const { temporary } of ready) temporary?.dispose(); // the device works in order
      this.changes = changes;
      const ended = end.then(
        (computeMs) => {
          this.lastComputeMs = computeMs;
        },
        () => {
          if (this.changes === changes) this.changes = [];
        },
      );
      if (this.options.debugNans) return ended;
    };
    const state = prepareLeaves(graph.leaves, device);
    const { room } = calls;
    if (!state && !room && !inputs.some((input) => input instanceof Promise)) return launch(inputs as Input[]);
    return Promise.all([Promise.all(inputs), state, room]).then(([ready]) => launch(ready));
  }

  async finished(): Promise<void> {
    await Promise.allSettled([...this.unfinished].map(({ end }) => end));
    const untold = this.failed.find((run) => run.hasUntoldFailure);
    this.failed = [];
    const failure = untold?.takeFailure();
    if (failure) throw failure;
  }

  rollback(): void {
    if (!this.options.keepPreviousState) {
      throw new OptionError({
        where: "rollback",
        expected: "a function compiled with keepPreviousState",
        received: "one without",
        fix: "compile(fn, { keepPreviousState: true })",
      });
    }
    calls.add(() => {
      undoChanges(this.changes);
      this.changes = [];
    });
  }

  async profile(): Promise<Profile> {
    await this.finished();
    const profiles = [];
    for (const { executable } of this.graphs.values()) profiles.push(await executable.profile());
    return Profile.join(profiles);
  }

  dispose(): void {
    const graphs = [...this.graphs.values()];
    this.graphs.clear();
    calls.add(() => {
      for (const graph of graphs) graph.dispose();
    });
  }
}

/** @throws GraphError in a function that is being traced */
function requireNoTrace(): void {
  if (!currentTrace()) return;
  throw new GraphError({
    where: "compile",
    expected: "a run outside of traced functions",
    received: "one inside",
    fix: "call the compiled function without run, prepare or withSignal: it becomes part of the traced one",
  });
}

/** Runs that failed and are remembered until somebody asks. */
const KEPT_FAILURES = 16;

/** What a run is given for a tensor or number among the arguments. */
interface Input {
  argument: Argument;
  /** A buffer that is not needed after the run. */
  temporary?: DeviceBuffer;
}

/** A tensor that is still a computation is computed first, and a variable copied, since the run may overwrite it. */
function inputFor(x: Tensor | number, device: Device): Input | Promise<Input> {
  if (typeof x === "number") return { argument: { data: Float32Array.of(x), shape: [] } };
  const { op } = x.ir.node;
  if (op instanceof ConstantOp) return { argument: { data: op.data, shape: x.shape as readonly number[] } };
  if (op instanceof Leaf && !op.isState) {
    if (op.lack instanceof Promise) return op.lack.then(() => ({ argument: op.argument() }));
    return { argument: op.argument() };
  }
  return materialize([x.ir], device).then(([buffer]) => ({ argument: buffer, temporary: buffer }));
}

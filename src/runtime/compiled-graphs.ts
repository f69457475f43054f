import { freeMemory, makeProfileFile, type openGraphCache } from "#runtime/platform";
import { knownHash, RuntimeError } from "../base/index.ts";
import { type ConstantOp, constantsOf, type Graph, printGraph } from "../ir/index.ts";
import { hostFunctionsOf, type Pass } from "../lower/index.ts";
import type { Connection } from "./connection.ts";
import { Executable } from "./executable.ts";
import { hostStagesOf } from "./host-stages.ts";
import { prepare, type Update } from "./program.ts";
import type { CompileRequest } from "./protocol.ts";

/** Which state a graph updates, which results are read, and how it is compiled. */
export interface CompileOptions {
  /** State that outputs replace; overwritten in place where the graph allows. */
  updates?: readonly Update[];
  /** Never overwrite state in place, so that the state before a run can be had back. @default false */
  keepPreviousState?: boolean;
  /** Outputs whose numbers are read after each run; others stay on the device. @default none */
  hostOutputs?: readonly number[];
  /** Measure each kernel; Executable.profile gives the result. @default false */
  profile?: boolean;
  /** Passes to run on the graph, to find out what each is worth. @default all of them */
  passes?: readonly Pass[];
}

export interface CompilerSettings {
  connection: Connection;
  /** Where compiled graphs are kept for the next start of the program. */
  cache: ReturnType<typeof openGraphCache>;
  /** A graph that needs more bytes than this for its results is refused. @default what is free when it is compiled */
  memoryLimit?: number;
}

/** Asking how much is free takes longer than this is worth. */
const MEMORY_NOT_WORTH_ASKING = 2 ** 28;

/** Whether the model depends on how ONNX Runtime is called: only its C API has bfloat16. */
const crossesInBfloat16 = ({ inputs, outputs }: Graph): boolean =>
  [...inputs, ...outputs].some(({ dtype }) => dtype === "bf16");

/** Bytes of constants from which on a graph holds a model's weights. */
const LARGE_CONSTANTS = 2 ** 22;

/** The graphs that are compiled for a device: equal ones once. */
export class CompiledGraphs {
  private readonly settings: CompilerSettings;
  private readonly compiled = new Map<string, { executable: Executable; users: number }>();
  /** Computations on the host, which the text of a graph does not tell apart. */
  private readonly hostFunctions = new Map<unknown, number>();

  constructor(settings: CompilerSettings) {
    this.settings = settings;
  }

  /** Number of graphs that are compiled and not released. */
  get size(): number {
    return this.compiled.size;
  }

  /** Compiles a graph, or gives the executable that an equal graph has already. */
  compile(graph: Graph, options: CompileOptions): Executable {
    const isSmall = bytesOf(constantsOf(graph)) < LARGE_CONSTANTS;
    const key = this.keyOf(graph, options, isSmall);
    const known = this.compiled.get(key);
    if (known) {
      known.users++;
      return known.executable;
    }
    const executable = this.make(graph, options, { key, isSmall });
    this.compiled.set(key, { executable, users: 1 });
    return executable;
  }

  /** Gives up one use of an executable; the last one frees it. */
  release(executable: Executable): void {
    for (const [key, entry] of this.compiled) {
      if (entry.executable !== executable) continue;
      if (--entry.users > 0) return;
      this.compiled.delete(key);
      executable.dispose();
    }
  }

  /**
   * A text that tells everything about a graph and how it is to be compiled; of one that holds weights in this process
   * only, unless they are told apart by their content.
   */
  private keyOf(graph: Graph, options: CompileOptions, byContent: boolean): string {
    const { updates = [], keepPreviousState = false, profile = false, hostOutputs = [], passes } = options;
    const host = hostFunctionsOf(graph).map((compute) => {
      const id = this.hostFunctions.get(compute) ?? this.hostFunctions.size;
      this.hostFunctions.set(compute, id);
      return id;
    });
    const names = passes?.map(({ name }) => name);
    const text = byContent ? printGraph(graph) : printGraph(graph, ({ fingerprint }) => fingerprint);
    return `${text}${JSON.stringify({ updates, keepPreviousState, profile, hostOutputs, passes: names, host })}`;
  }

  private make(graph: Graph, options: CompileOptions, { key, isSmall }: { key: string; isSmall: boolean }): Executable {
    const { updates = [], keepPreviousState = false, profile = false, hostOutputs = [], passes } = options;
    const { connection } = this.settings;
    // a profile needs the names of our nodes
    const isCached = !profile && !passes && !crossesInBfloat16(graph);
    const entry = isCached ? this.entryOf(graph, options, { key, isSmall }) : undefined;
    const kept = entry?.load(graph);
    const prepared = kept ?? prepare(graph, { updates, keepPreviousState, hostOutputs, passes });
    this.requireMemory(prepared.peakBytes);
    const id = connection.newId();
    const profileFile = profile ? makeProfileFile() : undefined;
    const ready = connection.request((write): CompileRequest => {
      // what the cache keeps must be whole
      const stages = prepared.stages(isSmall ? (each) => write(each, { keepsConstantsOutside: false }) : write);
      return {
        kind: "compile",
        executable: id,
        stages: entry && !kept ? entry.record(prepared, stages, graph) : stages,
        results: prepared.results,
        inputCount: graph.inputs.length,
        options: profileFile ? { enableProfiling: true, profileFilePrefix: profileFile.prefix } : {},
      };
    });
    // a failure is reported by whoever awaits it
    ready.then(() => entry?.save()).catch(() => {});
    if (prepared.hostNodes.size > 0) connection.serveHostStages(id, hostStagesOf(prepared.hostNodes));
    return new Executable(connection, { graph, id, inPlace: new Map(prepared.inPlace), ready, profileFile });
  }

  /**
   * The place of a graph in the cache. One that holds weights has none, as the cache would fill with copies, unless
   * they are not in its model and their hashes are known.
   */
  private entryOf(graph: Graph, options: CompileOptions, { key, isSmall }: { key: string; isSmall: boolean }) {
    const { connection, cache } = this.settings;
    const { length } = graph.nodes;
    if (isSmall) return cache?.entryOf(key, length);
    if (!cache || !connection.keepsConstantsOutside || !isMostlyHashed(graph)) return undefined;
    return cache.entryOf(`constants outside ${this.keyOf(graph, options, true)}`, length);
  }

  /** @throws RuntimeError when the graph's results will not fit, before anything is allocated */
  private requireMemory(peakBytes: number): void {
    const limit = this.lackOfMemory(peakBytes);
    if (limit === undefined) return;
    throw new RuntimeError({
      where: "memory",
      expected: `a graph that needs at most ${gib(limit)}, what is free`,
      received: `one that needs about ${gib(peakBytes)} besides its inputs`,
      fix: "use a smaller batch or context, or checkpoint; new Device({ memoryLimit }) sets another limit",
    });
  }

  /** How many bytes there are, where so many are too many. */
  lackOfMemory(bytes: number): number | undefined {
    if (bytes < MEMORY_NOT_WORTH_ASKING) return undefined;
    const limit = this.settings.memoryLimit ?? freeMemory();
    return bytes > limit ? limit : undefined;
  }
}

/** Bytes, for messages. */
export const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

const bytesOf = (constants: readonly ConstantOp[]): number =>
  constants.reduce((sum, { data }) => sum + data.byteLength, 0);

/** Whether the hashes of three quarters of a graph's constants were told: those of the others are computed. */
function isMostlyHashed(graph: Graph): boolean {
  const constants = constantsOf(graph);
  return bytesOf(constants.filter(({ data }) => !knownHash(data))) <= bytesOf(constants) / 4;
}

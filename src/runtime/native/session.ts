import type { OrtLibrary, Pointer } from "./library.ts";
import type { NativeValue } from "./value.ts";

export interface NativeSessionOptions {
  /** Threads that compute one operation together. */
  threads: number;
  /** Entries of ONNX Runtime's session configuration, by their names there. */
  config: Readonly<Record<string, string>>;
  /** The model was optimized before. @default false */
  isOptimized?: boolean;
  /** Where to write the optimized model. @default nowhere */
  optimizedPath?: string;
  /** Beginning of the path of a profile's file. @default no profile */
  profilePrefix?: string;
  /**
   * Tensors that take the place of the model's external initializers, by name; they must outlive the session. @default
   * none
   */
  initializers?: ReadonlyMap<string, NativeValue>;
  /** Where sessions with the same initializers keep them in their kernels' order. Needed with initializers. */
  prepacked?: PrepackedWeights;
}

/** Constants as the kernels want them, once for all sessions that use the same. */
export class PrepackedWeights {
  readonly pointer: Pointer;
  private readonly ort: OrtLibrary;

  constructor(ort: OrtLibrary) {
    this.ort = ort;
    this.pointer = ort.make("CreatePrepackedWeightsContainer");
  }

  /** Frees them; no session may use them any more. */
  dispose(): void {
    this.ort.call("ReleasePrepackedWeightsContainer", this.pointer);
  }
}

/** Options of runs: the means to end one, and to have the arena shrink after it. */
export class RunOptions {
  private readonly ort: OrtLibrary;
  private readonly pointer: Pointer;

  /** @param shrinksArena what the arena does not need after a run is given back */
  constructor(ort: OrtLibrary, { shrinksArena = false } = {}) {
    this.ort = ort;
    this.pointer = ort.make("CreateRunOptions");
    if (shrinksArena) ort.call("AddRunConfigEntry", this.pointer, "memory.enable_memory_arena_shrinkage", "cpu:0");
  }

  /** Runs something with these options; meanwhile `terminate` ends it. */
  async during(run: (options: Pointer) => Promise<void>): Promise<void> {
    this.ort.running.add(this.pointer);
    try {
      await run(this.pointer);
    } finally {
      this.ort.running.delete(this.pointer);
    }
  }

  /** Ends the run that is under way, before its next node. */
  terminate(): void {
    this.ort.call("RunOptionsSetTerminate", this.pointer);
  }

  /** Lets further runs start. */
  reset(): void {
    this.ort.call("RunOptionsUnsetTerminate", this.pointer);
  }

  dispose(): void {
    this.ort.call("ReleaseRunOptions", this.pointer);
  }
}

/** Constants of the C API: GraphOptimizationLevel, OrtLoggingLevel. */
const NO_OPTIMIZATION = 0;
const ALL_OPTIMIZATIONS = 99;
const FATAL = 4;

/** A compiled model. */
export class NativeSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  private readonly ort: OrtLibrary;
  private readonly pointer: Pointer;
  private readonly names: { inputs: NameList; outputs: NameList };

  private constructor(ort: OrtLibrary, pointer: Pointer) {
    this.ort = ort;
    this.pointer = pointer;
    const namesOf = (side: "Input" | "Output") =>
      Array.from({ length: Number(ort.make(`SessionGet${side}Count`, pointer)) }, (_, i) =>
        ort.takeText(ort.make(`SessionGet${side}Name`, pointer, i, ort.allocator)),
      );
    this.inputNames = namesOf("Input");
    this.outputNames = namesOf("Output");
    this.names = { inputs: new NameList(ort, this.inputNames), outputs: new NameList(ort, this.outputNames) };
  }

  /** Compiles a model in another thread. @throws OrtError when ONNX Runtime does not accept it */
  static async create(ort: OrtLibrary, model: Uint8Array, options: NativeSessionOptions): Promise<NativeSession> {
    const native = ort.make("CreateSessionOptions");
    const sessionPointer = new BigUint64Array(1);
    try {
      configure(ort, native, options);
      const { prepacked } = options;
      if (prepacked) {
        const name = "CreateSessionFromArrayWithPrepackedWeightsContainer";
        await ort.callAsync(name, ort.environment, model, model.byteLength, native, prepacked.pointer, sessionPointer);
      } else
        await ort.callAsync("CreateSessionFromArray", ort.environment, model, model.byteLength, native, sessionPointer);
    } finally {
      ort.call("ReleaseSessionOptions", native);
    }
    return new NativeSession(ort, sessionPointer[0]);
  }

  /**
   * Runs the model in another thread. Each output is written into the tensor given for it; where that is 0n, a new
   * tensor takes its place in `outputs`. An output may be an input too. The values must live until the run has ended.
   * @throws OrtError
   */
  run(inputs: BigUint64Array, outputs: BigUint64Array, options: RunOptions): Promise<void> {
    const { ort, pointer, names } = this;
    return options.during((native) =>
      ort.callAsync(
        "Run",
        pointer,
        native,
        names.inputs.pointers,
        inputs,
        inputs.length,
        names.outputs.pointers,
        outputs.length,
        outputs,
      ),
    );
  }

  /** Writes the profile. */
  endProfiling(): void {
    this.ort.takeText(this.ort.make("SessionEndProfiling", this.pointer, this.ort.allocator));
  }

  dispose(): void {
    this.ort.call("ReleaseSession", this.pointer);
  }
}

/** Texts as C has them. */
class NameList {
  readonly pointers: BigUint64Array;
  private readonly text: Uint8Array; // kept: the pointers lead into it

  constructor(ort: OrtLibrary, names: readonly string[]) {
    const texts = names.map((name) => new TextEncoder().encode(`${name}\0`));
    this.text = new Uint8Array(Buffer.concat(texts));
    let address = names.length > 0 ? ort.address(this.text) : 0n;
    this.pointers = BigUint64Array.from(texts, ({ length }) => {
      const start = address;
      address += BigInt(length);
      return start;
    });
  }
}

function configure(ort: OrtLibrary, native: Pointer, options: NativeSessionOptions): void {
  const { threads, config, isOptimized = false, optimizedPath, profilePrefix, initializers } = options;
  ort.call("SetIntraOpNumThreads", native, threads);
  ort.call("SetSessionGraphOptimizationLevel", native, isOptimized ? NO_OPTIMIZATION : ALL_OPTIMIZATIONS);
  ort.call("SetSessionLogSeverityLevel", native, FATAL);
  // memory patterns keep one block for the whole run, half as large again as the arena needs, and are no faster here
  ort.call("DisableMemPattern", native);
  ort.call("AddSessionConfigEntry", native, "session.use_env_allocators", "1"); // OrtLibrary.registerArena
  for (const [key, value] of Object.entries(config)) ort.call("AddSessionConfigEntry", native, key, value);
  if (optimizedPath !== undefined) ort.call("SetOptimizedModelFilePath", native, optimizedPath);
  if (profilePrefix !== undefined) ort.call("EnableProfiling", native, profilePrefix);
  if (!initializers || initializers.size === 0) return;
  // the first call gives the graph's passes the numbers, the second has the session use this memory and not a copy
  const names = new NameList(ort, [...initializers.keys()]);
  const values = BigUint64Array.from([...initializers.values()], ({ pointer }) => pointer);
  ort.call("AddExternalInitializers", native, names.pointers, values, values.length);
  for (const [name, { pointer }] of initializers) ort.call("AddInitializer", native, name, pointer);
}

/**
 * ONNX Runtime's C API, called from JavaScript through koffi. The library is the one inside onnxruntime-node, whose own
 * binding copies each output of a run into a new array; here a run reads and writes memory where it is.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { isMainThread } from "node:worker_threads";
import { type Koffi, loadKoffi } from "../../files/index.ts";

/** A pointer, 0n for none. Memory of typed arrays is passed as the array itself. */
export type Pointer = bigint;

/**
 * The version of the API that is asked for: the oldest that has every function below. Later libraries still have it.
 */
const API_VERSION = 22;

/** Paths are UTF-16 on Windows. */
const PATH = process.platform === "win32" ? "str16" : "str";

/**
 * The functions: their places in the table OrtApi, to which functions are only ever appended, and the types of their
 * arguments. All but those of `withoutStatus` give a status, null for success. What a function makes it writes into an
 * array of one pointer.
 */
const functions = {
  GetErrorMessage: [2, "void *"],
  GetErrorCode: [1, "void *"],
  CreateEnv: [3, "int", "str", "void *"],
  DisableTelemetryEvents: [6, "void *"],
  CreateSessionFromArray: [8, "void *", "void *", "size_t", "void *", "void *"],
  Run: [9, "void *", "void *", "void *", "void *", "size_t", "void *", "size_t", "void *"],
  CreateSessionOptions: [10, "void *"],
  SetOptimizedModelFilePath: [11, "void *", PATH],
  EnableProfiling: [14, "void *", PATH],
  DisableMemPattern: [17, "void *"],
  SetSessionLogSeverityLevel: [22, "void *", "int"],
  SetSessionGraphOptimizationLevel: [23, "void *", "int"],
  SetIntraOpNumThreads: [24, "void *", "int"],
  SessionGetInputCount: [30, "void *", "void *"],
  SessionGetOutputCount: [31, "void *", "void *"],
  SessionGetInputName: [36, "void *", "size_t", "void *", "void *"],
  SessionGetOutputName: [37, "void *", "size_t", "void *", "void *"],
  CreateRunOptions: [39, "void *"],
  RunOptionsSetTerminate: [46, "void *"],
  RunOptionsUnsetTerminate: [47, "void *"],
  CreateTensorAsOrtValue: [48, "void *", "void *", "size_t", "int", "void *"],
  CreateTensorWithDataAsOrtValue: [49, "void *", "void *", "size_t", "void *", "size_t", "int", "void *"],
  GetTensorMutableData: [51, "void *", "void *"],
  GetTensorElementType: [60, "void *", "void *"],
  GetDimensionsCount: [61, "void *", "void *"],
  GetDimensions: [62, "void *", "void *", "size_t"],
  GetTensorTypeAndShape: [65, "void *", "void *"],
  CreateCpuMemoryInfo: [69, "int", "int", "void *"],
  AllocatorFree: [76, "void *", "void *"],
  GetAllocatorWithDefaultOptions: [78, "void *"],
  ReleaseStatus: [93, "void *"],
  ReleaseSession: [95, "void *"],
  ReleaseValue: [96, "void *"],
  ReleaseRunOptions: [97, "void *"],
  ReleaseTensorTypeAndShapeInfo: [99, "void *"],
  ReleaseSessionOptions: [100, "void *"],
  SessionEndProfiling: [110, "void *", "void *", "void *"],
  AddSessionConfigEntry: [130, "void *", "str", "str"],
  CreateAndRegisterAllocator: [144, "void *", "void *", "void *"],
  AddInitializer: [150, "void *", "str", "void *"],
  CreateArenaCfg: [156, "size_t", "int", "int", "int", "void *"],
  ReleaseArenaCfg: [157, "void *"],
  AddRunConfigEntry: [165, "void *", "str", "str"],
  CreatePrepackedWeightsContainer: [166, "void *"],
  ReleasePrepackedWeightsContainer: [167, "void *"],
  CreateSessionFromArrayWithPrepackedWeightsContainer: [
    169,
    "void *",
    "void *",
    "size_t",
    "void *",
    "void *",
    "void *",
  ],
  AddExternalInitializers: [210, "void *", "void *", "void *", "size_t"],
} as const;

export type FunctionName = keyof typeof functions;

/** A function of a library: called here, or in another thread. */
interface NativeFunction {
  (...args: unknown[]): unknown;
  async(...argsAndCallback: unknown[]): void;
}
type Argument = Pointer | number | string | ArrayBufferView | null;

const TABLE_LENGTH = 1 + Math.max(...Object.values(functions).map(([place]) => place));

/** What functions give that do not give a status. */
const resultOf = (name: FunctionName): string => {
  if (name.startsWith("Release")) return "void";
  if (name === "GetErrorMessage") return "str";
  return name === "GetErrorCode" ? "int" : "void *";
};

/** A status of ONNX Runtime. */
export class OrtError extends Error {
  /** OrtErrorCode; 2 is ORT_INVALID_ARGUMENT. */
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

/** The loaded library: one for each process. */
export class OrtLibrary {
  readonly version: string;
  readonly environment: Pointer;
  /** Describes memory that is not ONNX Runtime's: the memory of arrays. */
  readonly cpuMemory: Pointer;
  /** Aligned memory from the system, without an arena: what is freed goes back. */
  readonly allocator: Pointer;
  /** Options of the runs that are under way. */
  readonly running = new Set<Pointer>();
  private readonly koffi: Koffi;
  private readonly entries: ReadonlyMap<FunctionName, NativeFunction>;
  /** malloc_trim, which only glibc has. */
  private readonly trimmer?: NativeFunction;

  private constructor(koffi: Koffi, path: string, expected: string) {
    this.koffi = koffi;
    pin(koffi, path);
    const base = koffi.load(path).func("OrtGetApiBase", "void *", [])() as Pointer;
    this.version = koffi.call(koffi.decode(base, koffi.sizeof("void *"), "void *"), koffi.proto("str", [])) as string;
    if (this.version !== expected)
      throw new Error(`${path} is version ${this.version}, and onnxruntime-node ${expected}`);
    const api = koffi.call(
      koffi.decode(base, "void *"),
      koffi.proto("void *", ["uint32_t"]),
      API_VERSION,
    ) as Pointer | null;
    if (!api) throw new Error(`ONNX Runtime ${this.version} has no version ${API_VERSION} of its C API`);
    const table = koffi.decode(api, koffi.array("void *", TABLE_LENGTH)) as Pointer[];
    this.entries = new Map(
      (Object.entries(functions) as [FunctionName, readonly [number, ...string[]]][]).map(
        ([name, [place, ...types]]) => [
          name,
          koffi.decode(table[place], koffi.proto(resultOf(name), types)) as NativeFunction,
        ],
      ),
    );
    this.trimmer = findTrimmer(koffi);
    this.environment = this.make("CreateEnv", FATAL, "kindling");
    this.call("DisableTelemetryEvents", this.environment);
    this.cpuMemory = this.make("CreateCpuMemoryInfo", DEVICE_ALLOCATOR, DEFAULT_MEMORY);
    this.allocator = this.make("GetAllocatorWithDefaultOptions");
    this.registerArena();
    // a process that ends while a run is under way waits for its thread: let that end too
    process.on("exit", () => {
      for (const options of this.running) this.call("RunOptionsSetTerminate", options);
    });
  }

  /** @throws Error when koffi or onnxruntime-node is missing, or does not fit this system */
  static load(): OrtLibrary {
    const require = createRequire(import.meta.url);
    const manifest = require.resolve("onnxruntime-node/package.json");
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
    const name = libraryNames[process.platform];
    if (name === undefined) throw new Error(`onnxruntime-node has no library for ${process.platform}`);
    const koffi = loadKoffi();
    disableTelemetry(koffi);
    return new OrtLibrary(
      koffi,
      join(dirname(manifest), "bin", "napi-v6", process.platform, process.arch, name),
      version,
    );
  }

  /**
   * Makes the arena that all sessions take the memory of their intermediate tensors from, so that it is there once and
   * not once for each graph, and that one run can give it back (memory.ts).
   */
  private registerArena(): void {
    const description = this.make("CreateCpuMemoryInfo", ARENA_ALLOCATOR, DEFAULT_MEMORY);
    const config = this.make("CreateArenaCfg", 0, SAME_AS_REQUESTED, -1, -1); // -1: ONNX Runtime's default
    try {
      this.call("CreateAndRegisterAllocator", this.environment, description, config);
    } catch {
      // another thread of this process has registered it
    } finally {
      this.call("ReleaseArenaCfg", config);
    }
  }

  /** Calls a function and throws what its status says. @throws OrtError */
  call(name: FunctionName, ...args: Argument[]): void {
    this.check(this.entry(name)(...args) as Pointer | null);
  }

  /** Calls a function in a thread of its own; arrays among the arguments must live until it has ended. */
  callAsync(name: FunctionName, ...args: Argument[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.entry(name).async(...args, (failure: Error | null, status: Pointer | null) => {
        try {
          if (failure) throw failure;
          this.check(status);
          resolve();
        } catch (cause) {
          reject(cause);
        }
      });
    });
  }

  private entry(name: FunctionName): NativeFunction {
    return this.entries.get(name) as NativeFunction;
  }

  /** Calls a function whose last argument is where it puts what it makes. @throws OrtError */
  make(name: FunctionName, ...args: Argument[]): Pointer {
    const place = new BigUint64Array(1);
    this.call(name, ...args, place);
    return place[0];
  }

  private check(status: Pointer | null | undefined): void {
    if (!status) return;
    const failure = new OrtError(
      this.entry("GetErrorMessage")(status) as string,
      this.entry("GetErrorCode")(status) as number,
    );
    this.entry("ReleaseStatus")(status);
    throw failure;
  }

  /** Gives freed memory back to the system, where the C library keeps it. */
  async trim(): Promise<void> {
    const { trimmer } = this;
    if (trimmer) await new Promise((resolve) => trimmer.async(0, resolve));
  }

  /** Memory as an array buffer, which must not be used once the memory is freed. */
  view(pointer: Pointer, bytes: number): ArrayBuffer {
    return this.koffi.view(pointer, bytes);
  }

  /** Where an array is in memory. */
  address(array: ArrayBufferView): Pointer {
    return this.koffi.address(array);
  }

  /** A text that ONNX Runtime has allocated. */
  takeText(pointer: Pointer): string {
    const text = this.koffi.decode.string(pointer);
    this.call("AllocatorFree", this.allocator, pointer);
    return text;
  }
}

const libraryNames: Partial<Record<NodeJS.Platform, string>> = {
  linux: "libonnxruntime.so.1",
  darwin: "libonnxruntime.1.dylib",
  win32: "onnxruntime.dll",
};

/** Constants of the C API: OrtLoggingLevel, OrtAllocatorType, OrtMemType, and of ONNX Runtime: ArenaExtendStrategy. */
const FATAL = 4;
const DEVICE_ALLOCATOR = 0;
const ARENA_ALLOCATOR = 1;
const DEFAULT_MEMORY = 0;
const SAME_AS_REQUESTED = 1;

/**
 * ONNX Runtime reads this variable when it is loaded; without it, it keeps an id of the device and a database in the
 * user's cache, and looks up a host. Assigning to process.env reaches the library from the main thread only: other
 * threads have a copy.
 */
export function disableTelemetry(koffi?: Koffi): void {
  process.env.ORT_DISABLE_TELEMETRY = "1";
  if (isMainThread || !koffi) return;
  if (process.platform === "win32")
    koffi.load("ucrtbase.dll").func("_putenv_s", "int", ["str", "str"])("ORT_DISABLE_TELEMETRY", "1");
  else koffi.load(null).func("setenv", "int", ["str", "str", "int"])("ORT_DISABLE_TELEMETRY", "1", 1);
}

/**
 * Keeps a library loaded as long as the process lives. koffi unloads one that nobody refers to, at the latest when the
 * process ends, and ONNX Runtime's threads may still be at work then.
 */
function pin(koffi: Koffi, path: string): void {
  if (process.platform === "win32") koffi.load("kernel32.dll").func("LoadLibraryW", "void *", ["str16"])(path);
  else koffi.load(null).func("dlopen", "void *", ["str", "int"])(path, RTLD_NOW);
}
const RTLD_NOW = 2;

function findTrimmer(koffi: Koffi): NativeFunction | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    return koffi.load(null).func("malloc_trim", "int", ["size_t"]) as NativeFunction;
  } catch {
    return undefined; // another C library
  }
}

let loaded: OrtLibrary | undefined;

/** The library of this process, loaded at the first call. @throws Error when it cannot be */
export function ortLibrary(): OrtLibrary {
  loaded ??= OrtLibrary.load();
  return loaded;
}

import { configOf, defaultType, openGraphCache, preferred, startBackend, threadCount } from "#runtime/platform";
import {
  bytesPerElement,
  checkOptions,
  type DType,
  HalfArray,
  type HostArrays,
  nearest,
  OptionError,
  RuntimeError,
} from "../base/index.ts";
import type { Graph } from "../ir/index.ts";
import { DeviceBuffer } from "./buffer.ts";
import { CompiledGraphs, type CompileOptions, gib } from "./compiled-graphs.ts";
import { Connection, type PickedDevice } from "./connection.ts";
import type { Executable } from "./executable.ts";
import { type Candidate, type DeviceType, type Move, ortTypes } from "./protocol.ts";

/** Where a `Device` computes, with how many threads, and how much memory it may take. */
export interface DeviceOptions {
  /**
   * Where to compute: "cpu", "webgpu" (any GPU), "cuda" (NVIDIA), "coreml" (Apple), "directml" (Windows), in a page
   * "webgpu" or "wasm"; "auto" takes the first of these that works. @default "cpu" in Node, "auto" in a page
   */
  type?: DeviceType | "auto";
  /** CPU threads that compute one operation together. @default all cores */
  threads?: number;
  /** A graph that needs more bytes than this for its results is refused. @default what is free when it is compiled */
  memoryLimit?: number;
  /**
   * Folder that keeps compiled graphs for the next start of the program, or false for none. Only "cpu" uses it.
   * @default what the environment variable KINDLING_CACHE says ("off" for none), otherwise ~/.cache/kindling
   */
  cache?: string | false;
  /**
   * How ONNX Runtime is called on the CPU: by its C API, which copies nothing, or by onnxruntime-node in a worker
   * thread, which copies each result.
   * @default what the environment variable KINDLING_BINDING says, otherwise its C API if koffi can be loaded
   */
  binding?: "C API" | "onnxruntime-node";
}

/** See Move. */
export interface CopiedPart extends Omit<Move, "from" | "to"> {
  from: DeviceBuffer;
  to: DeviceBuffer;
}

/** One place that computes: a connection to a backend with ONNX Runtime in it, and the graphs compiled for it. */
export class Device {
  /** What was asked for; `picked` tells what it became. */
  readonly type: DeviceType | "auto";
  readonly threads: number;
  private readonly connection: Connection;
  private readonly graphs: CompiledGraphs;

  /**
   * @throws OptionError for an unknown option, a type of device that does not exist on this platform, or a number of
   *   threads below 1. That a device is absent shows at its first use, and in `picked`.
   */
  constructor(options: DeviceOptions = {}) {
    checkOptions("Device", options, ["type", "threads", "memoryLimit", "cache", "binding"]);
    const { type = defaultType, threads = threadCount(), memoryLimit, binding } = options;
    if (!Number.isInteger(threads) || threads < 1) {
      throw new OptionError({
        where: "Device",
        expected: "threads to be an integer of at least 1",
        received: String(threads),
        fix: "leave it out to use all cores",
      });
    }
    this.type = type;
    this.threads = threads;
    this.connection = new Connection(startBackend(candidatesFor(type, threads), { threads, binding }), this);
    // GPUs compile for themselves: nothing is kept of them
    const cache = type === "cpu" ? openGraphCache(options.cache) : undefined;
    this.graphs = new CompiledGraphs({ connection: this.connection, cache, memoryLimit });
  }

  /** The device that a buffer lives on, or a graph was compiled for. */
  static of({ connection }: DeviceBuffer | Executable): Device {
    return connection.owner as Device; // connections are made by devices alone
  }

  /** The type of device that is used, and why those before it in the order of "auto" are not. */
  get picked(): Promise<PickedDevice> {
    return this.connection.picked;
  }

  /** A new buffer whose contents the next run that writes it will make. @internal */
  allocate(dtype: DType, shape: readonly number[]): DeviceBuffer {
    return new DeviceBuffer(this.connection, dtype, shape);
  }

  /**
   * Copies numbers to the device, where those in 16 bits become f32. The array is not used afterwards, and may be
   * changed.
   */
  upload<D extends DType>(dtype: D, shape: readonly number[], data: HostArrays[D] | HalfArray): DeviceBuffer {
    const buffer = this.allocate(dtype, shape);
    buffer.isFilled = true;
    const numbers = data instanceof HalfArray ? { data: data.bits, stored: data.dtype } : { data };
    this.connection.notify({ kind: "upload", buffer: buffer.id, type: ortTypes[dtype], shape, ...numbers });
    return buffer;
  }

  /** Whether buffers of it can be in the memory of others, and parts of them be copied. @internal */
  get sharesMemory(): Promise<boolean> {
    return this.picked.then(({ binding }) => binding === "C API");
  }

  /**
   * Buffers of zeros, where `sharesMemory`. Memory that nothing is written to is not taken. @throws RuntimeError when
   * the memory is not there @internal
   */
  async zeros(dtypes: readonly DType[], shape: readonly number[]): Promise<DeviceBuffer[]> {
    const count = shape.reduce((a, b) => a * b, 1);
    const bytes = dtypes.reduce((sum, dtype) => sum + count * bytesPerElement[dtype], 0);
    const limit = this.graphs.lackOfMemory(bytes);
    if (limit !== undefined) throw memoryError(bytes, limit);
    const buffers = dtypes.map((dtype) => this.allocate(dtype, shape));
    try {
      for (const { id: buffer, dtype } of buffers)
        await this.connection.request({ kind: "zeros", buffer, type: ortTypes[dtype], shape });
    } catch {
      for (const buffer of buffers) buffer.dispose();
      throw memoryError(bytes);
    }
    for (const buffer of buffers) buffer.isFilled = true;
    return buffers;
  }

  /** Copies parts of buffers into others, in order, where `sharesMemory`. @internal */
  copy(parts: readonly CopiedPart[]): void {
    const moves = parts.map(({ from, to, ...places }) => ({ ...places, from: from.id, to: to.id }));
    this.connection.notify({ kind: "copy", moves });
  }

  /**
   * Compiles a graph, or gives the executable that an equal graph has already. Each call must be matched by one of
   * `release`.
   */
  compile(graph: Graph, options: CompileOptions = {}): Executable {
    return this.graphs.compile(graph, options);
  }

  /** Gives up one use of an executable; the last one frees it. */
  release(executable: Executable): void {
    this.graphs.release(executable);
  }

  /** Bytes copied so far between the program's memory and the device's; undefined where that is not counted. */
  get copiedBytes(): number | undefined {
    return this.connection.copiedBytes;
  }

  /** Number of graphs that are compiled and not released. */
  get compiledCount(): number {
    return this.graphs.size;
  }

  /** Waits for all work and stops the backend. Buffers of the device are gone afterwards. */
  close(): Promise<void> {
    return this.connection.close();
  }
}

function memoryError(bytes: number, limit?: number): RuntimeError {
  return new RuntimeError({
    where: "memory",
    expected: limit === undefined ? "room for what is kept" : `to keep at most ${gib(limit)}, what is free`,
    received: gib(bytes),
    fix: "keep fewer or shorter texts at once; new Device({ memoryLimit }) sets another limit",
  });
}

const deviceTypes: readonly DeviceType[] = ["cpu", "webgpu", "cuda", "coreml", "directml", "wasm"];

/** The kinds of device to try, in order. */
function candidatesFor(type: DeviceType | "auto", threads: number): Candidate[] {
  const types = type === "auto" ? preferred : [type];
  return types.flatMap((type) => {
    const config = configOf(type, threads);
    if (config) return [{ type, config, isUncertain: type !== "cpu" && type !== "wasm" }];
    const near = nearest(type, deviceTypes);
    throw new OptionError({
      where: "Device",
      expected: `type to be "auto" or one of ${preferred.join(", ")}`,
      received: `"${type}"`,
      fix: near && near !== type ? `did you mean "${near}"?` : 'use "auto" to take the best that is there',
    });
  });
}

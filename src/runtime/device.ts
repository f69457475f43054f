import {
  checkOptions,
  type DType,
  HalfArray,
  type HostArrays,
  nearest,
  OptionError,
  RuntimeError,
} from "../base/index.ts";
import { ConstantOp, type Graph, printGraph } from "../ir/index.ts";
import type { Pass, WriteOptions } from "../lower/index.ts";
import { DeviceBuffer, Executable, toBoundary } from "./executable.ts";
import {
  configOf,
  defaultBinding,
  defaultType,
  freeMemory,
  makeProfileFile,
  openGraphCache,
  preferred,
  startBackend,
  threadCount,
} from "./platform-node.ts";
import { prepare, type Update } from "./program.ts";
import {
  type Answer,
  type Binding,
  type Candidate,
  type Channel,
  type CompileRequest,
  type DeviceType,
  type HostCall,
  ortTypes,
  type Picked,
  type RequestBody,
} from "./protocol.ts";

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

export interface PickedDevice {
  type: DeviceType;
  /** Types that were tried before it. */
  failures: readonly { type: DeviceType; reason: string }[];
  /** By what ONNX Runtime is called. */
  binding: Binding;
  /** Why not by the C API, on a CPU in Node. */
  bindingReason?: string;
}

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

interface PendingRequest {
  resolve: (result: never) => void;
  reject: (error: Error) => void;
  signal?: AbortSignal;
  cancel: () => void;
}

/** One place that computes: a worker thread with ONNX Runtime in it. */
export class Device {
  /** What was asked for; `picked` tells what it became. */
  readonly type: DeviceType | "auto";
  readonly threads: number;
  /** The type of device that is used, and why those before it in the order of "auto" are not. */
  readonly picked: Promise<PickedDevice>;
  private readonly memoryLimit?: number;
  private readonly cache: ReturnType<typeof openGraphCache>;
  private readonly channel: Channel;
  /**
   * What models are written for. Known when the backend has told which device it has; until then requests wait here.
   */
  private writeOptions: WriteOptions | undefined;
  private readonly waiting: (() => void)[] = [];
  private readonly executables = new Map<number, WeakRef<Executable>>();
  private readonly pending = new Map<number, PendingRequest>();
  private readonly compiled = new Map<string, { executable: Executable; users: number }>();
  private readonly abandoned = new FinalizationRegistry<number>((id) =>
    this.post({ kind: "free", buffers: [id] }).catch(() => {}),
  );
  private nextId = 1;
  private failure: Error | undefined;

  /**
   * @throws OptionError for an unknown option, a type of device that does not exist on this platform, or a number of
   *   threads below 1. That a device is absent shows at its first use, and in `picked`.
   */
  constructor(options: DeviceOptions = {}) {
    checkOptions("Device", options, ["type", "threads", "memoryLimit", "cache", "binding"]);
    this.memoryLimit = options.memoryLimit;
    this.cache = openGraphCache(options.cache);
    this.type = options.type ?? defaultType;
    this.threads = options.threads ?? threadCount();
    if (!Number.isInteger(this.threads) || this.threads < 1) {
      throw new OptionError({
        where: "Device",
        expected: "threads to be an integer of at least 1",
        received: String(options.threads),
        fix: "leave it out to use all cores",
      });
    }
    this.channel = startBackend(candidatesFor(this.type, this.threads), {
      threads: this.threads,
      binding: options.binding,
    });
    this.picked = new Promise((resolve, reject) => {
      this.channel.onMessage((message) => {
        if ("failures" in message) this.settlePick(message, resolve, reject);
        else if ("hostCall" in message) this.answerHostCall(message);
        else this.settle(message);
      });
      this.channel.onFailure((cause) => {
        this.fail(runtimeError(cause.message, cause));
        reject(this.failure);
      });
    });
    this.picked.catch(() => {}); // reported by whoever awaits it, and by the first use
  }

  private settlePick(
    { picked, failures, channelBlock, binding = defaultBinding, bindingReason }: Picked,
    resolve: (picked: PickedDevice) => void,
    reject: (cause: Error) => void,
  ): void {
    if (picked) {
      this.writeOptions = { isWebGpu: picked === "webgpu", channelBlock, keepsConstantsOutside: binding === "C API" };
      for (const send of this.waiting.splice(0)) send();
      this.restWhenIdle();
      resolve({ type: picked, failures, binding, bindingReason });
    } else {
      const absent = absentError(failures);
      this.fail(absent);
      reject(absent);
    }
  }

  private answerHostCall({ hostCall, executable, stage, inputs }: { hostCall: number } & HostCall): void {
    try {
      const outputs = this.executables.get(executable)?.deref()?.computeOnHost(stage, inputs) ?? [];
      this.channel.post({ hostCall, outputs });
    } catch (cause) {
      this.channel.post({ hostCall, error: cause instanceof Error ? cause.message : String(cause) });
    }
  }

  /**
   * Sends a request and resolves with its result. @param signal of a run: cancels it, and what it fails with is the
   * signal's reason @internal
   */
  request<T>(body: RequestBody, signal?: AbortSignal): Promise<T> {
    return this.post(body, signal) as Promise<T>;
  }

  private post(body: RequestBody | ((options: WriteOptions) => RequestBody), signal?: AbortSignal): Promise<unknown> {
    if (this.failure) return Promise.reject(this.failure);
    const id = this.nextId++;
    return new Promise<never>((resolve, reject) => {
      if (this.pending.size === 0) this.channel.ref();
      this.pending.set(id, { resolve, reject, signal, cancel: () => this.channel.cancel(id) });
      if (this.writeOptions) this.send(id, body);
      else {
        const kept = typeof body === "function" ? body : structuredClone(body); // the caller's arrays may change
        this.waiting.push(() => this.send(id, kept));
      }
    });
  }

  private send(id: number, body: RequestBody | ((options: WriteOptions) => RequestBody)): void {
    try {
      this.channel.post({ ...(typeof body === "function" ? body(this.writeOptions as WriteOptions) : body), id });
      const request = this.pending.get(id);
      if (request?.signal?.aborted) request.cancel();
      else request?.signal?.addEventListener("abort", request.cancel);
    } catch (cause) {
      this.answered(id)?.reject(cause as Error);
    }
  }

  private settle(answer: Answer): void {
    const request = this.answered(answer.id);
    if ("error" in answer)
      request?.reject(request.signal?.aborted ? request.signal.reason : runtimeError(answer.error));
    else request?.resolve(answer.result as never);
  }

  private answered(id: number) {
    const request = this.pending.get(id);
    this.pending.delete(id);
    request?.signal?.removeEventListener("abort", request.cancel);
    this.restWhenIdle();
    return request;
  }

  /** A device without work does not keep the program alive. */
  private restWhenIdle(): void {
    if (this.pending.size === 0) this.channel.unref();
  }

  private fail(cause: Error): void {
    this.failure = cause;
    this.waiting.length = 0;
    for (const id of [...this.pending.keys()]) this.answered(id)?.reject(cause);
    this.restWhenIdle();
  }

  /** A new buffer whose contents the next run that writes it will make. @internal */
  allocate(dtype: DType, shape: readonly number[]): DeviceBuffer {
    return new DeviceBuffer(this, this.nextId++, dtype, shape);
  }

  /**
   * Copies numbers to the device, where those in 16 bits become f32. The array is not used afterwards, and may be
   * changed.
   */
  upload<D extends DType>(dtype: D, shape: readonly number[], data: HostArrays[D] | HalfArray): DeviceBuffer {
    const buffer = this.allocate(dtype, shape);
    buffer.isFilled = true;
    const numbers =
      data instanceof HalfArray ? { data: data.bits, stored: data.dtype } : { data: toBoundary(dtype, data) };
    const request: RequestBody = { kind: "upload", buffer: buffer.id, type: ortTypes[dtype], shape, ...numbers };
    this.post(request).catch(() => {}); // a failure shows at the first use of the buffer
    return buffer;
  }

  /** @internal */
  watch(buffer: DeviceBuffer): void {
    this.abandoned.register(buffer, buffer.id, buffer);
  }

  /** @internal */
  free(buffer: DeviceBuffer): void {
    this.abandoned.unregister(buffer);
    this.post({ kind: "free", buffers: [buffer.id] }).catch(() => {});
  }

  /**
   * Compiles a graph, or gives the executable that an equal graph has already. Each call must be matched by one of
   * `release`.
   */
  compile(graph: Graph, options: CompileOptions = {}): Executable {
    const { updates = [], keepPreviousState = false, profile = false, hostOutputs = [], passes } = options;
    const key = `${printGraph(graph)}${JSON.stringify({ updates, keepPreviousState, profile, hostOutputs, passes: passes?.map(({ name }) => name) })}`;
    const known = this.compiled.get(key);
    if (known) {
      known.users++;
      return known.executable;
    }
    // the kinds of GPU compile for themselves, and a profile needs the names of our nodes
    // graphs that hold weights are not kept: the cache would fill with copies
    const isSmall = constantBytes(graph) < LARGE_CONSTANTS;
    const entry =
      this.type === "cpu" && !profile && !passes && isSmall ? this.cache?.entryOf(key, graph.nodes.length) : undefined;
    const kept = entry?.load();
    const prepared = kept ?? prepare(graph, { updates, keepPreviousState, hostOutputs, passes });
    this.requireMemory(prepared.peakBytes);
    const id = this.nextId++;
    const profileFile = profile ? makeProfileFile() : undefined;
    const ready = this.post((write): CompileRequest => {
      // what the cache keeps must be whole
      const stages = prepared.stages(isSmall ? { ...write, keepsConstantsOutside: false } : write);
      return {
        kind: "compile",
        executable: id,
        stages: entry && !kept ? entry.record(prepared, stages) : stages,
        results: prepared.results,
        inputCount: graph.inputs.length,
        options: profileFile ? { enableProfiling: true, profileFilePrefix: profileFile.prefix } : {},
      };
    });
    // a failure is reported by whoever awaits it
    ready.then(() => entry?.save()).catch(() => {});
    const { hostNodes } = prepared;
    const executable = new Executable(this, { graph, hostNodes, profileFile }, id, new Map(prepared.inPlace), ready);
    if (hostNodes.size > 0) this.executables.set(id, new WeakRef(executable));
    this.compiled.set(key, { executable, users: 1 });
    return executable;
  }

  /** @throws RuntimeError when the graph's results will not fit, before anything is allocated */
  private requireMemory(peakBytes: number): void {
    if (peakBytes < MEMORY_NOT_WORTH_ASKING) return;
    const limit = this.memoryLimit ?? freeMemory();
    if (peakBytes <= limit) return;
    const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    throw new RuntimeError({
      where: "memory",
      expected: `a graph that needs at most ${gib(limit)}, what is free`,
      received: `one that needs about ${gib(peakBytes)} besides its inputs`,
      fix: "use a smaller batch or context, or checkpoint; new Device({ memoryLimit }) sets another limit",
    });
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

  /** Bytes copied so far between the program's memory and the device's; undefined where that is not counted. */
  get copiedBytes(): number | undefined {
    return this.channel.copiedBytes();
  }

  /** Number of graphs that are compiled and not released. */
  get compiledCount(): number {
    return this.compiled.size;
  }

  /** Waits for all work and stops the worker. Buffers of the device are gone afterwards. */
  async close(): Promise<void> {
    this.failure = runtimeError("the device was closed");
    while (this.pending.size > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await this.channel.close();
  }
}

/** Asking how much is free takes longer than this is worth. */
const MEMORY_NOT_WORTH_ASKING = 2 ** 28;

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

/** The last sentence of ONNX Runtime's messages, which begin with source files and conditions. */
const essence = (reason: string): string => (reason.split("\n")[0] ?? "").replace(/^\/\S+.*? was false\. /, "");

function absentError(failures: Picked["failures"]): RuntimeError {
  return new RuntimeError({
    where: "device",
    expected: `${failures.map(({ type }) => type).join(" or ")} to be there`,
    received: failures.map(({ type, reason }) => `${type}: ${essence(reason)}`).join("; "),
    fix: 'install the driver or the libraries it names, or use type "auto" or "cpu"',
  });
}

/** "Name:'h.0.attn/gather/t12'" in a message of ONNX Runtime: where in the user's modules it failed. */
function placeIn(message: string): string {
  const [, module, op] = /Name:'([^'/]*)\/([^'/]+)\/[^'/]*'/.exec(message) ?? [];
  if (op === undefined) return "device";
  return module ? `${op} in ${module}` : op;
}

function runtimeError(message: string, cause?: Error): RuntimeError {
  const isMissing = /onnxruntime-node cannot be loaded/.test(message);
  return new RuntimeError({
    where: placeIn(message),
    expected: isMissing ? "the package onnxruntime-node" : "ONNX Runtime to compile and run the graph",
    received: message,
    fix: /out of (data )?bounds|out of range/.test(message)
      ? "check the indices: each must be at least minus the axis' size, and less than it"
      : isMissing
        ? "run: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node@1.30.0"
        : "see the message; if it names no mistake of yours, report it",
    cause,
  });
}

/** Bytes of constants from which on a graph holds a model's weights. */
const LARGE_CONSTANTS = 2 ** 22;
const constantBytes = (graph: Graph): number =>
  graph.nodes.reduce((sum, { op }) => sum + (op instanceof ConstantOp ? op.data.byteLength : 0), 0);

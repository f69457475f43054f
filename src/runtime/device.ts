import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import {
  checkOptions,
  type DType,
  evaluateSize,
  fromBfloat16Bits,
  type Graph,
  type HostArray,
  type HostArrays,
  isStatic,
  OptionError,
  printGraph,
  RuntimeError,
  ShapeError,
  type Size,
  type TensorType,
  toBfloat16Bits,
} from "../ir/index.ts";
import { mayOverwrite, optimize, writeOnnx } from "../lower/index.ts";
import { type Answer, type HostData, ortTypes, type RequestBody, type RunRequest, type RunResult } from "./protocol.ts";

export interface DeviceOptions {
  /** Threads that compute one operation together. @default all cores */
  threads?: number;
}

/** Tensor data that lives on a device. Free it with `dispose`; forgotten ones are freed when they are garbage collected. */
export class DeviceBuffer {
  readonly device: Device;
  readonly id: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Whether the worker has it: a request that makes it was sent. @internal */
  isFilled = false;
  private isDisposed = false;

  constructor(device: Device, id: number, dtype: DType, shape: readonly number[]) {
    this.device = device;
    this.id = id;
    this.dtype = dtype;
    this.shape = shape;
    device.watch(this);
  }

  /** A copy of the numbers, row-major. */
  async read(): Promise<HostArray> {
    const data = await this.device.request<HostArray>({ kind: "read", buffer: this.id });
    return fromBoundary(this.dtype, data);
  }

  dispose(): void {
    if (this.isDisposed) return;
    this.isDisposed = true;
    this.device.free(this);
  }
}

/** Numbers as they cross into the worker: bf16 widened to f32. */
function toBoundary(dtype: DType, data: HostArray): HostArray {
  return dtype === "bf16" ? Float32Array.from(data as Uint16Array, fromBfloat16Bits) : data;
}

function fromBoundary(dtype: DType, data: HostArray): HostArray {
  return dtype === "bf16" ? Uint16Array.from(data as Float32Array, toBfloat16Bits) : data;
}

export interface Update {
  /** Index of the output that becomes the new state. */
  output: number;
  /** Index of the input that holds the state. */
  input: number;
}

export interface CompileOptions {
  /** State that outputs replace; overwritten in place where the graph allows. */
  updates?: readonly Update[];
  /** Never overwrite state in place, so that the state before a run can be had back. @default false */
  keepPreviousState?: boolean;
  /** Write a profile of each operation to a file with this prefix. */
  profilePrefix?: string;
}

/** What a run is given for each input of the graph. */
export type Argument = DeviceBuffer | { data: HostArray; shape: readonly number[] };

/** A graph that was compiled for a device. */
export class Executable {
  readonly device: Device;
  readonly graph: Graph;
  readonly id: number;
  /** For each output that replaces state: whether it is written over the input's memory. */
  readonly inPlace: ReadonlyMap<number, number>;
  readonly ready: Promise<unknown>;
  /** Shapes of the outputs that have no symbolic size. */
  private readonly outputShapes: readonly (readonly number[] | undefined)[];

  constructor(device: Device, graph: Graph, id: number, inPlace: ReadonlyMap<number, number>, ready: Promise<unknown>) {
    this.device = device;
    this.graph = graph;
    this.id = id;
    this.inPlace = inPlace;
    this.ready = ready;
    this.outputShapes = graph.outputs.map(({ shape }) => (isStatic(shape) ? shape : undefined));
  }

  /**
   * Starts a run. Outputs go into the buffers given in `into`, by output index; "host" brings the numbers back with the
   * answer; the others go into new buffers. Returns the buffers at once: the device works in order.
   */
  run(
    inputs: readonly Argument[],
    into: ReadonlyMap<number, DeviceBuffer | "host"> = new Map(),
  ): { outputs: (DeviceBuffer | undefined)[]; done: Promise<RunResult> } {
    const symbols = bindSymbols(this.graph.inputs, inputs);
    const { outputShapes } = this;
    const hostInputs: HostData[] = [];
    const inputIds = Int32Array.from(inputs, (input, i) => {
      if (input instanceof DeviceBuffer) return input.id;
      const { dtype } = this.graph.inputs[i];
      hostInputs.push({ type: ortTypes[dtype], shape: input.shape, data: toBoundary(dtype, input.data) });
      return 0;
    });
    const newOutputs: RunRequest["newOutputs"] = new Map();
    const outputs = this.graph.outputs.map(({ dtype, shape }, i) => {
      const target = into.get(i);
      const isNew = !(target instanceof DeviceBuffer) || !target.isFilled;
      if (!isNew) return target;
      const sizes = target instanceof DeviceBuffer ? target.shape : (outputShapes[i] ?? shape.map((size) => evaluateSize(size, symbols)));
      newOutputs.set(i, { type: ortTypes[dtype], shape: sizes });
      if (target === "host") return undefined;
      const buffer = target ?? this.device.allocate(dtype, sizes);
      buffer.isFilled = true;
      return buffer;
    });
    const outputIds = Int32Array.from(outputs, (buffer) => buffer?.id ?? 0);
    const request: RunRequest = { kind: "run", executable: this.id, inputs: inputIds, hostInputs, outputs: outputIds, newOutputs };
    const done = this.device.request<RunResult>(request).then((result) => ({
      computeMs: result.computeMs,
      data: this.graph.outputs.map(({ dtype }, i) => result.data[i] && fromBoundary(dtype, result.data[i])),
    }));
    done.catch(() => {}); // reported to whoever awaits it, which may be after something else that fails
    return { outputs, done };
  }

  dispose(): void {
    this.device.request({ kind: "release", executable: this.id }).catch(() => {}); // a device that failed has nothing to free
  }
}

/** Values of the symbols, read off the shapes of the arguments. @throws ShapeError when an argument does not fit. */
function bindSymbols(types: readonly TensorType[], inputs: readonly Argument[]): Map<string, number> {
  const symbols = new Map<string, number>();
  for (let i = 0; i < types.length; i++) {
    const { shape } = types[i];
    const actual = inputs[i].shape;
    let fits = shape.length === actual.length;
    // plain loops: a training step has hundreds of inputs, nearly all of fixed shape
    for (let axis = 0; fits && axis < shape.length; axis++) fits = sizeFits(shape[axis], actual[axis], symbols);
    if (!fits) {
      throw new ShapeError({
        where: `input ${i} of a compiled function`,
        expected: `shape [${shape.join(", ")}]`,
        received: `[${actual.join(", ")}]`,
        fix: "pass a tensor of the shape the function was compiled for",
      });
    }
  }
  return symbols;
}

/** Whether a size may be `actual`; a symbol met for the first time takes it as its value. */
function sizeFits(size: Size, actual: number, symbols: Map<string, number>): boolean {
  if (typeof size === "number") return size === actual;
  const isSymbol = size.terms.size === 1 && size.terms.get(size.text) === 1;
  if (isSymbol && !symbols.has(size.text)) symbols.set(size.text, actual);
  return evaluateSize(size, symbols) === actual;
}

/** One place that computes: a worker thread with ONNX Runtime in it. */
export class Device {
  readonly threads: number;
  private readonly worker: Worker;
  private readonly pending = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  private readonly compiled = new Map<string, { executable: Executable; users: number }>();
  private readonly abandoned = new FinalizationRegistry<number>((id) => this.post({ kind: "free", buffers: [id] }).catch(() => {}));
  private nextId = 1;
  private failure: Error | undefined;

  /** @throws OptionError for an unknown option or a number of threads below 1 */
  constructor(options: DeviceOptions = {}) {
    checkOptions("Device", options, ["threads"]);
    this.threads = options.threads ?? availableParallelism();
    if (!Number.isInteger(this.threads) || this.threads < 1) {
      throw new OptionError({
        where: "Device",
        expected: "threads to be an integer of at least 1",
        received: String(options.threads),
        fix: "leave it out to use all cores",
      });
    }
    // ONNX Runtime's pad fusion gives pools more padding than they accept, and then refuses the model
    // memory patterns keep one block for the whole run, half as large again as the arena needs, and are no faster here
    this.worker = new Worker(new URL("./worker.mjs", import.meta.url), {
      execArgv: [], // the program's own, such as --input-type, may not fit a file
      workerData: {
        sessionOptions: {
          intraOpNumThreads: this.threads,
          graphOptimizationLevel: "all",
          enableMemPattern: false,
          extra: { optimization: { disable_specified_optimizers: "Pad_Fusion" } },
        },
      },
    });
    this.worker.on("message", (answer: Answer) => this.settle(answer));
    this.worker.on("error", (cause) => this.fail(cause));
    this.worker.unref(); // an idle device does not keep the program alive
  }

  /** Sends a request and resolves with its result. @internal */
  request<T>(body: RequestBody): Promise<T> {
    return this.post(body) as Promise<T>;
  }

  private post(body: RequestBody): Promise<unknown> {
    if (this.failure) return Promise.reject(this.failure);
    const id = this.nextId++;
    return new Promise<never>((resolve, reject) => {
      if (this.pending.size === 0) this.worker.ref();
      this.pending.set(id, { resolve, reject });
      this.worker.postMessage({ ...body, id });
    });
  }

  private settle(answer: Answer): void {
    const request = this.pending.get(answer.id);
    this.pending.delete(answer.id);
    if (this.pending.size === 0) this.worker.unref();
    if (!request) return;
    if ("error" in answer) request.reject(runtimeError(answer.error));
    else request.resolve(answer.result as never);
  }

  private fail(cause: Error): void {
    this.failure = runtimeError(cause.message, cause);
    for (const { reject } of this.pending.values()) reject(this.failure);
    this.pending.clear();
  }

  /** A new buffer whose contents the next run that writes it will make. @internal */
  allocate(dtype: DType, shape: readonly number[]): DeviceBuffer {
    return new DeviceBuffer(this, this.nextId++, dtype, shape);
  }

  /** Copies numbers to the device. The array is not used afterwards, and may be changed. */
  upload<D extends DType>(dtype: D, shape: readonly number[], data: HostArrays[D]): DeviceBuffer {
    const buffer = this.allocate(dtype, shape);
    buffer.isFilled = true;
    const request: RequestBody = { kind: "upload", buffer: buffer.id, type: ortTypes[dtype], shape, data: toBoundary(dtype, data) };
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
    const { updates = [], keepPreviousState = false, profilePrefix } = options;
    const key = `${printGraph(graph)}${JSON.stringify({ updates, keepPreviousState, profilePrefix })}`;
    const known = this.compiled.get(key);
    if (known) {
      known.users++;
      return known.executable;
    }
    const optimized = optimize(graph);
    const inPlace = new Map(
      updates.filter(({ output, input }) => !keepPreviousState && mayOverwrite(optimized, output, input)).map(({ output, input }) => [output, input]),
    );
    const { bytes } = writeOnnx(optimized);
    const id = this.nextId++;
    const profiling = profilePrefix ? { enableProfiling: true, profileFilePrefix: profilePrefix } : {};
    const ready = this.post({ kind: "compile", executable: id, model: bytes, options: profiling });
    ready.catch(() => {}); // reported by whoever awaits it
    const executable = new Executable(this, optimized, id, inPlace, ready);
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

  /** Number of graphs that are compiled and not released. */
  get compiledCount(): number {
    return this.compiled.size;
  }

  /** Waits for all work and stops the worker. Buffers of the device are gone afterwards. */
  async close(): Promise<void> {
    this.failure = runtimeError("the device was closed");
    while (this.pending.size > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await this.worker.terminate();
  }
}

function runtimeError(message: string, cause?: Error): RuntimeError {
  const isMissing = /onnxruntime-node cannot be loaded/.test(message);
  return new RuntimeError({
    where: "device",
    expected: isMissing ? "the package onnxruntime-node" : "ONNX Runtime to compile and run the graph",
    received: message,
    fix: isMissing ? "run: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node@1.30.0" : "see the message; if it names no mistake of yours, report it",
    cause,
  });
}

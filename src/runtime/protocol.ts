/**
 * Messages between a Device and its backend. Every request has an id, is answered exactly once, and is served in the
 * order sent. Buffers and executables are numbered by the sender, so that a request may use one made by a request still
 * under way.
 */
import type { DType, HostArray } from "../base/index.ts";

/** ONNX Runtime's names of the element types. */
export type OrtType = "float32" | "float16" | "bfloat16" | "int32" | "int64" | "int8" | "uint8" | "bool";

/** How each dtype is stored on the device; ONNX Runtime's JavaScript API has no bfloat16 and keeps it as float32. */
export const ortTypes: Readonly<Record<DType, OrtType>> = {
  f32: "float32",
  f16: "float16",
  bf16: "bfloat16",
  i32: "int32",
  i64: "int64",
  i8: "int8",
  u8: "uint8",
  bool: "bool",
};

/** Where graphs are computed: by ONNX Runtime's execution provider of that kind. */
export type DeviceType = "cpu" | "webgpu" | "cuda" | "coreml" | "directml" | "wasm";

export interface BackendConfig {
  sessionOptions: Record<string, unknown>;
  /** Where tensors stay between runs. */
  location: "cpu" | "gpu-buffer";
  /** Whether runs can write into tensors that exist. */
  canPreallocate: boolean;
  /** ONNX Runtime's name of the execution provider. */
  provider: string;
  /** Models are written for WebGPU. */
  isWebGpu: boolean;
}

/** Entries of ONNX Runtime's session configuration, on every platform, by their groups. */
export const sessionSettings = {
  session: {
    // each session has threads of its own: those of the last run would keep a core busy for 25 ms of the next one's
    force_spinning_stop: "1",
  },
  optimization: {
    // pad fusion gives pools more padding than ONNX Runtime itself accepts, and then refuses the model
    disable_specified_optimizers: "Pad_Fusion",
    // large constants that are quickly made are not kept, such as the zeros that an embedding's gradient starts from
    constant_folding_max_output_size_in_bytes: String(2 ** 22),
  },
};

/** A kind of device that may be there. */
export interface Candidate {
  type: DeviceType;
  config: BackendConfig;
  /** Find out first whether it works. */
  isUncertain: boolean;
}

export interface HostData {
  type: OrtType;
  shape: readonly number[];
  data: HostArray;
}

/** A constant of a model: equal arrays are the same constant. */
export interface ConstantData extends HostData {
  /** Of the initializer. */
  name: string;
}

/**
 * A part of a program: a model for ONNX Runtime, or an op that is computed by the sender. Values pass between stages in
 * numbered slots; the first ones are the inputs of the program.
 */
export type Stage =
  | {
      model: Uint8Array;
      remoteOutputs: string[];
      cpuNodes: string[];
      inputs: number[];
      outputs: number[];
      /** ONNX Runtime's optimizers that have nothing to do in the model. @default none */
      idleOptimizers?: readonly string[];
      /** ONNX Runtime has optimized the model before. */
      isOptimized?: boolean;
      /** Where to write the optimized model. */
      optimizedPath?: string;
      /** Constants that are not in the model, for backends that share them between models. */
      constants?: readonly ConstantData[];
    }
  | { host: true; inputs: number[]; outputs: number[] };

/**
 * A run. Most of a training step's hundreds of inputs and outputs are buffers that exist, so these are sent as bare
 * numbers: a buffer's id, or 0 for an input that comes with the message or an output that goes back in the answer.
 */
export interface RunRequest {
  kind: "run";
  executable: number;
  inputs: Int32Array;
  /** Data of the inputs that are 0, in order. */
  hostInputs: HostData[];
  outputs: Int32Array;
  /** Types of the outputs that are 0 and of buffers that this run makes, by output. */
  newOutputs: Map<number, { type: OrtType; shape: readonly number[] }>;
  /** After a failure, state that was written in place is used as the run left it. @default false */
  keepsPartialState?: boolean;
  /** Numbers come back in the memory of the largest run before, where that is in this process. @default false */
  reusesArrays?: boolean;
}

export interface CompileRequest {
  kind: "compile";
  executable: number;
  stages: Stage[];
  /** Slot of each output. */
  results: readonly number[];
  inputCount: number;
  options: Record<string, unknown>;
}

/** A box of numbers that is copied from one buffer into another of as many axes; both have one type. */
export interface Move {
  from: number;
  to: number;
  /** Where the box begins in each, by axis. */
  fromStart: readonly number[];
  toStart: readonly number[];
  /** By axis. */
  size: readonly number[];
}

export type PlainRequest =
  | CompileRequest
  | RunRequest
  /** `stored`: the data are such numbers, to become f32. */
  | {
      kind: "upload";
      buffer: number;
      type: OrtType;
      shape: readonly number[];
      data: HostArray;
      stored?: "f16" | "bf16";
    }
  | { kind: "read"; buffer: number }
  | { kind: "free"; buffers: number[] }
  | { kind: "release"; executable: number }
  | { kind: "endProfiling"; executable: number };

/** What only devices that share memory are asked, see `Device.sharesMemory`. */
export type MemoryRequest =
  /** A new buffer of zeros; memory that nothing is written to is not taken from the system. */
  | { kind: "zeros"; buffer: number; type: OrtType; shape: readonly number[] }
  /** A new buffer in the memory of some rows of another, which outlives it. */
  | { kind: "view"; buffer: number; of: number; row: number; shape: readonly number[] }
  | { kind: "copy"; moves: readonly Move[] };

export type RequestBody = PlainRequest | MemoryRequest;
export type Request = RequestBody & { id: number };

export interface RunResult {
  /** Milliseconds inside ONNX Runtime. */
  computeMs: number;
  data: (HostArray | undefined)[];
}

export type Answer = { id: number; result: unknown } | { id: number; error: string };

/** What a host stage needs. */
export interface HostCall {
  /** Id of the request for which it is computed. */
  run: number;
  executable: number;
  stage: number;
  inputs: HostData[];
}
export type HostReturn =
  | { hostCall: number; outputs: HostData[]; error?: undefined }
  | { hostCall: number; error: string };

export interface Picked {
  /** undefined when none works. */
  picked?: DeviceType;
  failures: { type: DeviceType; reason: string }[];
  /** Lowering.channelBlock of the device. */
  channelBlock: number;
  /** By what ONNX Runtime is called. @default a package for JavaScript */
  binding?: Binding;
  /** Why not by the C API, on a CPU in Node. */
  bindingReason?: string;
}

/**
 * How ONNX Runtime is called: its C API in this process, or onnxruntime-node in a worker thread; in a page
 * onnxruntime-web.
 */
export type Binding = "C API" | "onnxruntime-node" | "onnxruntime-web";

export type ToBackend = Request | HostReturn;
/** Everything that a backend sends. */
export type Message = Answer | ({ hostCall: number } & HostCall) | Picked;

/** Where ONNX Runtime writes what it measured. */
export interface ProfileFile {
  prefix: string;
  /** Reads the files, one for each session, and removes them. */
  read(): Promise<string[]>;
}

/** A backend as a Device sees it. */
export interface Channel {
  post(message: ToBackend): void;
  onMessage(receive: (message: Message) => void): void;
  onFailure(receive: (cause: Error) => void): void;
  /** Keeps the program alive while there is work. */
  ref(): void;
  unref(): void;
  /**
   * Ends a run, or drops it where it has not begun; a backend that cannot does nothing. @param id of its request, which
   * is not answered yet
   */
  cancel(id: number): void;
  /** Bytes copied between the program's memory and the device's, where that is counted. */
  copiedBytes(): number | undefined;
  close(): Promise<void>;
}

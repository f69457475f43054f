import { defaultBinding } from "#runtime/platform";
import { onAbort } from "../base/index.ts";
import { onnxFormat } from "../lower/index.ts";
import { absentError, runtimeError } from "./errors.ts";
import type { ModelWriter } from "./program.ts";
import type {
  Answer,
  Binding,
  Channel,
  DeviceType,
  HostCall,
  HostData,
  Message,
  Picked,
  RequestBody,
} from "./protocol.ts";

/** What the type "auto" came to, and how ONNX Runtime is called there. */
export interface PickedDevice {
  /** The type that works. */
  type: DeviceType;
  /** Types that were tried before it. */
  failures: readonly { type: DeviceType; reason: string }[];
  /** By what ONNX Runtime is called. */
  binding: Binding;
  /** Why not by the C API, on a CPU in Node. */
  bindingReason?: string;
}

/** Computes a stage of a program that the backend cannot. `signal` is that of the run. */
export type HostStages = (stage: number, inputs: readonly HostData[], signal: AbortSignal) => Promise<HostData[]>;

/** A request, or a function that makes it when it is known for which kind of device models are written. */
type LateRequest = RequestBody | ((write: ModelWriter) => RequestBody);

interface PendingRequest {
  resolve: (result: never) => void;
  reject: (error: Error) => void;
  signal?: AbortSignal;
  cancel: () => void;
  /** Ends the waiting for the signal. */
  stopWaiting?: () => void;
  /** What went wrong in the program while it computed for the backend: the reason why the request will fail. */
  hostFailure?: Error;
}

/**
 * The line to a backend: requests in order, their answers, and what the backend asks back. It keeps the program alive
 * while a request is not answered, and fails all requests when the backend does.
 */
export class Connection {
  /** The device whose line it is: buffers know their connection, and by it their device. */
  readonly owner: object;
  /** The type of device that is used, and why those before it in the order of "auto" are not. */
  readonly picked: Promise<PickedDevice>;
  private readonly channel: Channel;
  /**
   * Writes models for the device. Known when the backend has told which one it has; until then requests wait here.
   */
  private write: ModelWriter | undefined;
  private hasConstantsOutside: boolean | undefined;
  private readonly format = onnxFormat(); // loads while the backend starts
  private readonly waiting: (() => void)[] = [];
  private readonly pending = new Map<number, PendingRequest>();
  private readonly hostStages = new Map<number, HostStages>();
  private nextId = 1;
  private failure: Error | undefined;

  constructor(channel: Channel, owner: object) {
    this.channel = channel;
    this.owner = owner;
    this.picked = new Promise((resolve, reject) => {
      channel.onMessage((message) => this.receive(message, resolve, reject));
      channel.onFailure((cause) => {
        this.fail(runtimeError(cause.message, cause));
        reject(this.failure);
      });
    });
    for (const promise of [this.picked, this.format]) promise.catch(() => {}); // reported at the first use
  }

  /** A number for a buffer or an executable, which requests name it by. */
  newId(): number {
    return this.nextId++;
  }

  /**
   * Sends a request and resolves with its result. @param signal of a run: cancels it, and what it fails with is the
   * signal's reason
   */
  request<T>(body: LateRequest, signal?: AbortSignal): Promise<T> {
    if (this.failure) return Promise.reject(this.failure);
    const id = this.newId();
    return new Promise<T>((resolve, reject) => {
      if (this.pending.size === 0) this.channel.ref();
      this.pending.set(id, { resolve, reject, signal, cancel: () => this.channel.cancel(id) });
      if (this.write) this.send(id, body, this.write);
      else {
        const kept = typeof body === "function" ? body : structuredClone(body); // the caller's arrays may change
        this.waiting.push(() => this.send(id, kept, this.write as ModelWriter));
      }
    });
  }

  /** A request whose failure shows later, at the first use of what it makes or changes. */
  notify(body: RequestBody): void {
    this.request(body).catch(() => {});
  }

  /** Whether models come without their constants, which the device keeps once for all; undefined until it is known. */
  get keepsConstantsOutside(): boolean | undefined {
    return this.hasConstantsOutside;
  }

  /** Has what an executable leaves to the host computed by `stages`, until it is released. */
  serveHostStages(executable: number, stages: HostStages): void {
    this.hostStages.set(executable, stages);
  }

  /** Gives an executable back, after what was asked of it before. */
  release(executable: number): void {
    const forget = () => this.hostStages.delete(executable);
    this.request({ kind: "release", executable }).then(forget, forget); // a device that failed has nothing to free
  }

  /** See Device.copiedBytes. */
  get copiedBytes(): number | undefined {
    return this.channel.copiedBytes();
  }

  /** Waits for all requests and ends the backend. */
  async close(): Promise<void> {
    this.failure = runtimeError("the device was closed");
    while (this.pending.size > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await this.channel.close();
  }

  private receive(
    message: Message,
    resolve: (picked: PickedDevice) => void,
    reject: (cause: Error | undefined) => void,
  ): void {
    if ("hostCall" in message) void this.answerHostCall(message.hostCall, message);
    else if ("failures" in message) this.settlePick(message).then(resolve, reject);
    else this.settle(message);
  }

  private async settlePick(message: Picked): Promise<PickedDevice> {
    const { picked, failures, channelBlock, binding = defaultBinding, bindingReason } = message;
    if (!picked) {
      this.fail(absentError(failures));
      throw this.failure;
    }
    const { writeOnnx } = await this.format;
    const isNative = binding === "C API";
    this.hasConstantsOutside = isNative;
    const isWebGpu = picked === "webgpu";
    const options = { isWebGpu, channelBlock, keepsConstantsOutside: isNative, hasBfloat16: isNative };
    this.write = (graph, changes) => writeOnnx(graph, { ...options, ...changes });
    for (const send of this.waiting.splice(0)) send();
    this.restWhenIdle();
    return { type: picked, failures, binding, bindingReason };
  }

  private async answerHostCall(hostCall: number, { run, executable, stage, inputs }: HostCall): Promise<void> {
    const request = this.pending.get(run);
    try {
      const compute = this.hostStages.get(executable) as HostStages; // there until the executable is released
      const outputs = await compute(stage, inputs, request?.signal ?? new AbortController().signal);
      this.channel.post({ hostCall, outputs });
    } catch (cause) {
      const failure = cause instanceof Error ? cause : new Error(String(cause));
      if (request) request.hostFailure = failure;
      this.channel.post({ hostCall, error: failure.message });
    }
  }

  private send(id: number, body: LateRequest, write: ModelWriter): void {
    try {
      this.channel.post({ ...(typeof body === "function" ? body(write) : body), id });
      const request = this.pending.get(id);
      if (request?.signal?.aborted) request.cancel();
      else if (request?.signal) request.stopWaiting = onAbort(request.signal, request.cancel);
    } catch (cause) {
      this.answered(id)?.reject(cause as Error);
    }
  }

  private settle(answer: Answer): void {
    const request = this.answered(answer.id);
    if (!request) return;
    if (!("error" in answer)) request.resolve(answer.result as never);
    else if (request.signal?.aborted) request.reject(request.signal.reason);
    else request.reject(request.hostFailure ?? runtimeError(answer.error));
  }

  private answered(id: number): PendingRequest | undefined {
    const request = this.pending.get(id);
    this.pending.delete(id);
    request?.stopWaiting?.();
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
}

/**
 * How a device is started in Node. Bundlers for the browser put platform-browser.ts in its place (package.json,
 * "browser").
 */
import { mkdtempSync, readFileSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { availableParallelism, freemem, tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { defaultCacheFolder, GraphCache } from "./graph-cache.ts";
import { openNativeChannel } from "./native/channel.ts";
import { disableTelemetry, type OrtLibrary, ortLibrary } from "./native/library.ts";
import { withOwnBuffers } from "./own-buffers.ts";
import {
  type BackendConfig,
  type Binding,
  type Candidate,
  type Channel,
  type DeviceType,
  type Message,
  type Picked,
  type ProfileFile,
  sessionSettings,
} from "./protocol.ts";

/** All cores, or what KINDLING_THREADS says: programs that run several of one kind at a time divide the cores by it. */
export const threadCount = (): number => {
  const count = Number(process.env.KINDLING_THREADS);
  return Number.isInteger(count) && count > 0 ? count : availableParallelism();
};

export const defaultType: DeviceType | "auto" = "cpu";

export const defaultBinding: Binding = "onnxruntime-node";

/** Types of devices in the order in which "auto" tries them. */
export const preferred: readonly DeviceType[] = [
  "cuda",
  ...(process.platform === "win32" ? (["directml"] as const) : []),
  ...(process.platform === "darwin" ? (["coreml"] as const) : []),
  "webgpu",
  "cpu",
];

const providerNames = { cpu: "cpu", webgpu: "webgpu", cuda: "cuda", coreml: "coreml", directml: "dml" } as const;

export function configOf(type: DeviceType, threads: number): BackendConfig | undefined {
  if (!(type in providerNames)) return undefined; // wasm is for pages
  const provider = providerNames[type as keyof typeof providerNames];
  const sessionOptions = {
    executionProviders: type === "cpu" ? ["cpu"] : [provider, "cpu"],
    intraOpNumThreads: threads,
    graphOptimizationLevel: "all",
    // memory patterns keep one block for the whole run, half as large again as the arena needs, and are no faster here
    enableMemPattern: false,
    extra: sessionSettings,
  };
  return {
    sessionOptions,
    location: type === "webgpu" ? "gpu-buffer" : "cpu",
    canPreallocate: type !== "webgpu",
    isWebGpu: type === "webgpu",
    provider,
  };
}

export function openGraphCache(folder: string | false = defaultCacheFolder() ?? false): GraphCache | undefined {
  return folder === false ? undefined : new GraphCache(folder);
}

/** Bytes that programs can still get. */
export function freeMemory(): number {
  try {
    const [, kib] = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8")) ?? [];
    if (kib) return Number(kib) * 1024;
  } catch {} // not Linux
  return freemem();
}

/** A file in a folder of its own, to which ONNX Runtime adds the time of day. */
export function makeProfileFile(): ProfileFile {
  const folder = mkdtempSync(join(tmpdir(), "kindling-profile-"));
  return {
    prefix: join(folder, "profile"),
    read: async () => {
      const texts = await Promise.all(
        (await readdir(folder)).sort().map((name) => readFile(join(folder, name), "utf8")),
      );
      await rm(folder, { recursive: true, force: true });
      return texts;
    },
  };
}

export interface BackendOptions {
  threads: number;
  /** By what the CPU is used. */
  binding?: Binding;
}

/**
 * Starts what computes. The CPU is used by ONNX Runtime's C API, unless that cannot be loaded; the other kinds of
 * device, and the CPU then, by onnxruntime-node in a worker thread.
 */
export function startBackend(
  candidates: readonly Candidate[],
  { threads, binding = process.env.KINDLING_BINDING as Binding | undefined }: BackendOptions,
): Channel {
  const isCpu = ({ type }: Candidate) => type === "cpu";
  if (!candidates.some(isCpu)) return startWorker(candidates);
  const ort = binding === "onnxruntime-node" ? "it was asked for" : nativeLibrary(binding === "C API");
  if (typeof ort === "string") return startWorker(candidates, ort);
  if (candidates.every(isCpu)) return openNativeChannel(ort, threads);
  return firstOf(startWorker(candidates.filter((candidate) => !isCpu(candidate))), (failures) =>
    openNativeChannel(ort, threads, failures),
  );
}

/** ONNX Runtime's library, or why it or koffi cannot be loaded. */
function nativeLibrary(isRequired: boolean): OrtLibrary | string {
  try {
    return ortLibrary();
  } catch (cause) {
    if (isRequired) throw cause;
    return (cause as Error).message.split("\n")[0];
  }
}

/** One channel while it has a device, another when it has none. */
function firstOf(first: Channel, otherwise: (failures: Picked["failures"]) => Channel): Channel {
  let channel = first;
  let receive: (message: Message) => void = () => {};
  let fail: (cause: Error) => void = () => {};
  first.onMessage((message) => {
    if (!("failures" in message) || message.picked !== undefined) return receive(message);
    void first.close();
    channel = otherwise(message.failures);
    channel.onMessage((next) => receive(next));
    channel.onFailure((cause) => fail(cause));
  });
  first.onFailure((cause) => fail(cause));
  return {
    post: (message) => channel.post(message),
    onMessage: (callback) => {
      receive = callback;
    },
    onFailure: (callback) => {
      fail = callback;
    },
    ref: () => channel.ref(),
    unref: () => channel.unref(),
    cancel: (id) => channel.cancel(id),
    copiedBytes: () => channel.copiedBytes(),
    close: () => channel.close(),
  };
}

/** Starts a worker thread with onnxruntime-node in it. @param bindingReason why not by the C API */
function startWorker(candidates: readonly Candidate[], bindingReason?: string): Channel {
  disableTelemetry();
  const worker = new Worker(new URL("./worker.mjs", import.meta.url), {
    execArgv: [], // the program's own, such as --input-type, may not fit a file
    workerData: { candidates },
  });
  let isClosing = false;
  return {
    post: (message) => worker.postMessage(withOwnBuffers(message)),
    onMessage: (receive) =>
      worker.on("message", (message: Message) =>
        receive("failures" in message ? { ...message, bindingReason } : message),
      ),
    onFailure: (receive) => {
      worker.on("error", receive);
      worker.on(
        "exit",
        (code) => !isClosing && receive(new Error(`the device's worker thread ended with code ${code}`)),
      );
    },
    ref: () => worker.ref(),
    unref: () => worker.unref(),
    cancel: () => {},
    copiedBytes: () => undefined,
    close: async () => {
      isClosing = true;
      await worker.terminate();
    },
  };
}

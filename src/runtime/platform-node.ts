/** How a device is started in Node. Bundlers for the browser put platform-browser.ts in its place (package.json, "browser"). */
import { mkdtempSync, readFileSync } from "node:fs";
import { readdir, readFile, rm } from "node:fs/promises";
import { availableParallelism, freemem, tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { defaultCacheFolder, GraphCache } from "./graph-cache.ts";
import { type BackendConfig, type Candidate, type Channel, type DeviceType, type Message, optimizerSettings, type ProfileFile } from "./protocol.ts";

export const threadCount = (): number => availableParallelism();

export const defaultType: DeviceType | "auto" = "cpu";

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
    extra: optimizerSettings,
  };
  return { sessionOptions, location: type === "webgpu" ? "gpu-buffer" : "cpu", canPreallocate: type !== "webgpu", isWebGpu: type === "webgpu", provider };
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
      const texts = await Promise.all((await readdir(folder)).sort().map((name) => readFile(join(folder, name), "utf8")));
      await rm(folder, { recursive: true, force: true });
      return texts;
    },
  };
}

/** Starts a worker thread with ONNX Runtime in it. */
export function startBackend(candidates: readonly Candidate[]): Channel {
  const worker = new Worker(new URL("./worker.mjs", import.meta.url), {
    execArgv: [], // the program's own, such as --input-type, may not fit a file
    workerData: { candidates },
  });
  return {
    post: (message) => worker.postMessage(message),
    onMessage: (receive) => worker.on("message", (message: Message) => receive(message)),
    onFailure: (receive) => worker.on("error", receive),
    ref: () => worker.ref(),
    unref: () => worker.unref(),
    close: async () => {
      await worker.terminate();
    },
  };
}

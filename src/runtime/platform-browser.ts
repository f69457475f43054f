/** How a device is started in a page or a web worker: with onnxruntime-web, beside the caller. */
import { OptionError } from "../base/index.ts";
import type { GraphCache } from "./graph-cache.ts";
import {
  type BackendConfig,
  type Binding,
  type Candidate,
  type Channel,
  type DeviceType,
  type Message,
  sessionSettings,
  type ToBackend,
} from "./protocol.ts";
import { serve } from "./serve.mjs";

export const threadCount = (): number =>
  (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 1;

export const defaultType: DeviceType | "auto" = "auto";

export const defaultBinding: Binding = "onnxruntime-web";

/** Types of devices in the order in which "auto" tries them. */
export const preferred: readonly DeviceType[] = ["webgpu", "wasm"];

export function configOf(type: DeviceType): BackendConfig | undefined {
  if (type !== "webgpu" && type !== "wasm") return undefined;
  const sessionOptions = {
    executionProviders: [type],
    graphOptimizationLevel: "all",
    extra: sessionSettings,
  };
  return {
    sessionOptions,
    location: type === "webgpu" ? "gpu-buffer" : "cpu",
    canPreallocate: false,
    isWebGpu: type === "webgpu",
    provider: type,
  };
}

/** A page has no folder. */
export const openGraphCache = (_folder?: string | false): GraphCache | undefined => undefined;

/** A page is not told. */
export const freeMemory = (): number => Number.POSITIVE_INFINITY;

export function makeProfileFile(): never {
  throw new OptionError({
    where: "profile",
    expected: "Node",
    received: "a page",
    fix: "profile the same function in Node",
  });
}

/** Loads onnxruntime-web and answers in the same thread; run Kindling in a web worker to keep a page responsive. */
export function startBackend(candidates: readonly Candidate[]): Channel {
  let receive: (message: Message) => void = () => {};
  let fail: (cause: Error) => void = () => {};
  const backend = import("onnxruntime-web/webgpu")
    .then((ort) => serve(ort, candidates, (message) => receive(message)))
    .catch((cause) => {
      fail(new Error(`onnxruntime-web cannot be loaded: ${cause.message}`));
      return (_: ToBackend) => {};
    });
  return {
    post: (message) => {
      backend.then((take) => take(message));
    },
    onMessage: (callback) => {
      receive = callback;
    },
    onFailure: (callback) => {
      fail = callback;
    },
    ref: () => {},
    unref: () => {},
    cancel: () => {},
    copiedBytes: () => undefined,
    close: async () => {},
  };
}

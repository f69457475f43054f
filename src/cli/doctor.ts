import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { arch, availableParallelism, cpus, freemem, platform, totalmem } from "node:os";
import { dirname } from "node:path";
import type { KindlingError } from "../base/index.ts";
import { Device, type DeviceType } from "../runtime/index.ts";
import { type DoctorFlags, estimateCommand } from "./advise.ts";
import { probeDevice } from "./device.ts";
import { findVulkan, hasNvidiaCard, missingForCuda, thisSystem } from "./gpu-libraries.ts";
import { formatCount } from "./terminal.ts";

const GIB = 2 ** 30;
/** Weights, gradients and two moments of AdamW in f32. */
const TRAINING_BYTES_PER_PARAMETER = 16;
const INFERENCE_BYTES_PER_PARAMETER = 4;
/** Share of memory that weights may take; the rest is for activations and the system. */
const USABLE = 0.6;

/** Vector instruction sets that ONNX Runtime's kernels choose among, best first. */
const instructionSets = [
  "amx_tile",
  "avx512_bf16",
  "avx512_vnni",
  "avx512f",
  "avx2",
  "avx",
  "sse4_2",
  "asimddp",
  "asimd",
];

async function processorFlags(): Promise<string[]> {
  const info = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  const flags = new Set((/^(?:flags|Features)\s*:\s*(.*)$/m.exec(info)?.[1] ?? "").split(" "));
  return instructionSets.filter((name) => flags.has(name));
}

/** Types of devices besides the CPU that onnxruntime-node may have, by its names. */
const accelerators: readonly DeviceType[] = ["webgpu", "cuda", "coreml"];

/** Whether a device of this type works here, and on Linux what it lacks. @param folder of ONNX Runtime's library */
async function stateOf(type: DeviceType, folder: string): Promise<string[]> {
  try {
    await probeDevice(type);
    return [`${type} works: new Device({ type: "${type}" })`];
  } catch (cause) {
    const reason = (cause as KindlingError).received.replace(`${type}: `, "");
    return [`${type} does not work: ${reason}`, ...missingFor(type, folder).map((what) => `missing: ${what}`)];
  }
}

/** Libraries that a card of NVIDIA needs and that are not here; of other cards only Vulkan's loader. */
function missingFor(type: DeviceType, folder: string): readonly string[] {
  if (platform() !== "linux") return [];
  const system = thisSystem();
  const hasCard = hasNvidiaCard(system);
  if (type === "cuda") return hasCard ? missingForCuda(folder, system) : [];
  const { loader, missing } = findVulkan(system);
  return hasCard || !loader ? missing.slice(0, hasCard ? missing.length : 1) : [];
}

/** What the runtime can use, and whether it starts. */
async function runtimeReport(): Promise<{ lines: string[]; isStarted: boolean }> {
  const require = createRequire(import.meta.url);
  try {
    const { version } = require("onnxruntime-node/package.json") as { version: string };
    const device = new Device(); // first of all, since it turns the runtime's telemetry off
    await device.upload("f32", [1], Float32Array.of(1)).read();
    const { binding, bindingReason } = await device.picked;
    await device.close();
    const { listSupportedBackends } = require("onnxruntime-node") as {
      listSupportedBackends: () => { name: string; bundled: boolean }[];
    };
    const supported = listSupportedBackends();
    const names = supported.map(({ name }) => name);
    const libraryFolder = dirname(
      require.resolve(`onnxruntime-node/bin/napi-v6/${platform()}/${arch()}/onnxruntime_binding.node`),
    );
    const backends = supported.map(({ name, bundled }) =>
      bundled ? name : `${name} (its files come separately: docs/gpu.md)`,
    );
    const gpus = await Promise.all(
      accelerators.filter((type) => names.includes(type)).map((type) => stateOf(type, libraryFolder)),
    );
    const way =
      binding === "C API"
        ? "called by its C API, without copies"
        : `called by ${binding}, which copies results: ${bindingReason}`;
    return {
      isStarted: true,
      lines: [`onnxruntime-node ${version}: starts; ${way}`, `providers: ${backends.join(", ")}`, ...gpus.flat()],
    };
  } catch (cause) {
    const reason = `onnxruntime-node does not start: ${(cause as Error).message.split("\n")[0]}`;
    return {
      isStarted: false,
      lines: [reason, "fix: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node@1.30.0"],
    };
  }
}

/**
 * `kindling doctor`: what this machine has and what fits on it, or with a model what that takes. Exit code 1 when
 * nothing can be computed.
 */
export async function doctorCommand(flags: DoctorFlags): Promise<void> {
  if (flags.model !== undefined) return estimateCommand(flags.model, flags);
  const { lines, isStarted } = await runtimeReport();
  const instructions = await processorFlags();
  const usable = totalmem() * USABLE;
  const rows: [string, string][] = [
    ["system", `${platform()} ${arch()}, Node ${process.version}`],
    ["processor", `${cpus()[0]?.model.trim() || "unknown"}, ${availableParallelism()} cores`],
    ["instructions", instructions.length > 0 ? instructions.join(" ") : "unknown"],
    ["memory", `${(totalmem() / GIB).toFixed(1)} GiB, ${(freemem() / GIB).toFixed(1)} GiB free`],
    ...lines.map((text, i): [string, string] => [i === 0 ? "runtime" : "", text]),
    [
      "fits",
      `training up to about ${formatCount(usable / TRAINING_BYTES_PER_PARAMETER)} parameters (f32, AdamW), before activations`,
    ],
    ["", `generating with up to about ${formatCount(usable / INFERENCE_BYTES_PER_PARAMETER)} parameters (f32)`],
  ];
  for (const [name, text] of rows) process.stdout.write(`${name.padEnd(14)}${text}\n`);
  if (!isStarted) process.exitCode = 1;
}

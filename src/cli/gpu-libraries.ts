/** Libraries that a GPU needs on Linux: which of them a system has, and what brings those that are missing. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";

const VULKAN_LOADER = "libvulkan.so.1";
/** NVIDIA's Vulkan driver: the usual name, and the one for systems without an X server. */
const NVIDIA_DRIVERS = ["libGLX_nvidia.so.0", "libEGL_nvidia.so.0"];
const libraryFolders = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/nvidia/lib64",
  "/usr/local/nvidia/lib",
  "/usr/lib/wsl/lib",
  "/run/opengl-driver/lib",
];
/** Folders with the files that name Vulkan's drivers to its loader. */
const manifestFolders = [
  "/etc/vulkan/icd.d",
  "/usr/share/vulkan/icd.d",
  "/usr/local/share/vulkan/icd.d",
  "/usr/local/nvidia/share/vulkan/icd.d",
  "/usr/local/nvidia/vulkan/icd.d",
  "/run/opengl-driver/share/vulkan/icd.d",
];
/** What ONNX Runtime's CUDA provider loads, and the Python packages that bring it. */
const cudaLibraries: readonly (readonly [library: string, source: string])[] = [
  ["libcuda.so.1", "NVIDIA's driver"],
  ["libcudart.so.13", "PyPI's nvidia-cuda-runtime 13"],
  ["libcublasLt.so.13", "PyPI's nvidia-cublas 13"],
  ["libcurand.so.10", "PyPI's nvidia-curand 10"],
  ["libcufft.so.12", "PyPI's nvidia-cufft 12"],
  ["libcudnn.so.9", "PyPI's nvidia-cudnn-cu13 9"],
];

/** What is looked at of a system. */
export interface System {
  /** Paths of the libraries that the system's linker finds, by name. */
  readonly known: ReadonlyMap<string, string>;
  exists(path: string): boolean;
  /** Names in a folder, none where there is none. */
  list(folder: string): readonly string[];
  read(path: string): string;
}

/** The linker's list. @param text of `ldconfig -p` */
export function parseLinkerCache(text: string): Map<string, string> {
  const lines = [...text.matchAll(/^\s*(\S+) \(([^)]*)\) => (\S+)$/gm)].filter(([, , kind]) => kind.includes("x86-64"));
  return new Map(lines.reverse().map(([, name, , path]) => [name, path])); // of two, the linker takes the first
}

/** @param environment @default process.env, whose LD_LIBRARY_PATH comes first */
export function thisSystem(environment: NodeJS.ProcessEnv = process.env): System {
  const known = new Map<string, string>();
  for (const program of ["ldconfig", "/sbin/ldconfig"]) {
    try {
      const text = execFileSync(program, ["-p"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
      for (const [name, path] of parseLinkerCache(text)) known.set(name, path);
      break;
    } catch {} // it is not there
  }
  const list = (folder: string) => (existsSync(folder) ? readdirSync(folder) : []);
  for (const folder of (environment.LD_LIBRARY_PATH ?? "").split(":").filter(Boolean).reverse())
    for (const name of list(folder)) if (/\.so\.\d+$/.test(name)) known.set(name, join(folder, name));
  return { known, exists: existsSync, list, read: (path) => readFileSync(path, "utf8") };
}

/** The path of a library: where the linker finds it, otherwise where drivers are put. */
const pathOf = (name: string, { known, exists }: System): string | undefined =>
  known.get(name) ?? libraryFolders.map((folder) => join(folder, name)).find((path) => exists(path));

export interface VulkanParts {
  /** Path of the loader. */
  loader?: string;
  /** Paths of NVIDIA's driver, the usual one first. */
  drivers: readonly string[];
  /** The file that names the driver to the loader. */
  manifest?: string;
  /** What a card of NVIDIA lacks, in words, with what brings it. */
  missing: string[];
}

/** The parts of Vulkan by which WebGPU in Node uses a card of NVIDIA. */
export function findVulkan(system: System): VulkanParts {
  const loader = pathOf(VULKAN_LOADER, system);
  const drivers = NVIDIA_DRIVERS.map((name) => pathOf(name, system)).filter((path) => path !== undefined);
  const manifest = manifestFolders
    .flatMap((folder) => system.list(folder).map((name) => join(folder, name)))
    .find((path) => /nvidia.*\.json$/i.test(path) && namesALibrary(path, system));
  const missing: string[] = [];
  if (!loader) missing.push(`${VULKAN_LOADER}, Vulkan's loader (Debian and Ubuntu: apt-get install libvulkan1)`);
  if (drivers.length === 0 && !manifest)
    missing.push(
      `NVIDIA's Vulkan driver, ${NVIDIA_DRIVERS[0]} (a container has it with NVIDIA_DRIVER_CAPABILITIES=all, or with "graphics" in it)`,
    );
  else if (!manifest)
    missing.push(`a file nvidia_icd.json in ${manifestFolders[0]} that names ${drivers[0]} to Vulkan's loader`);
  return { loader, drivers, manifest, missing };
}

function namesALibrary(path: string, system: System): boolean {
  try {
    const name = (JSON.parse(system.read(path)) as { ICD: { library_path: string } }).ICD.library_path;
    return isAbsolute(name) ? system.exists(name) : pathOf(name, system) !== undefined;
  } catch {
    return false; // a file that the loader cannot read either
  }
}

/** Libraries that ONNX Runtime's CUDA provider does not find, in words. @param folder of ONNX Runtime's library */
export function missingForCuda(folder: string, system: System): string[] {
  const provider = "libonnxruntime_providers_cuda.so";
  const missing = cudaLibraries.filter(([name]) => !system.known.has(name));
  return [
    ...(system.exists(join(folder, provider)) ? [] : [`${provider} (docs/gpu.md says how to get it)`]),
    ...missing.map(([name, source]) => `${name} (${source})`),
  ];
}

/** Whether a card of NVIDIA is in this machine. */
export const hasNvidiaCard = ({ exists }: System): boolean => exists("/proc/driver/nvidia") || exists("/dev/nvidia0");

import { expect, test } from "vitest";
import { findVulkan, missingForCuda, parseLinkerCache, type System } from "./gpu-libraries.ts";

/** A system with these files and, of the linker's list, these libraries. */
function systemOf(files: Record<string, string>, known: Record<string, string> = {}): System {
  return {
    known: new Map(Object.entries(known)),
    exists: (path) => path in files,
    list: (folder) =>
      Object.keys(files).flatMap((path) => (path.startsWith(`${folder}/`) ? [path.slice(folder.length + 1)] : [])),
    read: (path) => files[path],
  };
}
const manifest = (library: string) => JSON.stringify({ ICD: { library_path: library, api_version: "1.4.0" } });

test("the linker's list gives the first path of a library for x86-64", () => {
  const text = [
    "3 libs found in cache",
    "\tlibvulkan.so.1 (libc6) => /usr/lib/i386-linux-gnu/libvulkan.so.1",
    "\tlibvulkan.so.1 (libc6,x86-64) => /opt/vulkan/libvulkan.so.1",
    "\tlibvulkan.so.1 (libc6,x86-64, OS ABI: Linux 3.2.0) => /usr/lib/x86_64-linux-gnu/libvulkan.so.1",
  ].join("\n");
  expect([...parseLinkerCache(text)]).toEqual([["libvulkan.so.1", "/opt/vulkan/libvulkan.so.1"]]);
});

test("a whole installation lacks nothing", () => {
  const file = "/usr/share/vulkan/icd.d/nvidia_icd.json";
  const driver = "/usr/lib/x86_64-linux-gnu/libGLX_nvidia.so.0";
  const system = systemOf({ [file]: manifest("libGLX_nvidia.so.0"), [driver]: "" }, { "libvulkan.so.1": "/lib/v" });
  expect(findVulkan(system)).toEqual({ loader: "/lib/v", drivers: [driver], manifest: file, missing: [] });
});

test("a container with the libraries of CUDA alone lacks the loader and the driver", () => {
  const { missing, drivers, manifest: file } = findVulkan(systemOf({}, { "libcuda.so.1": "/usr/lib64/libcuda.so.1" }));
  expect({ drivers, file }).toEqual({ drivers: [], file: undefined });
  expect(missing).toHaveLength(2);
  expect(missing[0]).toMatch(/libvulkan\.so\.1.*libvulkan1/);
  expect(missing[1]).toMatch(/libGLX_nvidia\.so\.0.*NVIDIA_DRIVER_CAPABILITIES/);
});

test("a driver that no file names, or only a file for another library, lacks the file", () => {
  const driver = "/usr/local/nvidia/lib64/libGLX_nvidia.so.0";
  const loader = { "libvulkan.so.1": "/lib/v" };
  const broken = { "/etc/vulkan/icd.d/nvidia_icd.json": manifest("/gone/libGLX_nvidia.so.0") };
  for (const files of [{ [driver]: "" }, { [driver]: "", ...broken }]) {
    const { drivers, missing } = findVulkan(systemOf(files, loader));
    expect(drivers).toEqual([driver]);
    expect(missing).toEqual([expect.stringMatching(/nvidia_icd\.json.*libGLX_nvidia/)]);
  }
});

test("what the CUDA provider lacks is named with what brings it", () => {
  const folder = "/app/bin";
  const [provider, ...libraries] = missingForCuda(folder, systemOf({}, { "libcuda.so.1": "/lib/c" }));
  expect(provider).toMatch(/libonnxruntime_providers_cuda\.so.*docs\/gpu\.md/);
  expect(libraries).toContainEqual("libcudnn.so.9 (PyPI's nvidia-cudnn-cu13 9)");
  expect(libraries.some((text) => text.includes("libcuda.so.1"))).toBe(false);
  const whole = systemOf(
    { [`${folder}/libonnxruntime_providers_cuda.so`]: "" },
    Object.fromEntries(
      [
        "libcuda.so.1",
        "libcudart.so.13",
        "libcublasLt.so.13",
        "libcurand.so.10",
        "libcufft.so.12",
        "libcudnn.so.9",
      ].map((name) => [name, `/lib/${name}`]),
    ),
  );
  expect(missingForCuda(folder, whole)).toEqual([]);
});

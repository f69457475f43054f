// @ts-check
/** Which cards Vulkan shows, with their limits and features, and whether WebGPU and CUDA start. */
import { createRequire } from "node:module";
import { Device } from "../../../dist/runtime/index.js";
import { compile, mul, tensor } from "../../../dist/tensor/index.js";
import { report, textOf } from "./part.mjs";

const load = createRequire(import.meta.url);

/** VkPhysicalDeviceLimits begins at this byte of VkPhysicalDeviceProperties. */
const LIMITS = 296;
/** VkPhysicalDeviceLimits: places in bytes. */
const limits = /** @type {const} */ ({
  maxStorageBufferRange: [28, "u32"],
  maxMemoryAllocationCount: [36, "u32"],
  maxComputeSharedMemorySize: [216, "u32"],
  maxComputeWorkGroupCountX: [220, "u32"],
  maxComputeWorkGroupInvocations: [232, "u32"],
  minStorageBufferOffsetAlignment: [320, "u64"],
});
const deviceTypes = ["other", "integrated", "discrete", "virtual", "cpu"];

/** What Vulkan's own functions tell, without WebGPU in between. */
function vulkanDevices() {
  const koffi = load("koffi");
  const library = koffi.load("libvulkan.so.1");
  const createInstance = library.func("vkCreateInstance", "int", ["void *", "void *", "void *"]);
  const enumerate = library.func("vkEnumeratePhysicalDevices", "int", ["void *", "void *", "void *"]);
  const getProperties = library.func("vkGetPhysicalDeviceProperties", "void", ["void *", "void *"]);
  const getMemory = library.func("vkGetPhysicalDeviceMemoryProperties", "void", ["void *", "void *"]);
  const enumerateExtensions = library.func("vkEnumerateDeviceExtensionProperties", "int", [
    "void *",
    "void *",
    "void *",
    "void *",
  ]);
  const application = new BigUint64Array(6);
  const info = new BigUint64Array(8); // VkInstanceCreateInfo
  application[0] = 0n; // VK_STRUCTURE_TYPE_APPLICATION_INFO
  new Uint32Array(application.buffer)[11] = (1 << 22) | (1 << 12); // apiVersion 1.1
  info[0] = 1n; // VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
  info[3] = koffi.address(application);
  const instance = new BigUint64Array(1);
  const status = createInstance(info, null, instance);
  if (status !== 0) throw new Error(`vkCreateInstance gives ${status} (-9: no driver was found)`);
  const count = new Uint32Array(1);
  enumerate(instance[0], count, null);
  const devices = new BigUint64Array(count[0]);
  enumerate(instance[0], count, devices);
  return Array.from(devices, (device) => {
    const properties = new DataView(new ArrayBuffer(1024));
    getProperties(device, properties);
    const bytes = new Uint8Array(properties.buffer, 20, 256);
    const memory = new DataView(new ArrayBuffer(1024));
    getMemory(device, memory);
    const heaps = memory.getUint32(4 + 32 * 8, true);
    const [api, driver] = [properties.getUint32(0, true), properties.getUint32(4, true)];
    const extensionCount = new Uint32Array(1);
    enumerateExtensions(device, null, extensionCount, null);
    const extensions = new Uint8Array(extensionCount[0] * 260);
    enumerateExtensions(device, null, extensionCount, extensions);
    const names = Array.from({ length: extensionCount[0] }, (_, i) =>
      textAt(extensions.subarray(i * 260, i * 260 + 256)),
    );
    return {
      name: textAt(bytes),
      type: deviceTypes[properties.getUint32(16, true)],
      vulkan: `${api >> 22}.${(api >> 12) & 1023}.${api & 4095}`,
      driver: `${driver >>> 22}.${(driver >> 14) & 255}.${(driver >> 6) & 255}`,
      limits: Object.fromEntries(
        Object.entries(limits).map(([name, [place, type]]) => [
          name,
          type === "u32"
            ? properties.getUint32(LIMITS + place, true)
            : Number(properties.getBigUint64(LIMITS + place, true)),
        ]),
      ),
      heapsMiB: Array.from({ length: heaps }, (_, i) =>
        Math.round(Number(memory.getBigUint64(4 + 32 * 8 + 4 + 16 * i, true)) / 2 ** 20),
      ),
      extensions: names.filter((name) =>
        /float16|16bit_storage|subgroup|cooperative_matrix|8bit|memory_budget/.test(name),
      ),
    };
  });
}

/** @param {Uint8Array} bytes text that ends with 0 */
function textAt(bytes) {
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}

/** Whether ONNX Runtime computes on a device of this type, and in f16. @param {"webgpu" | "cuda"} type */
async function stateOf(type) {
  const device = new Device({ type });
  try {
    const { type: picked } = await device.picked;
    const double = compile((/** @type {any} */ x) => mul(x, 2), { device });
    const f32 = await double(tensor([1, 2])).toArray();
    const f16 = await double(tensor([1, 2], { dtype: "f16" }))
      .toArray()
      .then(String, (cause) => `does not work: ${textOf(cause)}`);
    return { works: String(f32) === "2,4", picked, f16 };
  } catch (cause) {
    return { works: false, failure: textOf(cause) };
  } finally {
    await device.close();
  }
}

/** @type {Record<string, unknown>} */
const result = {};
try {
  result.vulkan = vulkanDevices();
} catch (cause) {
  result.vulkanFailure = textOf(cause);
}
report(result);
result.webgpu = await stateOf("webgpu");
report(result);
result.cuda = await stateOf("cuda");
report({ ...result, isComplete: true });

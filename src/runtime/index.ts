/** Devices that run compiled graphs, and the buffers that live on them. Imports ir/ and lower/. */
export { type Argument, type CompileOptions, Device, DeviceBuffer, type DeviceOptions, Executable, type Update } from "./device.ts";

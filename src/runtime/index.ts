/** Devices that run compiled graphs, and the buffers that live on them. Imports ir/ and lower/. */
export { DeviceBuffer } from "./buffer.ts";
export type { CompileOptions } from "./compiled-graphs.ts";
export type { PickedDevice } from "./connection.ts";
export { Device, type DeviceOptions } from "./device.ts";
export { type Argument, Executable } from "./executable.ts";
export { Profile, type ProfileEvent, type ProfileRow } from "./profile.ts";
export type { Update } from "./program.ts";
export type { DeviceType } from "./protocol.ts";

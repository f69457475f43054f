/** Devices that run compiled graphs, and the buffers that live on them. Imports ir/ and lower/. */
export { type CompileOptions, Device, type DeviceOptions, type PickedDevice } from "./device.ts";
export { type Argument, DeviceBuffer, Executable } from "./executable.ts";
export { Profile, type ProfileEvent, type ProfileRow } from "./profile.ts";
export type { Update } from "./program.ts";
export type { DeviceType } from "./protocol.ts";

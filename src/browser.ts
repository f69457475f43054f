/**
 * The package in a page: all of `kindling` but what trains from files on a disk. Bundlers take it for
 * `kindling` (package.json, "exports").
 */

export * from "./augment/index.ts";
export { KindlingError } from "./base/index.ts";
export {
  type ByteSource,
  type Folder,
  memoryFile,
  memoryFolder,
  type StoredFile,
} from "./files/index.ts";
export * from "./generate/index.ts";
export { type HubOptions, type PlaceOptions, removeDownloads } from "./hub/index.ts";
export { printGraph } from "./ir/index.ts";
export * from "./losses/index.ts";
export * from "./models/index.ts";
export * from "./nn/index.ts";
export * from "./optim/index.ts";
export * from "./peft/index.ts";
export * from "./pipelines/index.ts";
export * from "./processors/index.ts";
export { Device } from "./runtime/index.ts";
export * from "./tensor/index.ts";
export * from "./tokenizers/index.ts";
export type { Objective, ObjectiveResult } from "./train/objective.ts";
export { compileTrainStep } from "./train/step.ts";

/**
 * Everything most programs need, but for the server (kindling/serve) and ONNX files of others (kindling/onnx). The
 * subpaths (kindling/nn, kindling/models, ...) load only the layers below them.
 */

export * from "./augment/index.ts";
export { KindlingError } from "./base/index.ts";
export * from "./data/index.ts";
export { type ByteSource, type Folder, memoryFile, memoryFolder, type StoredFile } from "./files/index.ts";
export * from "./generate/index.ts";
export { type HubOptions, type PlaceOptions, pull } from "./hub/index.ts";
export { printGraph } from "./ir/index.ts";
export * from "./losses/index.ts";
export * from "./methods/index.ts";
export * from "./models/index.ts";
export * from "./nn/index.ts";
export * from "./optim/index.ts";
export * from "./peft/index.ts";
export * from "./pipelines/index.ts";
export * from "./processors/index.ts";
export { Device } from "./runtime/index.ts";
export * from "./tensor/index.ts";
export * from "./tokenizers/index.ts";
export * from "./train/index.ts";

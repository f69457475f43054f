/** From graphs to ONNX: passes that make a graph cheaper, then the writer. Imports ir/ and ops/. */
export type { HostContext, HostFunction, HostValue } from "../ops/index.ts";
export { mayOverwrite } from "./aliasing.ts";
export { estimateMemory, type MemoryEstimate } from "./memory.ts";
export type { OnnxModel, WriteOptions } from "./onnx-model.ts";
export type { GraphProto, ModelProto, NodeProto, TensorProto } from "./onnx-pb.ts";
export type { Pass } from "./pass.ts";
export { defaultPasses, entryOf, foldConstants, optimize, shareCommonSubexpressions, simplify } from "./passes.ts";
export { hostFunctionOf, hostFunctionsOf, type Program, splitStages } from "./stages.ts";

/** Writes and reads ONNX files; loaded when it is first asked for, since protobufs take a while to load. */
export const onnxFormat = () => import("./format.ts");

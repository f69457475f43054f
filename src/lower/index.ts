/** From graphs to ONNX: passes that make a graph cheaper, then the writer. Imports ir/ and ops/. */
export type { HostContext, HostFunction, HostValue } from "../ops/index.ts";
export { mayOverwrite } from "./aliasing.ts";
export { estimateMemory, type MemoryEstimate } from "./memory.ts";
export { type OnnxModel, type WriteOptions, writeOnnx } from "./onnx.ts";
export {
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  TensorProtoSchema,
} from "./onnx-pb.ts";
export { parseModel } from "./parse.ts";
export type { Pass } from "./pass.ts";
export { defaultPasses, entryOf, foldConstants, optimize, shareCommonSubexpressions, simplify } from "./passes.ts";
export { hostFunctionOf, hostFunctionsOf, type Program, splitStages } from "./stages.ts";

/** ONNX files of others as modules. Imports lower/ (for the file format), nn/ and below. */
export { type ExportOptions, exportOnnx, type OnnxInput } from "./export.ts";
export { onnxOperators } from "./graph.ts";
export { describeOnnx, loadOnnx, type OnnxDescription, OnnxModel, type OnnxSignature, parseOnnx } from "./model.ts";
export type { ExternalData } from "./tensors.ts";
export { onnxWeights } from "./weights.ts";

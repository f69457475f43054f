/** ONNX's file format, a protobuf: what writes and reads it. Loaded when a graph is first written or read. */
export { create } from "@bufbuild/protobuf";
export { writeOnnx } from "./onnx.ts";
export { TensorProtoSchema } from "./onnx-pb.ts";
export { parseModel } from "./parse.ts";

import { fromBinary } from "@bufbuild/protobuf";
import { DataError } from "../base/index.ts";
import { type ModelProto, ModelProtoSchema } from "./onnx-pb.ts";

/** Decodes an ONNX model. @throws DataError when the bytes are no such thing */
export function parseModel(bytes: Uint8Array): ModelProto {
  try {
    return fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false });
  } catch (cause) {
    throw new DataError({
      where: "ONNX model",
      expected: "a protobuf of ONNX's ModelProto",
      received: (cause as Error).message,
      fix: "check that this is a .onnx file",
      cause,
    });
  }
}

import { create } from "@bufbuild/protobuf";
import type { DType, HostArray } from "../base/index.ts";
import { StringStringEntryProtoSchema, TensorProto_DataLocation } from "./onnx-pb.ts";

/** A constant whose numbers are not in the model, but given to the session beside it. */
export interface OutsideConstant {
  name: string;
  dtype: DType;
  shape: readonly number[];
  data: HostArray;
}

/** Bytes of a constant from which on it is worth keeping outside. */
export const OUTSIDE_BYTES = 2 ** 12;

/**
 * Says that a tensor's numbers are not in the model. ONNX Runtime never looks for the file, as it is given the tensor.
 */
export function outsideData(bytes: number) {
  const entries = { location: "outside", offset: "0", length: String(bytes) };
  return {
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value })),
  };
}

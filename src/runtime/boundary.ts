import { type DType, type HostArray, narrow } from "../base/index.ts";

/** Numbers from the backend in the host form of their dtype: one without bfloat16 has f32. */
export function fromBoundary(dtype: DType, data: HostArray): HostArray {
  return dtype === "bf16" && data instanceof Float32Array ? narrow(dtype, data) : data;
}

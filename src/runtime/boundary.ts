import { type DType, type HostArray, narrow, widenToF32 } from "../base/index.ts";

/** Numbers as they cross into the backend: bf16 widened to f32. */
export function toBoundary(dtype: DType, data: HostArray): HostArray {
  return dtype === "bf16" ? widenToF32(dtype, data) : data;
}

/** Numbers from the backend in the host form of their dtype. */
export function fromBoundary(dtype: DType, data: HostArray): HostArray {
  return dtype === "bf16" ? narrow(dtype, data as Float32Array) : data;
}

import type { DType } from "../base/index.ts";

/** ONNX Runtime's JavaScript API has no bfloat16 tensors, so these cross the boundary of the graph as f32. */
export const boundaryDType = (dtype: DType): DType => (dtype === "bf16" ? "f32" : dtype);

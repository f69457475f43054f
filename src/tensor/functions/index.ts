/** The operations as functions of tensors, by family. Each docstring gives shapes and deviations. */
export * from "./activation.ts";
export * from "./ctc.ts";
export * from "./layers.ts";
export * from "./linalg.ts";
export * from "./linear.ts";
export * from "./math.ts";
export * from "./reduce.ts";
export * from "./shape.ts";

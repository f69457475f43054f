/** What users write: tensors, functions of tensors, variables, compile and grad. Imports all layers below. */

export type { MemoryEstimate } from "../lower/index.ts";
export { withScope } from "../ops/index.ts";
export { type Device, Profile } from "../runtime/index.ts";
export { type CompiledFunction, type CompileFunctionOptions, compile } from "./compile.ts";
export {
  checkpoint,
  checkpointLayers,
  cond,
  customGradient,
  jvp,
  type ScanOptions,
  scan,
  vmap,
  whileLoop,
} from "./control.ts";
export { type DebugOptions, type DebugReport, debug } from "./debug.ts";
export { defaultDevice, setDefaultDevice } from "./execute.ts";
export { type CapturedWeight, type TracedGraph, traceGraph } from "./export.ts";
export * from "./functions/index.ts";
export { type GradientsOf, grad, valueAndGrad } from "./grad.ts";
export { autocast, LossScaler, type LossScalerOptions } from "./precision.ts";
export { bernoulli, full, normal, ones, RandomKey, randomKey, uniform, zeros } from "./random.ts";
export type { CallArguments, SymbolicSizes } from "./signature.ts";
export {
  constant,
  fromHost,
  type NestedNumbers,
  readTensors,
  type SliceOptions,
  Tensor,
  type TensorLike,
  type TensorOptions,
  tensor,
} from "./tensor.ts";
export { withoutAssignments } from "./trace.ts";
export {
  type Initial,
  initializeVariables,
  lengthenVariables,
  type Storage,
  Variable,
  type VariableOptions,
} from "./variable.ts";
export {
  type CopiedBox,
  copyBoxes,
  resizeVariables,
  VariableRows,
  type VariableRowsOptions,
} from "./variable-rows.ts";

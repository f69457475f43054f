/** Differentiation and control flow as graph transformations, driven by the op entries. Imports ir/ and ops/. */
export { cond, whileLoop } from "./branch.ts";
export { type CustomGradient, checkpoint, customGradient } from "./call.ts";
export { checkpointScopes } from "./checkpoint-scopes.ts";
export { pushForward } from "./forward.ts";
export { autocast } from "./precision.ts";
export { gradients, pullBack } from "./reverse.ts";
export { type ScanInputs, type ScanStep, scan } from "./scan.ts";
export { vmap } from "./vmap.ts";

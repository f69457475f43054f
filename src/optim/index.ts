/** Optimizers, gradient clipping and learning-rate schedules. Imports nn/ and below. */
export { clipFactor, clipGradientNorm, globalNorm } from "./clip.ts";
export {
  AdamW,
  type AdamWOptions,
  type DecayGroup,
  decayMatrices,
  type Optimizer,
  Sgd,
  type SgdOptions,
} from "./optimizer.ts";
export { type CosineOptions, constantSchedule, cosineSchedule, type Schedule } from "./schedule.ts";

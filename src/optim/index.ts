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
export { constantSchedule } from "./schedules/constant.ts";
export { type CosineOptions, cosineSchedule } from "./schedules/cosine.ts";
export { type CosineRestartsOptions, cosineRestartsSchedule } from "./schedules/cosine-restarts.ts";
export { type ExponentialScheduleOptions, exponentialSchedule } from "./schedules/exponential.ts";
export { type InverseSquareRootOptions, inverseSquareRootSchedule } from "./schedules/inverse-square-root.ts";
export { type OneCycleOptions, oneCycleSchedule } from "./schedules/one-cycle.ts";
export { type PlateauOptions, plateauSchedule } from "./schedules/plateau.ts";
export {
  type LinearScheduleOptions,
  linearSchedule,
  type PolynomialScheduleOptions,
  polynomialSchedule,
} from "./schedules/polynomial.ts";
export { type AdaptiveSchedule, isAdaptive, type JsonValue, type Schedule } from "./schedules/schedule.ts";
export { type StableDecayOptions, stableDecaySchedule } from "./schedules/stable-decay.ts";
export {
  type MultiStepScheduleOptions,
  multiStepSchedule,
  type StepScheduleOptions,
  stepSchedule,
} from "./schedules/step.ts";
export { type WarmupOptions, warmup } from "./schedules/warmup.ts";

/** Optimizers, gradient clipping, averages of weights and learning-rate schedules. Imports nn/ and below. */

export { AdaDelta, type AdaDeltaOptions, type AdaDeltaSettings } from "./adadelta.ts";
export { Adafactor, type AdafactorOptions, type AdafactorSettings } from "./adafactor.ts";
export { AdaGrad, type AdaGradOptions, type AdaGradSettings } from "./adagrad.ts";
export { Adam, type AdamOptions, type AdamSettings, AdamW, type AdamWOptions } from "./adam.ts";
export { AdaMax, type AdaMaxOptions, type AdaMaxSettings } from "./adamax.ts";
export { clipFactor, clipGradientNorm, clipGradientValue, globalNorm } from "./clip.ts";
export {
  type CommonSettings,
  FormulaOptimizer,
  type Moment,
  type Operands,
  type OptimizerDefinition,
  type OptimizerOptions,
  type StateTensors,
  type Updated,
} from "./formula-optimizer.ts";
export {
  type DecayGroup,
  decayExcept,
  decayMatrices,
  type LayerwiseOptions,
  layerwiseLearningRates,
  type ParameterGroup,
} from "./groups.ts";
export { Lion, type LionOptions, type LionSettings } from "./lion.ts";
export { Lookahead, type LookaheadOptions } from "./lookahead.ts";
export { Muon, type MuonOptions, type MuonSettings } from "./muon.ts";
export { NAdam, type NAdamOptions, type NAdamSettings } from "./nadam.ts";
export type { Gradients, Optimizer, UpdateOptions } from "./optimizer.ts";
export { l1Penalty, l2Penalty } from "./penalty.ts";
export { RAdam, type RAdamOptions, type RAdamSettings } from "./radam.ts";
export { RmsProp, type RmsPropOptions, type RmsPropSettings } from "./rmsprop.ts";
export { Sam, type SamOptions } from "./sam.ts";
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
export { Sgd, type SgdOptions, type SgdSettings } from "./sgd.ts";
export type { StateSpec } from "./state-store.ts";
export {
  type AverageOptions,
  ExponentialAverage,
  type ExponentialAverageOptions,
  isWeightAverage,
  StochasticAverage,
  type WeightAverage,
} from "./weight-average.ts";

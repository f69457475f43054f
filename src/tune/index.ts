/**
 * Searches for good settings: spaces, samplers, pruners, studies that survive a crash, trials in processes,
 * cross-validation, a page with the trials. Imports base/ and files/.
 */
export { type AshaSamplerOptions, ashaSampler } from "./asha.ts";
export { type CommandOptions, commandRun, type FinalValue } from "./command.ts";
export {
  type CrossValidateOptions,
  type CrossValidation,
  crossValidate,
  type FoldResult,
  type FoldRun,
  type ScoreSummary,
} from "./cross-validate.ts";
export { studyCsv } from "./export.ts";
export {
  type Fold,
  type FoldOptions,
  groupKFold,
  kFold,
  leaveOneOut,
  repeated,
  stratifiedKFold,
  type TimeSeriesOptions,
  timeSeriesSplit,
} from "./folds.ts";
export { type HalvingOptions, halvingSampler } from "./halving.ts";
export { parameterImportance } from "./importance.ts";
export { type ServeStudyOptions, type StudyServer, serveStudy, studyPage } from "./page/index.ts";
export { moduleRun, type ProcessOptions } from "./process.ts";
export {
  type AshaOptions,
  ashaPruner,
  type HyperbandOptions,
  hyperbandPruner,
  type MedianOptions,
  medianPruner,
  type PatienceOptions,
  type PercentileOptions,
  type Pruner,
  patiencePruner,
  percentilePruner,
} from "./pruners.ts";
export {
  bestTrial,
  type Direction,
  paretoFront,
  type Report,
  type StudyView,
  type TrialRecord,
  type TrialState,
} from "./records.ts";
export {
  type GridOptions,
  gridSampler,
  haltonSampler,
  type Proposal,
  randomSampler,
  type Sampler,
  type SamplerView,
  type SeedOptions,
} from "./samplers.ts";
export type { StopReason, TuneEvent } from "./session.ts";
export {
  type ChoiceParameter,
  type Condition,
  choice,
  type FloatParameter,
  type IntegerParameter,
  integer,
  logUniform,
  type Parameter,
  parseSpace,
  type Scalar,
  type Space,
  space,
  uniform,
  type ValueOf,
  type Values,
  when,
} from "./space.ts";
export { readStudy, type StoredStudy, type StudyDefinition } from "./store.ts";
export { readStudyFile, type StudyFile, type StudyFileOptions } from "./study-file.ts";
export { type TpeOptions, tpeSampler } from "./tpe.ts";
export type { RunTrial, Trial, TrialResult } from "./trial.ts";
export { type StudyResult, type StudyTrial, type TuneOptions, tune } from "./tune.ts";

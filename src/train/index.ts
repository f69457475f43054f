/** Training: objectives, the compiled step, the loop, checkpoints. Imports models/, data/, optim/ and below. */
export { type AccumulatedStep, compileAccumulatedStep } from "./accumulate.ts";
export type { BestOptions } from "./best.ts";
export { findCheckpoint, loadCheckpoint, saveCheckpoint, type TrainingState, trainingProgress } from "./checkpoint.ts";
export { DivergedError, firstNonFinite } from "./diverged.ts";
export { compileEvaluation, type Evaluation, type Measurement, type MeasureOptions, measure } from "./evaluation.ts";
export type { StopReason, TrainCallback, TrainControl, TrainEvent } from "./events.ts";
export { type BatchSizes, type BatchTrial, type FindBatchSizeOptions, findBatchSize } from "./find-batch-size.ts";
export {
  type FindLearningRateOptions,
  findLearningRate,
  type LearningRateRange,
  type RateTrial,
} from "./find-learning-rate.ts";
export { writeModelFolder } from "./model-folder.ts";
export type { HostTensor, Objective, ObjectiveResult, Scorer, StepContext } from "./objective.ts";
export { type LanguageModelBatch, type LanguageModelOptions, languageModel } from "./objectives/language-model.ts";
export { type MamlOptions, maml } from "./objectives/maml.ts";
export {
  classifierLoss,
  type Head,
  type InnerLoopOptions,
  type LabelledInputs,
  type TaskLoss,
} from "./objectives/meta.ts";
export { type PenaltyOptions, withPenalty } from "./objectives/penalty.ts";
export { type KtoOptions, kto, type RatedBatch } from "./objectives/preference/kto.ts";
export {
  type CompletionTexts,
  type LogProbabilityOptions,
  type SequenceLogProbabilities,
  sequenceLogProbabilities,
} from "./objectives/preference/log-probabilities.ts";
export {
  hasReference,
  type PreferenceBatch,
  type PreferenceLoss,
  type PreferenceOptions,
  preference,
  type ReferenceModel,
} from "./objectives/preference/preference.ts";
export { type RewardBatch, type RewardOptions, reward } from "./objectives/preference/reward.ts";
export { type PrototypicalOptions, prototypical } from "./objectives/prototypical.ts";
export { reptile } from "./objectives/reptile.ts";
export { type SupervisedOptions, supervised } from "./objectives/supervised.ts";
export { type ProfileTrainingOptions, profileTraining } from "./profile.ts";
export { type RunHooks, type RunNote, type TrainPrepared, trainInFolder } from "./run.ts";
export { checkRunConfig, defaultRunConfig, type RunConfig, readRunConfig } from "./run-config.ts";
export { finishedModel, foldersToSkip, removeRun } from "./run-folder.ts";
export { defaultRunName, runFolder } from "./run-name.ts";
export type { SpikeOptions } from "./spikes.ts";
export { type BatchArgument, compileTrainStep, type StepOptions, type StepResult, type TrainStep } from "./step.ts";
export type { TrainOptions } from "./train-options.ts";
export { train } from "./trainer.ts";

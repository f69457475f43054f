/** Training of language models: the compiled step, the loop, checkpoints. Imports models/, data/, optim/ and below. */
export { findCheckpoint, loadCheckpoint, saveCheckpoint, type TrainingState } from "./checkpoint.ts";
export { DivergedError, firstNonFinite } from "./diverged.ts";
export { type ProfileTrainingOptions, profileTraining } from "./profile.ts";
export { checkRunConfig, defaultRunConfig, finishedModel, type RunConfig, type RunEvent, type RunHooks, readRunConfig, runTraining } from "./run.ts";
export { compileTrainStep, type StepOptions, type StepResult, type TrainStep } from "./step.ts";
export { compileEvaluation, evaluationLoss, type TrainEvent, type TrainOptions, train } from "./trainer.ts";

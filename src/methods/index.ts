/**
 * Methods of training, each from one config to a finished model. Imports train/, peft/, generate/, evaluate/ and below.
 */
export { adapterTraining } from "./adapter-training.ts";
export { methodNamed, type ResolvedConfig, readConfigFile, resolveConfig, withField } from "./config/read.ts";
export type { DatasetInput, SharedConfig, SharedInput } from "./config/schema.ts";
export { type Finding, type FindOptions, findConfigBatchSize, findConfigLearningRate } from "./find.ts";
export {
  type AnyPreparedMethod,
  defineMethod,
  type Method,
  type MethodConfig,
  type MethodContext,
  type MethodDefinition,
  type PreparedMethod,
} from "./method.ts";
export type { AskedClassifier } from "./parts/class-answers.ts";
export { type Plan, planOf } from "./plan.ts";
export { methods } from "./registry.ts";
export { finalAnswer, isSameAnswer } from "./rl/answers.ts";
export type { Reward } from "./rl/reward.ts";
export { exactMatch, formatReward, lengthPenalty } from "./rl/rewards.ts";
export { type MethodEvent, type MethodRunOptions, runMethod } from "./run.ts";
export { presetOf, runTraining, type TextRunEvent, type TextRunHooks } from "./text-run/text-run.ts";

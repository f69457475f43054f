/**
 * Evaluation of language models: tasks in the style of lm-evaluation-harness, to its numbers. Imports generate/,
 * metrics/ and below.
 */
export type { MetricResult } from "./aggregation.ts";
export { type EvaluateOptions, evaluate } from "./evaluate.ts";
export type { Answer, MetricItem } from "./judging.ts";
export { EvalModel, type EvalModelOptions, type Likelihood } from "./language-model.ts";
export type { EvalRequest } from "./prompts.ts";
export { type EvalSample, formatResults, type TaskResult } from "./results.ts";
export {
  type ChoiceRule,
  type Doc,
  type DocPart,
  type DocRule,
  defineTask,
  type EvalTask,
  type FewshotOptions,
  type FilterStep,
  type OutputType,
  type TaskGeneration,
  type TaskMetric,
  type TaskOptions,
} from "./task.ts";
export { readTask } from "./task-file.ts";

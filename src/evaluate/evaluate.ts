import { checkOptions, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { aggregate } from "./aggregation.ts";
import { TaskDocuments } from "./documents.ts";
import { filtered } from "./filters.ts";
import { type Answer, judge, type MetricItem } from "./judging.ts";
import type { EvalModel } from "./language-model.ts";
import { type AskedDoc, type EvalRequest, TaskPrompts } from "./prompts.ts";
import { ResponseFolder } from "./responses.ts";
import { type EvalSample, jsonOf, sampleOf, type TaskResult } from "./results.ts";
import type { EvalTask } from "./task.ts";

/** How tasks are put to a model. */
export interface EvaluateOptions {
  /** Only the first rows of each task; below 1 it is a share of them. @default all */
  limit?: number;
  /** Of the choice of examples. @default 1234 */
  seed?: number;
  /** Resamples for standard errors that have no formula; 0 leaves out all. @default 100,000, of BLEU and chrF 100 */
  resamples?: number;
  /** Where answers and results are written; an evaluation that was ended goes on with those that are there. */
  folder?: string;
  /** The model's name in that folder. @default "" */
  modelName?: string;
  /** Called when a row of a task is answered. */
  onProgress?: (task: string, done: number, rows: number) => void;
  signal?: AbortSignal;
}

const optionNames = ["limit", "seed", "resamples", "folder", "modelName", "onProgress", "signal"];
const DEFAULT_SEED = 1234;
const DEFAULT_RESAMPLES = 100_000;

/**
 * Puts tasks to a model and judges its answers, to the numbers of lm-evaluation-harness 0.4.13.
 * @throws OptionError for wrong options; DataError for data that do not fit their task, and a folder of another model;
 *   the signal's reason
 */
export async function evaluate(
  model: EvalModel,
  tasks: readonly EvalTask[],
  options: EvaluateOptions = {},
): Promise<TaskResult[]> {
  checkOptions("evaluate", options, optionNames);
  const { limit = Number.POSITIVE_INFINITY, seed = DEFAULT_SEED, resamples = DEFAULT_RESAMPLES, folder } = options;
  const rules = { limit: numberRules.limit, seed: numberRules.integer, resamples: numberRules.wholeNumber };
  requireNumbers("evaluate", { limit, seed, resamples }, rules);
  const names = tasks.map(({ name }) => name);
  if (names.length === 0 || new Set(names).size < names.length)
    throw new OptionError({
      where: "evaluate",
      expected: "tasks of different names, at least one",
      received: names.join(", ") || "none",
      fix: "name each task once",
    });
  const { modelName = "" } = options;
  const run = { model: modelName, maxLength: model.maxLength, seed };
  const store = folder === undefined ? undefined : await ResponseFolder.open(folder, run);
  const all = { ...options, limit, seed, resamples, store };
  const results: TaskResult[] = [];
  for (const task of tasks) results.push(await evaluateTask(model, task, all));
  await store?.writeResults(jsonOf(results, { modelName, seed }));
  return results;
}

interface Settings extends Pick<EvaluateOptions, "onProgress" | "signal"> {
  limit: number;
  seed: number;
  resamples: number;
  store: ResponseFolder | undefined;
}

async function evaluateTask(model: EvalModel, task: EvalTask, settings: Settings): Promise<TaskResult> {
  const { limit, seed, resamples, store } = settings;
  const documents = await TaskDocuments.open(task);
  const { docs } = documents;
  const count = Math.min(docs.length, limit < 1 ? Math.ceil(limit * docs.length) : Math.floor(limit));
  const prompts = new TaskPrompts(task, documents, model.tokenizer.Template, seed);
  const asked = [...prompts.asked(count)];
  const answers = await answersTo(model, task, asked, settings);
  const samples = task.filters.flatMap(({ name, steps }) =>
    asked.map((row, i): EvalSample => {
      const [first] = answers[i];
      const text = typeof first === "string" ? filtered(first, steps) : undefined;
      const { docId, doc, requests, target } = row;
      const items = judge(task, row, answers[i], text ?? "");
      return { docId, doc, requests, answers: answers[i], filter: name, filtered: text, target, items };
    }),
  );
  const metrics = task.filters.flatMap(({ name: filter }) =>
    task.metrics.map((metric) => {
      const rows = samples.filter((sample) => sample.filter === filter);
      const items = rows.map((sample) => sample.items.get(metric.metric) as MetricItem);
      return { metric: metric.metric, filter, ...aggregate(metric, items, resamples) };
    }),
  );
  await store?.writeSamples(task, samples.map(sampleOf));
  return { task, metrics, rows: { original: docs.length, effective: asked.length }, samples };
}

/** The answers to each row: those that are stored, and those that the model gives, several texts at a time. */
async function answersTo(
  model: EvalModel,
  task: EvalTask,
  asked: readonly AskedDoc[],
  { seed, store, onProgress, signal }: Settings,
): Promise<Answer[][]> {
  const stored = await store?.read(task);
  const answers: Answer[][] = [];
  let done = 0;
  const left = asked.filter((row, i) => {
    const present = stored?.get(row.docId);
    if (present?.requests !== JSON.stringify(row.requests)) return true;
    answers[i] = present.answers;
    done++;
    return false;
  });
  onProgress?.(task.name, done, asked.length);
  const workers = task.outputType === "generate_until" ? model.generator.maxSequences : 1;
  const queue = left.values();
  let failure: unknown;
  const work = async () => {
    for (const row of queue) {
      if (failure !== undefined) return;
      signal?.throwIfAborted();
      const replies: Answer[] = [];
      for (const request of row.requests) replies.push(await answerTo(model, task, request, seed + row.docId, signal));
      answers[row.docId] = replies;
      await store?.add(task, row, replies);
      onProgress?.(task.name, ++done, asked.length);
    }
  };
  const endAll = (error: unknown) => {
    failure ??= error;
  };
  await Promise.all(Array.from({ length: workers }, () => work().catch(endAll)));
  if (failure !== undefined) throw failure;
  return answers;
}

async function answerTo(
  model: EvalModel,
  task: EvalTask,
  request: EvalRequest,
  seed: number,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  switch (request.type) {
    case "loglikelihood":
      return model.loglikelihood(request.context, request.continuation, signal);
    case "loglikelihood_rolling":
      return model.rollingLikelihood(request.text, signal);
    case "generate_until": {
      const { until = [task.fewshotDelimiter] } = task.generation ?? {};
      return model.generate(request.context, { ...task.generation, until }, { seed, signal });
    }
  }
}

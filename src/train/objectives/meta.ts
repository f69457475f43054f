/** What the objectives of meta-learning share: tasks, their losses, and the steps that a model takes inside of one. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";
import type { Episode, EpisodeBatch } from "../../data/index.ts";
import { topologicalOrder } from "../../ir/index.ts";
import type { RunOptions } from "../../models/index.ts";
import { functionalCall, type Module, type Parameter } from "../../nn/index.ts";
import {
  argmax,
  cast,
  crossEntropy,
  equal,
  grad,
  mean,
  mul,
  stopGradient,
  sub,
  type Tensor,
  tensor,
} from "../../tensor/index.ts";
import type { Objective, ObjectiveResult } from "../objective.ts";
import { type SupervisedOptions, supervised } from "./supervised.ts";

/** Examples of a task, and their classes. */
export interface LabelledInputs {
  /** [n, ...] */
  inputs: Tensor<"f32">;
  /** i32 [n], from 0 on. */
  labels: Tensor<"i32">;
}

/** The loss of the examples of a task with the model as it is, and what is measured beside it. */
export type TaskLoss<X> = (examples: X, run: RunOptions) => Pick<ObjectiveResult, "loss" | "metrics">;

/** What a task gives. */
export type TaskResult = Required<Pick<ObjectiveResult, "loss" | "metrics">>;

/** From inputs to logits or vectors, [n, ...] -> [n, N]. */
export type Head = (inputs: Tensor<"f32">, run: RunOptions) => Tensor<"f32">;

/** Cross-entropy and accuracy of logits: of what is a class for each example. logits: [n, N], labels: i32 [n] */
export function classification(logits: Tensor<"f32">, labels: Tensor<"i32">): TaskResult {
  const isRight = equal(cast(argmax(logits, { axis: -1 }), "i32"), labels);
  const accuracy = mean(cast(isRight, "f32"));
  return { loss: crossEntropy(logits, labels), metrics: { accuracy } };
}

/** The loss of tasks that tell classes apart, with accuracy as a metric. */
export function classifierLoss(logits: Head): TaskLoss<LabelledInputs> {
  return ({ inputs, labels }, run) => classification(logits(inputs, run), labels);
}

/** How a model learns inside of a task. */
export interface InnerLoopOptions extends SupervisedOptions {
  /** Size of a step of gradient descent. */
  innerRate: number;
  /** Steps in training. @default 1 */
  innerSteps?: number;
  /** Steps in evaluation. @default innerSteps */
  evaluationSteps?: number;
  /**
   * The parameters that change inside of a task: with the last layer alone it is ANIL, Raghu et al. 2019,
   * arXiv:1909.09157. @default all that are trained
   */
  adapted?: ReadonlyMap<string, Parameter>;
}

export const innerLoopNames: readonly (keyof InnerLoopOptions)[] = [
  ...(["innerRate", "innerSteps", "evaluationSteps", "adapted", "trained", "tokenizer"] as const),
];

/** @throws OptionError for unknown options, or numbers out of range */
export function requireInnerLoop(where: string, options: InnerLoopOptions, names: readonly string[]): void {
  checkOptions(where, options, names);
  const { innerRate, innerSteps = 1, evaluationSteps = 1 } = options;
  const { positive, positiveInteger } = numberRules;
  requireNumbers(
    where,
    { innerRate, innerSteps, evaluationSteps },
    { innerRate: positive, innerSteps: positiveInteger, evaluationSteps: positiveInteger },
  );
}

/** An objective on batches of tasks, whose loss is a mean over them; the rest is as `supervised`. Counts examples. */
export function metaObjective<X extends object>(
  model: Module,
  { trained, tokenizer }: SupervisedOptions,
  resultOf: (episode: Episode<X>, run: RunOptions) => TaskResult,
): Objective<EpisodeBatch<X>> {
  const { count, ...parts } = supervised<X>(model as never, { trained, tokenizer });
  return {
    ...{ trained: parts.trained, state: parts.state, unit: parts.unit, save: parts.save, load: parts.load },
    count: ({ episodes }) => episodes.reduce((sum, { support, query }) => sum + count(support) + count(query), 0),
    loss: ({ episodes }, { key, ...run }) => {
      requireEpisodes(episodes);
      const results = episodes.map((episode, task) => resultOf(episode, { ...run, key: key?.fold(task) }));
      return { ...meanResults(results), weight: tensor(episodes.length) };
    },
  };
}

/** @throws OptionError for a batch without tasks */
function requireEpisodes(episodes: readonly unknown[]): void {
  if (episodes.length > 0) return;
  throw new OptionError({
    where: "meta-learning",
    expected: "a batch with an episode or more",
    received: "none",
    fix: "make batches with episodesOf",
  });
}

/** Values of parameters inside of a task. */
export type Adapted = ReadonlyMap<Parameter, Tensor<"f32">>;

export interface AdaptSettings {
  steps: number;
  rate: number;
  /** Whether the gradients count as constants. */
  isFirstOrder: boolean;
  run: RunOptions;
}

/** Gradient descent on examples, as a part of the graph. Parameters that the loss does not depend on stay out. */
export function adapt<X>(
  loss: TaskLoss<X>,
  examples: X,
  parameters: Iterable<Parameter>,
  { steps, rate, isFirstOrder, run }: AdaptSettings,
): Adapted {
  let values: Adapted = new Map([...parameters].map((parameter) => [parameter, parameter.value]));
  for (let step = 0; step < steps; step++) {
    const key = run.key?.fold(step);
    const [at] = functionalCall(values, () => [loss(examples, { ...run, key }).loss]);
    const nodes = step === 0 && new Set(topologicalOrder([at.ir]));
    const entries = [...values].filter(([parameter]) => !nodes || nodes.has(parameter.ir.node));
    const gradients = grad(
      at,
      entries.map(([, value]) => value),
    );
    values = new Map(
      entries.map(([parameter, value], i) => {
        const gradient = isFirstOrder ? stopGradient(gradients[i]) : gradients[i];
        return [parameter, sub(value, mul(gradient, rate))];
      }),
    );
  }
  return values;
}

/** What examples give with other values of parameters. */
export function resultWith<X>(values: Adapted, loss: TaskLoss<X>, examples: X, run: RunOptions): TaskResult {
  const names: string[] = [];
  const [lossValue, ...rest] = functionalCall(values, () => {
    const { loss: plain, metrics = {} } = loss(examples, run);
    names.push(...Object.keys(metrics));
    return [plain, ...Object.values(metrics)] as [Tensor<"f32">, ...Tensor<"f32">[]];
  });
  return { loss: lossValue, metrics: Object.fromEntries(names.map((name, i) => [name, rest[i]])) };
}

/** Means of what tasks give. */
function meanResults(results: readonly TaskResult[]): TaskResult {
  const average = (list: readonly Tensor<"f32">[]) =>
    mul(
      list.reduce((a, b) => a.add(b)),
      1 / list.length,
    );
  const names = Object.keys(results[0].metrics);
  return {
    loss: average(results.map(({ loss }) => loss)),
    metrics: Object.fromEntries(names.map((name) => [name, average(results.map(({ metrics }) => metrics[name]))])),
  };
}

/** Before the first inner step, as metrics of evaluation: `accuracyBefore` beside `accuracy`. */
export function metricsBefore<X>(
  loss: TaskLoss<X>,
  { query }: Episode<X>,
  run: RunOptions,
): Record<string, Tensor<"f32">> {
  const { metrics = {} } = loss(query, run);
  return Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`${name}Before`, value]));
}

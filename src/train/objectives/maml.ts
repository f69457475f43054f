import type { EpisodeBatch } from "../../data/index.ts";
import type { Module } from "../../nn/index.ts";
import type { Objective } from "../objective.ts";
import {
  adapt,
  type InnerLoopOptions,
  innerLoopNames,
  metaObjective,
  metricsBefore,
  requireInnerLoop,
  resultWith,
  type TaskLoss,
} from "./meta.ts";

/** How MAML learns. */
export interface MamlOptions extends InnerLoopOptions {
  /** Whether gradients of the inner steps count as constants: FOMAML, cheaper and nearly as good. @default false */
  isFirstOrder?: boolean;
}

/**
 * Model-agnostic meta-learning: weights from which few steps of gradient descent on a task's examples lead to a low
 * loss on others of the task. Finn et al. 2017, arXiv:1703.03400. The steps are a part of the graph, so that the
 * gradient goes through them. Metrics are those of the loss after the steps, and in evaluation also before, such as
 * `accuracyBefore`. A state that the model assigns itself, such as a batch norm's, is computed with weights before the
 * steps.
 * @throws OptionError for unknown options or numbers out of range
 *
 * @example
 * const model = new Mlp({ sizes: [2, 8, 3] }, randomKey(0));
 * const loss = classifierLoss((x, run) => model.forward(x, run));
 * maml(model, loss, { innerRate: 0.1, innerSteps: 3 }).trained.size; // 4
 */
export function maml<X extends object>(
  model: Module,
  loss: TaskLoss<X>,
  options: MamlOptions,
): Objective<EpisodeBatch<X>> {
  requireInnerLoop("maml", options, [...innerLoopNames, "isFirstOrder"]);
  const { innerRate: rate, innerSteps = 1, evaluationSteps = innerSteps, isFirstOrder = false } = options;
  const { trained = model.namedParameters(), adapted = trained } = options;
  return metaObjective<X>(model, options, (episode, run) => {
    const steps = run.isTraining ? innerSteps : evaluationSteps;
    const values = adapt(loss, episode.support, adapted.values(), { steps, rate, isFirstOrder, run });
    const { loss: after, metrics } = resultWith(values, loss, episode.query, run);
    return { loss: after, metrics: { ...metrics, ...(run.isTraining ? {} : metricsBefore(loss, episode, run)) } };
  });
}

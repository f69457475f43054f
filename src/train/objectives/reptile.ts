import type { EpisodeBatch } from "../../data/index.ts";
import type { Module } from "../../nn/index.ts";
import { add, mul, stopGradient, sub, sum, type Tensor } from "../../tensor/index.ts";
import type { Objective } from "../objective.ts";
import {
  type Adapted,
  adapt,
  type InnerLoopOptions,
  innerLoopNames,
  metaObjective,
  metricsBefore,
  requireInnerLoop,
  resultWith,
  type TaskLoss,
} from "./meta.ts";

/**
 * Reptile: weights move towards those that steps of gradient descent on a task lead to. Nichol et al. 2018,
 * arXiv:1803.02999. The gradient of the objective is the mean over tasks of weights before less those after; with
 * learning rate e, `Sgd` moves them by the share e if `train` clips nothing (`clipNorm: Infinity`). Each step takes
 * all of a task's support examples. The loss and the metrics are those of the queries after the steps, from which
 * nothing is learned.
 * @throws OptionError for unknown options or numbers out of range
 *
 * @example
 * const model = new Mlp({ sizes: [2, 8, 3] }, randomKey(0));
 * const loss = classifierLoss((x, run) => model.forward(x, run));
 * reptile(model, loss, { innerRate: 0.1, innerSteps: 5 }).unit; // "examples"
 */
export function reptile<X extends object>(
  model: Module,
  loss: TaskLoss<X>,
  options: InnerLoopOptions,
): Objective<EpisodeBatch<X>> {
  requireInnerLoop("reptile", options, innerLoopNames);
  const { innerRate: rate, innerSteps = 1, evaluationSteps = innerSteps } = options;
  const { trained = model.namedParameters(), adapted = trained } = options;
  return metaObjective<X>(model, options, (episode, run) => {
    const steps = run.isTraining ? innerSteps : evaluationSteps;
    const values = adapt(loss, episode.support, adapted.values(), { steps, rate, isFirstOrder: true, run });
    const { loss: after, metrics } = resultWith(values, loss, episode.query, run);
    if (run.isTraining) return { loss: withGradientTowards(values, after), metrics };
    return { loss: after, metrics: { ...metrics, ...metricsBefore(loss, episode, run) } };
  });
}

/** A loss with the value of another, whose gradient is where weights are less where they should be. */
function withGradientTowards(values: Adapted, loss: Tensor<"f32">): Tensor<"f32"> {
  const pulls = [...values].map(([parameter, value]) =>
    sum(mul(parameter.value, stopGradient(sub(parameter.value, value)))),
  );
  const pull = pulls.reduce((a, b) => add(a, b));
  return add(pull, stopGradient(sub(loss, pull)));
}

import { checkOptions, OptionError } from "../../base/index.ts";
import { type KeyPattern, matchesKey } from "../../nn/index.ts";
import { l1Penalty, l2Penalty } from "../../optim/index.ts";
import { add } from "../../tensor/index.ts";
import type { Objective } from "../objective.ts";

/** How strongly weights are drawn to 0 by the loss. */
export interface PenaltyOptions {
  /** Factor of the sum of sizes. @default 0 */
  l1?: number;
  /** Factor of half the sum of squares. @default 0 */
  l2?: number;
  /** Which of the trained parameters. @default those of 2 axes or more */
  matches?: KeyPattern;
}

/**
 * An objective whose loss has a penalty on its weights in training: L1 or L2 regularisation. The metric `penalty` tells
 * it; evaluation measures the loss without it.
 * @throws OptionError for wrong options, or a pattern of no parameter
 *
 * @example
 * const model = new RecurrentLanguageModel({ kind: "gru", vocabSize: 9, hiddenSize: 4, numLayers: 1 }, randomKey(0));
 * withPenalty(supervised(model), { l1: 1e-4 }).trained.size; // 7
 */
export function withPenalty<B>(objective: Objective<B>, options: PenaltyOptions): Objective<B> {
  checkOptions("withPenalty", options, ["l1", "l2", "matches"]);
  const { l1 = 0, l2 = 0, matches = (_, { shape }) => shape.length >= 2 } = options;
  const weights = [...objective.trained].flatMap(([key, weight]) => (matchesKey(matches, key, weight) ? [weight] : []));
  if (weights.length === 0) {
    throw new OptionError({
      where: "withPenalty",
      expected: "a pattern of trained parameters",
      received: `one of none of the ${objective.trained.size}`,
      fix: "correct matches",
    });
  }
  const penaltyOf = () => add(l1Penalty(weights, l1), l2Penalty(weights, l2));
  penaltyOf(); // says what is wrong with the options now
  return {
    ...{ trained: objective.trained, state: objective.state, unit: objective.unit },
    count: (batch) => objective.count(batch),
    prepare: objective.prepare?.bind(objective),
    scorer: objective.scorer?.bind(objective),
    save: (folder) => objective.save(folder),
    load: (folder) => objective.load(folder),
    loss(batch, run) {
      const result = objective.loss(batch, run);
      if (!run.isTraining) return result;
      const penalty = penaltyOf();
      return { ...result, loss: add(result.loss, penalty), metrics: { ...result.metrics, penalty } };
    },
  };
}

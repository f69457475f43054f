import { checkOptions, numberRules, OptionError, requireNumbers } from "../../../base/index.ts";
import type { RunOptions, SequenceClassifier } from "../../../models/index.ts";
import {
  add,
  cast,
  full,
  greater,
  logSigmoid,
  max,
  mean,
  min,
  mul,
  neg,
  reshape,
  slice,
  square,
  sub,
  type Tensor,
} from "../../../tensor/index.ts";
import type { Objective, ObjectiveResult } from "../../objective.ts";
import { type SupervisedOptions, supervised } from "../supervised.ts";

/** B pairs: first the chosen texts, then in the same order the rejected ones. */
export interface RewardBatch {
  /** i32 [2B, T] */
  inputIds: Tensor<"i32">;
  /** bool [2B, T], false for padding, at the right. */
  attentionMask: Tensor<"bool">;
  /** How much better each chosen text is at least to be, [B]. @default 0 */
  margin?: Tensor<"f32">;
}

/** What is trained, and what rewards are held to. */
export interface RewardOptions extends SupervisedOptions {
  /** How much the squared sum of the rewards of a pair counts, so that rewards are around 0. @default 0 */
  centering?: number;
}

/**
 * Trains a classifier of one class to give preferred texts the higher reward, by the model of Bradley and Terry. Counts
 * tokens. Ouyang et al. 2022, arXiv:2203.02155, equation 1; margins: Touvron et al. 2023, arXiv:2307.09288, equation 2;
 * centering: Eisenstein et al. 2023, arXiv:2312.09244. Metrics are those of trl: `accuracy`, the share of pairs in the
 * right order, `margin`, the mean difference, and `minReward`, `meanReward`, `maxReward` of a batch.
 * @throws OptionError for a classifier of more classes, unknown options, and a negative centering
 */
export function reward(model: SequenceClassifier, options: RewardOptions = {}): Objective<RewardBatch> {
  checkOptions("reward", options, ["trained", "tokenizer", "centering"]);
  const { trained, tokenizer, centering = 0 } = options;
  requireNumbers("reward", { centering }, { centering: numberRules.notNegative });
  const { labels } = model.config;
  if (labels.length !== 1)
    throw new OptionError({
      where: "reward",
      expected: "a classifier of one class, whose logit is the reward",
      received: `${model.architecture} of ${labels.length}`,
      fix: 'open it with head: "new", labels: ["reward"]',
    });
  return {
    ...supervised<RewardBatch>(model as never, { trained, tokenizer }),
    unit: "tokens",
    count: ({ inputIds: { shape } }) => Number(shape[0]) * Number(shape[1]),
    loss: (batch, run) => rewardLoss(model, batch, run, centering),
  };
}

function rewardLoss(
  model: SequenceClassifier,
  { margin, ...texts }: RewardBatch,
  run: RunOptions,
  centering: number,
): ObjectiveResult {
  const rewards = reshape(model.forward({ ...texts, ...run }).logits, [-1]); // [2B]
  const half = Number(texts.inputIds.shape[0]) / 2;
  const chosen = slice(rewards, { axis: 0, end: half });
  const rejected = slice(rewards, { axis: 0, start: half });
  const difference = sub(chosen, rejected);
  const ordered = neg(mean(logSigmoid(margin ? sub(difference, margin) : difference)));
  const centred = () => mul(mean(square(add(chosen, rejected))), centering);
  return {
    loss: centering === 0 ? ordered : add(ordered, centred()),
    weight: full([], half),
    metrics: {
      accuracy: mean(cast(greater(chosen, rejected), "f32")),
      margin: mean(difference),
      minReward: min(rewards),
      meanReward: mean(rewards),
      maxReward: max(rewards),
    },
  };
}

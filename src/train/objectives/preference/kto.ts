import { checkOptions, numberRules, requireNumbers } from "../../../base/index.ts";
import type { CausalLM, RunOptions } from "../../../models/index.ts";
import {
  cast,
  div,
  full,
  logicalNot,
  maximum,
  mean,
  mul,
  sigmoid,
  stopGradient,
  sub,
  sum,
  type Tensor,
  where,
} from "../../../tensor/index.ts";
import type { HostTensor, Objective, ObjectiveResult, Scorer } from "../../objective.ts";
import { type SupervisedOptions, supervised } from "../supervised.ts";
import { type CompletionTexts, type LogProbabilityOptions, sequenceLogProbabilities } from "./log-probabilities.ts";
import type { ReferenceModel } from "./preference.ts";

/** B completions that are wanted or not. */
export interface RatedBatch extends CompletionTexts {
  /** bool [B] */
  isDesirable: Tensor<"bool">;
  /** Prompts with completions of others, which tell how far the model is from the reference in general. [B', T'] */
  mismatched: CompletionTexts;
  /** What the reference model gives the completions, in nats, computed before. [B] */
  referenceLogProbabilities?: Tensor<"f32">;
  /** The same of the mismatched ones. [B'] */
  mismatchedReference?: Tensor<"f32">;
}

/** Numbers of the loss. */
export interface KtoOptions extends SupervisedOptions, LogProbabilityOptions {
  /** How far the model may go from the reference: less for a larger one. Above 0. @default 0.1 */
  beta?: number;
  /** How much a completion that is wanted counts. @default 1 */
  desirableWeight?: number;
  /** How much one that is not wanted counts. @default 1 */
  undesirableWeight?: number;
  /** What the model before training says. @default that of the batch */
  reference?: ReferenceModel;
}

const names = [
  "trained",
  "tokenizer",
  "lossChunk",
  "beta",
  "desirableWeight",
  "undesirableWeight",
  "reference",
] as const;

interface Settings {
  beta: number;
  desirableWeight: number;
  undesirableWeight: number;
  reference: ReferenceModel | undefined;
  lossChunk: number | undefined;
}

/**
 * Kahneman-Tversky optimisation: a language model learns from completions that are wanted or not, with no pairs. A
 * reward is good or bad beside the model's divergence from the reference, which mismatched prompts and completions of
 * the batch estimate. Counts tokens. Ethayarajh et al. 2024, arXiv:2402.01306, equation 8. Metrics are those of trl, of
 * wanted completions as `chosen` and of others as `rejected`: 0 where a batch has none; over validation data means of
 * all.
 * @throws OptionError for unknown options and numbers out of range
 */
export function kto(model: CausalLM, options: KtoOptions = {}): Objective<RatedBatch> {
  checkOptions("kto", options, names);
  const { trained, tokenizer, reference, lossChunk } = options;
  const { beta = 0.1, desirableWeight = 1, undesirableWeight = 1 } = options;
  const { positive, notNegative } = numberRules;
  requireNumbers(
    "kto",
    { beta, desirableWeight, undesirableWeight },
    { beta: positive, desirableWeight: notNegative, undesirableWeight: notNegative },
  );
  const settings = { beta, desirableWeight, undesirableWeight, reference, lossChunk };
  return {
    ...supervised<RatedBatch>(model, { trained, tokenizer }),
    unit: "tokens",
    count: ({ inputIds: { shape } }) => Number(shape[0]) * Number(shape[1]),
    loss: (batch, run) => ktoLoss(model, batch, { run, settings }),
    scorer: () => new RatedScorer((batch) => ratiosOf(model, batch, { run: {}, settings }), beta),
  };
}

interface Step {
  run: RunOptions;
  settings: Settings;
}

/** How likely completions are, and how much more so than to the reference, in nats. [B] each */
interface Ratios {
  logps: Tensor<"f32">;
  ratios: Tensor<"f32">;
}

function ratiosOf(model: CausalLM, batch: RatedBatch, { run, settings }: Step): Ratios {
  const { isDesirable: _, mismatched: __, referenceLogProbabilities, mismatchedReference: ___, ...texts } = batch;
  return compared(model, texts, { run, settings, known: referenceLogProbabilities });
}

function compared(
  model: CausalLM,
  texts: CompletionTexts,
  { run, settings, known }: Step & { known: Tensor<"f32"> | undefined },
): Ratios {
  const { lossChunk, reference: compute } = settings;
  const { sum: logps } = sequenceLogProbabilities(model, { ...texts, ...run }, { lossChunk });
  const reference = known ?? compute?.(texts);
  return { logps, ratios: reference ? sub(logps, stopGradient(reference)) : logps };
}

function ktoLoss(model: CausalLM, batch: RatedBatch, { run, settings }: Step): ObjectiveResult {
  const { isDesirable, mismatched, mismatchedReference: known } = batch;
  const { beta, desirableWeight, undesirableWeight } = settings;
  const { logps, ratios } = ratiosOf(model, batch, { run, settings });
  const others = compared(model, mismatched, { run, settings, known });
  const divergence = stopGradient(maximum(mean(others.ratios), 0)); // []
  const gain = mul(sub(ratios, divergence), beta);
  const wanted = mul(sub(1, sigmoid(gain)), desirableWeight);
  const unwanted = mul(sigmoid(gain), undesirableWeight); // 1 - sigmoid(-gain)
  const chosen = groupMeans({ logps, ratios }, isDesirable);
  const rejected = groupMeans({ logps, ratios }, logicalNot(isDesirable));
  return {
    loss: mean(where(isDesirable, wanted, unwanted)),
    weight: full([], Number(logps.shape[0])),
    metrics: {
      "rewards/chosen": mul(chosen.ratios, beta),
      "rewards/rejected": mul(rejected.ratios, beta),
      "rewards/margins": mul(sub(chosen.ratios, rejected.ratios), beta),
      "logps/chosen": chosen.logps,
      "logps/rejected": rejected.logps,
      kl: divergence,
    },
  };
}

/** Means over some rows, 0 where there are none. */
function groupMeans({ logps, ratios }: Ratios, isInside: Tensor<"bool">): Ratios {
  const count = maximum(sum(cast(isInside, "f32")), 1);
  const meanOf = (x: Tensor<"f32">) => div(sum(where(isInside, x, 0)), count);
  return { logps: meanOf(logps), ratios: meanOf(ratios) };
}

/** Means over all rows of several batches, of which some may have rows of one kind alone. */
class RatedScorer implements Scorer<RatedBatch> {
  private readonly ratiosOf: (batch: RatedBatch) => Ratios;
  private readonly beta: number;
  private sums = emptySums();

  constructor(ratiosOf: (batch: RatedBatch) => Ratios, beta: number) {
    this.ratiosOf = ratiosOf;
    this.beta = beta;
  }

  outputs(batch: RatedBatch): Readonly<Record<string, Tensor>> {
    return { ...this.ratiosOf(batch), isDesirable: batch.isDesirable };
  }

  add({ logps, ratios, isDesirable }: Readonly<Record<string, HostTensor>>): void {
    for (const [row, isWanted] of isDesirable.data.entries()) {
      const group = isWanted ? this.sums.chosen : this.sums.rejected;
      group.count++;
      group.logps += Number(logps.data[row]);
      group.reward += this.beta * Number(ratios.data[row]);
    }
  }

  result(): Readonly<Record<string, number>> {
    const { sums } = this;
    this.sums = emptySums();
    const result: Record<string, number> = {};
    for (const [name, { count, logps, reward }] of Object.entries(sums)) {
      if (count === 0) continue;
      result[`rewards/${name}`] = reward / count;
      result[`logps/${name}`] = logps / count;
    }
    if (sums.chosen.count > 0 && sums.rejected.count > 0)
      result["rewards/margins"] = result["rewards/chosen"] - result["rewards/rejected"];
    return result;
  }
}

const emptySums = () => ({
  chosen: { count: 0, logps: 0, reward: 0 },
  rejected: { count: 0, logps: 0, reward: 0 },
});

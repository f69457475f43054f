import { checkOptions, IGNORED_LABEL, numberRules, OptionError, requireNumbers } from "../../../base/index.ts";
import type { CausalLM, RunOptions } from "../../../models/index.ts";
import {
  add,
  cast,
  concat,
  div,
  full,
  greater,
  mean,
  mul,
  neg,
  notEqual,
  slice,
  stopGradient,
  sub,
  sum,
  type Tensor,
  where,
} from "../../../tensor/index.ts";
import type { Objective, ObjectiveResult } from "../../objective.ts";
import { type SupervisedOptions, supervised } from "../supervised.ts";
import { cpoLoss } from "./cpo.ts";
import { hingeLoss, robustLoss, sigmoidLoss } from "./dpo.ts";
import { ipoLoss } from "./ipo.ts";
import {
  type CompletionTexts,
  type LogProbabilityOptions,
  rowsOf,
  type SequenceLogProbabilities,
  sequenceLogProbabilities,
  summed,
} from "./log-probabilities.ts";
import { orpoLoss } from "./orpo.ts";
import type { PairLoss, PairResult } from "./pair-loss.ts";
import { simpoLoss } from "./simpo.ts";

/** Which loss pairs have; the paper is named where each is. */
export type PreferenceLoss = "sigmoid" | "ipo" | "hinge" | "robust" | "orpo" | "simpo" | "cpo";

/** What the model before training says of texts: log probabilities of their completions, as part of a graph. [N] */
export type ReferenceModel = (texts: CompletionTexts) => Tensor<"f32">;

/** B pairs: first the texts with the chosen completions, then in the same order those with the rejected ones. */
export interface PreferenceBatch {
  /** i32 [2B, T] */
  inputIds: Tensor<"i32">;
  /** bool [2B, T], false for padding, at the right. */
  attentionMask: Tensor<"bool">;
  /** For each place the id that follows, where that is one of the completion; -100 elsewhere. i32 [2B, T] */
  shiftLabels: Tensor<"i32">;
  /** What the reference model gives the completions, in nats, computed before. [2B] */
  referenceLogProbabilities?: Tensor<"f32">;
}

/** Which loss, and its numbers. */
export interface PreferenceOptions extends SupervisedOptions, LogProbabilityOptions {
  /** @default "sigmoid", which is DPO */
  loss?: PreferenceLoss;
  /** How far the model may go from the reference: less for a larger one. Above 0. @default 0.1; of simpo 2 */
  beta?: number;
  /** Share of the labels that is taken to be wrong: sigmoid, robust, simpo and cpo. From 0, below 0.5. @default 0 */
  labelSmoothing?: number;
  /** How much better the chosen completion is to be: simpo alone. @default 0.5 */
  margin?: number;
  /**
   * How much the mean negative log likelihood of the tokens of the chosen completions counts beside the preference;
   * orpo has such a term of its own. @default 0; of cpo 1
   */
  nllWeight?: number;
  /** Of sigmoid, ipo, hinge and robust. @default that of the batch; without any, all texts are equally likely to it */
  reference?: ReferenceModel;
}

interface LossKind {
  loss: PairLoss;
  hasReference: boolean;
  hasSmoothing: boolean;
}

const kinds: Readonly<Record<PreferenceLoss, LossKind>> = {
  sigmoid: { loss: sigmoidLoss, hasReference: true, hasSmoothing: true },
  ipo: { loss: ipoLoss, hasReference: true, hasSmoothing: false },
  hinge: { loss: hingeLoss, hasReference: true, hasSmoothing: false },
  robust: { loss: robustLoss, hasReference: true, hasSmoothing: true },
  orpo: { loss: orpoLoss, hasReference: false, hasSmoothing: false },
  simpo: { loss: simpoLoss, hasReference: false, hasSmoothing: true },
  cpo: { loss: cpoLoss, hasReference: false, hasSmoothing: true },
};

/** Whether a loss compares the model with the one before training. */
export const hasReference = (loss: PreferenceLoss): boolean => kinds[loss].hasReference;

const WHERE = "preference";
const BETA = 0.1;
/** Meng et al. 2024, arXiv:2405.14734, table 4, begins there. */
const SIMPO = { beta: 2, margin: 0.5 };

type Settings = Required<Omit<PreferenceOptions, "trained" | "tokenizer" | "reference" | "lossChunk">>;

/**
 * Trains a language model to prefer completions to others. Counts tokens. Metrics are those of trl: the rewards that
 * the model implicitly gives (`rewards/chosen`, `rewards/rejected`), their difference (`rewards/margins`), the share of
 * pairs in which it is above 0 (`rewards/accuracies`), and log probabilities of completions in nats (`logps/chosen`,
 * `logps/rejected`), of simpo and orpo those of a token in the mean.
 * @throws OptionError for unknown options, numbers out of range, and options that the loss does not have
 */
export function preference(model: CausalLM, options: PreferenceOptions = {}): Objective<PreferenceBatch> {
  checkOptions(WHERE, options, [
    ...(["trained", "tokenizer", "lossChunk", "loss", "beta", "labelSmoothing"] as const),
    ...(["margin", "nllWeight", "reference"] as const),
  ]);
  const { trained, tokenizer, reference, lossChunk } = options;
  const settings = settingsOf(options);
  return {
    ...supervised<PreferenceBatch>(model, { trained, tokenizer }),
    unit: "tokens",
    count: ({ inputIds: { shape } }) => Number(shape[0]) * Number(shape[1]),
    loss: (batch, run) => preferenceLoss(model, batch, { run, settings, reference, lossChunk }),
  };
}

/** @throws OptionError for what does not belong to the loss, or is out of range */
function settingsOf(options: PreferenceOptions): Settings {
  const { loss = "sigmoid" } = options;
  const kind = kinds[loss];
  if (!kind) {
    const names = Object.keys(kinds).join(", ");
    throw wrong(`${WHERE}, loss`, `one of ${names}`, JSON.stringify(loss), "name one of them");
  }
  const { hasReference, hasSmoothing } = kind;
  requireOf(loss, "labelSmoothing", options.labelSmoothing, hasSmoothing);
  requireOf(loss, "margin", options.margin, loss === "simpo");
  requireOf(loss, "nllWeight", options.nllWeight, loss !== "orpo");
  requireOf(loss, "reference", options.reference, hasReference);
  const { beta = loss === "simpo" ? SIMPO.beta : BETA, margin = SIMPO.margin, labelSmoothing = 0 } = options;
  const { nllWeight = loss === "cpo" ? 1 : 0 } = options;
  requireNumbers(
    WHERE,
    { beta, margin, labelSmoothing, nllWeight },
    {
      beta: numberRules.positive,
      margin: numberRules.finite,
      labelSmoothing: numberRules.fraction,
      nllWeight: numberRules.notNegative,
    },
  );
  if (labelSmoothing >= 0.5)
    throw wrong(WHERE, "labelSmoothing below 0.5", String(labelSmoothing), "turn the pairs round where most are wrong");
  return { loss, beta, margin, labelSmoothing, nllWeight };
}

/** @throws OptionError for an option that the loss would pass over */
function requireOf(loss: PreferenceLoss, name: keyof PreferenceOptions, value: unknown, has: boolean): void {
  if (has || value === undefined) return;
  throw wrong(`${WHERE}, ${name}`, `a loss that has ${name}`, loss, "leave it out, or choose another loss");
}

const wrong = (where: string, expected: string, received: string, fix: string) =>
  new OptionError({ where, expected, received, fix });

interface Step {
  run: RunOptions;
  settings: Settings;
  reference: ReferenceModel | undefined;
  lossChunk: number | undefined;
}

function preferenceLoss(model: CausalLM, batch: PreferenceBatch, step: Step): ObjectiveResult {
  const { settings, reference: compute } = step;
  const { referenceLogProbabilities, ...texts } = batch;
  const rows = Number(texts.inputIds.shape[0]);
  const half = rows / 2;
  const { completions, chosenNll } = policyOf(model, texts, step);
  const { loss: kind, hasReference } = kinds[settings.loss];
  const known = hasReference ? (referenceLogProbabilities ?? compute?.(texts)) : undefined;
  const fixed = known && stopGradient(known);
  const reference = fixed && {
    chosen: slice(fixed, { axis: 0, end: half }),
    rejected: slice(fixed, { axis: 0, start: half }),
  };
  const pairs = { chosen: rowsOf(completions, 0, half), rejected: rowsOf(completions, half, rows) };
  const result = kind({ ...pairs, reference }, settings);
  const loss = mean(result.losses);
  const weight = settings.loss === "orpo" ? 1 : settings.nllWeight;
  const averages = settings.loss === "orpo" || settings.loss === "simpo";
  const logps = (side: SequenceLogProbabilities) => mean(averages ? side.mean : side.sum);
  return {
    loss: weight === 0 ? loss : add(loss, mul(chosenNll, weight)),
    weight: full([], half),
    metrics: {
      ...rewardMetrics(result),
      "logps/chosen": logps(pairs.chosen),
      "logps/rejected": logps(pairs.rejected),
      ...(weight > 0 && { nllLoss: chosenNll }),
    },
  };
}

function rewardMetrics({ rewards: { chosen, rejected }, metrics }: PairResult): Record<string, Tensor<"f32">> {
  return {
    "rewards/chosen": mean(chosen),
    "rewards/rejected": mean(rejected),
    "rewards/accuracies": mean(cast(greater(chosen, rejected), "f32")),
    "rewards/margins": mean(sub(chosen, rejected)),
    ...metrics,
  };
}

/** Log probabilities of the completions by the model, and the mean negative one of the tokens of what is chosen. */
function policyOf(
  model: CausalLM,
  texts: CompletionTexts & Pick<PreferenceBatch, "attentionMask">,
  { run, settings, lossChunk }: Step,
): { completions: SequenceLogProbabilities; chosenNll: Tensor<"f32"> } {
  const half = Number(texts.inputIds.shape[0]) / 2;
  const isWhole = settings.loss === "orpo"; // its likelihood is that of the prompt too, as in the authors' code and trl
  const shiftLabels = isWhole ? everyToken(texts) : texts.shiftLabels;
  const all = sequenceLogProbabilities(model, { ...texts, ...run, shiftLabels }, { lossChunk });
  const chosen = rowsOf(all, 0, half);
  const chosenNll = neg(div(sum(chosen.sum), sum(chosen.count)));
  if (!isWhole) return { completions: all, chosenNll };
  const tokens = where(notEqual(texts.shiftLabels, IGNORED_LABEL), all.tokens, 0);
  return { completions: summed(tokens, texts.shiftLabels), chosenNll };
}

/** Labels of all tokens that have one before them. */
function everyToken({ inputIds, attentionMask }: Pick<PreferenceBatch, "inputIds" | "attentionMask">): Tensor<"i32"> {
  const rows = inputIds.shape[0];
  const ids = slice(inputIds, { axis: 1, start: 1 });
  const real = slice(attentionMask, { axis: 1, start: 1 });
  return concat([where(real, ids, IGNORED_LABEL) as Tensor<"i32">, full([rows, 1], IGNORED_LABEL, "i32")], 1);
}

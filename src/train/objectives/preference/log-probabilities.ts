import { checkOptions, IGNORED_LABEL, numberRules, requireNumbers } from "../../../base/index.ts";
import { linearCrossEntropy } from "../../../losses/index.ts";
import type { CausalLM, CausalLMInputs, RunOptions } from "../../../models/index.ts";
import { biasOf, EmbeddingTable } from "../../../nn/index.ts";
import {
  cast,
  crossEntropy,
  div,
  maximum,
  neg,
  notEqual,
  reshape,
  slice,
  sum,
  type Tensor,
} from "../../../tensor/index.ts";
import { requireOutputLayer } from "../chunked-loss.ts";

/** Texts, of which some tokens are completions: what is asked for is how likely these are. */
export type CompletionTexts = Omit<CausalLMInputs, "cache"> & {
  /** For each place the id that follows, where that is one of the completion; -100 elsewhere. i32 [N, T] */
  shiftLabels: Tensor<"i32">;
};

/** Log probabilities of completions, in nats. */
export interface SequenceLogProbabilities {
  /** Of each token, 0 where none counts. [N, T] */
  tokens: Tensor<"f32">;
  /** Of the whole completions. [N] */
  sum: Tensor<"f32">;
  /** Of a token of them in the mean; 0 for an empty one. [N] */
  mean: Tensor<"f32">;
  /** How many tokens they have. [N] */
  count: Tensor<"f32">;
}

/** How they are computed. */
export interface LogProbabilityOptions {
  /**
   * Logits are computed for at most so many tokens of the vocabulary at a time, and once more for the gradient: much
   * less memory where the vocabulary is large, for some more time. The numbers are the same.
   * @default all logits at once
   */
  lossChunk?: number;
}

/**
 * How likely a language model takes completions to be, as part of a graph.
 * @throws OptionError for a lossChunk that is no positive integer, or with a model whose output layer it cannot follow
 */
export function sequenceLogProbabilities(
  model: CausalLM,
  { shiftLabels, ...inputs }: CompletionTexts & RunOptions,
  options: LogProbabilityOptions = {},
): SequenceLogProbabilities {
  checkOptions(WHERE, options, ["lossChunk"]);
  const targets = reshape(shiftLabels, [-1]);
  const losses = tokenLosses(model, inputs, targets, options); // [N T]
  return summed(neg(reshape(losses, shiftLabels.shape)), shiftLabels);
}

/** Sums and means of tokens that have a label. tokens: [N, T], 0 where there is none; shiftLabels: i32 [N, T] */
export function summed(tokens: Tensor<"f32">, shiftLabels: Tensor<"i32">): SequenceLogProbabilities {
  const count = sum(cast(notEqual(shiftLabels, IGNORED_LABEL), "f32"), { axes: 1 });
  const total = sum(tokens, { axes: 1 });
  return { tokens, sum: total, mean: div(total, maximum(count, 1)), count };
}

/** The same of the rows from `start` to `end`. */
export function rowsOf(all: SequenceLogProbabilities, start: number, end: number): SequenceLogProbabilities {
  const part = (x: Tensor<"f32">) => slice(x, { axis: 0, start, end });
  return { tokens: part(all.tokens), sum: part(all.sum), mean: part(all.mean), count: part(all.count) };
}

const WHERE = "sequenceLogProbabilities";

function tokenLosses(
  model: CausalLM,
  inputs: Omit<CausalLMInputs, "cache"> & RunOptions,
  targets: Tensor<"i32">,
  { lossChunk: chunk }: LogProbabilityOptions,
): Tensor<"f32"> {
  if (chunk === undefined) {
    const { logits } = model.forward(inputs);
    const rows = reshape(logits, [-1, logits.size(2)]);
    return crossEntropy(rows, targets, { ignoreIndex: IGNORED_LABEL, reduction: "none" });
  }
  requireNumbers(WHERE, { lossChunk: chunk }, { lossChunk: numberRules.positiveInteger });
  const { layer, softCap } = requireOutputLayer(WHERE, model);
  const isTable = layer instanceof EmbeddingTable;
  const { lastHiddenState: states } = model.forward(inputs); // its logits are computed for nobody
  const matrix = isTable ? layer.rows() : layer.matrix();
  const bias = isTable ? undefined : biasOf(layer)?.value;
  const rows = reshape(states, [-1, states.size(2)]);
  return linearCrossEntropy(rows, matrix, targets, { bias, chunk, logitSoftCap: softCap, reduction: "none" });
}

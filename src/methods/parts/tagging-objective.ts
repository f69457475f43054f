/** The loss and the metrics of token classification. */
import { IGNORED_LABEL } from "../../base/index.ts";
import { crossEntropy } from "../../losses/index.ts";
import { entityScores, metricsOf } from "../../metrics/index.ts";
import type { EncoderInputs, TokenClassifier } from "../../models/index.ts";
import { argmax, cast, notEqual, reshape, sum, type Tensor, where } from "../../tensor/index.ts";
import { type Objective, type Scorer, type SupervisedOptions, supervised } from "../../train/index.ts";
import { areEntityTags, hasBilouTags } from "./tag-watch.ts";

/** A batch of sentences with a label for each token; -100 does not count. */
export interface TaggedBatch extends EncoderInputs {
  /** i32 [B, T] */
  labels: Tensor<"i32">;
  /** 1 for the first token of each word, by which it is measured: i32 [B, T] */
  wordStarts: Tensor<"i32">;
}

/**
 * Trains a classifier of tokens by cross-entropy. Measured over the whole validation data by words: the share of right
 * tags, and F1 of entities as seqeval has it, or of tags that are no entities the metrics of classes.
 */
export function taggingObjective(
  model: TokenClassifier,
  { names, labelSmoothing, ...options }: SupervisedOptions & { names: readonly string[]; labelSmoothing: number },
): Objective<TaggedBatch> {
  const base = supervised<TaggedBatch>(model, options);
  return {
    ...base,
    loss({ labels, wordStarts: _, ...inputs }, run) {
      const { logits } = model.forward({ ...inputs, ...run });
      const flat = reshape(labels, [-1]);
      const loss = crossEntropy(reshape(logits, [-1, names.length]), flat, {
        labelSmoothing,
        ignoreIndex: IGNORED_LABEL,
      });
      return { loss, weight: sum(cast(notEqual(labels, IGNORED_LABEL), "f32")) };
    },
    scorer: () => taggingScorer(model, names),
  };
}

/** Scores of tokens, and the labels of those by which words are measured: f32 [B, T, N], i32 [B, T]. */
export const scoredTokens = (model: TokenClassifier, { labels, wordStarts, ...inputs }: TaggedBatch) => ({
  logits: model.forward(inputs).logits,
  labels: where(notEqual(wordStarts, 0), labels, IGNORED_LABEL),
});

function taggingScorer(model: TokenClassifier, names: readonly string[]): Scorer<TaggedBatch> {
  const sentences: { guesses: string[]; tags: string[] }[] = [];
  const isEntities = areEntityTags(names);
  return {
    outputs: ({ labels, wordStarts, ...inputs }) => {
      const guesses = argmax(model.forward(inputs).logits, { axis: -1 });
      return { guesses: cast(guesses, "i32"), labels, wordStarts };
    },
    add({ guesses, labels, wordStarts }) {
      const [rows, width] = labels.shape;
      for (let row = 0; row < rows; row++) {
        const sentence: (typeof sentences)[number] = { guesses: [], tags: [] };
        for (let i = row * width; i < (row + 1) * width; i++) {
          if (!wordStarts.data[i]) continue;
          sentence.guesses.push(names[Number(guesses.data[i])]);
          sentence.tags.push(names[Number(labels.data[i])]);
        }
        if (sentence.tags.length > 0) sentences.push(sentence);
      }
    },
    result() {
      const [guesses, tags] = [sentences.map((each) => each.guesses), sentences.map((each) => each.tags)];
      sentences.length = 0;
      if (!isEntities) {
        const metric = metricsOf("classification");
        metric.add(guesses.flat(), tags.flat());
        return metric.result();
      }
      const scheme = hasBilouTags(names) ? ({ scheme: "BILOU" } as const) : {};
      const { precision, recall, f1, accuracy } = entityScores(guesses, tags, { ...scheme, zeroDivision: 0 });
      return { precision, recall, f1, accuracy: accuracy as number };
    },
  };
}

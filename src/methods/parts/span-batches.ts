/** Batches of texts with holes, for models that read a text and write another. */
import { corruptedLengths, corruptSpans, drawsOf, type SpanNoise } from "../../augment/index.ts";
import { IGNORED_LABEL, OptionError } from "../../base/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { paddedIds, paddedMask, paddedWidth } from "./padding.ts";
import { type TextBatches, type TextBatchOptions, windowed } from "./pretraining-batches.ts";
import type { MeasuredDocuments } from "./text-tokens.ts";
import { documentWindows, sequenceWindows, type TextWindows } from "./text-windows.ts";

/** The sentinels of a vocabulary: `<extra_id_0>`, and how many ids below it are the next ones. */
export interface Sentinels {
  firstSentinelId: number;
  numSentinels: number;
}

/** @throws OptionError for a tokenizer without sentinels */
export function sentinelsOf(tokenizer: Tokenizer): Sentinels {
  const idOf = (index: number) => tokenizer.tokenToId(`<extra_id_${index}>`);
  const first = idOf(0);
  if (first === null)
    throw new OptionError({
      where: "config, tokenizer",
      expected: "one with <extra_id_0>, <extra_id_1>, ..., which stand for spans",
      received: "one without",
      fix: "use that of T5 or a relative, or train one: tokenizer: { train: bpe }",
    });
  let numSentinels = 1;
  while (idOf(numSentinels) === first - numSentinels) numSentinels++;
  return { firstSentinelId: first, numSentinels };
}

/** How spans are taken out. */
export interface SpanOptions extends TextBatchOptions {
  noise: Required<SpanNoise>;
  sentinels: Sentinels;
  eosTokenId: number;
}

/** What a text-to-text model learns from. */
export interface SpanBatch {
  inputIds: Tensor<"i32">;
  attentionMask: Tensor<"bool">;
  labels: Tensor<"i32">;
}

/**
 * Batches for a model that writes what was taken out of a text. Rows are of such lengths that `maxLength` tokens are
 * left; texts of one token are left out. Which spans are taken follows from the seed and the sample.
 */
export function spanBatches(documents: MeasuredDocuments, options: SpanOptions): TextBatches<SpanBatch> {
  const { packing, maxLength, padId, noise, sentinels, seed, isShuffled } = options;
  const lengths = corruptedLengths(maxLength, noise);
  const all =
    packing === "concatenate" ? sequenceWindows(documents, lengths.tokens) : documentWindows(documents, lengths.tokens);
  const collate = (rows: readonly ArrayLike<number>[], samples: readonly number[]): SpanBatch => {
    const corrupted = rows.map((ids, i) => {
      const draws = drawsOf(seed, isShuffled ? 0 : 1, samples[i]);
      return corruptSpans(Array.from(ids), { ...noise, ...sentinels, eosTokenId: options.eosTokenId }, draws);
    });
    const inputs = corrupted.map(({ inputIds }) => inputIds);
    const labels = corrupted.map(({ labels }) => labels);
    const width = paddedWidth(inputs, maxLength);
    return {
      inputIds: paddedIds(inputs, width, padId),
      attentionMask: paddedMask(inputs, width),
      labels: paddedIds(labels, paddedWidth(labels, lengths.labels), IGNORED_LABEL),
    };
  };
  return windowed(withTwoTokens(all), { ...options, maxLength: lengths.tokens, collate });
}

/** Windows out of which a span can be taken. */
function withTwoTokens(windows: TextWindows): TextWindows {
  const kept = windows.lengths.flatMap((length, i) => (length < 2 ? [] : [i]));
  return {
    count: kept.length,
    lengths: kept.map((i) => windows.lengths[i]),
    ids: (index) => windows.ids(kept[index]),
  };
}

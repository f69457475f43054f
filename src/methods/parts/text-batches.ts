/** Texts as encoders read them, and their batches. */
import { DataError } from "../../base/index.ts";
import { batchesOf, type Rows, type Source } from "../../data/index.ts";
import type { EncoderInputs } from "../../models/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { Encoding } from "../../tokenizers/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import type { TextForm } from "./encoded-texts.ts";
import { paddedIds, paddedMask, paddedWidth } from "./padding.ts";

/** A text, or a pair of them, as tokens. */
export interface TextTokens {
  ids: Int32Array;
  /** Which of two texts each token belongs to. */
  typeIds: Uint8Array;
}

/** The tokens of an encoding. */
export const tokensOf = ({ ids, typeIds }: Pick<Encoding, "ids" | "typeIds">): TextTokens => ({
  ids: Int32Array.from(ids),
  typeIds: Uint8Array.from(typeIds),
});

/** Texts as rows of one length, a few of which there are; padding is at the right. */
export function encoderInputs(
  texts: readonly TextTokens[],
  { maxLength, padId, hasTypeIds }: TextForm,
): EncoderInputs & { attentionMask: Tensor<"bool"> } {
  const ids = texts.map((text) => text.ids);
  const width = paddedWidth(ids, maxLength);
  return {
    inputIds: paddedIds(ids, width, padId),
    attentionMask: paddedMask(ids, width),
    ...(hasTypeIds && {
      tokenTypeIds: paddedIds(
        texts.map(({ typeIds }) => typeIds),
        width,
        0,
      ),
    }),
  };
}

/** How examples become batches. */
export interface ExampleBatchOptions<E, B> {
  config: SharedConfig;
  /** By which examples are grouped, in tokens. */
  lengthOf(example: E): number;
  collate(examples: readonly E[]): B;
}

/** Batches to learn from: without end, in a new order in each epoch. */
export function trainingBatches<E, B>(
  examples: readonly E[],
  { config: { training, data }, lengthOf, collate }: ExampleBatchOptions<E, B>,
): { trainData: Source<B>; batchesPerEpoch: number } {
  const batchSize = batchSizeOf(training);
  const lengths = data.groupByLength ? { lengths: examples.map(lengthOf) } : {};
  return {
    trainData: batchesOf(examples, { batchSize, collate, seed: training.seed, ...lengths }),
    batchesPerEpoch: Math.ceil(examples.length / batchSize),
  };
}

/** Batches to measure on: each example once, in order; the last batch may be smaller. */
export function measuredBatches<E, B>(
  examples: readonly E[],
  { config: { training }, collate }: Pick<ExampleBatchOptions<E, B>, "config" | "collate">,
): Source<B> & { count: number } {
  const batchSize = batchSizeOf(training);
  const batch = async (i: number) => collate(examples.slice(i * batchSize, (i + 1) * batchSize));
  return { batch, count: Math.ceil(examples.length / batchSize) };
}

const DEFAULT_BATCH_SIZE = 16;
const batchSizeOf = ({ batchSize = DEFAULT_BATCH_SIZE }: SharedConfig["training"]) => batchSize;

/** What an example becomes: nothing where it is left out. */
export interface EncodedExample<T> {
  example?: T;
  isTooLong: boolean;
}

/**
 * All examples one after another, those that are too long cut or left out, with a warning of how many were.
 * @throws DataError where all are too long and left out
 */
export async function encodeExamples<E, T>(
  examples: Rows<E>,
  encode: (example: E, index: number) => Promise<EncodedExample<T>>,
  { data, context, limit }: { data: SharedConfig["data"]; context: MethodContext; limit: string },
): Promise<T[]> {
  const kept: T[] = [];
  let [index, tooLong] = [0, 0];
  for await (const each of examples) {
    context.signal?.throwIfAborted();
    const { example, isTooLong } = await encode(each, index++);
    if (isTooLong) tooLong++;
    if (example !== undefined && !(isTooLong && data.onTooLong === "skip")) kept.push(example);
    context.onProgress?.("encoding texts", index / examples.count);
  }
  if (kept.length === 0 && tooLong > 0 && data.onTooLong === "skip")
    throw new DataError({
      where: examples.placeOf(0),
      expected: `examples of at most ${limit}`,
      received: `${tooLong} of ${examples.count} that are longer, and left out`,
      fix: "raise data.maxLength, or cut them: data.onTooLong: cut",
    });
  if (tooLong > 0) {
    const what = data.onTooLong === "skip" ? "left out" : "cut";
    const note = `${tooLong} of ${examples.count} examples are longer than ${limit} and ${what}`;
    context.onWarning({ where: "data", notes: [note] });
  }
  return kept;
}

/** What is known of the lengths of examples. */
export const lengthFacts = (lengths: readonly number[]): Record<string, number> => ({
  examples: lengths.length,
  tokens: lengths.reduce((a, b) => a + b, 0),
  "longest example": lengths.reduce((a, b) => Math.max(a, b), 0),
});

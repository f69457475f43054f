/** The loss of texts that are written of others, and metrics of those that the model writes. */
import { IGNORED_LABEL } from "../../base/index.ts";
import { Seq2SeqGenerator } from "../../generate/index.ts";
import { crossEntropy } from "../../losses/index.ts";
import { metricsOf } from "../../metrics/index.ts";
import type { Seq2SeqLM } from "../../models/index.ts";
import { cast, notEqual, reshape, sum, type Tensor } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { type Objective, type SupervisedOptions, supervised } from "../../train/index.ts";
import { paddedIds, paddedMask, paddedWidth } from "./padding.ts";

/** A batch of sources, and their targets. */
export interface Seq2SeqBatch {
  /** i32 [B, S] */
  inputIds: Tensor<"i32">;
  /** bool [B, S], false for padding. */
  attentionMask: Tensor<"bool">;
  /** The start token, then the target without its last token: i32 [B, T] */
  decoderInputIds: Tensor<"i32">;
  /** The target; -100 does not count. i32 [B, T] */
  labels: Tensor<"i32">;
}

/** A text and the one that is to be written of it, as tokens. */
export interface Seq2SeqExample {
  source: Int32Array;
  /** With the token that ends it. */
  target: Int32Array;
  /** The target as it stands in the data. */
  text: string;
}

/** How sources and targets are padded. */
export interface Seq2SeqForm {
  maxLength: number;
  maxTargetLength: number;
  padId: number;
  /** What the decoder's input begins with. */
  startId: number;
}

/** Each pair of lengths is compiled for itself: there are few of either. */
const LENGTHS = 4;

/** Sources and targets as rows of one length each. */
export function seq2seqBatch(examples: readonly Seq2SeqExample[], form: Seq2SeqForm): Seq2SeqBatch {
  const { maxLength, maxTargetLength, padId, startId } = form;
  const sources = examples.map(({ source }) => source);
  const width = paddedWidth(sources, maxLength, LENGTHS);
  const targets = examples.map(({ target }) => target);
  const targetWidth = paddedWidth(targets, maxTargetLength, LENGTHS);
  return {
    inputIds: paddedIds(sources, width, padId),
    attentionMask: paddedMask(sources, width),
    decoderInputIds: paddedIds(
      targets.map((target) => [startId, ...target.subarray(0, -1)]),
      targetWidth,
      padId,
    ),
    labels: paddedIds(targets, targetWidth, IGNORED_LABEL),
  };
}

/** How a model learns to write, and what of it is measured. */
export interface Seq2SeqOptions extends SupervisedOptions {
  labelSmoothing: number;
  /** Examples that the model writes a text for in each evaluation. */
  measured: readonly Seq2SeqExample[];
  writer: Seq2SeqWriter;
  language: "en" | "zh";
}

/**
 * Trains an encoder-decoder to write targets, each token behind the right ones before it, by cross-entropy. With
 * examples to write, an evaluation tells BLEU, chrF and ROUGE of the model's own texts.
 */
export function seq2seqObjective(
  model: Seq2SeqLM,
  { labelSmoothing, measured, writer, language, ...options }: Seq2SeqOptions,
): Objective<Seq2SeqBatch> {
  const { vocabSize } = model.config;
  return {
    ...supervised<Seq2SeqBatch>(model, options),
    loss({ labels, ...inputs }, run) {
      const { logits } = model.forward({ ...inputs, ...run });
      const flat = reshape(logits, [-1, logits.shape[2] ?? vocabSize]);
      const loss = crossEntropy(flat, reshape(labels, [-1]), { labelSmoothing, ignoreIndex: IGNORED_LABEL });
      return { loss, weight: sum(cast(notEqual(labels, IGNORED_LABEL), "f32")) };
    },
    ...(measured.length > 0 && {
      scorer: () => ({
        outputs: () => ({}),
        add() {},
        async result({ signal }: { signal?: AbortSignal } = {}) {
          const texts = await writer.write(
            measured.map(({ source }) => source),
            signal,
          );
          const metric = metricsOf("seq2seq", { language });
          metric.add(
            texts,
            measured.map(({ text }) => text),
          );
          return metric.result();
        },
      }),
    }),
  };
}

/** Writes texts of sources by the likeliest tokens, with the model as it is at the time. */
export class Seq2SeqWriter {
  private readonly parts: { model: Seq2SeqLM; tokenizer: Tokenizer; maxNewTokens: number };
  private generator: Seq2SeqGenerator | undefined;

  constructor(parts: Seq2SeqWriter["parts"]) {
    this.parts = parts;
  }

  /** The text of each source. `options` are those of generation. @default the likeliest tokens */
  async write(
    sources: readonly Int32Array[],
    signal?: AbortSignal,
    options: { maxNewTokens?: number; temperature?: number; seed?: number } = {},
  ): Promise<string[]> {
    const { model, tokenizer, maxNewTokens } = this.parts;
    this.generator ??= new Seq2SeqGenerator(model);
    const tokens = sources.map((): number[] => []);
    const settings = { maxNewTokens, numBeams: 1, temperature: 0, ...options };
    const requests = sources.map((ids) => ({ source: { inputIds: [...ids] }, ...settings }));
    for await (const { row, id } of this.generator.generateBatch(requests, { signal })) tokens[row].push(id);
    return Promise.all(tokens.map((ids) => tokenizer.decode(ids)));
  }

  dispose(): void {
    this.generator?.dispose();
  }
}

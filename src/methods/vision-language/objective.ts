/** The loss of answers to texts with pictures, and what is measured of them. */
import { IGNORED_LABEL } from "../../base/index.ts";
import { ImageTextGenerator } from "../../generate/index.ts";
import { crossEntropy } from "../../losses/index.ts";
import type { ImageTextModel } from "../../models/index.ts";
import { argmax, cast, equal, logicalAnd, notEqual, reshape, sum, type Tensor } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { type Objective, type SupervisedOptions, supervised } from "../../train/index.ts";
import type { PictureForm } from "../parts/picture-form.ts";
import type { PicturedBatch } from "./batches.ts";
import type { LearnedRows, PicturedTokens } from "./tokens.ts";

/** How a model learns to answer, and what of it is measured. */
export interface PicturedObjectiveOptions extends SupervisedOptions {
  /** Rows whose last answer the model writes in each evaluation. */
  written: readonly PicturedTokens[];
  writer: AnswerWriter;
  /** Writes what a model of pictures has beside its weights. */
  saveProcessor(folder: string): Promise<void>;
}

/**
 * Trains a model that reads pictures in a text to write the answers, by cross-entropy of the next token. An evaluation
 * tells the perplexity, the share of tokens that are the likeliest, and of answers that the model writes itself the
 * share that is right to the letter.
 */
export function picturedObjective(
  model: ImageTextModel,
  { written, writer, saveProcessor, ...options }: PicturedObjectiveOptions,
): Objective<PicturedBatch> {
  const objective = supervised<PicturedBatch>(model, options);
  // what was traced for a batch, so that the scorer needs no second pass of the model
  const traced = new WeakMap<PicturedBatch, Record<"loss" | "weight" | "right", Tensor<"f32">>>();
  return {
    ...objective,
    unit: "tokens",
    count: ({ inputIds: { shape } }) => Number(shape[0]) * Number(shape[1]),
    loss(batch, run) {
      const { shiftLabels, ...inputs } = batch;
      const { logits } = model.forward({ ...inputs, ...run });
      const labels = reshape(shiftLabels, [-1]);
      const flat = reshape(logits, [-1, logits.size(2)]);
      const loss = crossEntropy(flat, labels, { ignoreIndex: IGNORED_LABEL });
      const isLearned = notEqual(labels, IGNORED_LABEL);
      const weight = sum(cast(isLearned, "f32"));
      if (run.key === undefined && !run.isTraining) {
        const isRight = logicalAnd(equal(cast(argmax(flat, { axis: -1 }), "i32"), labels), isLearned);
        traced.set(batch, { loss, weight, right: sum(cast(isRight, "f32")) });
      }
      return { loss, weight };
    },
    async save(folder) {
      await objective.save(folder);
      await saveProcessor(folder);
    },
    scorer() {
      let [nats, tokens, right] = [0, 0, 0];
      return {
        outputs: (batch) => traced.get(batch) ?? {},
        add(outputs) {
          const weight = Number(outputs.weight.data[0]);
          nats += Number(outputs.loss.data[0]) * weight;
          right += Number(outputs.right.data[0]);
          tokens += weight;
        },
        async result({ signal } = {}) {
          const metrics = { perplexity: Math.exp(nats / tokens), tokenAccuracy: right / tokens };
          [nats, tokens, right] = [0, 0, 0];
          return written.length === 0 ? metrics : { ...metrics, exactMatch: await writer.exactMatch(written, signal) };
        },
      };
    },
  };
}

/** Where the last answer of a row begins and ends; undefined where all of the row is learned. */
export function lastAnswer({ weights }: PicturedTokens): { start: number; end: number } | undefined {
  const end = weights.lastIndexOf(1) + 1;
  const start = weights.lastIndexOf(0, end - 1) + 1;
  return start === 0 || start >= end ? undefined : { start, end };
}

/** Writes answers by the likeliest tokens, with the model as it is at the time. */
export class AnswerWriter {
  private readonly parts: { model: ImageTextModel; tokenizer: Tokenizer; form: PictureForm };
  private readonly rows: LearnedRows | undefined;
  private generator: ImageTextGenerator | undefined;

  constructor(parts: AnswerWriter["parts"], rows: LearnedRows | undefined) {
    this.parts = parts;
    this.rows = rows;
  }

  /** The share of rows whose last answer is written as it stands there, but for blanks around it. */
  async exactMatch(examples: readonly PicturedTokens[], signal?: AbortSignal): Promise<number> {
    const { tokenizer } = this.parts;
    let right = 0;
    for (const example of examples) {
      const span = lastAnswer(example);
      if (!span) continue;
      const answer = await tokenizer.decode([...example.ids.subarray(span.start, span.end)]);
      const text = await tokenizer.decode(await this.written(example, span, signal));
      if (text.trim() === answer.trim()) right++;
    }
    return right / examples.length;
  }

  /** What the model writes in place of the last answer, of no more tokens. */
  private async written(
    example: PicturedTokens,
    { start, end }: { start: number; end: number },
    signal: AbortSignal | undefined,
  ): Promise<number[]> {
    const { model, form } = this.parts;
    this.generator ??= new ImageTextGenerator(model);
    const inputIds = [...example.ids.subarray(0, start)];
    const images = (await this.rows?.pictures(example, picturesBefore(example, start, model.imageTokenId))) ?? [];
    const source = { inputIds, ...(images.length > 0 && form.process(images)) };
    const options = { maxNewTokens: end - start, temperature: 0, signal };
    const ids: number[] = [];
    for await (const id of this.generator.generate(source, options)) ids.push(id);
    return ids;
  }

  dispose(): void {
    this.generator?.dispose();
  }
}

/** How many pictures stand before a place. */
function picturesBefore({ ids, places }: PicturedTokens, end: number, imageTokenId: number): number {
  let left = ids.subarray(0, end).filter((id) => id === imageTokenId).length;
  let pictures = 0;
  while (left > 0) left -= places[pictures++];
  return pictures;
}

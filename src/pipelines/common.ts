import { DataError, nearest, OptionError } from "../base/index.ts";
import type { EncoderInputs } from "../models/index.ts";
import { type CompiledFunction, compile, type Tensor, tensor } from "../tensor/index.ts";
import type { Encoding, Tokenizer } from "../tokenizers/index.ts";

/** A class and how probable it is. */
export interface LabelScore {
  label: string;
  score: number;
}

/** The classes with their scores, best first. @param count how many. @default all */
export function ranked(labels: readonly string[], scores: readonly number[], count?: number): LabelScore[] {
  return labels
    .map((label, i) => ({ label, score: scores[i] }))
    .sort((a, b) => b.score - a.score)
    .slice(0, count);
}

const scoreFunctions = ["softmax", "sigmoid", "none"] as const;
export type ScoreFunction = (typeof scoreFunctions)[number];

/** @throws OptionError for a value that is none of an option's */
export function requireOneOf(option: string, value: unknown, values: readonly string[]): void {
  if (values.includes(value as string)) return;
  const near = nearest(String(value), values);
  const fix = near ? `did you mean "${near}"?` : "choose one of them";
  throw new OptionError({
    where: option,
    expected: values.join(", "),
    received: JSON.stringify(value) ?? "nothing",
    fix,
  });
}

export function softmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const largest = Math.max(...values);
  const weights = values.map((value) => Math.exp(value - largest));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}
export const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));

/** Scores of logits. @throws OptionError for a function that there is not */
export function scoresOf(logits: ArrayLike<number>, by: ScoreFunction): number[] {
  requireOneOf("functionToApply", by, scoreFunctions);
  if (by === "softmax") return softmax(logits);
  return Array.from(logits, (value) => (by === "sigmoid" ? sigmoid(value) : value));
}

/** Indices of the largest numbers, the largest first; equal ones in their order. */
export function largest(values: ArrayLike<number>, count: number): number[] {
  return Array.from(values, (_, i) => i)
    .sort((a, b) => values[b] - values[a] || a - b)
    .slice(0, count);
}

/** The answer for one input, or for each of several. */
export async function each<I, O>(inputs: I | readonly I[], run: (input: I) => Promise<O>): Promise<O | O[]> {
  if (!Array.isArray(inputs)) return run(inputs as I);
  const out: O[] = [];
  // one after another: the device does one thing at a time
  for (const input of inputs as readonly I[]) out.push(await run(input));
  return out;
}

/** All tokens that a generator gives. */
export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

/**
 * The text of new tokens behind those of a prompt: what the prompt alone decodes to is cut off, so that spaces at the
 * seam come out right.
 */
export async function textAfter(
  tokenizer: Tokenizer,
  prompt: readonly number[],
  newIds: readonly number[],
): Promise<string> {
  const before = (await tokenizer.decode(prompt)).length;
  return (await tokenizer.decode([...prompt, ...newIds])).slice(before);
}

/** A length as the tokenizer takes it: none where there is no limit. */
export const finite = (length: number): number | undefined => (Number.isFinite(length) ? length : undefined);

/** Texts are padded to a multiple of this, so that not every length compiles a graph of its own. */
const LENGTH_STEP = 16;

type TextModel = { config: object; modelType: string; forward(inputs: EncoderInputs): object };

/** Runs an encoder on encoded texts, one at a time. */
export class TextRunner {
  private readonly run: CompiledFunction<[EncoderInputs], Record<string, Tensor<"f32">>>;
  private readonly config: { maxPositionEmbeddings?: number; typeVocabSize?: number; padTokenId?: number | null };
  private readonly outputs: readonly string[];

  /** @param outputs which of the model's outputs are wanted, each [1, T, ...] or [1, ...] */
  constructor(model: TextModel, outputs: readonly string[]) {
    this.config = model.config;
    this.outputs = outputs;
    this.run = compile((inputs: EncoderInputs) => {
      const allOutputs = model.forward(inputs) as Record<string, Tensor<"f32">>;
      return Object.fromEntries(outputs.map((name) => [name, allOutputs[name]]));
    });
  }

  /**
   * The longest text that the model takes, special tokens included. @param limit @default what tokenizer_config.json
   * says
   */
  longest(tokenizer: Tokenizer, limit: number = tokenizer.modelMaxLength ?? Number.POSITIVE_INFINITY): number {
    const { maxPositionEmbeddings = Number.POSITIVE_INFINITY } = this.config;
    return Math.min(limit, maxPositionEmbeddings);
  }

  /** Numbers of each output: of those along the text, without what is padding. */
  async of({ ids, typeIds }: Encoding): Promise<Record<string, Float32Array>> {
    const { maxPositionEmbeddings = Number.POSITIVE_INFINITY, typeVocabSize = 0, padTokenId } = this.config;
    const length = Math.max(
      ids.length,
      Math.min(Math.ceil(ids.length / LENGTH_STEP) * LENGTH_STEP, maxPositionEmbeddings - (padTokenId ?? 0) - 1),
    );
    const row = (values: readonly number[], rest: number) => {
      const filled = new Int32Array(length).fill(rest);
      filled.set(values);
      return tensor(filled, { shape: [1, length] });
    };
    const mask = Uint8Array.from({ length }, (_, i) => (i < ids.length ? 1 : 0));
    const result = await this.run({
      inputIds: row(ids, padTokenId ?? 0),
      attentionMask: tensor(mask, { dtype: "bool", shape: [1, length] }),
      ...(typeVocabSize > 1 && { tokenTypeIds: row(typeIds, 0) }),
    } as never);
    const out: Record<string, Float32Array> = {};
    for (const name of this.outputs) {
      const output = result[name];
      const numbers = await output.read();
      const width = numbers.length / length;
      out[name] = output.rank >= 2 && output.shape[1] === length ? numbers.slice(0, ids.length * width) : numbers;
      output.dispose();
    }
    return out;
  }

  dispose(): void {
    this.run.dispose();
  }
}

/** @throws DataError naming the task, when a model has no labels */
export function labelsOf(model: { config: object; architecture: string }): readonly string[] {
  const { labels } = model.config as { labels?: readonly string[] };
  if (labels) return labels;
  throw new DataError({
    where: model.architecture,
    expected: "a model with labels",
    received: "none",
    fix: "use a model with a classifier",
  });
}

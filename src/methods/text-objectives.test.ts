/** Losses of methods on texts, and words and questions as tokens: see golden/make_text_methods.py. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readJson } from "../files/index.ts";
import { fromPretrained } from "../models/index.ts";
import { grad } from "../tensor/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import type { Objective } from "../train/index.ts";
import { classificationObjective } from "./parts/classification-objective.ts";
import { classifiedBatch } from "./parts/classified-texts.ts";
import { windowsOf } from "./parts/question-windows.ts";
import { Seq2SeqWriter, seq2seqBatch, seq2seqObjective } from "./parts/seq2seq-objective.ts";
import { taggedBatch } from "./parts/tagged-words.ts";
import { taggingObjective } from "./parts/tagging-objective.ts";
import { wordEncoder } from "./parts/word-encoder.ts";

interface Classified<L> {
  ids: number[][];
  labels: L[];
  weights: number[];
  loss: number;
}
interface Golden {
  smoothing: number;
  classification: Classified<number>;
  several: Classified<number[]>;
  tagging: { ids: number[][]; labels: number[][]; loss: number };
  seq2seq: { model: string; ids: number[][]; targets: number[][]; loss: number }[];
  words: { tokenizer: string; sentences: { words: string[]; ids: number[]; of: number[] }[] }[];
  questions: {
    context: string;
    questions: { question: string; answer: string | null; windows: { ids: number[]; start: number; end: number }[] }[];
  };
}
const folder = fileURLToPath(new URL("../../golden/", import.meta.url));
const golden = (await readJson(join(folder, "text-methods.json"))) as unknown as Golden;
const { smoothing: labelSmoothing } = golden;
const silent = { onWarning: () => {} };
const form = { maxLength: 16, padId: 0, hasTypeIds: false };
const textOf = (ids: readonly number[]) => ({ ids: Int32Array.from(ids), typeIds: new Uint8Array(ids.length) });

/** The loss agrees, and has gradients. */
async function expectLoss<B>(objective: Objective<B>, batch: B, expected: number): Promise<void> {
  const { loss } = objective.loss(batch, {});
  expect(Math.abs((await loss.item()) / expected - 1)).toBeLessThan(1e-5);
  const [first] = objective.trained.values();
  expect(grad(loss, [first])).toHaveLength(1);
}

test("one class of several, weighted and smoothed", async () => {
  const { ids, labels, weights, loss } = golden.classification;
  const model = await fromPretrained(join(folder, "models/bert-sequence-classification"), {
    task: "sequence-classification",
    ...silent,
  });
  const problem = "single";
  const examples = ids.map((row, i) => ({ ...textOf(row), target: [labels[i]], row: i }));
  const batch = classifiedBatch(examples, { problem, classCount: weights.length, form });
  const options = { problem, labelSmoothing, weights: Float32Array.from(weights) } as const;
  const objective = classificationObjective(model, options);
  await expectLoss(objective, batch, loss);
  const { weight } = objective.loss(batch, {});
  expect(await weight?.item()).toBeCloseTo(
    labels.reduce((sum, label) => sum + weights[label], 0),
    5,
  );
  model.dispose();
});

test("several classes, with weights of their ones", async () => {
  const { ids, labels, weights, loss } = golden.several;
  const model = await fromPretrained(join(folder, "models/bert-multi-label"), {
    task: "sequence-classification",
    ...silent,
  });
  const examples = ids.map((row, i) => ({ ...textOf(row), target: labels[i], row: i }));
  const batch = classifiedBatch(examples, { problem: "multiple", classCount: weights.length, form });
  const options = { problem: "multiple", weights: Float32Array.from(weights) } as const;
  await expectLoss(classificationObjective(model, options), batch, loss);
  model.dispose();
});

test("tags, smoothed", async () => {
  const { ids, labels, loss } = golden.tagging;
  const model = await fromPretrained(join(folder, "models/bert-token-classification"), {
    task: "token-classification",
    ...silent,
  });
  const examples = ids.map((row, i) => ({
    ...textOf(row),
    labels: Int32Array.from(labels[i]),
    wordStarts: Uint8Array.from(labels[i], (label) => Number(label >= 0)),
    row: i,
  }));
  const objective = taggingObjective(model, { names: model.config.labels, labelSmoothing });
  await expectLoss(objective, taggedBatch(examples, form), loss);
  model.dispose();
});

test.each(golden.seq2seq)("$model: targets, smoothed", async ({ model: name, ids, targets, loss }) => {
  const model = await fromPretrained(join(folder, "models", name), { task: "seq2seq-lm", ...silent });
  const tokenizer = await Tokenizer.open(join(folder, "tokenizers/kinds/t5.tokenizer.json"));
  const { padTokenId, decoderStartTokenId } = model.config;
  const examples = ids.map((row, i) => ({
    source: Int32Array.from(row),
    target: Int32Array.from(targets[i]),
    text: "",
  }));
  const lengths = { maxLength: 12, maxTargetLength: 10 };
  const batch = seq2seqBatch(examples, { ...lengths, padId: padTokenId ?? 0, startId: decoderStartTokenId as number });
  const writer = new Seq2SeqWriter({ model, tokenizer, maxNewTokens: 3 });
  const options = { labelSmoothing, measured: [], writer, language: "en" } as const;
  await expectLoss(seq2seqObjective(model, options), batch, loss);
  model.dispose();
});

test.each(golden.words)("words as tokens: $tokenizer", async ({ tokenizer: kind, sentences }) => {
  const tokenizer = await Tokenizer.open(join(folder, `tokenizers/kinds/${kind}.tokenizer.json`));
  const encode = await wordEncoder(tokenizer, 16);
  for (const { words, ids, of } of sentences) {
    const encoded = await encode(words);
    expect([...encoded.ids]).toEqual(ids);
    expect([...encoded.words]).toEqual(of);
  }
});

test("words of byte-level tokens have a space in front, but where writings have none", async () => {
  const tokenizer = await Tokenizer.open(join(folder, "tokenizers/kinds/gpt2.tokenizer.json"));
  const encode = await wordEncoder(tokenizer, 100);
  const spaced = await encode(["the", "whale"]);
  expect([...spaced.ids]).toEqual(await tokenizer.encode("the whale"));
  const unspaced = await encode(["鲸", "鱼"]);
  expect(await tokenizer.decode([...unspaced.ids])).toBe("鲸鱼");
});

test("questions with the parts of a context", async () => {
  const { context, questions } = golden.questions;
  const tokenizer = await Tokenizer.open(join(folder, "tokenizers/kinds/bert-uncased.tokenizer.json"));
  const options = { tokenizer, form: { ...form, maxLength: 48 }, stride: 12, maxQuestionTokens: 64 };
  for (const { question, answer, windows } of questions) {
    const answers = answer === null ? [] : [{ text: answer, start: context.indexOf(answer) }];
    const parts = await windowsOf({ question, context, answers }, options);
    expect(parts.map(({ ids, start, end }) => ({ ids: [...ids], start, end }))).toEqual(windows);
  }
});

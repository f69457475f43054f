/** Texts that are written of others, by tiny models. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cutAndWhole, runConfig, tinyTokenizer, writeRowsTo } from "../testing/method-runs.ts";

const words: readonly (readonly [string, string])[] = [
  ["one", "eins"],
  ["two", "zwei"],
  ["three", "drei"],
  ["four", "vier"],
  ["eight", "acht"],
];
const rows = Array.from({ length: 50 }, (_, i) => {
  const places = [i, Math.floor(i / 5), 3 * i + 1, i + 2];
  const chosen = places.slice(0, 3 + (i % 2)).map((place) => words[place % 5]);
  return { source: chosen.map(([en]) => en).join(" "), target: chosen.map(([, de]) => de).join(" ") };
});
/** The Transformer of 2017, as Marian's config has it. */
const translator = {
  model_type: "marian",
  d_model: 32,
  encoder_layers: 1,
  decoder_layers: 1,
  encoder_attention_heads: 2,
  decoder_attention_heads: 2,
  encoder_ffn_dim: 64,
  decoder_ffn_dim: 64,
  max_position_embeddings: 32,
  activation_function: "relu",
  scale_embedding: true,
  init_std: 0.1,
};

let folder: string;
let tokenizer: string;
let train: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-seq2seq-"));
  tokenizer = await tinyTokenizer(join(folder, "tokenizer"), [words.flat().join(" ")]);
  train = await writeRowsTo(folder, "train.jsonl", rows);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const configOf = (name: string, more: object = {}, method: object = {}) => ({
  method: { name: "seq2seq", maxTargetLength: 16, generated: 8, ...method },
  model: { new: translator },
  tokenizer,
  data: { train, validation: train, maxLength: 16 },
  optimizer: { learningRate: 5e-3 },
  training: { epochs: 50, batchSize: 10 },
  evaluation: { interval: 1000, monitor: "bleu" },
  output: join(folder, name),
  ...more,
});

test("a new Transformer translates; its texts are measured, and samples written", async () => {
  const samples = { prompts: ["one two three"], interval: 250, temperature: 0 };
  const { evaluations, facts, ...run } = await runConfig(configOf("new", { samples }));
  expect(facts).toMatchObject({ examples: 50, "longest target": expect.any(Number) });
  const last = evaluations.at(-1) as Record<string, number>;
  expect(last.loss).toBeLessThan(0.1);
  expect(last).toMatchObject({ bleu: expect.closeTo(100), chrf: 100, rouge1: 1, rougeL: 1 });
  expect(run.samples).toEqual(["eins zwei drei"]);
}, 90_000);

test("cut and resumed: the losses of a run that was not cut, to the bit", async () => {
  const { whole, parts } = await cutAndWhole(configOf("resumed", { training: { batchSize: 10 } }));
  expect(parts).toEqual(whole);
}, 90_000);

test("the other direction, with a prefix and smoothing; long targets are cut", async () => {
  const named = rows.map(({ source, target }) => ({ translation: { en: source, de: target } }));
  const path = await writeRowsTo(folder, "named.jsonl", named);
  const data = { train: path, validationShare: 0, maxLength: 16 };
  const method = { sourceLanguage: "de", prefix: "one: ", labelSmoothing: 0.1, maxTargetLength: 5 };
  const more = { data, training: { steps: 2 }, evaluation: {} };
  const { notes, losses } = await runConfig(configOf("named", more, method));
  expect(losses).toHaveLength(2);
  expect(notes).toContain("25 of 50 examples are longer than 16 tokens, or 5 of a target, and cut");
  await expect(runConfig(configOf("unknown", more, { sourceLanguage: "fr" }))).rejects.toThrow("one of them fr");
}, 90_000);

test("wrong data and models are said", async () => {
  const path = await writeRowsTo(folder, "empty.jsonl", [{ source: "one", target: "" }]);
  await expect(runConfig(configOf("empty", { data: { train: path } }))).rejects.toThrow("an empty target");
  const model = { new: { ...translator, share_encoder_decoder_embeddings: false, decoder_vocab_size: 30 } };
  await expect(runConfig(configOf("separate", { model }))).rejects.toThrow(
    "a vocabulary that sources and targets share",
  );
  const small = { new: { ...translator, vocab_size: 9 } };
  await expect(runConfig(configOf("small", { model: small }))).rejects.toThrow("a tokenizer of at most 9 tokens");
}, 90_000);

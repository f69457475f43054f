/** Pretraining by configs: each objective learns, goes on where it was cut, and refuses what cannot be. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromPretrained } from "../models/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { type MethodEvent, methods, resolveConfig, runMethod } from "./index.ts";

let folder: string;
let paragraphs: string[];
const warnings: string[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-pretrain-"));
  const text = await readFile(new URL("../../golden/tokenizers/moby-60k.txt", import.meta.url), "utf8");
  paragraphs = text.split(/\n\s*\n/).filter((paragraph) => paragraph.length > 40);
  await writeFile(join(folder, "whale.txt"), text);
  await writeFile(join(folder, "whale.txt.gz"), gzipSync(text));
  await writeFile(join(folder, "rows.jsonl"), paragraphs.map((body) => JSON.stringify({ body })).join("\n"));
  await mkdir(join(folder, "chapters"));
  for (const [i, paragraph] of paragraphs.slice(0, 40).entries())
    await writeFile(join(folder, "chapters", `${String(i).padStart(2, "0")}.txt`), paragraph);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const gpt2 = { model_type: "gpt2", n_positions: 32, n_embd: 32, n_layer: 1, n_head: 4 };
const dropouts = { hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1 };
const bert = {
  ...{ model_type: "bert", hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 64 },
  ...{ max_position_embeddings: 32, ...dropouts },
};
const t5 = { model_type: "t5", d_model: 32, d_kv: 8, d_ff: 64, num_layers: 1, num_heads: 4 };

interface Input {
  name: string;
  [field: string]: unknown;
}

const resolved = ({ name, ...config }: Input) =>
  resolveConfig(
    {
      tokenizer: { train: "bpe", vocabSize: 400 },
      optimizer: { learningRate: 5e-3 },
      schedule: { name: "constant" },
      ...config,
      output: join(folder, name),
    },
    { methods, where: "config", folder, name },
  );

async function run(input: Input): Promise<MethodEvent[]> {
  const events: MethodEvent[] = [];
  const onWarning = ({ notes }: { notes: readonly string[] }) => void warnings.push(...notes);
  for await (const event of runMethod(await resolved(input), { onWarning })) events.push(event);
  return events;
}

const stepLosses = (events: readonly MethodEvent[]) =>
  events.flatMap((event) => (event.type === "step" ? [event.loss] : []));
const evaluations = (events: readonly MethodEvent[]) => events.filter((event) => event.type === "evaluation");
const factsOf = (events: readonly MethodEvent[]) => events.find((event) => event.type === "ready")?.facts;

const data = (train: unknown, more: object = {}) => ({ train, maxLength: 32, ...more });
const objectives: [string, Omit<Input, "name">][] = [
  ["causal", { method: "pretrain", model: { new: { ...gpt2, attn_pdrop: 0.1 } }, data: data("whale.txt") }],
  ["masked", { method: { name: "pretrain", objective: "masked" }, model: { new: bert }, data: data("chapters") }],
  [
    "span-corruption",
    { method: { name: "pretrain", objective: "span-corruption" }, model: { new: t5 }, data: data("whale.txt.gz") },
  ],
];

test.each(objectives)("%s: learns, and goes on where it was cut to the same numbers", async (name, config) => {
  const training = { batchSize: 4, seed: 3 };
  const evaluation = { interval: 8, batches: 2 };
  const whole = await run({ ...config, name: `${name}-whole`, training: { ...training, steps: 16 }, evaluation });
  const losses = stepLosses(whole);
  expect(losses).toHaveLength(16);
  const mean = (part: readonly number[]) => part.reduce((a, b) => a + b, 0) / part.length;
  expect(mean(losses.slice(-4))).toBeLessThan(mean(losses.slice(0, 4)) - 0.2);
  const first = await run({ ...config, name: `${name}-cut`, training: { ...training, steps: 5 }, evaluation });
  const second = await run({ ...config, name: `${name}-cut`, training: { ...training, steps: 16 }, evaluation });
  expect([...stepLosses(first), ...stepLosses(second)]).toEqual(losses);
  const [, last] = evaluations(whole);
  const { validationLoss, metrics } = last;
  expect(metrics.perplexity).toBeCloseTo(Math.exp(validationLoss), 3);
  if (name === "causal") expect(metrics.bitsPerByte).toBeLessThan(validationLoss / Math.LN2);
  else expect(metrics.bitsPerByte).toBeUndefined();
  const model = await fromPretrained(join(folder, `${name}-whole`, "model"));
  const tokenizer = await Tokenizer.open(join(folder, `${name}-whole`, "model"));
  expect((model.config as { vocabSize: number }).vocabSize).toBe(tokenizer.vocabSize);
  model.dispose();
});

test("goes on from a model, on several sets of rows by weights, and shows what it learns", async () => {
  const base = { method: "pretrain", model: { new: gpt2 }, data: data("chapters"), training: { steps: 2 } };
  await run({ ...base, name: "base" });
  const sets = [
    { path: "rows.jsonl", columns: { text: "body" }, weight: 1 },
    { path: "chapters", weight: 3 },
  ];
  const model = join(folder, "base", "model");
  const input = { name: "continued", method: "pretrain", model, tokenizer: undefined, data: data(sets) };
  const events = await run({ ...input, training: { steps: 2 }, samples: { prompts: ["The whale"], maxNewTokens: 4 } });
  expect(events.some((event) => event.type === "sample")).toBe(true);
  const { config, method } = await resolved({ ...input, name: "shown" });
  const context = { folder: join(folder, "shown"), onWarning: () => {} };
  const prepared = await method.prepare(config, context);
  const weighted = Number(prepared.facts.tokens);
  const shown = (await prepared.preview?.(2)) as string;
  expect(shown).toMatch(/^--- row 1, text 1 ---/);
  await prepared.close();
  const train = (config.data.train as unknown[]).slice(0, 1);
  const alone = await method.prepare({ ...config, data: { ...config.data, train } } as never, context);
  const rows = Number(alone.facts.tokens);
  // three quarters are of the other set, but for a part of a document
  expect(Math.abs(weighted / rows - 4)).toBeLessThan(0.05);
  await alone.close();
});

test("one stream of tokens; loss in chunks; rows without packing; lines as documents", async () => {
  const common = { model: { new: gpt2 }, data: data("whale.txt"), training: { steps: 3, batchSize: 4 } };
  const stream = await run({ ...common, name: "stream", method: { name: "pretrain", packing: "concatenate" } });
  expect(factsOf(stream)?.padding).toBe("0.0 %");
  const chunked = { name: "pretrain", packing: "concatenate", lossChunk: 64 };
  const inChunks = await run({ ...common, name: "chunks", method: chunked });
  for (const [i, loss] of stepLosses(inChunks).entries()) expect(loss).toBeCloseTo(stepLosses(stream)[i], 4);
  const none = await run({
    ...common,
    name: "none",
    method: { name: "pretrain", packing: "none" },
    data: data("rows.jsonl", { train: { path: "rows.jsonl", columns: { text: "body" } } }),
  });
  expect(Number.isFinite(stepLosses(none)[2])).toBe(true);
  const lines = await run({ ...common, name: "lines", method: { name: "pretrain", textFiles: "lines" } });
  expect(Number(factsOf(lines)?.documents)).toBeGreaterThan(500);
});

test("tokenizers: characters, whole words, one that is kept and used again", async () => {
  const method = { name: "pretrain", objective: "masked", wholeWords: true, maskProbability: 0.3 };
  const common = { method, model: { new: bert }, data: data("chapters"), training: { steps: 2, batchSize: 4 } };
  await run({ ...common, name: "words" });
  const { config, method: pretrain } = await resolved({ ...common, name: "words" });
  const progress: string[] = [];
  const context = {
    folder: join(folder, "words"),
    onWarning: () => {},
    onProgress: (s: string) => void progress.push(s),
  };
  const prepared = await pretrain.prepare(config, context);
  expect(progress).toEqual([]); // neither trained nor encoded anew
  expect(await prepared.preview?.(3)).toMatch(/«.* → .*»/);
  await prepared.close();
  const characters = { ...common, method: { name: "pretrain", objective: "masked" }, tokenizer: { train: "char" } };
  await run({ ...characters, name: "characters" });
  const tokenizer = await Tokenizer.open(join(folder, "characters", "tokenizer"));
  const { tokens } = await tokenizer.encodeText("whale");
  expect(tokens).toEqual(["[CLS]", "w", "h", "a", "l", "e", "[SEP]"]);
});

describe("what cannot be is refused", () => {
  const base = { method: "pretrain", model: { new: gpt2 }, data: data("chapters"), training: { steps: 1 } };
  const masked = { name: "pretrain", objective: "masked" };
  const gpt2Tokenizer = new URL("../../golden/tokenizers/bpe-600.tokenizer.json", import.meta.url).pathname;
  const cases: [string, object, string][] = [
    ["packing of encoders", { method: { ...masked, packing: "documents" } }, "concatenate or none with masked"],
    ["a setting of another objective", { method: { ...masked, lossChunk: 9 } }, "a setting of masked"],
    ["data.packing", { data: data("chapters", { packing: true }) }, "method.packing"],
    ["long texts left out", { data: data("chapters", { onTooLong: "skip" }) }, "cut: long texts have several rows"],
    ["samples of encoders", { method: masked, samples: { prompts: ["a"] } }, "does not go on with a text"],
    ["rows beyond the context", { data: { train: "chapters", maxLength: 64 } }, "at most 32 tokens"],
    ["a tokenizer without a mask", { method: masked, model: { new: bert }, tokenizer: gpt2Tokenizer }, "with a mask"],
    [
      "a tokenizer without sentinels",
      { method: { name: "pretrain", objective: "span-corruption" }, model: { new: t5 }, tokenizer: gpt2Tokenizer },
      "<extra_id_0>",
    ],
    ["a new tokenizer for a model", { model: "golden/gpt2/a" }, "the model's own tokenizer"],
    ["a tokenizer that does not fit", { model: "golden/gpt2/a", tokenizer: gpt2Tokenizer }, "a tokenizer of at most"],
    ["no tokenizer", { tokenizer: undefined }, "a tokenizer for a new model"],
    ["rows without the column", { data: data("rows.jsonl") }, 'without the column "text"'],
    ["a format", { data: data({ path: "rows.jsonl", format: "alpaca" }) }, "no format"],
    ["a size of characters", { tokenizer: { train: "char", vocabSize: 9 } }, "no vocabSize with char"],
    [
      "a stream that is too short",
      { method: { name: "pretrain", packing: "concatenate" }, data: data("short.txt"), tokenizer: { train: "char" } },
      "tokens of the texts",
    ],
    ["texts with nothing in them", { data: data("empty.jsonl"), tokenizer: { train: "char" } }, "something in them"],
    ["no UTF-8", { data: data("latin.txt") }, "UTF-8"],
  ];

  test.each(cases)("%s", async (name, more, message) => {
    await writeFile(join(folder, "short.txt"), "Ahab");
    await writeFile(join(folder, "empty.jsonl"), '{"text":""}\n'.repeat(30));
    await writeFile(join(folder, "latin.txt"), Buffer.from("caf\xe9 ".repeat(50), "latin1"));
    await expect(run({ ...base, ...more, name: `refused ${name}` })).rejects.toThrow(message);
  });
});

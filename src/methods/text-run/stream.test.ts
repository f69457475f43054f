/** `textFiles: stream` of pretraining by a config: the preset's numbers, the tokens that stay, what is refused. */
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { fromPretrained } from "../../models/index.ts";
import { defaultRunConfig, type RunConfig } from "../../train/index.ts";
import { type MethodEvent, methods, planOf, presetOf, resolveConfig, runMethod, runTraining } from "../index.ts";

let root: string;
let config: RunConfig;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  config = {
    ...defaultRunConfig,
    ...{ contextLength: 16, hiddenSize: 32, numLayers: 1, numHeads: 2, batchSize: 4, steps: 8, warmupSteps: 2 },
    ...{ evaluationInterval: 4, checkpointInterval: 4, dropout: 0.1, tokenizer: "char", text: join(root, "text.txt") },
  };
  await writeFile(join(root, "text.txt"), "the cat sat on the mat and the dog sat on the log. ".repeat(60));
});
afterAll(() => rm(root, { recursive: true }));

const resolved = (name: string, changes: object = {}) =>
  resolveConfig({ ...presetOf(config, join(root, name)), ...changes }, { methods, where: "test", folder: ".", name });

async function run(name: string, changes: object = {}, options: { restart?: boolean } = {}): Promise<MethodEvent[]> {
  const events: MethodEvent[] = [];
  const quiet = { onWarning: () => {}, trackers: [] };
  for await (const event of runMethod(await resolved(name, changes), { ...quiet, ...options })) events.push(event);
  return events;
}

const numbersOf = (events: readonly { type: string }[]) =>
  events.flatMap((event) => {
    const { type, step, loss, learningRate, validationLoss } = event as Record<string, unknown>;
    return type === "step" || type === "evaluation" ? [[step, loss ?? validationLoss, learningRate]] : [];
  });

test("a config that says the same as the options of a run trains the same, and leaves the same model", async () => {
  const byOptions: { type: string }[] = [];
  for await (const event of runTraining(join(root, "options"), config)) byOptions.push(event);
  expect(numbersOf(await run("config"))).toEqual(numbersOf(byOptions));
  const fileOf = (name: string, file: string) => readFile(join(root, name, "model", file), "latin1");
  for (const file of ["model.safetensors", "config.json", "generation_config.json", "tokenizer.json"])
    expect([file, await fileOf("config", file)]).toEqual([file, await fileOf("options", file)]);
  const card = await fileOf("options", "README.md");
  expect(card).toMatch(/text\.txt \| 16 vocabulary, 2,754 tokens, 306 validation tokens/);
  expect(card).toContain("from nothing or going on from what it knows, begun from random weights");
  const model = await fromPretrained(join(root, "options", "model"));
  expect(model.parameterCount()).toBe(13_792);
  model.dispose();
});

test("is what docs/training.md shows for the options' defaults", async () => {
  const page = await readFile(new URL("../../../docs/training.md", import.meta.url), "utf8");
  const [, yaml] = /## A text without a config[\s\S]*?```yaml\n([\s\S]*?)```/.exec(page) as RegExpExecArray;
  expect(parse(yaml)).toEqual(presetOf({ ...defaultRunConfig, text: "my.txt" }, "runs/my"));
});

test("goes on without its text, and not with another one unless it begins anew", async () => {
  const text = join(root, "own.txt");
  await writeFile(text, "the fox ran by the river until the crow of day was gone. ".repeat(60));
  const data = { train: text, validationShare: 0.1, maxLength: 16 };
  const training = (steps: number) => ({ training: { steps, batchSize: 4 }, data });
  await run("own", training(3));
  await rm(text);
  const resumed = await run("own", training(5));
  expect(resumed.filter(({ type }) => type === "step")).toHaveLength(2);
  await writeFile(text, "the owl sang. ".repeat(200));
  await expect(run("own", training(6))).rejects.toThrow(
    /own\.txt: expected the text that .*own was trained on; received another.*another output, or begin anew with --restart/,
  );
  const anew = await run("own", training(2), { restart: true });
  expect(anew.filter(({ type }) => type === "step")).toHaveLength(2);
  await appendFile(text, "It was late.");
  await expect(run("own", training(6))).rejects.toThrow(/its content has changed/);
});

test("its plan, its preview and its samples are those of any method", async () => {
  const { config: settled, method } = await resolved("plan");
  const prepared = await method.prepare(settled, { folder: join(root, "plan"), onWarning: () => {} });
  const plan = await planOf(settled, prepared);
  expect(plan).toMatchObject({ parameters: 13_792, trainedParameters: 13_792, steps: 8, facts: { vocabulary: 16 } });
  expect(await prepared.preview?.(2)).toMatch(/^--- row 1 ---\n.{16}\n--- row 2 ---\n.{16}$/);
  await prepared.close();
  const samples = { prompts: ["the"], interval: 2, maxNewTokens: 4 };
  const events = await run("samples", { training: { steps: 2, batchSize: 4 }, samples });
  expect(events.find(({ type }) => type === "sample")).toMatchObject({ prompt: "the", text: expect.any(String) });
});

test.each([
  [{ method: { name: "pretrain", textFiles: "stream", objective: "masked" } }, /objective: expected causal/],
  [{ method: { name: "pretrain", textFiles: "stream", packing: "documents" } }, /packing: expected concatenate/],
  [{ data: { train: ["a.txt", "b.txt"] } }, /data\.train: expected one text file or folder/],
  [{ data: { train: "a.txt", validation: "b.txt" } }, /data\.validation: expected none/],
  [{ data: { train: "a.txt", validationShare: 0 } }, /validationShare: expected a share above 0/],
  [{ tokenizer: "gpt2" }, /tokenizer: expected one that is trained on the stream; received "gpt2"/],
  [{ tokenizer: undefined }, /tokenizer: expected one that is trained on the stream; received none/],
  [{ tokenizer: { train: "char", vocabSize: 9 } }, /tokenizer: expected no vocabSize with char/],
  [{ model: "gpt2" }, /model: expected a new model for a new tokenizer/],
  [{ data: { train: "nowhere.txt", validationShare: 0.1 } }, /nowhere\.txt: expected a text file or a folder/],
  [{ model: { new: { model_type: "gpt2", n_positions: 8 } } }, /data\.maxLength: expected at most 8 tokens/],
])("%j is refused by name", async (changes, message) => {
  await expect(run("refused", changes)).rejects.toThrow(message);
});

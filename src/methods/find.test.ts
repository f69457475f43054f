/** A learning rate and a batch size for a config: what is said, and that the config's own run is not begun. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exists } from "../files/index.ts";
import { LlamaForCausalLM, llamaConfig, savePretrained } from "../models/index.ts";
import { randomKey } from "../tensor/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { findConfigBatchSize, findConfigLearningRate, methods, resolveConfig } from "./index.ts";

const tokenizerFile = fileURLToPath(new URL("../../golden/tokenizers/kinds/smollm.tokenizer.json", import.meta.url));
const template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const base = join(folder, "base");
  const sizes = { vocabSize: 512, hiddenSize: 32, intermediateSize: 64, numLayers: 1, numHeads: 2, numKeyHeads: 2 };
  const model = new LlamaForCausalLM(llamaConfig({ ...sizes, maxPositionEmbeddings: 128 }), randomKey(0));
  await savePretrained(model, base);
  model.dispose();
  const tokenizer = await Tokenizer.fromJson(JSON.parse(await readFile(tokenizerFile, "utf8")), {
    ...{ bos_token: "<|im_start|>", eos_token: "<|im_end|>", pad_token: "<|im_end|>" },
  });
  await tokenizer.save(base);
  await writeFile(join(base, "chat_template.jinja"), template);
  const rows = Array.from({ length: 24 }, (_, i) => ({ prompt: `What is ${i}?`, completion: `${i} is a number.` }));
  await writeFile(join(folder, "chat.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const resolved = (training: object) =>
  resolveConfig(
    {
      ...{ method: "sft", model: join(folder, "base"), output: join(folder, "run") },
      data: { train: join(folder, "chat.jsonl"), maxLength: 64 },
      adapter: { type: "lora", rank: 2 },
      training,
    },
    { methods, where: "test", folder: ".", name: "test" },
  );

test("a learning rate", async () => {
  const { result, text } = await findConfigLearningRate(await resolved({ batchSize: 4 }), {
    onWarning: () => {},
    steps: 20,
  });
  expect(result.trials.length).toBeGreaterThan(10);
  expect(text).toMatch(/^ {4}rate {2}smoothed loss\n {1,2}1\.0e-7 {2}\d/);
  expect(text).toMatch(/optimizer\.learningRate=\d\.\de[-+]\d+ is safe, \d\.\de[-+]\d+ is fast\n$/);
  expect(text.match(/█+$/gm)?.length).toBeGreaterThan(8);
}, 60_000);

test("a batch size", async () => {
  const { result, text } = await findConfigBatchSize(await resolved({}), { onWarning: () => {}, limitBytes: 1e9 });
  expect(result.trials[0]).toMatchObject({ batchSize: 1 });
  expect(result.trials.length).toBeLessThanOrEqual(5); // there are 22 or so examples
  expect(text).toMatch(/^ {2}size {6}memory {2}of 954 MiB\n {5}1 +\d+ MiB {2}[\d.]+ tokens\/s\n/);
  expect(text).toMatch(new RegExp(`training\\.batchSize=${result.batchSize} is the fastest that fits\n$`));
  const tight = findConfigBatchSize(await resolved({}), { onWarning: () => {}, limitBytes: 1000 });
  await expect(tight).rejects.toThrow("a batch of 1 within 1000 bytes");
}, 60_000);

test("of texts, which are made tokens in a temporary folder: none is left, and that of the run does not begin", async () => {
  await writeFile(join(folder, "text.txt"), "the cat sat on the mat and the dog sat on the log. ".repeat(30));
  const config = await resolveConfig(
    {
      method: { name: "pretrain", textFiles: "stream" },
      model: { new: { model_type: "gpt2", n_embd: 16, n_layer: 1, n_head: 2, n_positions: 16 } },
      ...{ tokenizer: { train: "char" }, output: join(folder, "run") },
      data: { train: join(folder, "text.txt"), maxLength: 16 },
      training: { batchSize: 4 },
    },
    { methods, where: "test", folder: ".", name: "test" },
  );
  const temporary = async () => (await readdir(tmpdir())).filter((name) => name.startsWith("kindling-find-"));
  const before = await temporary();
  const stages: string[] = [];
  const { result } = await findConfigLearningRate(config, {
    ...{ onWarning: () => {}, steps: 12 },
    onProgress: (stage) => void (stages.at(-1) !== stage && stages.push(stage)),
  });
  expect(result.trials.length).toBeGreaterThan(4);
  expect(stages.at(-1)).toBe("trying learning rates");
  const controller = new AbortController();
  const stopped = findConfigBatchSize(config, {
    ...{ onWarning: () => {}, signal: controller.signal },
    onProgress: (stage) => void (stage.startsWith("trying") && controller.abort(new Error("enough"))),
  });
  await expect(stopped).rejects.toThrow("enough");
  expect(await temporary()).toEqual(before);
  expect(await exists(join(folder, "run"))).toBe(false);
}, 60_000);

/** What kinds of models `kindling serve` finds in folders, and how it names them. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inspectModel } from "../models/index.ts";
import {
  CrossEncoder,
  SentenceEncoder,
  SpeechRecognitionPipeline,
  TextClassificationPipeline,
} from "../pipelines/index.ts";
import type { KindModels } from "../serve/index.ts";
import { commandModels } from "./serve-models.ts";

const models = fileURLToPath(new URL("../../golden/pipelines/models/", import.meta.url));
const open = async (argument: string) => (await commandModels([argument], "runs", {}))[0];

test.each([
  ["gpt2", "text-generation", "gpt2", "/v1/chat/completions"],
  ["sentence-bert", "embedding", "bert", "/v1/embeddings"],
  ["cross-encoder", "ranking", "bert", "/v1/rerank"],
  ["bert-sequence-classification", "classification", "bert", "/classify"],
  ["whisper", "speech", "whisper", "/v1/audio/transcriptions"],
])("%s is of the kind %s", async (name, kind, family, path) => {
  const { entry, example } = await open(join(models, name));
  expect(entry).toMatchObject({ id: name, kind, family });
  expect(entry.bytes).toBe((await inspectModel(join(models, name))).memory.run);
  if (entry.kind === "text-generation") {
    const { generator } = await entry.load();
    generator.dispose();
    generator.model.dispose();
  } else {
    const model = await entry.load();
    const classes = [SentenceEncoder, CrossEncoder, TextClassificationPipeline, SpeechRecognitionPipeline];
    expect(classes.some((each) => model instanceof each)).toBe(true);
    model.dispose();
  }
  expect(example().path).toBe(path);
});

test.each(["llava", "qwen2-vl"])("%s writes, and reads images", async (name) => {
  const { entry } = await open(join(models, name));
  expect(entry).toMatchObject({ id: name, kind: "text-generation", takesImages: true });
  const { generator, images } = (await entry.load()) as KindModels["text-generation"];
  expect(images?.embedder.model.languageModel).toBe(generator.model);
  generator.dispose();
  images?.embedder.model.dispose();
});

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A folder with a config.json and a file of weights. */
async function folderOf(name: string, config: object): Promise<string> {
  const path = join(folder, name);
  await mkdir(path, { recursive: true });
  await writeFile(join(path, "config.json"), JSON.stringify(config));
  await writeFile(join(path, "pytorch_model.bin"), "12345");
  return path;
}

test.each([
  [{ architectures: ["XLMRobertaModel"] }, "embedding"],
  [{ architectures: ["Qwen3ForCausalLM"] }, "text-generation"],
  [{ architectures: ["BertForSequenceClassification"], num_labels: 1 }, "ranking"],
  [{ architectures: ["BertForSequenceClassification"] }, "classification"],
])("%j is of the kind %s", async (config, kind) => {
  const { entry } = await open(await folderOf("any", config));
  expect(entry).toMatchObject({ id: "any", kind, bytes: 5 });
});

test.each([{ architectures: ["BertForMaskedLM"] }, { architectures: ["GPT2LMHeadModelDouble"] }, {}])(
  "%j is of none",
  async (config) => {
    await expect(open(await folderOf("other", config))).rejects.toThrow(
      /expected a model that writes, embeds, ranks or classifies texts, or writes down speech; received/,
    );
  },
);

test("what was pulled is called as its repository", async () => {
  const path = await folderOf(join("models--me--tiny", "snapshots", "0123abc"), { architectures: ["BertModel"] });
  expect((await open(path)).entry.id).toBe("me/tiny");
});

test("a name may stand in front, unless the whole is a folder's name", async () => {
  const path = await folderOf("a=b", { architectures: ["BertModel"] });
  expect((await open(path)).entry.id).toBe("a=b");
  expect((await open(`e5=${path}`)).entry.id).toBe("e5");
  await expect(open("e5=")).rejects.toThrow(/a name for it as name=folder; received e5=/);
});

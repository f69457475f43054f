/** Adapters over HTTP: by the model's name, listed, loaded and unloaded by vLLM's API. */
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Generator } from "../generate/index.ts";
import { applyAdapter, newAdapter } from "../peft/index.ts";
import { normal, randomKey } from "../tensor/index.ts";
import { jsonPost } from "../testing/json-post.ts";
import { tinyServedModel } from "../testing/served-model.ts";
import { createApp, type ServedModel } from "./index.ts";

let folder: string;
let served: ServedModel;
let app: ReturnType<typeof createApp>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-adapters-"));
  const base = tinyServedModel();
  const { model } = base.generator;
  base.generator.dispose();
  const adapter = await newAdapter(model, { rank: 2, targetModules: ["c_attn", "c_fc"] }, randomKey(1));
  const applied = applyAdapter(model, adapter);
  for (const parameter of applied.parameters.values())
    parameter.set(await normal(randomKey(2), parameter.shape, { standardDeviation: 1 }).read());
  await applied.save(join(folder, "allowed", "style"));
  await applied.save(join(folder, "elsewhere"));
  await symlink(join(folder, "elsewhere"), join(folder, "allowed", "link"));
  await mkdir(join(folder, "allowed", "empty"));
  applied.remove();
  served = { ...base, generator: new Generator(model, { maxAdapters: 2 }) };
  app = createApp(served, { adapterFolder: join(folder, "allowed") });
});
afterAll(async () => {
  served.generator.dispose();
  await rm(folder, { recursive: true, force: true });
});

const post = (path: string, body: object) => app.request(path, jsonPost(body));
const complete = async (model: string) => {
  const response = await post("/v1/completions", { model, prompt: "Once", max_tokens: 8, temperature: 0 });
  return { status: response.status, body: (await response.json()) as { model: string; choices: { text: string }[] } };
};

test("a prompt that was learned is an adapter too", async () => {
  const { model } = served.generator;
  const prompt = await newAdapter(model, { type: "PROMPT_TUNING", numVirtualTokens: 3 }, randomKey(5));
  const applied = applyAdapter(model, prompt);
  await applied.save(join(folder, "allowed", "prompt"));
  const alone = new Generator(model);
  const { tokenizer } = served;
  const ids: number[] = [];
  const options = { temperature: 0, maxNewTokens: 8 };
  for await (const id of alone.generate(await tokenizer.encode("Once"), options)) ids.push(id);
  alone.dispose();
  applied.remove();
  const loaded = await post("/v1/load_lora_adapter", { lora_name: "prompt", lora_path: "prompt" });
  expect(loaded.status).toBe(200);
  const [, { body }] = await Promise.all([complete("tiny"), complete("prompt")]);
  expect(body.choices[0].text).toBe(await tokenizer.decode(ids));
  expect((await post("/v1/unload_lora_adapter", { lora_name: "prompt" })).status).toBe(200);
});

test("an adapter that is loaded is a model, until it is unloaded", async () => {
  expect((await complete("style")).status).toBe(404);
  const loaded = await post("/v1/load_lora_adapter", { lora_name: "style", lora_path: "style" });
  expect([loaded.status, await loaded.text()]).toEqual([200, "Success: LoRA adapter 'style' added successfully."]);
  const { data } = (await (await app.request("/v1/models")).json()) as { data: { id: string; parent?: string }[] };
  expect(data.map(({ id, parent }) => [id, parent])).toEqual([
    ["tiny", undefined],
    ["style", "tiny"],
  ]);
  expect(await (await app.request("/v1/models/style")).json()).toMatchObject({ id: "style", parent: "tiny" });
  const [plain, adapted] = await Promise.all([complete("tiny"), complete("style")]);
  expect([plain.body.model, adapted.body.model]).toEqual(["tiny", "style"]);
  expect(adapted.body.choices[0].text).not.toBe(plain.body.choices[0].text);
  const options = { num_predict: 8, temperature: 0 };
  const ollama = await post("/api/generate", {
    model: "style:latest",
    prompt: "Once",
    raw: true,
    stream: false,
    options,
  });
  expect(await ollama.json()).toMatchObject({ model: "style", response: adapted.body.choices[0].text });
  const message = (model: string) => ({
    model,
    max_tokens: 8,
    temperature: 0,
    messages: [{ role: "user", content: "Hi" }],
  });
  const [anthropic, openai] = await Promise.all([
    post("/v1/messages", message("style")),
    post("/v1/chat/completions", message("style")),
  ]);
  const text = ((await openai.json()) as { choices: { message: { content: string } }[] }).choices[0].message.content;
  expect(await anthropic.json()).toMatchObject({ model: "style", content: [{ type: "text", text }] });
  for (const [param, body] of [
    ["echo", { echo: true, logprobs: 0 }],
    ["prompt_logprobs", { prompt_logprobs: 0 }],
  ] as const) {
    const refused = await post("/v1/completions", { model: "style", prompt: "Once", ...body });
    expect(await refused.json()).toMatchObject({ error: { param, code: "invalid_value" } });
  }
  const again = await post("/v1/load_lora_adapter", { lora_name: "style", lora_path: "style" });
  expect(again.status).toBe(400);
  expect((await post("/v1/unload_lora_adapter", { lora_name: "style" })).status).toBe(200);
  expect((await complete("style")).status).toBe(404);
  expect((await post("/v1/unload_lora_adapter", { lora_name: "style" })).status).toBe(404);
});

test.each(["../elsewhere", "link", "missing", "empty"])("%s cannot be loaded", async (path) => {
  const response = await post("/v1/load_lora_adapter", { lora_name: "x", lora_path: path });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { param: "lora_path" } });
});

test("neither can what has a model's name, nor an absolute path, nor anything where no folder is named", async () => {
  const taken = await post("/v1/load_lora_adapter", { lora_name: "tiny", lora_path: "style" });
  expect(JSON.stringify(await taken.json())).toContain("the name of a model");
  const absolute = { lora_name: "x", lora_path: join(folder, "elsewhere") };
  expect((await post("/v1/load_lora_adapter", absolute)).status).toBe(400);
  expect((await post("/v1/unload_lora_adapter", { lora_name: "tiny" })).status).toBe(400);
  const closed = createApp(served);
  const response = await closed.request("/v1/load_lora_adapter", { method: "POST" });
  expect(response.status).toBe(404);
});

describe("of two models that write", () => {
  const tiny = (id: string) => ({ ...tinyServedModel(), id });
  const lazy = (id: string, adapters: readonly string[]) => ({
    id,
    kind: "text-generation" as const,
    bytes: 1,
    adapters,
    load: async () => tiny(id),
  });
  const load = (body: object) => {
    const two = createApp([lazy("a", ["style"]), lazy("b", [])], { adapterFolder: join(folder, "allowed") });
    return two.request("/v1/load_lora_adapter", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  };

  test("the request says which", async () => {
    const response = await load({ lora_name: "x", lora_path: "style" });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      {
        error: {
          message: "base_model_name: expected the name of one that writes texts, 'a', 'b'; received nothing",
          param: "base_model_name",
        },
      },
    ]);
    const other = await load({ lora_name: "x", lora_path: "style", base_model_name: "c" });
    expect([other.status, await other.json()]).toMatchObject([404, { error: { param: "base_model_name" } }]);
  });

  test("one cannot have the name of an adapter of the other", async () => {
    const response = await load({ lora_name: "style", lora_path: "style", base_model_name: "b" });
    expect(await response.json()).toMatchObject({ error: { message: "lora_name: 'style' is an adapter of 'a'" } });
  });

  test("adapters are listed before their model is loaded, and have names of their own", async () => {
    const two = createApp([lazy("a", ["style"]), lazy("b", [])]);
    const { data } = (await (await two.request("/v1/models")).json()) as { data: { id: string; parent?: string }[] };
    expect(data.map(({ id, parent }) => [id, parent])).toEqual([
      ["a", undefined],
      ["style", "a"],
      ["b", undefined],
    ]);
    for (const adapters of [["style"], ["a"], ["b"]])
      expect(() => createApp([lazy("a", ["style"]), lazy("b", adapters)])).toThrow(
        `expected adapters and models of different names; received ${adapters} twice`,
      );
  });
});

/** Embeddings, by the official clients of OpenAI and Ollama. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SentenceEncoder } from "../../pipelines/index.ts";
import { fieldsOfType } from "../../testing/fields-of-types.ts";
import { jsonPost } from "../../testing/json-post.ts";
import { type RunningServer, serve } from "../index.ts";
import { embeddingsFields, embedFields } from "../ollama/embed.ts";
import { embeddingFields } from "./embeddings.ts";

const folder = fileURLToPath(new URL("../../../golden/pipelines/models/sentence-bert", import.meta.url));
const stormy = "It was a dark and stormy night.";
const inn = "The landlord of the inn";
let encoder: SentenceEncoder;
let server: RunningServer;
let openai: OpenAI;
let ollama: Ollama;
beforeAll(async () => {
  encoder = await SentenceEncoder.open(folder);
  const entry = { id: "bert", kind: "embedding" as const, bytes: 1, load: () => SentenceEncoder.open(folder) };
  server = await serve(entry, { port: 0 });
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  ollama = new Ollama({ host: server.url });
});
afterAll(async () => {
  encoder.dispose();
  await server.close();
});

const post = async (body: object, path = "/v1/embeddings") => {
  const answer = await fetch(`${server.url}${path}`, jsonPost(body));
  return { status: answer.status, body: (await answer.json()) as Record<string, never> };
};
const closeTo = (vector: readonly number[]) => vector.map((value) => expect.closeTo(value, 5));
const unit = (vector: readonly number[]) => vector.map((value) => value / Math.hypot(...vector));
const idsOf = async (text: string) => (await encoder.tokenize([text]))[0].ids;

describe("OpenAI's client", () => {
  test("gets the vectors of texts, in base64 as it asks by itself", async () => {
    const { data, model, usage } = await openai.embeddings.create({ model: "bert", input: [stormy, inn] });
    const expected = await encoder.encode([stormy, inn]);
    expect(data.map(({ index, object }) => [index, object])).toEqual([
      [0, "embedding"],
      [1, "embedding"],
    ]);
    for (const [i, { embedding }] of data.entries()) expect([...embedding]).toEqual(closeTo(expected[i]));
    const tokens = (await idsOf(stormy)).length + (await idsOf(inn)).length;
    expect([model, usage]).toEqual(["bert", { prompt_tokens: tokens, total_tokens: tokens }]);
  });

  test("gets floats where it asks for them, of one text and of ids, which are taken as they are", async () => {
    const [expected] = await encoder.encode([stormy]);
    const ids = await idsOf(stormy);
    for (const input of [stormy, ids, [ids]]) {
      const { data } = await openai.embeddings.create({ model: "bert", input, encoding_format: "float", user: "me" });
      expect(data.map(({ embedding }) => embedding)).toEqual([closeTo(expected)]);
    }
    expect(expected).not.toEqual(closeTo((await encoder.encode([(await encoder.tokenize([ids.slice(1, -1)]))[0]]))[0]));
  });

  test("gets the first numbers, of length 1 again", async () => {
    const { data } = await openai.embeddings.create({ model: "bert", input: stormy, dimensions: 5 });
    const [whole] = await encoder.encode([stormy]);
    expect([...data[0].embedding]).toEqual(closeTo(unit(whole.slice(0, 5))));
    await expect(openai.embeddings.create({ model: "bert", input: stormy, dimensions: 13 })).rejects.toThrow(
      "400 dimensions: expected at most the 12 of this model; received 13",
    );
  });

  test("is told of what is too long, unless it is to be cut", async () => {
    const long = "stormy night ".repeat(60);
    const longIds = (await idsOf(long)).length;
    await expect(openai.embeddings.create({ model: "bert", input: [inn, long] })).rejects.toMatchObject({
      status: 400,
      code: "context_length_exceeded",
      param: "input[1]",
      message: expect.stringContaining(`maximum context length is ${encoder.maxTokens} tokens`),
    });
    expect(longIds).toBeGreaterThan(encoder.maxTokens);
    const cut = await post({ input: long, truncate_prompt_tokens: -1 });
    expect(cut.body).toMatchObject({ usage: { prompt_tokens: encoder.maxTokens } });
    expect((cut.body.data as { embedding: number[] }[])[0].embedding).toEqual(
      closeTo((await encoder.encode([long]))[0]),
    );
    expect((await post({ input: long, truncate_prompt_tokens: 4 })).body).toMatchObject({ usage: { total_tokens: 4 } });
  });
});

test("prompts of the model are put in front", async () => {
  const { body } = await post({ input: stormy, prompt_name: "query" });
  const [expected] = await encoder.encode([stormy], { promptName: "query" });
  expect((body.data as { embedding: number[] }[])[0].embedding).toEqual(closeTo(expected));
});

test.each([
  [{}, "input: expected a text"],
  [{ input: [] }, "input: expected from 1 to 2048 texts"],
  [{ input: [[]] }, "input: expected at least one token"],
  [{ input: Array(2049).fill("a") }, "input: expected from 1 to 2048 texts"],
  [{ input: ["a", 1] }, "input: expected a text"],
  [{ input: "a", encoding_format: "int8" }, 'encoding_format: expected "float" or "base64"'],
  [{ input: "a", dimensions: 0 }, "dimensions: expected a whole number from 1"],
  [{ input: "a", prompt_name: "quary" }, "prompt_name: expected a prompt of the model: query, passage"],
  [{ input: [5], prompt_name: "query" }, "prompt_name: expected texts with it"],
  [{ input: "a", truncate_prompt_tokens: 65 }, "truncate_prompt_tokens: expected at most the model's"],
  [{ input: "a", inputs: "b" }, "Unknown parameter: 'inputs'. Did you mean 'input'?"],
])("%j is refused", async (body, message) => {
  const answer = await post(body);
  expect([answer.status, (answer.body.error as { message: string }).message]).toEqual([
    400,
    expect.stringContaining(message),
  ]);
});

test("ids outside the vocabulary are the request's fault", async () => {
  expect((await post({ input: [300] })).status).toBe(400);
});

describe("Ollama's client", () => {
  test("gets vectors of length 1, of texts that are cut unless it says otherwise", async () => {
    const long = "stormy night ".repeat(60);
    const answer = await ollama.embed({ model: "bert:latest", input: [stormy, long] });
    const expected = await encoder.encode([stormy, long], { normalizeEmbeddings: true });
    expect(answer).toMatchObject({
      model: "bert",
      embeddings: expected.map(closeTo),
      prompt_eval_count: (await idsOf(stormy)).length + encoder.maxTokens,
    });
    await expect(ollama.embed({ model: "bert", input: long, truncate: false })).rejects.toThrow(/maximum context/);
    const short = await ollama.embed({ model: "bert", input: long, options: { num_ctx: 8, temperature: 1 } });
    expect(short.prompt_eval_count).toBe(8);
    expect((await ollama.embed({ model: "bert", input: stormy, dimensions: 3 })).embeddings[0]).toHaveLength(3);
  });

  test("gets one vector at the older endpoint", async () => {
    const { embedding } = await ollama.embeddings({ model: "bert", prompt: stormy });
    expect(embedding).toEqual(closeTo((await encoder.encode([stormy]))[0]));
  });

  test("unloads the model", async () => {
    expect((await ollama.embed({ model: "bert", input: [], keep_alive: 0 })).embeddings).toEqual([]);
    expect((await ollama.ps()).models).toEqual([]);
    await ollama.embed({ model: "bert", input: stormy });
    expect((await ollama.ps()).models).toMatchObject([{ name: "bert" }]);
  });

  test("is told of errors in its form", async () => {
    await expect(ollama.embed({ model: "bart", input: "a" })).rejects.toMatchObject({ status_code: 404 });
    expect((await post({ model: "bert", input: "a", options: { num_ctx: 0 } }, "/api/embed")).body).toMatchObject({
      error: "options.num_ctx: expected a whole number from 1; received 0",
    });
    expect((await post({ input: "a" }, "/api/embed")).body.error).toMatch(/model: expected the name/);
  });
});

const require = createRequire(import.meta.url);
test.each([
  [join(dirname(require.resolve("openai")), "resources/embeddings.d.ts"), "EmbeddingCreateParams", embeddingFields],
  [join(dirname(require.resolve("ollama")), "browser.d.ts"), "EmbedRequest", embedFields],
  [join(dirname(require.resolve("ollama")), "browser.d.ts"), "EmbeddingsRequest", embeddingsFields],
])("every field of %s, %s is known", (file, name, fields) => {
  const names = fieldsOfType(file, name);
  expect(names.length).toBeGreaterThan(3);
  expect(names.filter((member) => !Object.hasOwn(fields, member))).toEqual([]);
});

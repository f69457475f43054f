/** Images in messages, by the official clients: answers are those of the library's pipeline. */
import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import Anthropic from "@anthropic-ai/sdk";
import fc from "fast-check";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ImageTextToTextPipeline, pipeline } from "../../pipelines/index.ts";
import { goldenModels } from "../../testing/golden-model.ts";
import { tinyServedModel } from "../../testing/served-model.ts";
import { visionModel } from "../../testing/vision-model.ts";
import { createApp, type RunningServer, serve } from "../index.ts";

const images = `${goldenModels}/../images`;
const bytesOf = (name: string) => readFileSync(`${images}/${name}`);
const base64Of = (name: string) => bytesOf(name).toString("base64");
const urlOf = (name: string) => `data:image/${name.endsWith("jpg") ? "jpeg" : "png"};base64,${base64Of(name)}`;
const image = (name: string) => ({ type: "image_url" as const, image_url: { url: urlOf(name) } });
const text = (value: string) => ({ type: "text" as const, text: value });

const names = ["llava", "qwen2-vl"] as const;
const models = await Promise.all(names.map((name) => visionModel(name, { maxSequences: 2, contextLength: 256 })));
const pipelines = {} as Record<(typeof names)[number], ImageTextToTextPipeline>;
let server: RunningServer;
let openai: OpenAI;
beforeAll(async () => {
  for (const name of names)
    pipelines[name] = await pipeline("image-text-to-text", `${goldenModels}/../pipelines/models/${name}`);
  server = await serve([...models, tinyServedModel()], { port: 0, maxImages: 100 });
  openai = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(async () => {
  await server.close();
  for (const model of models) model.dispose();
  for (const each of Object.values(pipelines)) each.dispose();
});

/** What the pipeline writes for parts: texts, and names of images with a dot in them. */
async function expected(model: (typeof names)[number], parts: readonly string[], maxNewTokens = 8): Promise<string> {
  const content = parts.map((part) =>
    /\.(png|jpg)$/.test(part) ? { type: "image", path: `${images}/${part}` } : text(part),
  );
  const options = { maxNewTokens, temperature: 0, returnFullText: false };
  const [{ generated_text: answer }] = await pipelines[model].run([{ role: "user", content }], options);
  return answer as string;
}
const partsOf = (parts: readonly string[]) =>
  parts.map((part) => (/\.(png|jpg)$/.test(part) ? image(part) : text(part)));

describe.each(names)("%s", (model) => {
  const settings = { model, max_tokens: 8, temperature: 0 };
  const several = ["Look: ", "tall.png", " and ", "wide.png", " what?"];

  test("OpenAI's client: one image and several in their order, whole and streamed", async () => {
    for (const parts of [["tall.png", "What is it?"], several]) {
      const messages = [{ role: "user" as const, content: partsOf(parts) }];
      const whole = await openai.chat.completions.create({ ...settings, messages });
      expect(whole.choices[0].message.content).toBe(await expected(model, parts));
      const pieces: string[] = [];
      for await (const piece of await openai.chat.completions.create({ ...settings, messages, stream: true }))
        pieces.push(piece.choices[0]?.delta.content ?? "");
      expect(pieces.join("")).toBe(whole.choices[0].message.content);
    }
  });

  test("OpenAI's responses", async () => {
    const content = [
      { type: "input_image" as const, image_url: urlOf("tall.png"), detail: "auto" as const },
      { type: "input_text" as const, text: "What is it?" },
    ];
    const { max_tokens: most, ...rest } = settings;
    const answer = await openai.responses.create({
      ...rest,
      max_output_tokens: most,
      input: [{ role: "user", content }],
    });
    expect(answer.output_text).toBe(await expected(model, ["tall.png", "What is it?"]));
  });

  test("Anthropic's client, with its count of tokens", async () => {
    const client = new Anthropic({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
    const source = { type: "base64" as const, media_type: "image/png" as const, data: base64Of("tall.png") };
    const messages: Anthropic.MessageParam[] = [
      { role: "user", content: [{ type: "image", source }, text("What is it?")] },
    ];
    const { content, usage } = await client.messages.create({ ...settings, messages });
    expect(content).toMatchObject([{ type: "text", text: await expected(model, ["tall.png", "What is it?"]) }]);
    expect(await client.messages.countTokens({ model, messages })).toEqual({ input_tokens: usage.input_tokens });
  });

  test("Ollama's client: chat, generate, and what it shows", async () => {
    const client = new Ollama({ host: server.url });
    const options = { num_predict: 8, temperature: 0 };
    const pictures = [Uint8Array.from(bytesOf("tall.png"))];
    const messages = [{ role: "user", content: "What is it?", images: pictures }];
    const answer = await expected(model, ["tall.png", "What is it?"]);
    expect((await client.chat({ model, messages, options })).message.content).toBe(answer);
    expect((await client.generate({ model, prompt: "What is it?", images: pictures, options })).response).toBe(answer);
    expect((await client.show({ model })).capabilities).toContain("vision");
  });
});

describe("llava", () => {
  const model = "llava";
  const settings = { model, max_tokens: 8, temperature: 0 };

  test("the tokens of images are counted, and n answers share them", async () => {
    const ask = (parts: string[], more = {}) =>
      openai.chat.completions.create({ ...settings, ...more, messages: [{ role: "user", content: partsOf(parts) }] });
    const [one, two] = [await ask(["tall.png", "a"]), await ask(["tall.png", "tall.png", "a"])];
    const extra = (two.usage?.prompt_tokens ?? 0) - (one.usage?.prompt_tokens ?? 0);
    expect(extra).toBeGreaterThan(3);
    const { choices, usage } = await ask(["tall.png", "a"], { n: 3, seed: 5 });
    expect(choices.map(({ message }) => message.content)).toEqual(new Array(3).fill(one.choices[0].message.content));
    expect(usage?.prompt_tokens).toBe(one.usage?.prompt_tokens);
  });

  test("requests with and without images at the same time", async () => {
    const all = [["tall.png", "What?"], ["What?"], ["photo.jpg", "Who?"], ["wide.png", "Where?"], ["Where?"]];
    const answers = await Promise.all(
      all.map((parts) =>
        openai.chat.completions.create({ ...settings, messages: [{ role: "user", content: partsOf(parts) }] }),
      ),
    );
    for (const [i, { choices }] of answers.entries())
      expect(choices[0].message.content).toBe(await expected(model, all[i]));
  });

  test("stop texts, and the end of the context", async () => {
    const messages = [{ role: "user" as const, content: partsOf(["tall.png", "What is it?"]) }];
    const answer = await expected(model, ["tall.png", "What is it?"]);
    const stop = answer.slice(4, 6);
    const { choices } = await openai.chat.completions.create({ ...settings, stop, messages });
    expect(choices[0].message.content).toBe(answer.slice(0, answer.indexOf(stop)));
    await expect(openai.chat.completions.create({ ...settings, max_tokens: 100_000, messages })).rejects.toMatchObject({
      status: 400,
      code: "context_length_exceeded",
    });
    const many = [{ role: "user" as const, content: new Array(100).fill(image("tall.png")) }];
    await expect(openai.chat.completions.create({ ...settings, messages: many })).rejects.toMatchObject({
      status: 400,
      code: "context_length_exceeded",
    });
  });
});

test("the list of models says which read images", async () => {
  const { data } = await openai.models.list();
  const capabilities = data.map((model) => (model as unknown as { capabilities?: string[] }).capabilities);
  expect(capabilities).toEqual([["vision"], ["vision"], undefined]);
});

describe("refused", () => {
  const app = createApp([models[0], tinyServedModel()]);
  const ask = async (body: object, path = "/v1/chat/completions") => {
    const answer = await app.request(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "llava", max_tokens: 2, ...body }),
    });
    const { error } = (await answer.json()) as { error: { message: string; param: string } };
    return { status: answer.status, message: error?.message ?? String(error), param: error?.param };
  };
  const user = (...content: unknown[]) => ({ messages: [{ role: "user", content }] });
  const url = (value: unknown) => user({ type: "image_url", image_url: { url: value } });
  const at = "messages[0].content[0]";

  test.each([
    [{ model: "tiny", ...user(image("tall.png")) }, `${at}.image_url.url: expected no image: the model 'tiny' reads`],
    [user({ type: "image_url" }), `${at}.image_url: expected an object with the url of an image`],
    [user({ type: "image_url", image_url: {} }), `${at}.image_url.url: expected the address of an image`],
    [user({ type: "image_url", image_url: { url: urlOf("tall.png"), detail: "low" } }), "Unsupported parameter"],
    [url("file:///etc/passwd"), "expected the address of an image"],
    [url("https://example.org/a.png"), "this server fetches no images"],
    [url("data:image/png,abc"), "expected a data: URL of an image in base64"],
    [url("data:image/png;base64,%%%"), "expected an image in base64"],
    [url("data:text/html;base64,AAAA"), "expected the media type of an image"],
    [
      url(`data:image/png;base64,${Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'/>").toString("base64")}`),
      "PNG",
    ],
    [
      url(`data:image/png;base64,${Buffer.from("hello, world").toString("base64")}`),
      "expected a PNG, JPEG, WebP or GIF",
    ],
    [url(`data:image/png;base64,${bytesOf("tall.png").subarray(0, 60).toString("base64")}`), "expected a picture"],
    [{ messages: [{ role: "assistant", content: [image("tall.png")] }] }, "images are the user's"],
    [{ messages: [{ role: "system", content: [image("tall.png")] }] }, "images are the user's"],
    [user(...new Array(33).fill(image("tall.png"))), "expected at most 32 images (option maxImages)"],
    [{ ...user(image("tall.png")), prompt_logprobs: 0 }, "expected no log probabilities of a prompt with images"],
    [user(text("<image>"), image("tall.png")), ""],
  ])("%#", async (body, message) => {
    const refusal = await ask(body);
    expect(refusal.status).toBe(message === "" ? 200 : 400);
    if (message !== "") expect(refusal.message).toContain(message);
  });

  test("an image of more pixels than a limit, before it is decoded", async () => {
    // a PNG of 9000 x 9000 pixels in some hundred bytes
    const bomb = Buffer.from(bytesOf("tall.png"));
    bomb.writeUInt32BE(9000, 16);
    bomb.writeUInt32BE(9000, 20);
    bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29);
    const refusal = await ask(url(`data:image/png;base64,${bomb.toString("base64")}`));
    expect(refusal).toMatchObject({ status: 400, param: `${at}.image_url.url` });
    expect(refusal.message).toContain("limit requestImagePixels");
  });

  test("an image of more bytes than a limit, and a body of more than its own", async () => {
    const large = Buffer.alloc(21 * 2 ** 20).toString("base64");
    expect((await ask(url(`data:image/png;base64,${large}`))).message).toContain("limit requestImageBytes");
    expect((await ask(url(`data:image/png;base64,${large}${large}`))).status).toBe(413);
    expect((await ask({ prompt: large, messages: undefined }, "/v1/completions")).status).toBe(413);
    expect((await ask(user(text(large)))).status).toBe(413);
  });

  test("by Anthropic's and Ollama's fields", async () => {
    const block = (source: object) => user({ type: "image", source });
    const anthropic = async (body: object) => (await ask(body, "/v1/messages")).message;
    expect(await anthropic(block({ type: "file", file_id: "f" }))).toMatch(/source/);
    expect(await anthropic(block({ type: "base64", media_type: "image/tiff", data: "" }))).toMatch(
      /media_type: expected/,
    );
    expect(await anthropic(block({ type: "base64", media_type: "image/png" }))).toMatch(/source.data: expected/);
    expect(await anthropic(block({ type: "url", url: "data:image/png;base64,AAAA" }))).toMatch(/source.url: expected/);
    const ollama = await ask(
      { max_tokens: undefined, messages: [{ role: "user", content: "", images: [5] }] },
      "/api/chat",
    );
    expect(ollama.status).toBe(400);
  });
});

/** Texts that look like data: URLs of images, with some of a real one in them. */
const dataUrls = fc
  .tuple(
    fc.constantFrom("data:", "DATA:", "data", ""),
    fc.constantFrom("image/png", "image/svg+xml", "image/", "text/html", "", ";charset=x"),
    fc.constantFrom(";base64,", ";BASE64,", ",", ";base64", ""),
    fc.oneof(
      fc.base64String({ maxLength: 60 }),
      fc.string({ maxLength: 60 }),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString("base64")),
      fc
        .tuple(fc.constantFrom("tall.png", "photo.jpg", "gray.png"), fc.nat(), fc.nat(255), fc.nat())
        .map(([name, at, byte, end]) => {
          const bytes = Buffer.from(bytesOf(name));
          bytes[at % bytes.length] = byte;
          return bytes.subarray(0, end % 3 === 0 ? end % bytes.length : undefined).toString("base64");
        }),
    ),
  )
  .map((parts) => parts.join(""));

test("any address of an image is answered or refused, and is no fault of the server", async () => {
  const app = createApp(models[0]);
  await fc.assert(
    fc.asyncProperty(dataUrls, async (url) => {
      const { status } = await app.request("/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          max_tokens: 1,
          messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }],
        }),
      });
      expect([200, 400]).toContain(status);
    }),
    { numRuns: 60, seed: 7 },
  );
});

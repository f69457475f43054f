/** Many images: how many a request may have, of how many pixels, and who waits for whom. */
import { readFileSync } from "node:fs";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { limits } from "../../base/index.ts";
import { goldenModels } from "../../testing/golden-model.ts";
import { jsonPost } from "../../testing/json-post.ts";
import { visionModel } from "../../testing/vision-model.ts";
import { asClient } from "../client.ts";
import { createApp } from "../index.ts";
import { ImageFetcher, ImageReader, type ImageReference, readBase64 } from "./index.ts";

const data = readFileSync(`${goldenModels}/../images/tall.png`).toString("base64");
const [width, height] = [16, 20].map((at) => Buffer.from(data, "base64").readUInt32BE(at));
const model = await visionModel("llava", { contextLength: 512 });
const embedder = model.images!.embedder;
afterEach(() => vi.restoreAllMocks());
afterAll(() => model.dispose());

const references = (count: number) =>
  Array.from({ length: count }, (_, i): ImageReference => readBase64(data, { path: `images[${i}]` }));

async function withReader(work: (read: (count: number) => Promise<unknown>) => Promise<void>, mostPixels?: number) {
  const reader = new ImageReader(model.images!, new ImageFetcher(), mostPixels);
  const options = { tokenizer: model.tokenizer, maxTokens: 1000 };
  const ids = (count: number) => new Array<number>(count).fill(embedder.model.imageTokenId);
  try {
    await work((count) =>
      reader.prompt(ids(count), references(count), { ...options, signal: new AbortController().signal }),
    );
  } finally {
    await reader.dispose();
  }
}

test("more images than the option are refused by its name, by every API", async () => {
  const url = `data:image/png;base64,${data}`;
  const twice = (part: object) => [part, part, { type: "text", text: "What?" }];
  const source = { type: "base64", media_type: "image/png", data };
  const bodies = [
    [
      "/v1/chat/completions",
      { messages: [{ role: "user", content: twice({ type: "image_url", image_url: { url } }) }] },
    ],
    [
      "/v1/responses",
      {
        input: [
          {
            role: "user",
            content: [1, 2].map(() => ({ type: "input_image", image_url: url, detail: "auto" })),
          },
        ],
      },
    ],
    ["/v1/messages", { max_tokens: 1, messages: [{ role: "user", content: twice({ type: "image", source }) }] }],
    ["/api/chat", { messages: [{ role: "user", content: "What?", images: [data, data] }] }],
  ] as const;
  for (const [maxImages, status] of [
    [1, 400],
    [2, 200],
  ] as const) {
    const app = createApp(model, { maxImages });
    for (const [path, body] of bodies) {
      const limit = path === "/v1/responses" ? { max_output_tokens: 1 } : path === "/api/chat" ? {} : { max_tokens: 1 };
      const options = path === "/api/chat" ? { options: { num_predict: 1 } } : {};
      const request = { model: "llava", stream: false, ...limit, ...options, ...body };
      const answer = await app.request(path, jsonPost(request));
      const text = await answer.text();
      expect([path, answer.status]).toEqual([path, status]);
      if (status === 400) expect(text).toContain("at most 1 images (option maxImages)");
    }
  }
  expect(() => createApp(model, { maxImages: -1 })).toThrow(/maxImages from 0/);
});

test("more pixels than a limit together are refused before they are decoded", () =>
  withReader(
    async (read) => {
      await read(2);
      const places = vi.spyOn(embedder.model, "placesOf");
      await expect(read(3)).rejects.toMatchObject({
        status: 400,
        body: { error: { param: "images[2]" } },
        message: `images[2]: expected at most ${limits.requestPixels} pixels of all images together (limit requestPixels); received more, with the ${width} x ${height} of this one`,
      });
      expect(places).toHaveBeenCalledTimes(2);
    },
    2 * width * height,
  ));

test("a request with few images has turns beside one with many", () =>
  withReader(async (read) => {
    const places = vi.spyOn(embedder.model, "placesOf");
    const order: string[] = [];
    const many = read(20).then(() => order.push("many"));
    await read(1);
    order.push("few");
    expect(places.mock.calls.length).toBeLessThanOrEqual(3);
    await many;
    expect(order).toEqual(["few", "many"]);
  }));

test("a client with one request has turns beside one with many", () =>
  withReader(async (read) => {
    const places = vi.spyOn(embedder.model, "placesOf");
    const many = Array.from({ length: 10 }, () => asClient("a", () => read(1)));
    await asClient("b", () => read(1));
    expect(places.mock.calls.length).toBeLessThanOrEqual(4);
    await Promise.all(many);
  }));

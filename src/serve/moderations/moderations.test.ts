/** The API of moderation, by OpenAI's official client. */
import OpenAI from "openai";
import { afterEach, expect, test } from "vitest";
import { tinyServedModel } from "../../testing/served-model.ts";
import { type Moderate, type RunningServer, serve } from "../index.ts";

let server: RunningServer | undefined;
afterEach(() => server?.close());

async function clientOf(moderate?: Moderate): Promise<OpenAI> {
  server = await serve(tinyServedModel(), { port: 0, moderate });
  return new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 2 });
}

const judge: Moderate = async (inputs, { model = "words" }) => ({
  model,
  results: inputs.map((input) => {
    const isRude = input.includes("fool");
    return { flagged: isRude, categories: { harassment: isRude }, scores: { harassment: isRude ? 0.9 : 0.1 } };
  }),
});

test("texts are judged by the function of whoever serves", async () => {
  const client = await clientOf(judge);
  const both = await client.moderations.create({ input: ["You fool!", "You friend!"] });
  expect(both).toMatchObject({ id: expect.stringMatching(/^modr-/), model: "words" });
  expect(both.results).toEqual([
    {
      flagged: true,
      categories: { harassment: true },
      category_scores: { harassment: 0.9 },
      category_applied_input_types: { harassment: ["text"] },
    },
    expect.objectContaining({ flagged: false }),
  ]);
  expect((await client.moderations.create({ input: "fool", model: "mine" })).model).toBe("mine");
  const parts = [
    { type: "text" as const, text: "You" },
    { type: "text" as const, text: "fool" },
  ];
  expect((await client.moderations.create({ input: parts })).results).toHaveLength(1);
  const picture = [{ type: "image_url" as const, image_url: { url: "" } }];
  await expect(client.moderations.create({ input: picture })).rejects.toThrow(/400 .*input\[0\]/);
  await expect(client.moderations.create({ input: [] })).rejects.toThrow(/400 input: expected a text/);
});

test("a judge that leaves a text out, and none at all, are told", async () => {
  const careless = await clientOf(async () => ({ model: "x", results: [] }));
  await expect(careless.moderations.create({ input: "x" }, { maxRetries: 0 })).rejects.toThrow(
    /500 moderate: expected 1/,
  );
  await server?.close();
  const none = await clientOf();
  await expect(none.moderations.create({ input: "x" })).rejects.toMatchObject({ status: 501, code: "no_moderation" });
});

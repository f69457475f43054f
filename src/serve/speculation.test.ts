/** Requests to a model whose tokens are proposed. */
import { describe, expect, test } from "vitest";
import type { GenerateOptions } from "../generate/index.ts";
import { jsonPost } from "../testing/json-post.ts";
import { heldModel, tinyServedModel } from "../testing/served-model.ts";
import { createApp } from "./index.ts";

type App = ReturnType<typeof createApp>;
async function complete(app: App, body: object) {
  const answer = await app.request(
    "/v1/completions",
    jsonPost({ prompt: "a b a b a b", max_tokens: 20, temperature: 0, ...body }),
  );
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { choices: { text: string; logprobs: object | null }[] }).choices[0];
}

describe("a model with proposals", () => {
  const plain = createApp(tinyServedModel());
  const lookup = createApp({ ...tinyServedModel(), speculation: { promptLookupNumTokens: 4 } });
  const assisted = createApp({ ...tinyServedModel(), speculation: { assistant: tinyServedModel().generator } });

  test.each([{}, { temperature: 1, seed: 3 }, { n: 2 }, { structured_outputs: { regex: "(ab ){4}" } }])(
    "writes what it writes without: %j",
    async (more) => {
      const { text } = await complete(plain, more);
      // what is drawn with proposals has the same distribution, not the same draws
      for (const app of [lookup, assisted])
        if (!("seed" in more)) expect((await complete(app, more)).text).toBe(text);
        else expect((await complete(app, more)).text).toHaveLength(20);
    },
  );

  test("tells log probabilities", async () => {
    const expected = await complete(plain, { logprobs: 1, echo: true });
    for (const app of [lookup, assisted]) expect(await complete(app, { logprobs: 1, echo: true })).toEqual(expected);
  });
});

test("proposals are for texts without log probabilities", async () => {
  const held = heldModel();
  const app = createApp({ ...held, speculation: { promptLookupNumTokens: 4 } });
  const asked = async (body: object): Promise<GenerateOptions | undefined> => {
    await complete(app, { max_tokens: 2, ...body });
    return held.generator.options.at(-1);
  };
  expect(await asked({})).toMatchObject({ promptLookupNumTokens: 4 });
  expect(await asked({ logprobs: 0 })).not.toHaveProperty("promptLookupNumTokens");
});

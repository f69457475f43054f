/** What pipelines that write do when nothing is asked for: the likeliest tokens, as transformers without settings. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Generator } from "../generate/index.ts";
import { fromPretrained } from "../models/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { pipeline } from "./index.ts";

const gpt2 = fileURLToPath(new URL("../../golden/pipelines/models/gpt2", import.meta.url));

test("text-generation goes on with the text, the same each time", async () => {
  const writer = await pipeline("text-generation", gpt2);
  const prompt = "the quick brown";
  const [[{ generated_text: text }], [{ generated_text: again }]] = [
    await writer.run(prompt),
    await writer.run(prompt),
  ];
  expect(text).toBe(again);
  const model = await fromPretrained(gpt2, { task: "causal-lm" });
  const tokenizer = await Tokenizer.open(gpt2);
  const ids: number[] = [];
  for await (const id of new Generator(model).generate(await tokenizer.encode(prompt), { temperature: 0 }))
    ids.push(id);
  expect(ids.length).toBeGreaterThan(0);
  expect(text).toBe(
    prompt + (await tokenizer.decode([...(await tokenizer.encode(prompt)), ...ids])).slice(prompt.length),
  );
  await expect(writer.run(prompt, { temprature: 1 } as never)).rejects.toThrow(/did you mean "temperature"/);
  writer.dispose();
});

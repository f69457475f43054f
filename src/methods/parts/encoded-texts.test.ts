/** How long texts may be, by what the config, the tokenizer and the model say. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { methodConfig } from "../../testing/method-config.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import { textForm } from "./encoded-texts.ts";

const folder = fileURLToPath(new URL("../../../golden/pipelines/models/sentence-bert", import.meta.url));
const tokenizer = await Tokenizer.open(folder);
const config = methodConfig("cross-encoder", { model: "none", data: { train: "x.jsonl", maxLength: 1024 } });
const lengthOf = (modelType: string, json: object, further?: number) =>
  textForm(config, { tokenizer, model: { modelType, config: json }, ...(further !== undefined && { further }) })
    .maxLength;

test("texts are as long as all allow; RoBERTa counts positions from behind its padding on", () => {
  const positions = { maxPositionEmbeddings: 34, padTokenId: 1 };
  expect(lengthOf("bert", positions)).toBe(34);
  expect(lengthOf("bert", positions, 20)).toBe(20);
  expect(lengthOf("roberta", positions)).toBe(32);
  expect(lengthOf("xlm-roberta", positions)).toBe(32);
  expect(textForm(config, { tokenizer, model: { modelType: "bert", config: { typeVocabSize: 2 } } })).toMatchObject({
    hasTypeIds: true,
    padId: expect.any(Number),
  });
});

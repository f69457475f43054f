/** A tokenizer.json whose lists are text is the same tokenizer.json, and its tokens' bytes are had one by one. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { pathOf } from "../testing/tokenizer-kinds.ts";
import { bpeModel, type Json, tokenizerJson } from "./json-parts.ts";
import { packJson, printJson, unpackJson } from "./packed-json.ts";
import { tokenBytes, tokenBytesReader } from "./token-bytes.ts";
import { Tokenizer } from "./tokenizer.ts";

const kinds = ["gpt2", "llama2", "qwen2", "t5", "bert-uncased"];

test.each(kinds)("%s is had back as it was", async (kind) => {
  const text = JSON.stringify(JSON.parse(await readFile(pathOf(kind), "utf8")));
  const packed = packJson(JSON.parse(text));
  expect(JSON.stringify(unpackJson(structuredClone(packed)))).toBe(text);
  expect(printJson(packed)).toBe(text);
});

test("a tokenizer has the parts that its file has, and no others", async () => {
  const json = JSON.parse(await readFile(pathOf("gpt2"), "utf8"));
  const { truncation: _, padding: __, ...others } = json;
  for (const one of [json, others, { ...others, padding: null }])
    expect(Object.keys((await Tokenizer.fromJson(one)).toJson())).toEqual(Object.keys(one));
});

test("names that objects have already are tokens as others are", () => {
  const vocab: Json = JSON.parse('{"__proto__":0,"constructor":1,"1":2,"\\ud800":3}');
  const json = tokenizerJson({ model: bpeModel({ vocab, merges: [] }) });
  expect(JSON.parse(printJson(packJson(json)))).toEqual(JSON.parse(JSON.stringify(json)));
  expect(Object.keys((unpackJson(packJson(json)).model as { vocab: object }).vocab)).toEqual(Object.keys(vocab));
});

test.each(kinds.slice(0, 4))("the bytes of each token of %s are those of the list of all", async (kind) => {
  const tokenizer = await Tokenizer.open(pathOf(kind));
  const all = tokenBytes(tokenizer.toJson());
  const one = tokenBytesReader(tokenizer);
  expect(Array.from(all.keys(), one)).toEqual(all);
  expect(one(all.length + 5)).toBeUndefined();
});

/** Counts of a config.json or a GGUF file that no model has are refused before a module is made. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { KindlingError } from "../base/index.ts";
import { RotaryEmbedding } from "../nn/index.ts";
import { fromPretrained } from "./index.ts";

const golden = (name: string) => fileURLToPath(new URL(`../../golden/${name}/`, import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  [
    "decoders/llama",
    { num_hidden_layers: 1e9 },
    /num_hidden_layers: expected a positive integer, of at most 2048 \(limit modelLayers\); received 1000000000/,
  ],
  ["decoders/gpt-neox", { num_hidden_layers: 1e9 }, /limit modelLayers/],
  ["decoders/mixtral", { num_local_experts: 1e9 }, /limit modelParts/],
  ["models/albert", { inner_group_num: 1e9 }, /limit modelLayers/],
  ["models/albert", { num_hidden_layers: 1e9 }, /limit modelLayers/],
  ["models/bert", { num_hidden_layers: 1e9 }, /limit modelLayers/],
  ["models/t5", { num_layers: 1e9 }, /limit modelLayers/],
  ["models/vit", { num_hidden_layers: 1e9 }, /limit modelLayers/],
  ["decoders/llama", { head_dim: 2e9 }, /limit rotaryWidth/],
])("%s with %j", async (name, fields, message) => {
  const path = join(folder, name.replace("/", "-"));
  await cp(golden(name), path, { recursive: true });
  const config = JSON.parse(await readFile(join(golden(name), "config.json"), "utf8"));
  await writeFile(join(path, "config.json"), JSON.stringify({ ...config, ...fields }));
  const started = performance.now();
  const error = await fromPretrained(path).catch((cause) => cause);
  expect(error).toBeInstanceOf(KindlingError);
  expect(error.message).toMatch(message);
  expect(performance.now() - started).toBeLessThan(10_000);
});

test("rotary embeddings turn a part of a head", () => {
  expect(() => new RotaryEmbedding(64, 128, { partial_rotary_factor: 3238002704 / 64 })).toThrow(
    /a part from 0 to 1 of each head/,
  );
  expect(() => new RotaryEmbedding(2 ** 31, 128)).toThrow(/limit rotaryWidth/);
  expect(() => new RotaryEmbedding(64, 128, { rope_type: 5 as never })).toThrow(/a rope_type of/);
});

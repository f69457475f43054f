/**
 * Every reader of foreign files on changed ones: each input gives a result or an error of Kindling's, in time and
 * memory.
 */
import { mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fuzz } from "./run.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const folder = join(root, "node_modules", ".cache", "kindling-fuzz");
const child = join(folder, `child-${process.pid}.mjs`);

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  const entry = fileURLToPath(new URL("./child.ts", import.meta.url));
  await build({
    entryPoints: [entry],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    conditions: ["kindling-source"],
    outfile: child,
    logLevel: "error",
  });
});
afterAll(() => rm(child, { force: true }));

const targets = [
  "safetensors",
  "torch",
  "gguf",
  "onnx",
  "json",
  "tiktoken",
  "sentencepiece",
  "tokenizer-native",
  "tokenizer-javascript",
  "template",
  "wav",
  "image",
  "preprocessor",
  "config",
  "json-schema",
  "regex",
  "gbnf",
  "lark",
  "rows-text",
  "rows-csv",
  "rows-gzip",
  "conll",
  "examples",
];
test.each(targets)(
  "%s",
  async (target) => {
    expect(await fuzz(child, join(root, "golden"), target)).toEqual([]);
  },
  600_000,
);

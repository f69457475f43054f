/**
 * Every reader of foreign files on changed ones: each input gives a result or an error of Kindling's, in time and
 * memory.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fuzz } from "./run.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const folder = join(root, "node_modules", ".cache", "kindling-fuzz", String(process.pid));
const child = join(folder, "child.js");

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"type": "module"}');
  const entry = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  await build({
    entryPoints: { child: entry("./child.ts"), "table-worker": entry("../../data/rows/table-worker.ts") },
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    conditions: ["kindling-source"],
    outdir: folder,
    logLevel: "error",
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

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
  "parquet",
  "arrow",
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

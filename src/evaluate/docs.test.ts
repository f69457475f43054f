/** The examples of docs/evaluation.md run as they stand. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as generate from "../generate/index.ts";
import * as metrics from "../metrics/index.ts";
import * as models from "../models/index.ts";
import { docPage, runBlock } from "../testing/doc-programs.ts";
import * as tokenizers from "../tokenizers/index.ts";
import * as evaluation from "./index.ts";

const { text, blocks: blocksOf } = await docPage("evaluation.md");
const tiny = fileURLToPath(new URL("../../golden/pipelines/models/gpt2", import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

const kindling = { ...models, ...generate, ...tokenizers };
const run = (block: string) =>
  runBlock(block, { kindling, "kindling/metrics": metrics, "kindling/evaluate": evaluation });

test("metrics", async () => {
  const [block] = blocksOf("ts");
  const logged = await run(block);
  const comments = [...block.matchAll(/console\.log\(.*\/\/ ([\d.]+)$/gm)].map(([, value]) => Number(value));
  expect(comments.length).toBeGreaterThan(2);
  const numbers = logged.flat().filter((value) => typeof value === "number");
  for (const value of comments) expect(numbers).toContainEqual(expect.closeTo(value, 12));
});

test("a task in a file, and one in TypeScript", async () => {
  const line = (country: string, answer: number) =>
    `${JSON.stringify({ country, cities: ["Paris", "Rome"], answer })}\n`;
  await writeFile(join(folder, "examples.jsonl"), line("France", 0) + line("Italy", 1) + line("Gaul", 0));
  await writeFile(join(folder, "capitals.jsonl"), line("Latium", 1));
  const [task] = blocksOf("yaml");
  await writeFile(join(folder, "capitals.yaml"), task);
  const block = blocksOf("ts")[1]
    .replaceAll('"runs/my/model"', JSON.stringify(tiny))
    .replace('"capitals.yaml"', JSON.stringify(join(folder, "capitals.yaml")));
  const [[table, answers]] = await run(block);
  expect(table).toMatch(/\|sums {4,}\|.*\|number\|.*\|exact_match/);
  expect(table).toMatch(/\|capitals *\|.*\|none {2}\| {5}2\|acc /);
  expect(answers).toEqual([expect.any(String)]);
});

test("the table of metrics names every function", () => {
  const functions = Object.entries(metrics).filter(
    ([name, value]) => typeof value === "function" && /^[a-z]/.test(name),
  );
  const helpers = ["normalizeAnswer", "spansOf", "metricsOf", "splitAtSpace", "stripSpace", "stripEndSpace"];
  const missing = functions
    .map(([name]) => name)
    .filter((name) => !helpers.includes(name) && !text.includes(`\`${name}\``));
  expect(missing).toEqual([]);
});

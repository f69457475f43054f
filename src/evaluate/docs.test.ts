/** The examples of docs/evaluation.md run as they stand. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as generate from "../generate/index.ts";
import * as metrics from "../metrics/index.ts";
import * as models from "../models/index.ts";
import * as tokenizers from "../tokenizers/index.ts";
import * as evaluation from "./index.ts";

const text = await readFile(new URL("../../docs/evaluation.md", import.meta.url), "utf8");
const blocksOf = (language: string) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, code]) => code);
const tiny = fileURLToPath(new URL("../../golden/pipelines/models/gpt2", import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs a block with what it imports, and gives what it logs. */
async function run(block: string): Promise<unknown[][]> {
  const { code } = await transform(block.replace(/^import.*$/gm, ""), { loader: "ts" });
  const logged: unknown[][] = [];
  const names = { ...models, ...generate, ...tokenizers, ...metrics, ...evaluation };
  const scope = { ...names, console: { log: (...values: unknown[]) => logged.push(values) } };
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  await new AsyncFunction(...Object.keys(scope), code)(...Object.values(scope));
  return logged;
}

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

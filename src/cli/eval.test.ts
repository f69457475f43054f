/** `kindling eval`: the table, what it writes, and what is wrong with its options. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { createProgram } from "./program.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
const model = join(golden, "pipelines", "models", "gpt2");
const taskOf = (name: string) => join(golden, "evaluate", `${name}.yaml`);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

async function run(...words: string[]): Promise<string> {
  let out = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
  await createProgram().parseAsync(["eval", model, ...words], { from: "user" });
  return out;
}

test("the table of two tasks, and their files", async () => {
  const tasks = ["--tasks", taskOf("lasts"), taskOf("choices")];
  const out = await run(...tasks, "--limit", "4", "--num-fewshot", "0", "--resamples", "0", "--output", folder);
  const cells = out
    .trim()
    .split("\n")
    .map((line) => line.split("|").map((cell) => cell.trim()));
  expect(cells[0].slice(1, -1)).toEqual(["Tasks", "Version", "Filter", "n-shot", "Metric", "", "Value", "", "Stderr"]);
  expect(
    cells
      .slice(2)
      .map(([, task]) => task)
      .filter(Boolean),
  ).toEqual(["lasts", "choices"]);
  expect(cells.slice(2).every(([, , , , shots]) => shots === "0")).toBe(true);
  const { results, model_name: name } = JSON.parse(await readFile(join(folder, "results.json"), "utf8"));
  expect(name).toBe("gpt2");
  expect(results.choices.sample_len).toBe(4);
});

test("what is wrong is told", async () => {
  await expect(run("--tasks", taskOf("lasts"), taskOf("lasts"))).rejects.toThrow("each file once");
  await expect(run("--tasks", taskOf("none"))).rejects.toThrow("no such file");
});

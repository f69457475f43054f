/** kindling compare, as it is typed. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { chatUpstream, type FakeUpstream } from "../testing/fake-upstream.ts";
import { createProgram } from "./program.ts";

let folder: string;
let upstream: FakeUpstream;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  upstream = await chatUpstream(["4"]);
  await writeFile(join(folder, "prompts.jsonl"), '{"prompt": "2+2", "expected": "4"}\n');
});
afterAll(async () => {
  upstream.close();
  await rm(folder, { recursive: true });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  process.exitCode = undefined;
});

test("it prints a table and writes the reports", async () => {
  vi.stubEnv("SOME_KEY", "sk-hidden");
  let output = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    output += text;
    return true;
  });
  const file = (name: string) => join(folder, name);
  const words = ["compare", file("prompts.jsonl"), "--upstream", `a,${upstream.url},m,SOME_KEY`, "--metric", "exact"];
  for (const [option, name] of [
    ["json", "out.json"],
    ["markdown", "out.md"],
    ["plot", "out.svg"],
    ["results", "r.jsonl"],
  ])
    words.push(`--${option}`, file(name));
  await createProgram().parseAsync(words, { from: "user" });
  expect(output).toMatch(/\| a +\| m +\| +1 \| +0 \| +1\.000 \|/);
  expect(await readFile(file("out.md"), "utf8")).toBe(output);
  expect(JSON.parse(await readFile(file("out.json"), "utf8"))).toMatchObject({ targets: [{ name: "a", quality: 1 }] });
  expect(await readFile(file("out.svg"), "utf8")).toMatch(/^<svg .*<\/svg>\n$/s);
  expect(await readFile(file("r.jsonl"), "utf8")).not.toContain("hidden");
  expect(upstream.received[0].headers.authorization).toBe("Bearer sk-hidden");
});

test("--help shows examples, each of which the program takes", async () => {
  vi.stubEnv("OPENAI_API_KEY", "x");
  const help: string[] = [];
  const shown = createProgram();
  const compare = shown.commands.find((one) => one.name() === "compare");
  compare?.configureOutput({ writeOut: (text) => help.push(text) }).outputHelp();
  const examples = [...help.join("").matchAll(/^ {2}kindling (compare .*)$/gm)].map(([, line]) => line.split(" "));
  expect(examples.length).toBe(3);
  for (const words of examples) {
    const parsed = createProgram();
    let isCalled = false;
    const command = parsed.commands.find((one) => one.name() === "compare");
    command?.exitOverride().action(() => {
      isCalled = true;
    });
    parsed.parse(words, { from: "user" });
    expect(isCalled).toBe(true);
  }
});

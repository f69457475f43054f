import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type RunningServer, serve } from "../serve/index.ts";
import { runProgram } from "../testing/built-program.ts";
import { heldModel, tinyServedModel } from "../testing/served-model.ts";
import { createProgram } from "./program.ts";

let folder: string;
let server: RunningServer | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterEach(async () => {
  await server?.close();
  server = undefined;
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs `kindling bench serve`. @param onErrors sees what is on standard error so far, and may interrupt */
const run = (args: readonly string[], onErrors: (text: string, interrupt: () => void) => void = () => {}) =>
  runProgram(["bench", "serve", ...args], {
    folder,
    onOutput: ({ errors }, child) => errors && onErrors(errors, () => child.kill("SIGINT")),
  });

test("--help shows examples, each of which the program takes", async () => {
  const { code, output } = await run(["--help"]);
  expect(code).toBe(0);
  const examples = [...output.matchAll(/^ {2}kindling (bench serve.*?)(?: +#.*)?$/gm)].map(([, line]) =>
    line.split(" "),
  );
  expect(examples.length).toBeGreaterThan(3);
  for (const words of examples) {
    const parsed = createProgram();
    const command = parsed.commands.find((one) => one.name() === "bench")?.commands[0];
    let isCalled = false;
    command?.exitOverride().action(() => {
      isCalled = true;
    });
    parsed.parse(words, { from: "user" });
    expect(isCalled).toBe(true);
  }
});

test("a report in Markdown, and as JSON", async () => {
  server = await serve(tinyServedModel(), { port: 0 });
  const { code, output } = await run([
    ...["--url", server.url, "--requests", "5", "--rate", "inf", "--concurrency", "2", "--input-tokens", "4-8"],
    ...["--output-tokens", "6", "--ignore-eos", "--goodput", "ttft:60000", "e2e:60000", "--json", "out.json"],
  ]);
  expect(code).toBe(0);
  expect(output).toMatch(/^tiny at http:\S+, completions: 5 requests, at most 2 at a time, seed 0\n/);
  expect(output).toMatch(/\| successful requests +\| +5 \|/);
  expect(output).toMatch(/\| goodput \(share of requests\) +\| +100\.0% \|/);
  for (const name of ["TTFT", "TPOT", "ITL", "E2E"])
    expect(output).toMatch(new RegExp(`^\\| ${name}( +\\| +[\\d,.]+){4} \\|$`, "m"));
  const report = JSON.parse(await readFile(join(folder, "out.json"), "utf8"));
  expect(report).toMatchObject({
    model: "tiny",
    load: { requests: 5, concurrency: 2, inputTokens: [4, 8], ignoreEos: true },
    requests: { successful: 5 },
    goodput: { limits: { ttftMs: 60_000, e2eMs: 60_000 }, requests: 5, share: 1 },
  });
});

test("Ctrl-C prints what there is", async () => {
  const model = heldModel();
  server = await serve(model, { port: 0 });
  let isInterrupted = false;
  const args = ["--url", server.url, "--vocab-size", "90", "--warmup", "0", "--requests", "20", "--input-tokens", "2"];
  const { code, output } = await run([...args, "--output-tokens", "3", "--rate", "1"], (_, interrupt) => {
    if (isInterrupted) return; // at the first sign of progress
    isInterrupted = true;
    interrupt();
  });
  expect(code).toBe(130);
  expect(output).toContain("Interrupted: this is what there was by then.");
  expect(output).toMatch(/\| TTFT /);
});

test.each<[string, readonly string[], RegExp]>([
  [
    "no server",
    ["--url", "http://127.0.0.1:9"],
    /expected a server; received .*Fix: start one, as with kindling serve <model>, or give its url/,
  ],
  ["another machine", ["--url", "http://192.0.2.1"], /expected a url of this machine; .* say so with --allow-remote/],
  ["a rate of nothing", ["--rate", "0"], /expected --rate above 0/],
  ["a range that is none", ["--input-tokens", "9-3"], /expected --input-tokens: a number of tokens from 1/],
  ["an endpoint", ["--endpoint", "cha"], /Did you mean chat\?/],
  ["a limit", ["--goodput", "tft:3"], /write limits in milliseconds, as ttft:500/],
  ["an option", ["--request", "3"], /Did you mean --requests\?/],
])("says what is wrong with %s", async (_, args, message) => {
  const { code, errors } = await run(args);
  expect(code).toBe(1);
  expect(errors).toMatch(message);
});

test("a model that is not there is named with those that are", async () => {
  server = await serve(tinyServedModel(), { port: 0 });
  const { code, errors } = await run(["--url", server.url, "--model", "tinny"]);
  expect(code).toBe(1);
  expect(errors).toMatch(/expected a model of tiny; received tinny\. Fix: did you mean tiny\?/);
});

/** `kindling generate` as users run it: defaults, seeds, lengths, standard input. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Generator } from "../generate/index.ts";
import { fromPretrained } from "../models/index.ts";
import { type AdapterOptions, applyAdapter, newAdapter } from "../peft/index.ts";
import { normal, randomKey } from "../tensor/index.ts";
import { runProgram, TALE, tinyCharacterModel } from "../testing/built-program.ts";
import { Tokenizer } from "../tokenizers/index.ts";

let folder: string;

const run = (args: string[], input?: string) => runProgram(args, { folder, input });
const generate = (args: string[], input?: string) => run(["generate", "tale", "--tokens", "12", ...args], input);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeFile(join(folder, "tale.txt"), TALE);
  const small = [...tinyCharacterModel(32), "--steps", "20"];
  expect((await run(["train", "--text", "tale.txt", ...small])).code).toBe(0);
}, 60_000);
afterAll(() => rm(folder, { recursive: true }));

test("a trained model says that its texts are drawn, and each has another seed, which is told", async () => {
  const config = JSON.parse(await readFile(join(folder, "runs/tale/model/generation_config.json"), "utf8"));
  expect(config).toMatchObject({ do_sample: true, temperature: 0.8, top_k: 50 });
  const [first, second] = await Promise.all([generate([]), generate([])]);
  expect(first.output).not.toBe(second.output);
  const seed = /\(--seed (\d+) gives this text again\)/.exec(first.errors)?.[1] as string;
  const again = await generate(["--seed", seed]);
  expect(again.output).toBe(first.output);
  expect(again.errors).toBe("");
});

test("--seed 0 is a seed as any other; without temperature nothing is drawn", async () => {
  const texts = await Promise.all(["0", "1", "2"].map((seed) => generate(["--seed", seed])));
  expect(new Set(texts.map(({ output }) => output)).size).toBe(3);
  const greedy = await Promise.all(["0", "1"].map((seed) => generate(["--seed", seed, "--temperature", "0"])));
  expect(greedy[0].output).toBe(greedy[1].output);
});

test("a prompt from standard input, limits, penalties, another cache and threads", async () => {
  const { code, output } = await generate(
    [
      "--prompt",
      "-",
      "--seed",
      "1",
      "--min-p",
      "0.1",
      "--repetition-penalty",
      "1.2",
      "--cache-dtype",
      "f16",
      "--threads",
      "1",
    ],
    "It was",
  );
  expect(code).toBe(0);
  expect(output.startsWith("It was")).toBe(true);
  expect(output.length).toBeGreaterThan(8);
});

test("penalties, biases and ways to draw", async () => {
  const free = ["--presence-penalty", "0.5", "--frequency-penalty", "0.5", "--dry-multiplier", "0.8"];
  const broken = ["--dry-sequence-breaker", ",", "--dry-sequence-breaker", ".", "--min-tokens", "3"];
  const drawn = ["--xtc-probability", "0.5", "--top-n-sigma", "2"];
  const { code, errors } = await generate([...free, ...broken, ...drawn, "--seed", "1", "--bad-words", "3,4"]);
  expect([code, errors]).toEqual([0, ""]);
  const one = await generate(["--allowed-tokens", "5", "--logit-bias", "5=2", "--logit-bias", "6=-1", "--seed", "1"]);
  expect(new Set(one.output.trimEnd().slice(-5)).size).toBe(1);
  expect((await generate(["--mirostat", "2", "--mirostat-tau", "2", "--seed", "1"])).code).toBe(0);
});

test("tokens that are proposed do not change a text", async () => {
  const greedy = ["--temperature", "0", "--prompt", "It was it was it was"];
  const { output } = await generate(greedy);
  for (const proposals of [
    ["--prompt-lookup", "4"],
    ["--assistant", "tale"],
  ])
    expect(await generate([...greedy, ...proposals])).toMatchObject({ code: 0, output, errors: "" });
  const both = await generate([...greedy, "--prompt-lookup", "4", "--assistant", "tale"]);
  expect(both).toMatchObject({ code: 1, errors: expect.stringMatching(/--prompt-lookup or --assistant/) });
});

test("of a prompt from standard input one final newline is dropped", async () => {
  const options = ["--prompt", "-", "--temperature", "0"];
  const [plain, ended, twice] = await Promise.all(
    ["It was", "It was\n", "It was\n\n"].map((prompt) => generate(options, prompt)),
  );
  expect(ended.output).toBe(plain.output);
  expect(twice.output.startsWith("It was\n")).toBe(true);
});

test.each([
  ["--temperature", "-1", /^error: .*--temperature of at least 0/],
  ["--top-p", "2", /^error: .*--top-p/],
  ["--prompt-lookup", "0", /^error: .*--prompt-lookup/],
  ["--top-k", "-1", /^error: .*--top-k/],
  ["--min-p", "-1", /^error: .*--min-p/],
  ["--repetition-penalty", "0", /^error: .*--repetition-penalty to be/],
  ["--presence-penalty", "3", /^error: .*--presence-penalty to be a number from -2 to 2/],
  ["--dry-base", "2", /^error: .*--dry-base with --dry-multiplier/],
  ["--allowed-tokens", "1,-2", /'--allowed-tokens <ids>'.*token ids are numbers from 0 on/],
  ["--logit-bias", "7", /'--logit-bias <id=x>'.*write a token id, = and a number/],
  ["--mirostat", "1", /^error: .*--mirostat to be 0 or 2, as version 1 is not built/],
  ["--xtc-threshold", "0.2", /^error: .*--xtc-threshold with --xtc-probability/],
  ["--tokens", "-3", /^error: .*--tokens to be a number of tokens of at least 0/],
  ["--seed", "1.5", /'--seed <n>'/],
])("%s %s is refused before the model is loaded, and nothing is printed", async (option, value, message) => {
  for (const command of ["generate", "chat"]) {
    const { code, output, errors } = await run([command, "not there", option, value]);
    expect(code).toBe(1);
    expect(errors).toMatch(message);
    expect(output).toBe("");
  }
});

test("--max-tokens is asked about", async () => {
  expect((await run(["generate", "tale", "--max-tokens", "3"])).errors).toMatch(/Did you mean --tokens\?/);
  expect((await run(["generate", "--help"])).output).not.toContain("--max-tokens");
});

// the likeliest characters: a drawn one of so new a model is soon the end of the text
test.skipIf(process.platform === "win32")("Ctrl-C ends a text with 130, and what was written stays", async () => {
  const args = ["--context-shift", "--prompt", "It was", "--temperature", "0"];
  let isSent = false;
  const { code, output } = await runProgram(["generate", "tale", "--tokens", "10000000", ...args], {
    folder,
    onOutput: (written, child) => {
      if (isSent || written.output.length <= 20) return;
      isSent = true;
      child.kill("SIGINT");
    },
  });
  expect(code).toBe(130);
  expect(output).toMatch(/^It was.{14,}\n$/s);
});

test("a prompt and an answer beyond the context are refused, unless the beginning may be forgotten", async () => {
  const tooLong = await generate(["--prompt", "It was the best of times", "--context", "24"]);
  expect(tooLong.code).toBe(1);
  expect(tooLong.errors).toMatch(/^error: generate: expected a prompt and an answer of at most 24 tokens together/);
  expect((await generate(["--prompt", "It was the best of times", "--context", "24", "--context-shift"])).code).toBe(0);
  expect((await generate(["--context", "64"])).errors).toMatch(/a --context from 1 to 32; received 64/);
});

test.each([
  ["a learned prompt", { type: "PROMPT_TUNING", numVirtualTokens: 3 }],
  ["a learned prefix", { type: "PREFIX_TUNING", numVirtualTokens: 3 }],
  ["a bottleneck adapter", { type: "BOTTLENECK", reductionFactor: 2, initWeights: "bert" }],
] satisfies [string, AdapterOptions][])("--adapter: %s", async (name, options) => {
  const model = await fromPretrained(join(folder, "runs/tale/model"), { task: "causal-lm" });
  const applied = applyAdapter(model, await newAdapter(model, options, randomKey(3)));
  for (const parameter of applied.parameters.values())
    parameter.set(await normal(randomKey(4), parameter.shape, { standardDeviation: 1 }).read());
  const place = join(folder, name.replaceAll(" ", "-"));
  await applied.save(place);
  const tokenizer = await Tokenizer.open(join(folder, "runs/tale/model"));
  const generator = new Generator(model);
  const ids = await tokenizer.encode("It was");
  const text: number[] = [];
  for await (const id of generator.generate(ids, { temperature: 0, maxNewTokens: 12 })) text.push(id);
  const { code, output } = await generate(["--prompt", "It was", "--temperature", "0", "--adapter", place]);
  expect(code).toBe(0);
  expect(output.trimEnd()).toBe((await tokenizer.decode([...ids, ...text])).trimEnd());
  generator.dispose();
  model.dispose();
});

/** `kindling init` and `kindling train config.yaml`, as users run them. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram } from "../testing/built-program.ts";

const tokenizer = fileURLToPath(new URL("../../golden/tokenizers/bpe-600.tokenizer.json", import.meta.url));
let folder: string;
const run = (...args: string[]) => runProgram(args, { folder, env: process.env });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  const rows = Array.from({ length: 24 }, (_, i) => ({ prompt: `say ${i}`, completion: `it is ${i}` }));
  await writeFile(join(folder, "chat.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
  await writeFile(
    join(folder, "tiny.yaml"),
    `method: sft
model:
  new: { model_type: gpt2, n_embd: 32, n_layer: 1, n_head: 2, vocab_size: 600, n_positions: 64 }
tokenizer: ${tokenizer}
data: { train: chat.jsonl, validationShare: 0.3, maxLength: 32 }
training: { steps: 40, batchSize: 4 }
evaluation: { interval: 20 }
`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

test("init lists methods, writes a config once, and prints the schema", async () => {
  expect((await run("init", "--list")).output).toMatch(/^sft +Supervised fine-tuning/m);
  expect((await run("init", "sft", "--output", "mine.yaml")).output).toMatch(/wrote mine\.yaml/);
  expect(await readFile(join(folder, "mine.yaml"), "utf8")).toMatch(/method:\n {2}name: sft/);
  expect((await run("init", "sft", "--output", "mine.yaml")).errors).toMatch(/a file that is not there yet/);
  expect((await run("init", "stf")).errors).toMatch(/did you mean "sft"/);
  expect(
    JSON.parse((await run("init", "sft", "--schema")).output).properties.training.properties.batchSize,
  ).toBeDefined();
});

test("a plan and a preview train nothing", async () => {
  const { code, output } = await run("train", "tiny.yaml", "--dry-run", "--preview", "1");
  expect(code).toBe(0);
  expect(output).toMatch(/« it is \d+»/);
  expect(output).toMatch(/^steps +40, /m);
  expect(output).toMatch(/^memory +about [\d.]+ \wiB/m);
  expect(await readdir(folder)).not.toContain("runs");
});

test("a run is trained, listed and goes on after Ctrl-C; a field that is not there is named", async () => {
  const { code, output } = await run("train", "tiny.yaml", "training.steps=6", "output=runs/short");
  expect(output).toMatch(/finished at step 6, loss [\d.]+, validation loss [\d.]+/);
  expect(output).toMatch(/saved runs\/short\/model; the report is runs\/short\/report\.html/);
  expect(code).toBe(0);
  expect((await run("runs")).output).toMatch(/^short +finished +sft/m);

  let isAsked = false;
  const stopped = await runProgram(["train", "tiny.yaml", "training.steps=100000"], {
    ...{ folder, env: process.env },
    onOutput: ({ output: text }, child) => {
      if (isAsked || !text.includes("step ")) return;
      isAsked = true;
      child.kill("SIGINT");
    },
  });
  expect(stopped.code).toBe(130);
  expect(stopped.output).toMatch(/saved runs\/tiny\/checkpoint\. To go on: run the same command again/);
  const again = await run("train", "tiny.yaml", "training.steps=1", "optimizer.learningRate=1");
  expect(again.errors).toMatch(/another optimizer\.learningRate/);
  expect((await run("train", "tiny.yaml", "training.stepz=1")).errors).toMatch(/did you mean "steps"/);
});

test("rates and sizes of batches are tried; only the file that is asked for is written", async () => {
  const before = await readdir(folder);
  const find = ["--find-lr", "--find-batch-size", "--findings", "found.json"];
  const { code, output } = await run("train", "tiny.yaml", "output=runs/none", ...find);
  expect([code, output]).toEqual([
    0,
    expect.stringMatching(/^ {4}rate {2}smoothed loss\n {2}1\.0e-7 {2}\d\.\d{4} {2}█/m),
  ]);
  expect(output).toMatch(/^optimizer\.learningRate=\S+ is safe, \S+ is fast\n\n/m);
  expect(output).toMatch(/^training\.batchSize=\d+ is the fastest that fits\n\nwrote found\.json$/m);
  const { learningRate, batchSize } = JSON.parse(await readFile(join(folder, "found.json"), "utf8"));
  expect(learningRate.trials[0]).toMatchObject({ learningRate: 1e-7, loss: expect.any(Number) });
  expect(output).toContain(`batchSize=${batchSize.batchSize} `);
  expect((await readdir(folder)).filter((name) => !before.includes(name))).toEqual(["found.json"]);
  expect(await readdir(join(folder, "runs")).catch(() => [])).not.toContain("none");
});

test("Ctrl-C ends a search in the middle of a step", async () => {
  let asked = Number.POSITIVE_INFINITY;
  const larger = ["model.new.n_embd=512", "model.new.n_layer=6", "training.batchSize=16"];
  const { code, output } = await runProgram(["train", "tiny.yaml", "--find-lr", ...larger], {
    ...{ folder, env: process.env },
    onOutput: ({ output: text }, child) => {
      if (asked < Number.POSITIVE_INFINITY || !text.includes("trying learning rates")) return;
      asked = performance.now();
      child.kill("SIGINT");
    },
  });
  expect([code, output]).toEqual([130, expect.stringMatching(/stopped; nothing has changed\n$/)]);
  expect(performance.now() - asked).toBeLessThan(3000);
});

test("options that would do nothing are refused", async () => {
  const errorsOf = async (...args: string[]) => (await run("train", ...args)).errors;
  expect(await errorsOf("tiny.yaml", "--findings", "x.json")).toMatch(/--findings: expected something to find/);
  expect(await errorsOf("tiny.yaml", "--find-lr", "--restart")).toMatch(/--restart: expected nothing that --find-lr/);
  expect(await errorsOf("tiny.yaml", "--find-batch-size", "--dry-run")).toMatch(/--dry-run: expected nothing that/);
  for (const option of [["--find-lr"], ["--dry-run"], ["--preview", "2"]])
    expect(await errorsOf("--text", "chat.jsonl", ...option)).toMatch(new RegExp(`${option[0]} is of a config`));
});

test("options of texts are refused beside a config, and a config that is not there is named", async () => {
  expect((await run("train", "tiny.yaml", "--steps", "3")).errors).toMatch(/--steps is of --text/);
  expect((await run("train", "none.yaml")).errors).toMatch(/none\.yaml: expected a config file/);
  expect((await run("train")).errors).toMatch(/a config or the option '--text <path>' is missing/);
});

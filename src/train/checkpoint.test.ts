import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { GPT2LMHeadModel } from "../models/index.ts";
import { AdamW } from "../optim/index.ts";
import { randomKey } from "../tensor/index.ts";
import { characterTokenizer } from "../testing/characters.ts";
import { faultAtEach } from "../testing/dying-disk.ts";
import { findCheckpoint, languageModel, loadCheckpoint, saveCheckpoint } from "./index.ts";

vi.mock("node:fs/promises", async (original) => (await import("../testing/dying-disk.ts")).disk.wrap(await original()));

let root: string;
let path: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  path = join(root, "checkpoint");
});
afterAll(() => rm(root, { recursive: true }));

const tokenizer = await characterTokenizer("ab");

/** A model and an optimizer of one number everywhere, without a device. */
function parts(value = 0, hiddenSize = 8, saved = tokenizer) {
  const model = new GPT2LMHeadModel(
    { vocabSize: 3, maxPositionEmbeddings: 8, hiddenSize, numLayers: 1, numHeads: 2 },
    randomKey(1),
  );
  const optimizer = new AdamW(model.namedParameters());
  const fill = (variable: { shape: readonly number[] }) =>
    new Float32Array(variable.shape.reduce((a, b) => a * b, 1)).fill(value);
  for (const variable of model.parameters()) variable.set(fill(variable));
  for (const variable of optimizer.state.values()) if (variable.dtype === "f32") variable.set(fill(variable));
  return { model, objective: languageModel(model, { tokenizer: saved }), optimizer };
}
const state = (step: number) => ({
  step,
  validationLoss: null,
  validationStep: null,
  elapsedSeconds: 0,
  fingerprint: { corpus: "a", tokenizer: "b" },
});
const save = (step: number) => saveCheckpoint(path, { ...parts(step), state: state(step) });
async function load() {
  const target = parts();
  const { step } = await loadCheckpoint((await findCheckpoint(path)) as string, target);
  for (const variable of [...target.model.parameters(), ...target.optimizer.state.values()]) {
    if (variable.dtype === "f32") expect(new Set<number | bigint>(await variable.read())).toEqual(new Set([step]));
  }
  return step;
}
const clear = () => rm(path, { recursive: true, force: true });

test("the old one or the new one is there and the next is saved, whenever the program is killed", async () => {
  const operations = await faultAtEach(() => save(2), {
    prepare: () => clear().then(() => save(1)),
    check: async () => {
      expect([1, 2]).toContain(await load());
      await save(3);
      expect(await load()).toBe(3);
      expect(await readdir(root)).toEqual(["checkpoint"]);
    },
  });
  expect(operations.length).toBeGreaterThan(40);
});

test("one that fails half-way leaves the previous, and says so only where there is one", async () => {
  await clear();
  const failing = await characterTokenizer("ab");
  vi.spyOn(failing, "save").mockRejectedValue(Object.assign(new Error("no space left on device"), { code: "ENOSPC" }));
  await expect(saveCheckpoint(path, { ...parts(0, 8, failing), state: state(1) })).rejects.toThrow(
    /a full disk\. Fix: free space, or name a folder on another disk\.$/,
  );
  await save(1);
  await expect(saveCheckpoint(path, { ...parts(0, 8, failing), state: state(2) })).rejects.toThrow(
    /a full disk.*the previous checkpoint is still there/,
  );
  expect(await load()).toBe(1);
});

test("an unfinished temporary folder is not taken for a checkpoint, an empty one is not passed over", async () => {
  await clear();
  await mkdir(`${path}.tmp`);
  expect(await findCheckpoint(path)).toBeUndefined();
  await mkdir(path);
  await expect(load()).rejects.toThrow(
    /SHA256SUMS: expected the sums of the folder's files; received none: a part is missing.*--restart/,
  );
});

test("every part that is missing or has one other bit is noticed, and nothing is loaded", async () => {
  await clear();
  await save(1);
  const names = await readdir(path);
  expect(names.length).toBeGreaterThan(6);
  for (const name of names) {
    const file = join(path, name);
    const bytes = await readFile(file);
    for (const at of [0, bytes.length >> 1, bytes.length - 1]) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] ^= 1;
      await writeFile(file, damaged);
      await expect(load(), `${name}, byte ${at}`).rejects.toThrow(
        /Fix: put the part back, or begin anew with --restart/,
      );
    }
    await rm(file);
    await expect(load(), name).rejects.toThrow(/Fix: put the part back/);
    await writeFile(file, bytes);
  }
  expect(await load()).toBe(1);
});

test("one of another model or of other data is refused and changes nothing", async () => {
  await clear();
  await save(1);
  const wider = parts(5, 16);
  await expect(loadCheckpoint(path, { objective: wider.objective, optimizer: parts().optimizer })).rejects.toThrow(
    /expected shape/,
  );
  const same = parts(5);
  await expect(loadCheckpoint(path, { ...same, fingerprint: { corpus: "a", tokenizer: "c" } })).rejects.toThrow(
    /another tokenizer \(by sha256\).*old text/,
  );
  for (const { model } of [wider, same]) expect(new Set(await model.parameters()[0].read())).toEqual(new Set([5]));
});

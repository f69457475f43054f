import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { kindOf } from "./records.ts";
import { logBytes, logRecords } from "./transaction-log.ts";
import { wandb } from "./wandb.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});

async function session(resumedStep: number, until: number): Promise<void> {
  const tracker = wandb({ folder: join(folder, "wandb") });
  tracker.start({ name: "a", folder, config: { learningRate: 0.1 } }, resumedStep);
  for (let step = resumedStep + 1; step <= until; step++) tracker.log(step, { "train/loss": 1 / step });
  tracker.log(until, { "validation/loss": Number.NaN });
  tracker.text(until, "sample", "Call me Ishmael");
  tracker.histogram(until, "weights", [-1, 0, 1]);
  await tracker.finish({ end: "finished", step: until, values: {} });
}

async function files(): Promise<string[]> {
  const names = (await readdir(join(folder, "wandb"), { recursive: true })).filter((name) => name.endsWith(".wandb"));
  return names.map((name) => join(folder, "wandb", name)).sort();
}

const kinds = async (file: string) => {
  const list = logRecords(await readFile(file)).map(kindOf);
  return list.map(({ kind, step }) => (kind === "history" ? step : kind));
};

test("records of any length are cut at the ends of blocks, and read again", () => {
  const records = [1, 5, 32_700, 40, 100_000, 7, 32_754, 32_755].map((length) => new Uint8Array(length).fill(length));
  let file = Buffer.alloc(0);
  for (const record of records) file = Buffer.concat([file, logBytes([record], file.length)]);
  expect(file.equals(Buffer.from(logBytes(records, 0)))).toBe(true);
  expect(logRecords(file).map((record) => [record.length, record[0]])).toEqual(
    records.map((record) => [record.length, record[0]]),
  );
  expect(logRecords(file.subarray(0, file.length - 1))).toHaveLength(records.length - 1);
  expect(logRecords(Buffer.from("another file"))).toEqual([]);
});

test("a step is a row, and a run that goes on takes back what came after its checkpoint", async () => {
  await session(0, 5);
  const [file] = await files();
  expect(await kinds(file)).toEqual(["head", "head", 1, 2, 3, 4, 5, "other", "other"]);
  await session(3, 6);
  expect(await files()).toEqual([file]);
  expect(await kinds(file)).toEqual(["head", "head", 1, 2, 3, 4, 5, 6, "other", "other"]);
});

test("a run that was synced goes on in a new file of the same id", async () => {
  await session(0, 2);
  const [file] = await files();
  await writeFile(`${file}.synced`, "");
  await new Promise((resolve) => setTimeout(resolve, 1100)); // folders are named by the second
  await session(2, 3);
  const [first, second] = await files();
  expect(await kinds(second)).toEqual(["head", "head", 3, "other", "other"]);
  expect(second.slice(-15)).toBe(first.slice(-15));
  await rm(folder, { recursive: true });
});

import { appendFile, mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { csv, jsonl } from "./text-files.ts";
import type { Tracker } from "./tracker.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
const end = { end: "finished", step: 3, values: {} } as const;
const content = (name: string) => readFile(join(folder, name), "utf8");

async function session(tracker: Tracker, resumedStep: number, steps: readonly [number, Record<string, number>][]) {
  tracker.start({ name: "a", folder, config: {} }, resumedStep);
  for (const [step, values] of steps) tracker.log(step, values);
  await tracker.finish(end);
}

test("CSV: later numbers get a column, and a resumed run writes no step twice", async () => {
  await session(csv(), 0, [
    [1, { "train/loss": 3 }],
    [2, { "train/loss": 2 }],
    [2, { 'a "good", loss': 2.5 }],
    [3, { "train/loss": 1 }],
  ]);
  await appendFile(join(folder, "tracked.csv"), "4,2026-"); // torn by a kill
  await session(csv(), 2, [[3, { "train/loss": 1.5, 'a "good", loss': Number.NaN }]]);
  const rows = (await content("tracked.csv")).replace(/[\dT:.-]+Z/g, "time").split("\n");
  expect(rows).toEqual([
    'step,time,train/loss,"a ""good"", loss"',
    "1,time,3,",
    "2,time,2,",
    "2,time,,2.5",
    "3,time,1.5,NaN",
    "",
  ]);
});

test("JSON Lines: numbers and texts, and a resumed run writes no step twice", async () => {
  const tracker = jsonl();
  tracker.text(1, "sample", "Call me\nIshmael");
  await session(tracker, 0, [
    [1, { loss: 3 }],
    [2, { loss: 2 }],
  ]);
  await appendFile(join(folder, "tracked.jsonl"), '{"step": 1, "lo');
  await session(jsonl(), 1, [[2, { loss: 2.5 }]]);
  const lines = (await content("tracked.jsonl"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toMatchObject([
    { step: 1, text: "Call me\nIshmael" },
    { step: 1, loss: 3 },
    { step: 2, loss: 2.5 },
  ]);
});

test("a new run in the same folder begins its files anew", async () => {
  await session(jsonl(), 0, [[1, { loss: 3 }]]);
  await session(jsonl(), 0, [[1, { loss: 4 }]]);
  expect(JSON.parse(await content("tracked.jsonl"))).toMatchObject({ loss: 4 });
});

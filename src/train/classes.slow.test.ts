/** Every golden model with a loss through `train`, as PyTorch trains it; and resumed half way, with dropout. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, test } from "vitest";
import { expectTrace, traces, trainedAndResumed } from "../testing/train-trace.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe.each(Object.keys(traces.traces))("%s", (name) => {
  test("without dropout, PyTorch's losses", async () => {
    // with AdamW two of DETR's queries come to cost the same, and rounding decides which one an object is given to
    const optimizer = name === "models/detr" ? "sgd" : "adamw";
    const losses = await trainedAndResumed(name, { folder: join(folder, name, optimizer), dropout: 0, optimizer });
    expectTrace(name, optimizer, losses);
  }, 120_000);

  test("with dropout", async () => {
    await trainedAndResumed(name, { folder: join(folder, name, "dropout"), dropout: 0.1 });
  }, 120_000);
});

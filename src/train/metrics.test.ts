import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MetricsLog } from "./metrics.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(root, { recursive: true }));

const lines = async (path: string) => (await readFile(path, "utf8")).split("\n");

test("each step is there once, though a killed session wrote on after its checkpoint and tore its last line", async () => {
  const path = join(root, "metrics.jsonl");
  const first = await MetricsLog.open(path, 0);
  for (const step of [1, 2, 3, 4]) await first.write({ step, loss: step });
  await first.write({ step: 2, validationLoss: 9 });
  await first.close();
  await writeFile(path, `${await readFile(path, "utf8")}{"step":5,"lo`);
  const second = await MetricsLog.open(path, 2);
  await second.write({ step: 3, loss: 30 });
  await second.close();
  expect(await lines(path)).toEqual([
    '{"step":1,"loss":1}',
    '{"step":2,"loss":2}',
    '{"step":2,"validationLoss":9}',
    '{"step":3,"loss":30}',
    "",
  ]);
});

test("what earlier versions wrote twice or tore is put right", async () => {
  const path = join(root, "old.jsonl");
  await writeFile(
    path,
    '{"step":1,"loss":1}\n{"step":2,"loss":2}\n{"step":2,"loss":22}\n{"step":3,"lo{"step":3,"loss":3}\n\nnull\n',
  );
  await (await MetricsLog.open(path, 9)).close();
  expect(await lines(path)).toEqual(['{"step":1,"loss":1}', '{"step":2,"loss":22}', ""]);
});

test("a file that cannot be written is named", async () => {
  await expect(MetricsLog.open(join(root, "none", "metrics.jsonl"), 0)).rejects.toThrow(
    /metrics.jsonl: expected to write there; received nothing there/,
  );
});

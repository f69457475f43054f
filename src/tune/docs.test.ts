/** docs/tuning.md: its programs run, and its study is one. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { methods, resolveConfig, withField } from "../methods/index.ts";
import { docPage, runBlock } from "../testing/doc-programs.ts";
import * as tune from "./index.ts";

const { blocks } = await docPage("tuning.md");
const run = (code: string) => runBlock(code, { "kindling/tune": tune });

test("the programs run and give what they are for", async () => {
  const [search, processes, validation, ...others] = blocks("ts");
  expect(others).toEqual([]);
  const [[optimizer, value, stopReason]] = await run(search);
  expect(["adamw", "sgd"]).toContain(optimizer);
  expect(value).toBeLessThan(1.5);
  expect(stopReason).toBe("trials");
  const [[values]] = (await run(processes)) as [number[]][];
  expect(values).toHaveLength(4);
  expect(Math.max(...values)).toBeLessThanOrEqual(1);
  const [[mean, interval, predictions]] = (await run(validation)) as [number, number[], string[]][];
  expect(mean).toBe(1);
  expect(interval).toEqual([1, 1]);
  expect(predictions).toEqual(["ham", "ham", "ham", "spam", "spam", "spam", "ham", "ham", "spam", "spam"]);
});

test("the study is read, and its first trial is the one that it says", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  try {
    const [study] = blocks("yaml");
    await writeFile(join(folder, "study.yaml"), study);
    const { name, options, example } = await tune.readStudyFile(join(folder, "study.yaml"));
    expect(name).toBe("study");
    expect(options).toMatchObject({ trials: 40, concurrency: 2, trialTimeoutMs: 3_600_000, direction: "minimize" });
    const words = example({ folder: "x", threads: 1 });
    expect(words.slice(0, 3)).toEqual(["kindling", "train", join(folder, "train.yaml")]);
    const overrides = words.slice(3);
    expect(overrides.at(-1)).toBe("output=x/run");
    const config = { method: "sft", model: "a/b", data: { train: "c.jsonl" } };
    const where = { methods, where: "study", folder, name: "x" };
    const resolved = await resolveConfig(overrides.reduce<unknown>(withField, config), where);
    expect(Object.keys(resolved.config.optimizer)).toEqual(expect.arrayContaining(["learningRate", "name"]));
    const [, promoted, front] = blocks("yaml");
    for (const [i, more] of [promoted, `${front}config: train.yaml\n`].entries()) {
      const text = `space: { x: [1, 2] }\n${more}${i === 0 ? "metric: validationLoss\n" : ""}`;
      await writeFile(join(folder, "more.yaml"), text);
      expect((await tune.readStudyFile(join(folder, "more.yaml"))).options.sampler.name).toBe(["asha", "tpe"][i]);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** Conversations with pictures through the method: ids, loss and gradients of transformers, golden/make_llava.py. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { IGNORED_LABEL } from "../base/index.ts";
import { readSafetensors } from "../files/index.ts";
import type { Parameter } from "../nn/index.ts";
import { compile, grad } from "../tensor/index.ts";
import { expectClose, tolerances } from "../testing/close.ts";
import { methods, resolveConfig } from "./index.ts";
import type { PicturedBatch } from "./vision-language/batches.ts";

interface Golden {
  pictures: string[];
  rows: { role: string; content: (string | number)[] }[][];
  cases: Record<"llava" | "qwen2-vl", Case>;
}
interface Case {
  ids: number[][];
  learned: number[][];
  loss: number;
  gradients: Record<string, number[]>;
  /** With the adapter of golden/llava-adapter. */
  adapted?: number;
}
const folder = fileURLToPath(new URL("../../golden/", import.meta.url));
const golden = JSON.parse(readFileSync(`${folder}llava.json`, "utf8")) as Golden;
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-llava-"));
  for (const [i, picture] of golden.pictures.entries())
    await writeFile(join(root, `${i}.png`), Buffer.from(picture, "base64"));
  const partOf = (part: string | number) =>
    typeof part === "string" ? { type: "text", text: part } : { type: "image", path: `${part}.png` };
  const parts = golden.rows.map((row) => ({
    messages: row.map(({ role, content }) => ({ role, content: content.map(partOf) })),
  }));
  const marks = golden.rows.map((row) => ({
    image: row.flatMap(({ content }) => content.flatMap((part) => (typeof part === "number" ? [`${part}.png`] : []))),
    conversations: row.map(({ role, content }) => ({
      from: role === "user" ? "human" : "gpt",
      value: content.map((part) => (typeof part === "number" ? "<image>\n" : part)).join(""),
    })),
  }));
  await writeFile(join(root, "parts.jsonl"), parts.map((row) => JSON.stringify(row)).join("\n"));
  await writeFile(join(root, "marks.json"), JSON.stringify(marks));
});
afterAll(() => rm(root, { recursive: true }));

const nonzero = (numbers: readonly number[]) => numbers.some((value) => value !== 0);

test.each([
  ["llava", "parts.jsonl"],
  ["llava", "marks.json"],
  ["qwen2-vl", "parts.jsonl"],
] as const)("%s, %s: ids, what is learned, loss and gradients are transformers'", async (name, file) => {
  const { ids, learned, loss, gradients } = golden.cases[name];
  const input = {
    method: { name: "llava", stage: "full" },
    model: `${folder}pipelines/models/${name}`,
    data: { train: file, validation: file },
    training: { batchSize: 3 },
  };
  const { method, config } = await resolveConfig(input, { methods, where: "test", folder: root, name });
  const prepared = await method.prepare(config, { folder: root, onWarning: () => {} });
  const batch = (await prepared.validationData?.batch(0)) as PicturedBatch;
  const width = batch.inputIds.size(1);
  const [tokens, labels] = [await batch.inputIds.read(), await batch.shiftLabels.read()];
  for (const [row, expected] of ids.entries()) {
    const at = row * width;
    expect([...tokens.subarray(at, at + expected.length)]).toEqual(expected);
    const next = expected.slice(1).map((id, i) => (learned[row][i + 1] ? id : IGNORED_LABEL));
    expect([...labels.subarray(at, at + next.length)]).toEqual(next);
  }
  const all = prepared.model.namedParameters();
  const names = Object.keys(gradients);
  const measure = (inputs: PicturedBatch) => {
    const { loss: value } = prepared.objective.loss(inputs, {});
    const parameters = names.map((key) => all.get(key) as Parameter);
    return { value, gradients: grad(value, parameters) };
  };
  const actual = await (
    compile(measure as never) as unknown as (b: PicturedBatch) => Promise<ReturnType<typeof measure>>
  )(batch);
  expectClose("loss", [await actual.value.item()], [loss], tolerances.f32 as number);
  for (const [i, key] of names.entries()) {
    expect(nonzero(gradients[key])).toBe(true);
    expectClose(key, await actual.gradients[i].read(), gradients[key], tolerances.f32 as number);
  }
  const isTower = (key: string) => /^(vision_tower|visual\.(?!merger))/.test(key);
  expect([...prepared.objective.trained.keys()].filter(isTower)).toEqual([]);
  expect(prepared.objective.trained.size).toBe([...all.keys()].filter((key) => !isTower(key)).length);
  expect(await prepared.preview?.(2)).toContain("[picture 1: ");
  await prepared.close();
  const aligned = { ...input, method: { name: "llava", stage: "projector" } };
  const first = await resolveConfig(aligned, { methods, where: "test", folder: root, name });
  const { objective, close } = await first.method.prepare(first.config, { folder: root, onWarning: () => {} });
  const projector = [...all.keys()].filter((key) => /^(multi_modal_projector|visual\.merger)\./.test(key));
  expect([...objective.trained.keys()]).toEqual(projector);
  await close();
});

test("an adapter of peft is gone on with, and saved under the names that peft has", async () => {
  const adapter = `${folder}llava-adapter`;
  const input = {
    method: { name: "llava", stage: "full" },
    model: `${folder}pipelines/models/llava`,
    adapter: { from: adapter },
    data: { train: "parts.jsonl", validation: "parts.jsonl" },
    training: { batchSize: 3 },
  };
  const { method, config } = await resolveConfig(input, { methods, where: "test", folder: root, name: "adapted" });
  const prepared = await method.prepare(config, { folder: root, onWarning: () => {} });
  const batch = await prepared.validationData?.batch(0);
  const loss = await prepared.objective.loss(batch, {}).loss.item();
  expectClose("loss", [loss], [golden.cases.llava.adapted as number], tolerances.f32 as number);
  await prepared.objective.save(join(root, "adapter"));
  const keys = async (place: string) =>
    [...(await readSafetensors(join(place, "adapter_model.safetensors"))).tensors.keys()].sort();
  expect(await keys(join(root, "adapter"))).toEqual(await keys(adapter));
  await prepared.close();
});

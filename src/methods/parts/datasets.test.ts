/** Rows that a config names, in parts for training and validation. */
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { methodConfig } from "../../testing/method-config.ts";
import { openData } from "./datasets.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-datasets-"));
  for (const label of ["cat", "dog"]) {
    await mkdir(join(root, "here", label), { recursive: true });
    for (let i = 0; i < 20; i++) await writeFile(join(root, "here", label, `${label}-${i}.png`), "");
  }
  await cp(join(root, "here"), join(root, "elsewhere"), { recursive: true });
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** Names of the pictures that are measured on. */
async function measuredIn(path: string): Promise<string[]> {
  const { data } = methodConfig("image-classification", { model: "none", data: { train: path, validationShare: 0.3 } });
  const { validation, close } = await openData(data, { folder: root, onWarning: () => {} });
  const names: string[] = [];
  for await (const { image } of validation ?? []) names.push(basename(String(image)));
  await close();
  return names;
}

test("pictures are measured on or learned wherever their folder lies, and however it is called", async () => {
  const names = await measuredIn(join(root, "here"));
  expect(names.length).toBeGreaterThan(3);
  expect(await measuredIn(join(root, "elsewhere"))).toEqual(names);
  expect(await measuredIn(`${root}//elsewhere/`)).toEqual(names);
});

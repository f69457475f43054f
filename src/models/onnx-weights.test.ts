/** Weights of ONNX files, by PyTorch's exporter: the same as in the checkpoint that they were made of. */
import { readdirSync } from "node:fs";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readBytes } from "../files/index.ts";
import { goldenModels } from "../testing/golden-model.ts";
import { fromPretrained, inspectModel } from "./index.ts";

const exported = fileURLToPath(new URL("../../golden/models-onnx/", import.meta.url));

test.each(readdirSync(exported))("%s", async (name) => {
  const [imported, expected] = await Promise.all(
    [join(exported, name), join(goldenModels, name)].map((path) => fromPretrained(path)),
  );
  const stored = imported.namedParameters();
  for (const [key, parameter] of expected.namedParameters()) {
    expect([key, await stored.get(key)?.value.read()]).toEqual([key, await parameter.value.read()]);
  }
  const report = await inspectModel(join(exported, name));
  expect(report.architecture).toBe(expected.architecture);
  for (const model of [imported, expected]) model.dispose();
});

test("a file that lacks weights is refused by strict loading", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kindling-"));
  await cp(join(exported, "bert-masked-lm"), folder, { recursive: true });
  const path = join(folder, "onnx", "model.onnx");
  const bytes = await readBytes(path);
  // an optimizer may give it another name
  const at = Buffer.from(bytes).lastIndexOf("bert.encoder.layer.0.output.dense.bias");
  bytes[at] = "x".charCodeAt(0);
  await writeFile(path, bytes);
  await expect(fromPretrained(folder, { strict: true })).rejects.toThrow(
    /without bert\.encoder\.layer\.0\.output\.dense\.bias/,
  );
  await rm(folder, { recursive: true });
});

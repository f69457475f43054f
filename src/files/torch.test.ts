/** Checkpoints of torch.save: their numbers, and hostile files. */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DataError } from "../base/index.ts";
import { readJson, readSafetensors, readTorch } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/torch/", import.meta.url));
interface Expected {
  checkpoints: Record<string, { file: string; expected: string; dtypes: Record<string, string> }>;
  unsupported: Record<string, { file: string; mention: string | null }>;
}
const { checkpoints, unsupported } = (await readJson(join(golden, "expected.json"))) as unknown as Expected;
interface Hostile {
  marker: string;
  files: Record<string, { about: string; outcome: "refuse" | "either"; data: string; mention?: string }>;
}
const hostile: Hostile = JSON.parse(gunzipSync(await readFile(join(golden, "hostile.json.gz"))).toString());

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe.each(Object.entries(checkpoints).filter(([, { file }]) => !file.endsWith(".json")))(
  "%s",
  (_, { file, expected, dtypes }) => {
    test("gives torch's numbers", async () => {
      const state = await readTorch(join(golden, file));
      const { tensors } = await readSafetensors(join(golden, expected));
      expect([...state.keys()].sort()).toEqual(Object.keys(dtypes).sort());
      for (const [name, { dtype, shape, data }] of tensors) {
        expect([name, state.get(name)?.dtype, state.get(name)?.shape]).toEqual([name, dtype, [...shape]]);
        expect([name, state.get(name)?.data]).toEqual([name, data]);
      }
    });
  },
);

test.each(Object.entries(unsupported))("what is no state dict is an error: %s", async (_, { file, mention }) => {
  const error = await readTorch(join(golden, file)).catch((cause) => cause);
  expect(error).toBeInstanceOf(DataError);
  if (mention) expect(error.message).toContain(mention);
});

test("hostile files run nothing, hang nowhere and are refused", async () => {
  const marker = join(tmpdir(), "kindling-pickle-ran");
  for (const [name, { outcome, data, mention }] of Object.entries(hostile.files)) {
    const path = join(folder, "hostile.pt");
    await writeFile(path, Buffer.from(data, "base64"));
    const started = performance.now();
    const result = await readTorch(path).catch((cause) => cause);
    expect([name, performance.now() - started < 5000]).toEqual([name, true]);
    if (result instanceof Map) {
      expect([name, outcome]).toEqual([name, "either"]);
      expect([name, [...(result.get("w")?.data ?? [])]]).toEqual([name, [1, 2, 3, 4]]);
    } else {
      expect([name, result]).toEqual([name, expect.any(DataError)]);
      if (mention) expect([name, result.message]).toEqual([name, expect.stringContaining(mention)]);
    }
  }
  expect(existsSync(marker)).toBe(false);
  expect(({} as Record<string, unknown>).w).toBeUndefined();
}, 120_000);

test("damaged files are errors of ours", async () => {
  const files = await Promise.all(
    ["dtypes.pt", "legacy.bin", "deflated.pt", "protocol-4.pt"].map((file) => readFile(join(golden, file))),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...files),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.nat(),
      async (file, changes, cut) => {
        const bytes = Buffer.from(file);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        const path = join(folder, "damaged.pt");
        await writeFile(path, cut % 4 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes);
        const result = await readTorch(path).catch((cause) => cause);
        expect(result instanceof Map || result instanceof DataError).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
}, 120_000);

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DataError } from "../base/index.ts";
import {
  parseHeader,
  readSafetensors,
  type StoredTensor,
  writeFileAtomic,
  writeFolderAtomic,
  writeSafetensors,
} from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

const tensors = new Map<string, StoredTensor>([
  ["a", { dtype: "f32", shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
  ["empty", { dtype: "i64", shape: [0, 4], data: new BigInt64Array(0) }],
  ["scalar", { dtype: "bf16", shape: [], data: Uint16Array.of(0x3f80) }],
  ["flags", { dtype: "bool", shape: [3], data: Uint8Array.of(1, 0, 1) }],
]);

test("what is written is read", async () => {
  const path = join(folder, "all.safetensors");
  await writeSafetensors(path, tensors, { format: "pt" });
  const read = await readSafetensors(path);
  expect(read.tensors).toEqual(tensors);
  expect(read.metadata).toEqual({ format: "pt" });
  await expect(readSafetensors(path, ["b"])).rejects.toThrow(/a tensor named b/);
});

test("headers that lie are refused", () => {
  const parse = (header: object, bytes: number) => {
    const json = new TextEncoder().encode(JSON.stringify(header));
    return () => parseHeader("x", json, 8 + json.length + bytes);
  };
  const good = { dtype: "F32", shape: [2], data_offsets: [0, 8] };
  expect(parse({ w: good }, 8)().tensors.size).toBe(1);
  expect(parse({ w: { ...good, data_offsets: [0, 12] } }, 12)).toThrow(/8 bytes for tensor w/);
  expect(parse({ w: { ...good, data_offsets: [8, 16] } }, 16)).toThrow(/start at byte 0/);
  expect(parse({ w: { ...good, shape: [2 ** 40, 2 ** 40] } }, 8)).toThrow(DataError);
  expect(parse({ w: { ...good, shape: [-2] } }, 8)).toThrow(/shape of integers/);
  expect(parse({ w: { ...good, dtype: "F9" } }, 8)).toThrow(/one of the dtypes/);
  expect(parse({ w: good, v: { ...good } }, 16)).toThrow(/start at byte 8/);
  expect(parse({ w: good }, 7)).toThrow(/as the header says/);
  expect(parse([], 0)).toThrow(/JSON object/);
});

test("damaged files give a DataError, never another error", async () => {
  const path = join(folder, "fuzz.safetensors");
  await writeSafetensors(path, tensors);
  const original = await readFile(path);
  await fc.assert(
    fc.asyncProperty(fc.nat(original.length - 1), fc.nat(255), fc.nat(original.length), async (at, byte, length) => {
      const bytes = Uint8Array.from(original.subarray(0, length));
      if (at < bytes.length) bytes[at] = byte;
      await writeFile(path, bytes);
      try {
        await readSafetensors(path);
      } catch (error) {
        expect(error).toBeInstanceOf(DataError);
      }
    }),
    { numRuns: 300 },
  );
});

test("a write that fails leaves the old file and no litter", async () => {
  const path = join(folder, "kept", "file.txt");
  await writeFileAtomic(path, "old");
  const failing = [
    new Uint8Array(4),
    // biome-ignore lint/suspicious/noExplicitAny: something that cannot be written, as a full disk would refuse it
    null as any,
  ];
  await expect(writeFileAtomic(path, failing)).rejects.toThrow();
  expect(await readFile(path, "utf8")).toBe("old");
  expect(await readdir(join(folder, "kept"))).toEqual(["file.txt"]);
});

test("a folder is replaced whole or not at all", async () => {
  const path = join(folder, "checkpoint");
  const fill = (text: string) => (temporary: string) => writeFile(join(temporary, "x"), text);
  await writeFolderAtomic(path, fill("1"));
  await expect(
    writeFolderAtomic(path, async (temporary) => {
      await writeFile(join(temporary, "x"), "half");
      throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    }),
  ).rejects.toThrow(/a full disk/);
  expect(await readFile(join(path, "x"), "utf8")).toBe("1");
  await writeFolderAtomic(path, fill("2"));
  expect(await readFile(join(path, "x"), "utf8")).toBe("2");
  expect((await readdir(folder)).filter((name) => name.startsWith("checkpoint"))).toEqual(["checkpoint"]);
});

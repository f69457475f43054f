import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BlockMatrix, DataError } from "../base/index.ts";
import {
  decodeBlocks,
  encodeBlocks,
  GgufFile,
  type GgufTensor,
  type GgufType,
  type GgufValue,
  packBlocks,
  parseGgufHeader,
  readJson,
  writeGguf,
} from "./index.ts";

const golden = (name: string) => fileURLToPath(new URL(`../../golden/gguf/${name}`, import.meta.url));
const { tensors: expected } = (await readJson(golden("expected.json"))) as {
  tensors: Record<string, { source?: number[]; data: number[] }>;
};
const original = await readFile(golden("blocks.gguf"));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe.each(Object.entries(expected))("%s of the gguf package", (name, { source, data }) => {
  test("stands for the same numbers", async () => {
    const file = await GgufFile.open(golden("blocks.gguf"));
    const read = await file.read(name);
    expect(read.data).toEqual(Float32Array.from(data));
    expect(read.shape.reduce((a, b) => a * b, 1)).toBe(data.length);
    await file.close();
  });

  test.skipIf(!source || name === "Q5_1")("is written with the same bytes", async () => {
    const file = await GgufFile.open(golden("blocks.gguf"));
    const { bytes } = await file.readBlocks(name);
    expect(encodeBlocks(name.toLowerCase() as GgufType, Float32Array.from(source as number[]))).toEqual(bytes);
    await file.close();
  });
});

describe("integers of blocks", () => {
  const types = Object.keys(expected).map((name) => name.toLowerCase() as GgufType);
  test.each(types.filter((type) => type.startsWith("q")))(
    "%s: integers, scales and minimums give the numbers",
    async (type) => {
      const file = await GgufFile.open(golden("blocks.gguf"));
      const { bytes } = await file.readBlocks(type.toUpperCase());
      const { bits, blockSize, packed, scales, minimums, zero } = packBlocks(type, bytes) as BlockMatrix;
      const q = (i: number) => (bits === 8 ? packed[i] : (packed[i >> 1] >> (4 * (i & 1))) & 15);
      const numbers = Float32Array.from({ length: scales.length * blockSize }, (_, i) => {
        const block = Math.floor(i / blockSize);
        return (q(i) - zero) * scales[block] + (minimums?.[block] ?? 0);
      });
      const data = Float32Array.from(expected[type.toUpperCase()].data);
      expect([...numbers].map((x) => x + 0)).toEqual([...data].map((x) => x + 0)); // -0 is 0 here
      await file.close();
    },
  );
  test("numbers that are stored as they are have none", () => {
    expect(packBlocks("f16", new Uint8Array(8))).toBeUndefined();
  });
  test("q4_k is closer to the numbers than q4_1, and exact where it can be", () => {
    const bell = Float32Array.from(
      { length: 2048 },
      (_, i) => Math.sqrt(-2 * Math.log(((i * 7919) % 2048) / 2048 + 1e-4)) * Math.cos(i * 2.399),
    );
    const errorOf = (type: GgufType) =>
      decodeBlocks(type, encodeBlocks(type, bell) as Uint8Array).reduce((sum, x, i) => sum + (x - bell[i]) ** 2, 0);
    expect(errorOf("q4_k")).toBeLessThan(errorOf("q4_1"));
    expect(errorOf("q4_k")).toBeLessThan(errorOf("q4_0"));
    const steps = Float32Array.from({ length: 256 }, (_, i) => i % 16);
    const back = decodeBlocks("q4_k", encodeBlocks("q4_k", steps) as Uint8Array);
    expect(back.every((x, i) => Math.abs(x - steps[i]) < 0.005)).toBe(true); // the scale, 1, is 63 parts of an f16
    expect(
      [...decodeBlocks("q4_k", encodeBlocks("q4_k", new Float32Array(256)) as Uint8Array)].every((x) => x === 0),
    ).toBe(true);
  });
});

test("metadata of every kind", () => {
  const { metadata, version } = parseGgufHeader("x", original, original.length) ?? { metadata: new Map() };
  expect(version).toBe(3);
  expect(Object.fromEntries(metadata)).toEqual({
    "general.architecture": "test",
    "kinds.u8": 200,
    "kinds.i8": -100,
    "kinds.u16": 60000,
    "kinds.i16": -30000,
    "kinds.u32": 4_000_000_000,
    "kinds.i32": -2_000_000_000,
    "kinds.u64": 2n ** 63n + 1n,
    "kinds.i64": -(2 ** 40),
    "kinds.f32": 0.25,
    "kinds.f64": 0.1,
    "kinds.bool": true,
    "kinds.text": "Grüße, 世界",
    "kinds.texts": ["a", "", "🙂"],
    "kinds.numbers": [1, 2, -3],
    "kinds.fractions": [0.5, -0.25],
  });
});

test("what is written is read", async () => {
  const path = join(folder, "written.gguf");
  const metadata = new Map<string, GgufValue>([
    ["general.architecture", "llama"],
    ["small", -5],
    ["large", 2 ** 40],
    ["huge", 2n ** 63n + 1n],
    ["half", 0.5],
    ["yes", true],
    ["none", []],
    ["mixed", [1, 0.5]],
    ["nested", [[1, 2], [3]]],
    ["texts", ["ein", "zwei"]],
  ]);
  const numbers = Float32Array.from({ length: 128 }, (_, i) => Math.fround(i / 8));
  const tensors = new Map<string, GgufTensor>([
    ["a", { type: "f32", shape: [3], data: Float32Array.of(1, 2, 3) }],
    ["b", { type: "f16", shape: [2, 2, 32], data: numbers }],
    ["c", { type: "q8_0", shape: [4, 32], data: new Float32Array(128).fill(127) }],
    ["scalar", { type: "bf16", shape: [], data: Float32Array.of(2) }],
  ]);
  await writeGguf(path, metadata, tensors);
  const file = await GgufFile.open(path);
  expect(file.header.metadata).toEqual(metadata);
  for (const [name, { shape, data }] of tensors) expect(await file.read(name)).toEqual({ shape, data });
  await expect(file.read("d")).rejects.toThrow(/a tensor named d/);
  await file.close();
  const write = (tensor: GgufTensor) => writeGguf(path, new Map(), new Map([["w", tensor]]));
  await expect(write({ type: "q4_0", shape: [16], data: new Float32Array(16) })).rejects.toThrow(
    /whole blocks.*q4_0\[16\].*f16/,
  );
  await expect(write({ type: "q6_k", shape: [256], data: new Float32Array(256) })).rejects.toThrow(/choose f32/);
});

test("a header longer than what is read at first", async () => {
  const path = join(folder, "long.gguf");
  const words = Array.from({ length: 120_000 }, (_, i) => `token number ${i}`);
  await writeGguf(path, new Map([["tokenizer.ggml.tokens", words]]), new Map());
  const file = await GgufFile.open(path);
  expect(file.header.metadata.get("tokenizer.ggml.tokens")).toEqual(words);
  await file.close();
});

test("a header that lies is refused", () => {
  const patched = (at: number, ...bytes: number[]) => {
    const copy = Uint8Array.from(original);
    copy.set(bytes, at);
    return () => parseGgufHeader("x", copy, copy.length);
  };
  expect(patched(0, 0x50)).toThrow(/begins with "GGUF"/);
  expect(patched(4, 0, 0, 0, 3)).toThrow(/version 2 or 3, little-endian/);
  expect(patched(14, 1)).toThrow(DataError); // 2^48 tensors
  expect(patched(30, 255)).toThrow(DataError); // a key of 2^55 bytes
  expect(() => parseGgufHeader("x", original, original.length - 64)).toThrow(/end within the file/);
});

test("damaged files give a DataError, never another error", async () => {
  const path = join(folder, "fuzz.gguf");
  const change = fc.tuple(fc.nat(2000), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 3 }),
      fc.nat(original.length),
      async (changes, length) => {
        const bytes = Uint8Array.from(original.subarray(0, length));
        for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
        await writeFile(path, bytes);
        try {
          const file = await GgufFile.open(path);
          for (const name of file.header.tensors.keys()) await file.read(name);
          await file.close();
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      },
    ),
    { numRuns: 500 },
  );
});

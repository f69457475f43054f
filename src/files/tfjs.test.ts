/** Weights of TensorFlow.js: numbers in 8 and 16 bits, and files that lie. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DataError } from "../base/index.ts";
import { readTfjsWeights } from "./index.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(manifest: unknown, files: Record<string, Uint8Array> = {}) {
  const path = join(folder, "weights_manifest.json");
  await writeFile(path, typeof manifest === "string" ? manifest : JSON.stringify(manifest));
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
  return readTfjsWeights(path);
}

test("each way to store numbers, over several files", async () => {
  const bytes = new Uint8Array(35);
  const view = new DataView(bytes.buffer);
  bytes.set([0, 10, 255]); // 8 bits
  view.setUint16(3, 1000, true); // 16 bits
  view.setUint16(5, 0x3e00, true); // 1.5 as f16
  view.setFloat32(7, -2.5, true);
  view.setInt32(11, -7, true);
  bytes.set([1, 0], 15); // bool
  bytes.set([3], 17); // an integer in 8 bits
  const quantized = (dtype: string) => ({ dtype, scale: 0.5, min: -1 });
  const weights = [
    { name: "a", shape: [3], dtype: "float32", quantization: quantized("uint8") },
    { name: "b", shape: [1], dtype: "float32", quantization: quantized("uint16") },
    { name: "c", shape: [], dtype: "float32", quantization: { dtype: "float16" } },
    { name: "d", shape: [1, 1], dtype: "float32" },
    { name: "e", shape: [1], dtype: "int32" },
    { name: "f", shape: [2], dtype: "bool" },
    { name: "g", shape: [1], dtype: "int32", quantization: quantized("uint8") },
  ];
  const tensors = await read([{ paths: ["x.bin", "y.bin"], weights }], {
    "x.bin": bytes.slice(0, 5),
    "y.bin": bytes.slice(5, 18),
  });
  expect(
    Object.fromEntries(
      [...tensors].map(([name, { dtype, data }]) => [name, [dtype, ...Array.from(data as Float32Array)]]),
    ),
  ).toEqual({
    a: ["f32", -1, 4, 126.5],
    b: ["f32", 499],
    c: ["f16", 0x3e00],
    d: ["f32", -2.5],
    e: ["i32", -7],
    f: ["bool", 1, 0],
    g: ["i32", 1],
  });
});

test("what is damaged or hostile is an error, and nothing is allocated by its word", async () => {
  const files = { "x.bin": new Uint8Array(8) };
  const weight = { name: "a", shape: [2], dtype: "float32" };
  const good = { paths: ["x.bin"], weights: [weight] };
  expect((await read([good], files)).size).toBe(1);
  const bad: unknown[] = [
    [{ ...good, paths: ["../x.bin"] }],
    [{ ...good, paths: ["/etc/passwd"] }],
    [{ ...good, paths: ["missing.bin"] }],
    [{ ...good, weights: [{ ...weight, shape: [2e9, 2e9] }] }],
    [{ ...good, weights: [{ ...weight, shape: [1e9] }] }],
    [{ ...good, weights: [{ ...weight, shape: [-2] }] }],
    [{ ...good, weights: [{ ...weight, shape: [1.5] }] }],
    [{ ...good, weights: [{ ...weight, dtype: "complex64" }] }],
    [{ ...good, weights: [{ ...weight, quantization: { dtype: "uint8", scale: null, min: 0 } }] }],
    [{ ...good, weights: [{ ...weight, quantization: null }] }],
    [{ ...good, weights: [weight, weight] }],
    [{ ...good, weights: [] }],
    [{ ...good, weights: [null] }],
    [null],
    [{}],
    {},
    "[",
  ];
  for (const manifest of bad) await expect(read(manifest, files), JSON.stringify(manifest)).rejects.toThrow(DataError);
});

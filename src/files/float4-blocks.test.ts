/** Weights in NF4 and FP4 beside bitsandbytes: see golden/make_nf4.py. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { emptyBlocks, type Float4Type } from "../base/index.ts";
import { decodeFloat4, encodeFloat4, float4Source, readJson } from "./index.ts";

interface Numbers {
  shape: number[];
  data: number[];
}
interface Case {
  type: Float4Type;
  packed: number[];
  absmax: Numbers;
  weight: Numbers;
  dequantized: Numbers;
}
const path = fileURLToPath(new URL("../../golden/nf4/weights.json", import.meta.url));
const { cases } = (await readJson(path)) as unknown as { cases: Case[] };

test.each(cases)("$type: bitsandbytes' bytes, factors and numbers, to the bit", (golden) => {
  const { type, weight, packed, absmax, dequantized } = golden;
  const numbers = encodeFloat4(Float32Array.from(weight.data), { type, blockSize: 64 });
  expect([...numbers.packed]).toEqual(packed);
  expect(numbers.absmax).toEqual(Float32Array.from(absmax.data));
  expect(decodeFloat4(numbers)).toEqual(Float32Array.from(dequantized.data));
});

test("a source packs its blocks at their place in a larger matrix", () => {
  const numbers = encodeFloat4(
    Float32Array.from({ length: 128 }, (_, i) => Math.sin(i)),
    { type: "nf4", blockSize: 64 },
  );
  const source = float4Source(numbers);
  const into = emptyBlocks(source.kind, 256);
  source.pack(into, 128);
  expect(into.packed.subarray(64)).toEqual(numbers.packed);
  expect(into.scales.subarray(2)).toEqual(numbers.absmax);
  expect(into.float4).toBe("nf4");
});

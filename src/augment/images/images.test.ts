/** Pictures, to the bit as torchvision changes those of Pillow. */
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import type { RawImage } from "../../processors/index.ts";
import { cutBatch, type MixedBatch, mixBatch, oneHotLabels } from "../mix.ts";
import * as images from "./index.ts";
import { type PolicyOperation, randOperations, trivialOperations } from "./policies.ts";

interface Packed {
  width: number;
  height: number;
  channels: number;
  data: string;
}
interface Golden {
  images: Record<string, Packed>;
  cases: { call: string; image: string; args: unknown[]; result: Packed }[];
  magnitudes: Record<string, Record<string, number[]>>;
  policies: { policy: string; op: string; level: number; sign: number; data: string }[];
  normalized: { mean: number[]; std: number[]; data: string };
  mixtures: {
    batch: { shape: number[]; inputs: number[]; labels: number[] };
    mixup: { lam: number; inputs: number[]; labels: number[] };
    cutmix: { box: [number, number, number, number]; lam_adjusted: number; inputs: number[]; labels: number[] };
  };
}
const golden: Golden = JSON.parse(
  await readFile(new URL("../../../golden/augment/images.json", import.meta.url), "utf8"),
);
const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"));
const unpacked = ({ data, ...rest }: Packed): RawImage => ({ ...rest, data: bytesOf(data) });
const picture = (name: string) => unpacked(golden.images[name]);

/** How many bytes differ, and by how much at most. */
function difference(actual: Uint8Array, expected: Uint8Array): { bytes: number; most: number } {
  expect(actual.length).toBe(expected.length);
  const gaps = Array.from(actual, (byte, i) => Math.abs(byte - expected[i]));
  return { bytes: gaps.filter((gap) => gap > 0).length, most: Math.max(...gaps) };
}

test.each(
  golden.cases.map(
    ({ call, image, args, result }, i) =>
      [`${call} ${image} ${JSON.stringify(args)} ${i}`, call, image, args, result] as const,
  ),
)("%s", (_, call, image, args, result) => {
  const functions = images as unknown as Record<string, (image: RawImage, ...rest: unknown[]) => RawImage>;
  const actual = functions[call](picture(image), ...args);
  const { width, height, channels } = result;
  expect(actual).toMatchObject({ width, height, channels });
  expect(difference(actual.data, bytesOf(result.data))).toEqual({ bytes: 0, most: 0 });
});

const tables: Record<string, readonly PolicyOperation[]> = {
  randAugment: randOperations,
  trivialAugment: trivialOperations,
};
const LAST = 30;

describe("the tables of RandAugment and TrivialAugmentWide", () => {
  test.each(Object.keys(tables))("%s has torchvision's operations and strengths", (policy) => {
    const image = picture("color");
    const names = [...new Set(golden.policies.filter((row) => row.policy === policy).map(({ op }) => op))];
    expect(tables[policy].map(({ name }) => name)).toEqual(names);
    for (const { name, magnitude } of tables[policy]) {
      const levels = golden.magnitudes[policy][name];
      if (levels) expect(levels.map((_, level) => magnitude(level, LAST, image))).toEqual(levels);
    }
  });

  test.each(golden.policies.map((row) => [`${row.policy} ${row.op} ${row.level}`, row] as const))("%s", (_, row) => {
    const image = picture("square");
    const { apply, magnitude } = tables[row.policy].find(({ name }) => name === row.op) as PolicyOperation;
    const actual = apply({ image }, row.sign * magnitude(row.level, LAST, image), {}).image;
    expect(difference(actual.data, bytesOf(row.data))).toEqual({ bytes: 0, most: 0 });
  });
});

test("pictures become numbers as by ToTensor and Normalize", () => {
  const { mean, std, data } = golden.normalized;
  const expected = new Float32Array(bytesOf(data).buffer);
  expect(images.normalizeImage(picture("square"), { mean, standardDeviation: std })).toEqual(expected);
});

test("batches are mixed as by MixUp and CutMix", () => {
  const { batch, mixup, cutmix } = golden.mixtures;
  const whole: MixedBatch = {
    shape: batch.shape,
    inputs: Float32Array.from(batch.inputs),
    labels: oneHotLabels(batch.labels, 3),
  };
  for (const [actual, expected] of [
    [mixBatch(whole, mixup.lam), mixup],
    [cutBatch(whole, cutmix.box), cutmix],
  ] as const) {
    expect(actual.inputs).toEqual(Float32Array.from(expected.inputs));
    expect(actual.labels).toEqual(Float32Array.from(expected.labels));
  }
});

/** Pictures with boxes in them, as torchvision's v2 transforms change them; pieces in which objects stay. */
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import type { RawImage } from "../../processors/index.ts";
import { drawsOf } from "../draws.ts";
import type { CropArea } from "./crop.ts";
import { type Box, type Picture, randomFlip, randomShortestSize, randomSizeCrop, resizePicture } from "./index.ts";
import { cropped } from "./random-geometry.ts";
import { shortestSize } from "./random-size.ts";

interface Packed {
  width: number;
  height: number;
  data: string;
}
const golden = JSON.parse(await readFile(new URL("../../../golden/augment/boxes.json", import.meta.url), "utf8")) as {
  image: Packed;
  boxes: number[][];
  cases: (Packed & { name: string; options: object; boxes: number[][]; labels: number[] })[];
  sizes: [number, number, number, number, number, number][];
};
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "base64"));
const image: RawImage = { ...golden.image, channels: 3, data: bytesOf(golden.image.data) };
const boxes = golden.boxes.map(([xMin, yMin, xMax, yMax], label): Box => ({ xMin, yMin, xMax, yMax, label }));

const transforms: Readonly<Record<string, (options: never) => (picture: Picture) => Picture>> = {
  flip: (options: object) => (picture) => randomFlip({ ...options, probability: 1 })(picture, drawsOf(0)),
  crop: (area: CropArea) => (picture) => cropped(picture, area, {}),
  resize: (size: { width: number; height: number }) => (picture) => resizePicture(size)(picture, drawsOf(0)),
  shortestSize: (options: { minSize: number }) => (picture) => randomShortestSize(options)(picture, drawsOf(0)),
};

test.each(golden.cases.map((each) => [`${each.name} ${JSON.stringify(each.options)}`, each] as const))(
  "%s",
  (_, { name, options, ...expected }) => {
    const actual = transforms[name](options as never)({ image, boxes });
    expect(actual.image).toMatchObject({ width: expected.width, height: expected.height });
    expect(Buffer.from(actual.image.data).equals(Buffer.from(expected.data, "base64"))).toBe(true);
    expect(actual.boxes?.map(({ label }) => label)).toEqual(expected.labels);
    // torchvision has the factors of a new size in single precision
    for (const [i, { xMin, yMin, xMax, yMax }] of (actual.boxes ?? []).entries())
      for (const [k, edge] of [xMin, yMin, xMax, yMax].entries()) expect(edge).toBeCloseTo(expected.boxes[i][k], 5);
  },
);

test("sizes round as torchvision's", () => {
  for (const [width, height, shortest, longest, ...expected] of golden.sizes) {
    const size = shortestSize({ width, height }, shortest, longest);
    expect([size.width, size.height], `${width} x ${height}`).toEqual(expected);
  }
});

test("pieces have sides within their range, and an object of those that there are", () => {
  const augment = randomSizeCrop({ minSize: 10, maxSize: 16 });
  const few = boxes.slice(0, 1);
  const widths = new Set<number>();
  for (let sample = 0; sample < 60; sample++) {
    const piece = augment({ image, boxes: few }, drawsOf(3, sample));
    for (const side of [piece.image.width, piece.image.height]) expect(side >= 10 && side <= 16).toBe(true);
    widths.add(piece.image.width);
    expect(piece.boxes).toHaveLength(1);
    expect(augment({ image, boxes: few }, drawsOf(3, sample))).toEqual(piece);
  }
  expect(widths.size).toBe(7);
  // a picture that is smaller than a piece stays, one without objects is cut all the same
  expect(randomSizeCrop({ minSize: 50, maxSize: 60 })({ image, boxes }, drawsOf(0)).image).toEqual(image);
  expect(augment({ image, boxes: [] }, drawsOf(1)).boxes).toEqual([]);
  const scaled = randomSizeCrop({ shortestSizes: [46], minSize: 46, maxSize: 46 })({ image }, drawsOf(0)).image;
  expect([scaled.width, scaled.height]).toEqual([46, 46]);
});

test("what cannot be is refused", () => {
  expect(() => randomShortestSize({ minSize: [] })).toThrow("minSize");
  expect(() => randomShortestSize({ minSize: 0.5 })).toThrow("minSize");
  expect(() => randomSizeCrop({ minSize: 9, maxSize: 4 })).toThrow("maxSize of at least minSize");
  expect(() => randomSizeCrop({ minSize: 9, maxSize: 14, shortestSizes: [0] })).toThrow("shortestSizes");
  expect(() => randomShortestSize({ minSize: 9, size: 4 } as never)).toThrow("size");
});

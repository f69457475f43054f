/** Random changes of pictures: the same for the same sample, and boxes and masks move with the picture. */
import { expect, test } from "vitest";
import type { RawImage } from "../../processors/index.ts";
import { compose, randomly } from "../compose.ts";
import { drawsOf } from "../draws.ts";
import { cutmix, mixup, oneHotLabels } from "../mix.ts";
import {
  adjustContrast,
  type Box,
  colorJitter,
  type ImageAugmentation,
  imageBatch,
  normalizeImage,
  type Picture,
  posterize,
  randAugment,
  randomAffine,
  randomCrop,
  randomErasing,
  randomFlip,
  randomGaussianBlur,
  randomGrayscale,
  randomResizedCrop,
  randomRotation,
  resizePicture,
  trivialAugment,
} from "./index.ts";

const [WIDTH, HEIGHT] = [40, 30];

function noise(seed: number): RawImage {
  const draws = drawsOf(seed);
  const data = Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, () => draws.integer(256));
  return { width: WIDTH, height: HEIGHT, channels: 3, data };
}

const everything = compose([
  randomResizedCrop({ width: 32, height: 24, scale: [0.3, 1] }),
  randomFlip(),
  randomFlip({ direction: "vertical", probability: 0.2 }),
  randomRotation({ degrees: 20, interpolation: "bilinear", fill: 127 }),
  randomAffine({ degrees: 5, translate: [0.1, 0.1], scale: [0.9, 1.1], shear: 5 }),
  colorJitter({ brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
  randomGrayscale({ probability: 0.2 }),
  randomly(randomGaussianBlur({ kernelSize: 3 }), 0.5),
  randAugment(),
  trivialAugment(),
  randomErasing({ value: "noise" }),
  randomCrop({ width: 32, height: 24, padding: 2 }),
]);

test("a sample is augmented alike in whichever order samples come, and otherwise from epoch to epoch", () => {
  const at = (epoch: number, row: number) => everything({ image: noise(row) }, drawsOf(7, epoch, row)).image.data;
  const rows = [0, 1, 2, 3, 4];
  const forward = rows.map((row) => at(0, row));
  const backward = rows.toReversed().map((row) => at(0, row));
  expect(backward.toReversed()).toEqual(forward);
  for (const row of rows) expect(at(1, row)).not.toEqual(forward[row]);
});

test("what one augmentation draws does not change the others", () => {
  const flip = randomFlip();
  const image = noise(1);
  for (let sample = 0; sample < 8; sample++) {
    const draws = drawsOf(2, sample);
    const alone = compose([(picture) => picture, flip])({ image }, draws).image;
    const drawing: ImageAugmentation = (picture, ours) => {
      ours.normal();
      return picture;
    };
    const behind = compose([drawing, flip])({ image }, draws).image;
    expect(behind).toEqual(alone);
  }
});

/** A rectangle of 255 on 0, with its box, and a mask that has class 5 there. */
function rectangle(): Picture & { boxes: Box[]; mask: RawImage } {
  const box = { xMin: 12, yMin: 8, xMax: 25, yMax: 17, label: 3 };
  const mask = { width: WIDTH, height: HEIGHT, channels: 1, data: new Uint8Array(WIDTH * HEIGHT) };
  for (let y = box.yMin; y < box.yMax; y++) mask.data.fill(5, y * WIDTH + box.xMin, y * WIDTH + box.xMax);
  const data = Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => (mask.data[Math.floor(i / 3)] ? 255 : 0));
  return { image: { width: WIDTH, height: HEIGHT, channels: 3, data }, boxes: [box], mask };
}

/** The rectangle around what is not 0 in the first channel. */
function extent({ width, channels, data }: RawImage): number[] {
  const places = Array.from({ length: data.length / channels }, (_, i) => i).filter((i) => data[i * channels] > 127);
  const [xs, ys] = [places.map((i) => i % width), places.map((i) => Math.floor(i / width))];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1];
}

const moves: Record<string, { augment: ImageAugmentation; slack: number }> = {
  flip: { augment: randomFlip({ probability: 1 }), slack: 0 },
  "vertical flip": { augment: randomFlip({ direction: "vertical", probability: 1 }), slack: 0 },
  crop: { augment: randomCrop({ width: 33, height: 24, padding: 1 }), slack: 0 },
  "crop of more than there is": { augment: randomCrop({ width: 50, height: 44 }), slack: 0 },
  resize: { augment: resizePicture({ width: 60, height: 20 }), slack: 1 },
  "resized crop": { augment: randomResizedCrop({ width: 32, height: 32, scale: [0.6, 1] }), slack: 1 },
  rotation: { augment: randomRotation({ degrees: [10, 80] }), slack: 1 },
  affine: { augment: randomAffine({ degrees: 30, translate: [0.1, 0.1], scale: [0.8, 1.2], shear: 10 }), slack: 1 },
  policy: { augment: trivialAugment(), slack: 1 },
};

test.each(Object.entries(moves))("boxes and masks move with the picture: %s", (_, { augment, slack }) => {
  for (let sample = 0; sample < 12; sample++) {
    const { image, boxes, mask } = compose([augment])(rectangle(), drawsOf(1, sample));
    if (!boxes?.[0] || !mask || !image.data.includes(255)) continue;
    expect([mask.width, mask.height]).toEqual([image.width, image.height]);
    expect(boxes[0].label).toBe(3);
    const box = [boxes[0].xMin, boxes[0].yMin, boxes[0].xMax, boxes[0].yMax];
    const seen = extent({ ...mask, data: mask.data.map((label) => (label === 5 ? 255 : 0)) });
    // a turned rectangle's corners are less than a pixel wide: up to two rows of them have no pixel
    for (const [i, edge] of seen.entries()) expect(Math.abs(edge - box[i])).toBeLessThanOrEqual(2 * slack);
  }
});

test("masks show what the picture shows, and what comes from outside has its own class", () => {
  const augment = randomAffine({ degrees: 40, translate: [0.2, 0.2], fill: [0, 9, 9], maskFill: 200 });
  const { image, mask } = augment(rectangle(), drawsOf(3, 1)) as ReturnType<typeof rectangle>;
  const classes = Array.from({ length: mask.data.length }, (_, i) => {
    const [red, green] = image.data.subarray(3 * i, 3 * i + 2);
    return red === 255 ? 5 : green === 9 ? 200 : 0;
  });
  expect([...mask.data]).toEqual(classes);
  expect(new Set(classes)).toEqual(new Set([0, 5, 200]));
});

test("boxes are cut at the edges, and those of less than a pixel are left out", () => {
  const image = { width: 10, height: 10, channels: 1, data: new Uint8Array(100) };
  const boxes = [
    { xMin: 0, yMin: 0, xMax: 4, yMax: 4, label: 1 },
    { xMin: 0, yMin: 0, xMax: 1.5, yMax: 9, label: 2 },
  ];
  const crop = randomAffine({ scale: [1, 1], translate: [0, 0], degrees: 0 });
  expect(crop({ image, boxes }, drawsOf(0)).boxes).toEqual(boxes);
  const shifted = randomCrop({ width: 8, height: 8 });
  const seen = Array.from({ length: 30 }, (_, sample) => shifted({ image, boxes }, drawsOf(0, sample)).boxes);
  expect(seen).toContainEqual([{ xMin: 0, yMin: 0, xMax: 2, yMax: 2, label: 1 }]);
});

test("rectangles are erased as often and as large as asked", () => {
  const image: RawImage = { width: 20, height: 20, channels: 1, data: new Uint8Array(400).fill(9) };
  const augment = randomErasing({ probability: 0.25, scale: [0.1, 0.2], value: 200 });
  const erased = Array.from({ length: 400 }, (_, i) => {
    const { data } = augment({ image }, drawsOf(8, i)).image;
    return data.filter((byte) => byte === 200).length;
  });
  const counts = erased.filter((count) => count > 0);
  expect(counts.length).toBeGreaterThan(60);
  expect(counts.length).toBeLessThan(140);
  for (const count of counts) expect(count >= 30 && count <= 92).toBe(true);
});

test("mixed batches keep what they are made of", () => {
  const inputs = Float32Array.from({ length: 3 * 2 * 8 * 8 }, (_, i) => Math.floor(i / 128));
  const batch = { inputs, shape: [3, 2, 8, 8], labels: oneHotLabels([0, 1, 2], 3) };
  for (let sample = 0; sample < 20; sample++) {
    for (const augment of [mixup({ alpha: 0.4 }), cutmix()]) {
      const mixed = augment(batch, drawsOf(1, sample));
      for (let row = 0; row < 3; row++) {
        const labels = mixed.labels.subarray(row * 3, row * 3 + 3);
        expect(labels.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 6);
        const pixels = mixed.inputs.subarray(row * 128, row * 128 + 128);
        const mean = pixels.reduce((a, b) => a + b, 0) / 128;
        expect(mean).toBeCloseTo(labels[1] + 2 * labels[2], 4);
      }
    }
  }
  expect(mixup({ probability: 0 })(batch, drawsOf(0))).toBe(batch);
});

test("pictures of one size become a tensor", async () => {
  const tensor = imageBatch([noise(0), noise(1)], { mean: [0.5, 0.5, 0.5] });
  expect(tensor.shape).toEqual([2, 3, HEIGHT, WIDTH]);
  const numbers = await tensor.read();
  expect(numbers.slice(WIDTH * HEIGHT * 3)).toEqual(normalizeImage(noise(1), { mean: [0.5, 0.5, 0.5] }));
});

test("wrong options and pictures are refused", () => {
  const image: RawImage = { width: 2, height: 2, channels: 4, data: new Uint8Array(16) };
  const refused: [() => unknown, string][] = [
    [() => trivialAugment({ numLevels: 0 }), "trivialAugment: expected numLevels to be a positive integer"],
    [() => adjustContrast(image, 2), "colours of a picture: expected 1 or 3 channels"],
    [() => posterize(image, 2), "colours of a picture: expected 1 or 3 channels"],
    [() => randomFlip({ probability: 1 })({ image, mask: noise(0) }, drawsOf(0)), "mask of a picture: expected 2 x 2"],
    [() => randomFlip({ probabilty: 1 } as object), 'did you mean "probability"'],
    [() => randomFlip({ direction: "left" as never }), 'expected a direction of "horizontal" or "vertical"'],
    [() => randomCrop({ width: 0, height: 4 }), "randomCrop: expected width to be a positive integer"],
    [() => randomCrop({ width: 4, height: 4, fill: 300 }), "expected fill and maskFill of whole numbers from 0 to 255"],
    [() => randomRotation({ degrees: [9, 1] }), "randomRotation: expected degrees of two numbers that are finite"],
    [() => randomAffine({ interpolation: "cubic" as never }), 'expected an interpolation of "nearest" or "bilinear"'],
    [() => colorJitter({ hue: 0.7 }), "colorJitter: expected hue of two numbers from -0.5 to 0.5"],
    [() => colorJitter({ brightness: -1 }), "colorJitter: expected brightness of two numbers of at least 0"],
    [() => randomGaussianBlur({ kernelSize: 4 }), "expected kernelSize of an odd whole number"],
    [() => randAugment({ magnitude: 31 }), "randAugment: expected a magnitude below numLevels, 31"],
    [() => randomErasing({ value: 256 }), 'expected value of a byte, or "noise"'],
    [() => mixup({ alpha: 0 }), "mixup: expected alpha above 0"],
    [() => oneHotLabels([3], 3), "oneHotLabels: expected labels from 0 to 2; received 3"],
    [() => imageBatch([]), "imageBatch: expected a picture or more; received none"],
    [() => imageBatch([noise(0), image]), "received [4, 2, 2]. Fix: end the augmentation with randomCrop"],
    [
      () => cutmix()({ inputs: new Float32Array(2), shape: [2, 1], labels: oneHotLabels([0, 1], 2) }, drawsOf(0)),
      "cutmix: expected pictures, [B, C, H, W]; received [2, 1]",
    ],
  ];
  for (const [call, message] of refused) expect(call).toThrow(message);
});

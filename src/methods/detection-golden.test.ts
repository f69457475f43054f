/** Batches of pictures with objects through the method's parts: the losses and gradients of transformers' detectors. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { detectedObjects, type ObjectDetector } from "../models/index.ts";
import { compile, grad } from "../tensor/index.ts";
import { methods, resolveConfig } from "./index.ts";
import type { DetectionBatch } from "./parts/detection-batches.ts";
import { detector } from "./parts/detection-objective.ts";
import type { LabelledPicture } from "./parts/object-rows.ts";

interface Annotation {
  bbox: [number, number, number, number];
  category_id: number;
  area: number;
  iscrowd: number;
}
const folder = fileURLToPath(new URL("../../golden/", import.meta.url));
const golden = JSON.parse(readFileSync(`${folder}methods-detection.json`, "utf8")) as {
  pictures: string[];
  annotations: Annotation[][];
  sizes: [number, number][];
  classes: string[];
  cases: {
    model: string;
    image: object;
    relativeTo: string;
    config: Record<string, number | boolean>;
    shape: number[];
    pixels: [number, number];
    boxes: number[][];
    classes: number[][];
    loss: number;
    parts: number[];
    gradients: Record<string, [number, number]>;
  }[];
  scored: {
    logits: number[];
    predBoxes: number[];
    queries: number;
    objects: { scores: number[]; labels: number[]; boxes: number[] }[];
    stats: number[];
    byClass: number[];
  };
};

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-detection-"));
  const file = {
    images: golden.sizes.map(([width, height], id) => ({ id, file_name: `${id}.png`, width, height })),
    annotations: golden.annotations.flatMap((list, image) =>
      list.map((each, i) => ({ id: 10 * image + i, image_id: image, ...each })),
    ),
    categories: golden.classes.map((name, id) => ({ id, name })),
  };
  await writeFile(join(root, "objects.json"), JSON.stringify(file));
  for (const [i, data] of golden.pictures.entries())
    await writeFile(join(root, `${i}.png`), Buffer.from(data, "base64"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** The names of the loss's settings by those of config.json. */
const lossNames: Readonly<Record<string, string>> = {
  class_cost: "classCost",
  bbox_cost: "bboxCost",
  giou_cost: "giouCost",
  bbox_loss_coefficient: "bboxLoss",
  giou_loss_coefficient: "giouLoss",
  eos_coefficient: "eosCoefficient",
  auxiliary_loss: "auxiliary",
};

/** Of a gradient's norm: both sides sum in single precision. */
const TOLERANCE = 1e-4;

/** A method on the golden pictures, all in one batch, with the head that the model has. */
async function prepared({ model, image, relativeTo, config }: (typeof golden.cases)[number]) {
  const loss = Object.fromEntries(Object.entries(config).map(([name, value]) => [lossNames[name], value]));
  // a head of as many classes stays as it is stored
  const method = { name: "object-detection", image, relativeTo, padMultiple: 1, loss };
  const data = { train: "objects.json", validation: "objects.json", groupByLength: false };
  const input = { method, model: `${folder}models/${model}`, data, training: { batchSize: 3 }, freeze: [] };
  const resolved = await resolveConfig(input, { methods, where: "test", folder: root, name: "detection" });
  return resolved.method.prepare(resolved.config, { folder: root, onWarning: () => {} });
}

test.each(golden.cases)("$model, boxes of the $relativeTo picture, $image", async (expected) => {
  const { objective, validationData, close } = await prepared(expected);
  const batch = (await validationData?.batch(0)) as DetectionBatch;
  const { pixelValues, pixelMask, classLabels, boxes } = batch;
  expect(pixelValues.shape).toEqual(expected.shape);
  const values = (await pixelValues.read()) as Float32Array;
  expect(values.reduce((a, b) => a + b, 0)).toBeCloseTo(expected.pixels[0], 1);
  expect(pixelMask === undefined).toBe(expected.model === "yolos");
  if (pixelMask) expect((await pixelMask.read()).reduce((a, b) => a + Number(b), 0)).toBe(expected.pixels[1]);

  const [most, labels, numbers] = [classLabels.shape[1] as number, await classLabels.read(), await boxes.read()];
  for (const [i, list] of expected.classes.entries()) {
    expect(Array.from(labels.slice(i * most, (i + 1) * most)).filter((label) => label >= 0)).toEqual(list);
    for (const [j, value] of expected.boxes[i].entries()) expect(numbers[4 * i * most + j]).toBeCloseTo(value, 6);
  }

  const keys = [...objective.trained.keys()];
  const step = compile((input: DetectionBatch) => {
    const { loss, metrics } = objective.loss(input, {});
    return { loss, metrics, gradients: grad(loss, [...objective.trained.values()]) };
  });
  const { loss, metrics = {}, gradients } = await step(batch as never);
  expect(await loss.item()).toBeCloseTo(expected.loss, 4);
  const parts = [metrics.classLoss, metrics.boxLoss, metrics.giouLoss];
  for (const [i, part] of parts.entries()) expect(await part.item()).toBeCloseTo(expected.parts[i], 5);
  // those of the same parameters: batch norms are not trained
  expect(keys.toSorted()).toEqual(Object.keys(expected.gradients).toSorted());
  for (const [i, key] of keys.entries()) {
    const numbers = (await gradients[i].read()) as Float32Array;
    const [norm, product] = expected.gradients[key];
    const along = numbers.reduce((sum, value, k) => sum + value * Math.cos(k), 0);
    for (const gap of [Math.hypot(...numbers) - norm, along - product])
      expect(Math.abs(gap), key).toBeLessThanOrEqual(TOLERANCE * norm + 1e-6);
  }
  step.dispose();
  await close();
});

test("without a word of what is frozen, the first layers of a pretrained DETR are, as in the paper", async () => {
  const [{ model, image }] = golden.cases;
  const method = { name: "object-detection", image };
  const input = { method, model: `${folder}models/${model}`, data: { train: "objects.json", validationShare: 0 } };
  const resolved = await resolveConfig(input, { methods, where: "test", folder: root, name: "frozen" });
  const { objective, close } = await resolved.method.prepare(resolved.config, { folder: root, onWarning: () => {} });
  const backbone = [...objective.trained.keys()].filter((key) => key.startsWith("model.backbone."));
  expect(backbone.length).toBeGreaterThan(0);
  for (const key of backbone) expect(key).toMatch(/encoder\.stages\.1\./);
  expect(objective.trained.has("bbox_predictor.layers.0.weight")).toBe(true);
  await close();
});

test("objects of outputs are post_process_object_detection's, and their numbers those of pycocotools", async () => {
  const { queries, objects: expected, stats, byClass, ...outputs } = golden.scored;
  const classes = golden.classes.length + 1;
  const [logits, predBoxes] = [Float32Array.from(outputs.logits), Float32Array.from(outputs.predBoxes)];
  for (const [i, [width, height]] of golden.sizes.entries()) {
    const [rows, boxes] = [logits, predBoxes].map((all) => {
      const size = all.length / golden.sizes.length;
      return all.subarray(i * size, (i + 1) * size);
    });
    const objects = detectedObjects(rows, boxes, { classes, width, height, threshold: 0 });
    expect(objects.map(({ label }) => label)).toEqual(expected[i].labels);
    for (const [j, { score, xMin, yMin, xMax, yMax }] of objects.entries()) {
      expect(score).toBeCloseTo(expected[i].scores[j], 6);
      for (const [k, edge] of [xMin, yMin, xMax, yMax].entries())
        expect(edge).toBeCloseTo(expected[i].boxes[4 * j + k], 4);
    }
  }
  const measured = golden.annotations.map((list, i): LabelledPicture => {
    const objects = list.map(({ bbox: [x, y, w, h], category_id: label, area, iscrowd }) => {
      return { xMin: x, yMin: y, xMax: x + w, yMax: y + h, label, area, isCrowd: iscrowd === 1 };
    });
    return { width: golden.sizes[i][0], height: golden.sizes[i][1], objects };
  });
  const count = measured.length;
  const model = { namedParameters: () => new Map(), namedState: () => new Map() } as unknown as ObjectDetector;
  const scorer = detector(model, { form: { save: async () => {} }, classes: golden.classes, measured }).scorer?.();
  scorer?.add({
    logits: { shape: [count, queries, classes], data: logits },
    predBoxes: { shape: [count, queries, 4], data: predBoxes },
    frames: { shape: [count, 2], data: Float32Array.from(golden.sizes.flat()) },
    pictures: { shape: [count], data: Int32Array.from(measured.keys()) },
  });
  const numbers = (await scorer?.result()) as Record<string, number>;
  const named = [
    "map",
    "map50",
    "map75",
    "mapSmall",
    "mapMedium",
    "mapLarge",
    "recallAt1",
    "recallAt10",
    "recallAt100",
  ];
  for (const [i, name] of named.entries())
    if (stats[i] < 0) expect(numbers).not.toHaveProperty(name);
    else expect(numbers[name], name).toBeCloseTo(stats[i], 10);
  for (const [i, value] of byClass.entries()) {
    if (value < 0) expect(numbers).not.toHaveProperty(`map/${golden.classes[i]}`);
    else expect(numbers[`map/${golden.classes[i]}`]).toBeCloseTo(value, 10);
  }
});

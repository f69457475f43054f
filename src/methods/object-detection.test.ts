/** Objects in pictures: learned from COCO, YOLO and imagefolder, cut and resumed with augmentation. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pipeline } from "../pipelines/index.ts";
import { drawnClasses as classes, drawnCoco as coco, drawingsOf, writeDrawings } from "../testing/drawn-objects.ts";
import { eventsOf } from "../testing/method-runs.ts";
import { type MethodEvent, methods, resolveConfig } from "./index.ts";
import type { DetectionBatch } from "./parts/detection-batches.ts";
import { assemble } from "./plan.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-objects-"));
  await writeDrawings(root, drawings);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const COUNT = 5;
const drawings = drawingsOf(COUNT);

const yolos = {
  ...{ model_type: "yolos", hidden_size: 48, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 96 },
  ...{ image_size: [48, 48], patch_size: 8, num_detection_tokens: 4, use_mid_position_embeddings: false },
  ...{ hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 },
};

type Config = { method?: object; [field: string]: unknown };

async function resolved(name: string, { method, ...config }: Config) {
  const input = {
    method: { name: "object-detection", image: { size: 48 }, ...method },
    model: { new: yolos },
    data: { train: coco, validation: coco },
    optimizer: { learningRate: 1e-3 },
    ...config,
    output: join(root, "runs", name),
  };
  return resolveConfig(input, { methods, where: "test", folder: root, name });
}

async function run(name: string, config: Config): Promise<{ events: MethodEvent[]; notes: string[] }> {
  return eventsOf(await resolved(name, config));
}

const metricsOf = (events: readonly MethodEvent[]) =>
  events.flatMap((event) => (event.type === "evaluation" ? [event.metrics] : [])).at(-1) ?? {};

const lossesOf = (events: readonly MethodEvent[]) =>
  events.flatMap((event) => (event.type === "step" ? [event.loss] : []));

test("a network learns some pictures by heart; what is saved is opened again, by the pipeline too", async () => {
  const { events } = await run("learns", {
    method: { loss: { eosCoefficient: 0.2 } },
    training: { steps: 150, batchSize: COUNT, clipNorm: 1 },
    optimizer: { learningRate: 5e-3 },
    evaluation: { interval: 30 },
  });
  const maps = events.flatMap((event) => (event.type === "evaluation" ? [event.metrics.map] : []));
  expect(maps[0]).toBeLessThan(0.7);
  expect(maps.at(-1)).toBeGreaterThan(0.9);
  const ready = events.find((event) => event.type === "ready");
  expect(ready?.facts).toMatchObject({ pictures: COUNT, classes: 2, "without objects": 1 });
  const folder = join(root, "runs", "learns", "model");
  expect(await readFile(join(folder, "README.md"), "utf8")).toContain("pipeline_tag: object-detection");
  const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
  expect(config).toMatchObject({ id2label: { 0: "dark", 1: "light" }, eos_coefficient: 0.2 });

  // pictures one by one, in their own pixels: what was learned in padded batches fits
  const detection = await pipeline("object-detection", folder);
  for (const [i, { objects }] of drawings.entries()) {
    const answer = await detection.run(join(root, "folder", `${i}.png`));
    for (const { box: wanted, label } of objects) {
      const [x, y, w, h] = wanted;
      const near = answer.filter(({ box: { xmin, ymin, xmax, ymax } }) =>
        [xmin - x, ymin - y, xmax - x - w, ymax - y - h].every((gap) => Math.abs(gap) <= 3),
      );
      expect(near.map((each) => each.label)).toEqual([classes[label]]);
    }
  }
  detection.dispose();
  const again = await run("stored", {
    ...{ method: { head: "stored", image: undefined }, model: folder, optimizer: { learningRate: 1e-7 } },
    training: { steps: 1, batchSize: 2 },
  });
  expect(metricsOf(again.events).map).toBeGreaterThan(0.9);
}, 60_000);

const changes = {
  ...{ flip: {}, color: { brightness: 0.2 }, sizeCrop: { minSize: 20, maxSize: 40 } },
  shortestSize: { minSize: [20, 28, 36], maxSize: 48 },
};

test("cut and resumed with every kind of change: the losses of a run that was not cut, to the bit", async () => {
  const config = (steps: number) => ({
    method: { augment: changes, padMultiple: 64 }, // one shape
    data: { train: coco, validationShare: 0 },
    model: { new: { ...yolos, hidden_dropout_prob: 0.1 } },
    schedule: { name: "constant" },
    training: { steps, batchSize: 2, seed: 3 },
  });
  const whole = lossesOf((await run("whole", config(5))).events);
  const cut = lossesOf((await run("cut", config(3))).events);
  const rest = lossesOf((await run("cut", config(5))).events);
  expect([...cut, ...rest]).toEqual(whole);
  expect(new Set(whole).size).toBe(5);
});

/** A method that is ready, and its first batches. */
async function prepared(name: string, config: Config, notes: string[] = []) {
  const { method, config: whole } = await resolved(name, config);
  const onWarning = (warning: { notes?: readonly string[] }) => notes.push(...(warning.notes ?? []));
  return method.prepare(whole, { folder: root, onWarning: onWarning as never });
}

test("the same pictures by COCO, YOLO and imagefolder are the same batches", async () => {
  const batches: unknown[] = [];
  const named = { classes: [...classes] };
  for (const [train, method] of [
    [coco, {}],
    ["yolo/data.yaml", {}],
    ["yolo/images/train", named],
    ["folder", named],
    [{ path: coco, pictures: "folder" }, {}],
  ] as const) {
    const ready = await prepared("same", { method, data: { train, validation: train } });
    const batch = (await ready.validationData?.batch(0)) as DetectionBatch;
    const read = async (tensor: { read(): Promise<ArrayLike<number>> }) => Array.from(await tensor.read());
    const [boxes, labels, pixels] = [
      await read(batch.boxes),
      await read(batch.classLabels),
      await read(batch.pixelValues),
    ];
    batches.push({ boxes: boxes.map((value) => Number(value.toFixed(5))), labels, pixels });
    await ready.close();
  }
  for (const batch of batches) expect(batch).toEqual(batches[0]);
});

test("preview, plan and facts; pictures of one shape share a batch", async () => {
  const ready = await prepared("preview", { method: { image: { shortestEdge: 32, longestEdge: 60 } } });
  const lines = (await ready.preview?.(COUNT))?.split("\n") ?? [];
  expect(lines).toHaveLength(COUNT);
  expect(lines[0]).toMatch(/instances_train\.json:1: 48 x 32, 1 object: 1 (dark|light)$/);
  expect(lines[COUNT - 1]).toMatch(/48 x 32, 0 objects$/);
  const shapes = await Promise.all([0, 1].map(async (i) => (await ready.trainData.batch(i)).pixelValues.shape.join()));
  // 48 x 32, or 48 x 40 brought to 32 in height, in multiples of 32
  expect(new Set(shapes)).toEqual(new Set(["4,3,32,64"]));
  await ready.close();
});

test("an adapter on a pretrained DETR trains the new head too, and the backbone learns at a rate of its own", async () => {
  const model = fileURLToPath(new URL("../../golden/models/detr", import.meta.url));
  const training = { steps: 1, batchSize: 2 };
  const adapter = { type: "lora", rank: 2 };
  const lora = await prepared("lora", { model, adapter, training });
  const keys = [...lora.objective.trained.keys()];
  for (const name of ["class_labels_classifier", "bbox_predictor", "lora_A"])
    expect(keys.some((key) => key.includes(name))).toBe(true);
  await lora.close();
  const groups = [{ name: "backbone", matches: "model.backbone.*", learningRateMultiplier: 0.1 }];
  const assembled = async (optimizer: object) => {
    const { config } = await resolved("groups", { model, training, optimizer });
    const ready = await prepared("groups", { model, training, optimizer });
    try {
      return assemble(config, ready);
    } finally {
      await ready.close();
    }
  };
  expect((await assembled({ groups })).optimizer.parameters.size).toBeGreaterThan(50);
  await expect(assembled({ layerDecay: 0.9, groups })).rejects.toThrow("groups or layerDecay");
}, 30_000);

const bad = (objects: unknown, more: object = {}) => JSON.stringify({ image: "folder/0.png", objects, ...more });
const faults: [string, unknown, RegExp][] = [
  ["no size", { bbox: [[1, 1, 0, 4]], category: [0] }, /object 1: expected a box with a width and a height above 0/],
  ["negative size", { bbox: [[9, 9, -4, 4]], category: [0] }, /object 1: .* above 0; received xywh \[9,9,-4,4\]/],
  ["outside", { bbox: [[60, 1, 5, 5]], category: [0] }, /inside of the picture of 48 x 32; .*from 60, 1 to 65, 6/],
  ["over the edge", { bbox: [[40, 1, 15, 5]], category: [0] }, /or let such boxes be cut/],
  ["not finite", { bbox: [[1, null, 5, 5]], category: [0] }, /four finite numbers; received \[1, null, 5, 5\]/],
  ["empty box", { bbox: [[1, 1, 5, 5], []], category: [0, 1] }, /object 2: expected a box of four finite numbers/],
  [
    "unknown class",
    { bbox: [[1, 1, 5, 5]], category: [7], id: [33] },
    /object 1 \(id 33\): expected a class of dark, light/,
  ],
  ["too few classes", { bbox: [[1, 1, 5, 5]], category: [] }, /expected 1 categories, as there are boxes; received 0/],
  ["no objects", null, /objects: expected objects with bbox and category; received null/],
  ["another format", { bbox: [[1, 1, 5, 5]], category: [0], format: "xyhw" }, /a format of xywh, xyxy/],
];

test("malformed objects are said with file and row, or left out and counted", async () => {
  const good = bad({ bbox: [[1, 1, 5, 5]], category: [0] });
  const method = { classes: [...classes] };
  for (const [name, objects, message] of faults) {
    await writeFile(join(root, "faulty.jsonl"), [good, bad(objects)].join("\n"));
    const data = { train: "faulty.jsonl", validationShare: 0 };
    await expect(prepared(name, { method, data }), name).rejects.toThrow(/faulty\.jsonl:2: /);
    await expect(prepared(name, { method, data }), name).rejects.toThrow(message);
  }
  const lines = [good, ...faults.map(([, objects]) => bad(objects)), bad([])];
  await writeFile(join(root, "faulty.jsonl"), lines.join("\n"));
  const notes: string[] = [];
  const data = { train: "faulty.jsonl", validationShare: 0, onBadRow: "skip" };
  const ready = await prepared("skip", { method, data }, notes);
  expect(ready.facts).toMatchObject({ pictures: 2, objects: 1, "without objects": 1 });
  expect(notes.join()).toMatch(/10 rows are left out, as .*faulty\.jsonl: object 1: expected a box with a width/);
  await ready.close();
  await expect(prepared("many", { method, data: { ...data, maxBadRows: 3 } })).rejects.toThrow("at most 3 bad rows");
});

test("boxes in other formats, as lists of objects, and cut where that is asked for", async () => {
  const rows = {
    xyxy: bad({ bbox: [[4, 8, 28, 24]], category: ["dark"] }),
    cxcywh: bad([{ bbox: [16, 16, 24, 16], label: "dark" }]),
    "normalized-xyxy": bad({ bbox: [[4 / 48, 8 / 32, 28 / 48, 24 / 32]], category: ["dark"] }),
    xywh: bad({
      bbox: [
        [-20, 8, 48, 16],
        [4, 8, 24, 16],
      ],
      category: ["light", "dark"],
      iscrowd: [1, 0],
    }),
  };
  for (const [format, row] of Object.entries(rows)) {
    await writeFile(join(root, "formats.jsonl"), row);
    const method = { boxes: { format, clip: true }, image: { size: 48 } };
    const ready = await prepared("formats", { method, data: { train: "formats.jsonl", validationShare: 0 } });
    const { boxes } = (await ready.trainData.batch(0)) as DetectionBatch;
    const first = Array.from(await boxes.read()).slice(0, 4);
    for (const [i, value] of [16 / 48, 16 / 32, 24 / 48, 16 / 32].entries()) expect(first[i]).toBeCloseTo(value, 6);
    await ready.close();
  }
});

test("what cannot be followed is refused by name", async () => {
  const refused = (config: Config) => expect(prepared("refused", config)).rejects;
  await refused({ method: { boxes: { format: "xyxy" } } }).toThrow(/boxes\.format: expected xywh, as .* has boxes/);
  await refused({ method: { image: { size: 48, shortestEdge: 32 } } }).toThrow("size, or shortestEdge and longestEdge");
  await refused({ method: { augment: { resizedCrop: {} } } }).toThrow("resizedCrop");
  await refused({ method: { augment: { sizeCrop: { min: 3 } } } }).toThrow("min");
  await refused({ method: { augment: { mixup: {} } } }).toThrow("mixup");
  await refused({ method: { augment: { shortestSize: { minSize: 64 } } } }).toThrow("at most 48");
  await refused({ method: { loss: { auxiliary: true } } }).toThrow("auxiliary_loss");
  await refused({ method: { loss: { giou: 2 } } }).toThrow("giou");
  await refused({ data: { train: { path: coco, format: "messages" } } }).toThrow("data.format");
  await refused({ data: { train: { path: "folder", pictures: "folder" } } }).toThrow("a COCO file alone");
  await writeFile(join(root, "empty.jsonl"), `${bad([])}\n${bad([])}\n`);
  const data = { train: "empty.jsonl", validationShare: 0 };
  await refused({ data }).toThrow("objects with classes");
  await refused({ data, method: { classes: ["dark"] } }).toThrow("at least one object in the pictures to learn from");
  const unmeasured = { train: coco, validation: "empty.jsonl" };
  await refused({ data: unmeasured }).toThrow("at least one object in the pictures to measure on");
  await refused({ data, method: { classes: ["dark"], head: "stored" } }).toThrow("leave one out");
});

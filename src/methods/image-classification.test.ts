/** Classes of pictures: learned from folders, JSON Lines and IDX files, cut and resumed with augmentation. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { drawsOf } from "../augment/index.ts";
import { ConvNetForImageClassification, fromPretrained } from "../models/index.ts";
import { eventsOf } from "../testing/method-runs.ts";
import { type MethodEvent, methods, resolveConfig } from "./index.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-pictures-"));
  await writePictures(join(root, "pictures"), 12);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const SIDE = 12;
const classes = ["bars", "rows", "spots"] as const;

/** Grey stripes across or along, or noise. */
function pixels(name: (typeof classes)[number], number: number): Uint8Array {
  const draws = drawsOf(classes.indexOf(name), number);
  const offset = draws.integer(4);
  return Uint8Array.from({ length: SIDE * SIDE }, (_, i) => {
    const at = name === "bars" ? i % SIDE : Math.floor(i / SIDE);
    const isBright = name === "spots" ? draws.isLikely(0.5) : (at + offset) % 4 < 2;
    return (isBright ? 200 : 20) + draws.integer(30);
  });
}

async function writePictures(folder: string, count: number): Promise<void> {
  for (const name of classes) {
    await mkdir(join(folder, name), { recursive: true });
    for (let i = 0; i < count; i++) {
      const raw = { width: SIDE, height: SIDE, channels: 1 } as const;
      await sharp(pixels(name, i), { raw })
        .png()
        .toFile(join(folder, name, `${i}.png`));
    }
  }
}

const convnet = { model_type: "convnet", hidden_sizes: [8, 12], depths: [1, 1] };

async function resolved(name: string, config: object) {
  const input = {
    method: { name: "image-classification", image: { size: SIDE }, ...(config as { method?: object }).method },
    model: { new: convnet },
    data: { train: join(root, "pictures"), validationShare: 0.25 },
    optimizer: { learningRate: 0.01 },
    ...Object.fromEntries(Object.entries(config).filter(([key]) => key !== "method")),
    output: join(root, "runs", name),
  };
  return resolveConfig(input, { methods, where: "test", folder: root, name });
}

async function run(name: string, config: object): Promise<{ events: MethodEvent[]; notes: string[] }> {
  return eventsOf(await resolved(name, config));
}

const lossesOf = (events: readonly MethodEvent[]) =>
  events.flatMap((event) => (event.type === "step" ? [event.loss] : []));
const accuracyOf = (events: readonly MethodEvent[]) =>
  events.flatMap((event) => (event.type === "evaluation" ? [event.metrics.accuracy] : [])).at(-1);

function shareRight(counts: readonly (readonly number[])[]): number {
  const hits = counts.reduce((sum, row, i) => sum + row[i], 0);
  return hits / counts.flat().reduce((a, b) => a + b, 0);
}

test("the report shows mistaken pictures with their files, each once where the last batch is smaller", async () => {
  await writePictures(join(root, "measured"), 4);
  const { events } = await run("mistakes", {
    data: { train: join(root, "pictures"), validation: join(root, "measured") },
    training: { steps: 1, batchSize: 5 },
    optimizer: { learningRate: 1e-6 },
  });
  const { confusion, mistakes } = JSON.parse(await readFile(join(root, "runs", "mistakes", "report.json"), "utf8"));
  const ready = events.find((event) => event.type === "ready");
  const measured = Number(ready?.facts["validation pictures"]);
  expect(measured).toBe(12); // 5, 5 and 2
  expect(confusion.counts.flat().reduce((a: number, b: number) => a + b, 0)).toBe(measured);
  expect(shareRight(confusion.counts)).toBeCloseTo(accuracyOf(events) as number, 6);
  expect(mistakes.length).toBeGreaterThan(0);
  for (const { place, picture, label } of mistakes) {
    expect(place).toContain(join("measured", label));
    const raw = await sharp(Buffer.from(picture.split(",")[1], "base64"))
      .greyscale()
      .raw()
      .toBuffer();
    expect([...raw]).toEqual([...(await sharp(place).greyscale().raw().toBuffer())]);
  }
  expect(await readFile(join(root, "runs", "mistakes", "report.html"), "utf8")).toContain(mistakes[0].picture);
});

test("an adapter trains the new head too", async () => {
  const sizes = { hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8 };
  const vit = { model_type: "vit", ...sizes, image_size: SIDE, patch_size: SIDE / 2, num_channels: 1 };
  await run("adapted", {
    model: { new: vit },
    adapter: { type: "lora", rank: 2 },
    training: { steps: 1, batchSize: 4 },
  });
  const json = JSON.parse(await readFile(join(root, "runs", "adapted", "model", "adapter_config.json"), "utf8"));
  expect(json.modules_to_save).toEqual(["classifier"]);
});

const changes = {
  crop: { padding: 1 },
  flip: {},
  rotation: { degrees: 5 },
  color: { brightness: 0.2 },
  erase: { probability: 0.3, scale: [0.02, 0.1] },
};

test("a network learns from folders of pictures, from nothing; what is saved is opened again", async () => {
  const { events } = await run("learns", {
    method: { augment: { flip: {} }, labelSmoothing: 0.1 },
    training: { steps: 60, batchSize: 9 },
  });
  expect(accuracyOf(events)).toBeGreaterThan(0.9);
  const ready = events.find((event) => event.type === "ready");
  expect(ready?.facts.classes).toBe(3);
  const { confusion } = JSON.parse(await readFile(join(root, "runs", "learns", "report.json"), "utf8"));
  expect(confusion.labels).toEqual([...classes]);
  expect(shareRight(confusion.counts)).toBeCloseTo(accuracyOf(events) as number, 6);
  const folder = join(root, "runs", "learns", "model");
  const model = await fromPretrained(folder, { task: "image-classification", strict: true });
  expect(model).toBeInstanceOf(ConvNetForImageClassification);
  expect(model.config.labels).toEqual([...classes]);
  expect(JSON.parse(await readFile(join(folder, "preprocessor_config.json"), "utf8")).size).toEqual({
    height: SIDE,
    width: SIDE,
  });
  const again = await run("stored", {
    method: { head: "stored" },
    model: folder,
    training: { steps: 1, batchSize: 9 },
    optimizer: { learningRate: 1e-6 },
  });
  expect(accuracyOf(again.events)).toBeGreaterThan(0.9);
});

test("cut and resumed with every kind of change: the losses of a run that was not cut, to the bit", async () => {
  const method = { augment: { ...changes, randAugment: { magnitude: 5 }, mixup: { alpha: 0.4 }, cutmix: {} } };
  const config = (steps: number) => ({
    method: { ...method, labelSmoothing: 0.1 },
    model: { new: { ...convnet, classifier_dropout: 0.2 } },
    schedule: { name: "constant" },
    training: { steps, batchSize: 6, seed: 3 },
  });
  const whole = lossesOf((await run("whole", config(7))).events);
  const cut = lossesOf((await run("cut", config(4))).events);
  const rest = lossesOf((await run("cut", config(7))).events);
  expect([...cut, ...rest]).toEqual(whole);
  expect(new Set(whole).size).toBe(7);
});

test("the same pictures by paths in JSON Lines, and from IDX files in one channel", async () => {
  const rows = classes.flatMap((label) =>
    Array.from({ length: 12 }, (_, i) => JSON.stringify({ picture: `pictures/${label}/${i}.png`, kind: label })),
  );
  await writeFile(join(root, "rows.jsonl"), `${rows.join("\n")}\n`);
  const columns = { image: "picture", label: "kind" };
  const training = { steps: 40, batchSize: 9 };
  const data = { train: { path: "rows.jsonl", columns }, validationShare: 0.25 };
  expect(accuracyOf((await run("jsonl", { data, training })).events)).toBeGreaterThan(0.8);

  const count = 36;
  const images = Buffer.alloc(16 + count * SIDE * SIDE);
  for (const [i, value] of [0x803, count, SIDE, SIDE].entries()) images.writeUInt32BE(value, 4 * i);
  const labels = Buffer.alloc(8 + count);
  for (const [i, value] of [0x801, count].entries()) labels.writeUInt32BE(value, 4 * i);
  for (let i = 0; i < count; i++) {
    images.set(pixels(classes[i % 3], i), 16 + i * SIDE * SIDE);
    labels[8 + i] = i % 3;
  }
  await writeFile(join(root, "train-images-idx3-ubyte"), images);
  await writeFile(join(root, "train-labels-idx1-ubyte"), labels);
  const { events } = await run("idx", {
    model: { new: { ...convnet, num_channels: 1 } },
    data: { train: "train-images-idx3-ubyte", validationShare: 0.25 },
    training,
  });
  expect(accuracyOf(events)).toBeGreaterThan(0.8);
  const { config } = await fromPretrained(join(root, "runs", "idx", "model"), { task: "image-classification" });
  expect(config.labels).toEqual(["0", "1", "2"]);
});

test("pictures that cannot be read are counted with their files, or end the run", async () => {
  const folder = join(root, "damaged");
  await writePictures(folder, 3);
  await writeFile(join(folder, "bars", "broken.png"), Buffer.from("no picture"));
  await mkdir(join(folder, "circles"));
  const training = { steps: 1, batchSize: 3 };
  await expect(run("fails", { data: { train: folder }, training })).rejects.toThrow(/broken\.png.*a picture/);
  const { notes, events } = await run("skips", { data: { train: folder, onBadRow: "skip" }, training });
  expect(notes.join("; ")).toMatch(/1 rows are left out, as .*broken\.png/);
  expect(notes.join("; ")).toContain("these folders are empty, and no classes: circles");
  expect(events.find((event) => event.type === "ready")?.facts.classes).toBe(3);
});

test("classes of which one has many more pictures than another are warned of", async () => {
  const folder = join(root, "imbalanced");
  await writePictures(folder, 20);
  for (let i = 2; i < 20; i++) await rm(join(folder, "spots", `${i}.png`));
  const { notes } = await run("imbalanced", {
    data: { train: folder, validationShare: 0 },
    training: { steps: 1, batchSize: 3 },
  });
  expect(notes).toContain(
    "the classes are imbalanced: bars 20 examples, spots 2; the small ones may be hardly learned",
  );
});

test("what cannot be learned is refused", async () => {
  const training = { steps: 1, batchSize: 3 };
  const one = join(root, "one");
  await mkdir(join(one, "bars"), { recursive: true });
  await writeFile(join(one, "bars", "0.png"), await readFile(join(root, "pictures", "bars", "0.png")));
  await expect(run("one", { data: { train: one }, training })).rejects.toThrow("bars alone");
  await writeFile(join(root, "texts.jsonl"), '{"text":"no picture","label":1}\n{"text":"none","label":2}\n');
  await expect(run("texts", { data: { train: "texts.jsonl" }, training })).rejects.toThrow("a row with text, label");
  await expect(run("option", { method: { augment: { crop: { pad: 2 } } }, training })).rejects.toThrow("padding");
  await expect(run("size", { method: { image: {} }, training })).rejects.toThrow("the size of pictures");
});

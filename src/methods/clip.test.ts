/** Pictures and captions in one space: learned from nothing, cut and resumed, and the temperature's bound. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CLIPModel, fromPretrained, SiglipModel } from "../models/index.ts";
import { randomKey, tensor } from "../tensor/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { contrastive } from "./clip.ts";
import { type MethodEvent, methods, resolveConfig, runMethod } from "./index.ts";
import { CaptionRetrieval } from "./parts/caption-retrieval.ts";

const SIDE = 8;
const colors = { red: [220, 20, 20], green: [20, 200, 20], blue: [20, 20, 220], white: [240, 240, 240] } as const;
const places = ["left", "right", "top", "bottom"] as const;

let root: string;
let data: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-clip-"));
  data = join(root, "pictures");
  await mkdir(data);
  const lines: string[] = [];
  for (const [color, value] of Object.entries(colors))
    for (const place of places) {
      const name = `${color}-${place}.png`;
      const bytes = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => {
        const [x, y] = [Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE)];
        const half = SIDE / 2;
        const isIn = { left: x < half, right: x >= half, top: y < half, bottom: y >= half }[place];
        return isIn ? value[i % 3] : 0;
      });
      await sharp(bytes, { raw: { width: SIDE, height: SIDE, channels: 3 } })
        .png()
        .toFile(join(data, name));
      lines.push(JSON.stringify({ file_name: name, text: [`${color} at the ${place}`, `The ${place} is ${color}`] }));
    }
  await writeFile(join(data, "metadata.jsonl"), `${lines.join("\n")}\n`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const tower = { num_hidden_layers: 1, num_attention_heads: 2, hidden_size: 32, intermediate_size: 48 };
const model = {
  new: {
    model_type: "clip",
    projection_dim: 24,
    text_config: { ...tower, max_position_embeddings: 16 },
    vision_config: { ...tower, image_size: SIDE, patch_size: 4 },
  },
};

async function run(name: string, { method, ...config }: { method?: object; [field: string]: unknown }) {
  const input = {
    method: { name: "clip", ...method },
    model,
    tokenizer: { train: "bpe", vocabSize: 300 },
    data: { train: data, validation: data },
    optimizer: { learningRate: 3e-3, weightDecay: 0 },
    evaluation: { interval: 120 },
    ...config,
    output: join(root, "runs", name),
  };
  const resolved = await resolveConfig(input, { methods, where: "test", folder: root, name });
  const events: MethodEvent[] = [];
  for await (const event of runMethod(resolved, { onWarning: () => {} })) events.push(event);
  return events;
}

test("from nothing each picture finds its captions, and captions their picture", async () => {
  const events = await run("learns", { training: { steps: 120, batchSize: 16 } });
  const last = events.findLast((event) => event.type === "evaluation");
  // 1/16 and 5/16 by chance
  expect(last?.metrics.textToImageRecallAt1).toBeGreaterThan(0.4);
  expect(last?.metrics.imageToTextRecallAt1).toBeGreaterThan(0.4);
  expect(last?.metrics.textToImageRecallAt5).toBeGreaterThan(0.9);
  const folder = join(root, "runs", "learns", "model");
  const opened = await fromPretrained(folder, { task: "zero-shot-image-classification", strict: true });
  const tokenizer = await Tokenizer.open(folder);
  expect(opened.config.text).toMatchObject({ vocabSize: tokenizer.vocabSize, eosTokenId: tokenizer.endOfTextId });
  expect((await tokenizer.encodeText("Red at the LEFT")).tokens.at(-1)).toBe("<|endoftext|>");
});

test("cut and resumed with changes and drawn captions: the losses of a run that was not cut, to the bit", async () => {
  const config = (steps: number) => ({
    method: { augment: { resizedCrop: { scale: [0.7, 1] }, color: { brightness: 0.2 } } },
    schedule: { name: "constant" },
    training: { steps, batchSize: 6 },
  });
  const lossesOf = (events: readonly MethodEvent[]) =>
    events.flatMap((event) => (event.type === "step" ? [event.loss] : []));
  const whole = lossesOf(await run("whole", config(6)));
  expect([...lossesOf(await run("cut", config(3))), ...lossesOf(await run("cut", config(6)))]).toEqual(whole);
});

test("rows without captions are bad, and other tokenizers are refused", async () => {
  const rows = [
    { image: "pictures/red-left.png", text: "  " },
    { image: "pictures/red-top.png", text: [] },
  ];
  await writeFile(join(root, "empty.jsonl"), `${rows.map((row) => JSON.stringify(row)).join("\n")}\n`);
  const training = { steps: 1, batchSize: 2 };
  await expect(run("empty", { data: { train: "empty.jsonl" }, training })).rejects.toThrow("words");
  const tokenizer = fileURLToPath(new URL("../../golden/tokenizers/bpe-600.tokenizer.json", import.meta.url));
  await expect(run("blank", { data: { train: "empty.jsonl" }, tokenizer, training })).rejects.toThrow("a caption");
  await expect(run("char", { tokenizer: { train: "char" }, training })).rejects.toThrow("bpe");
});

test("CLIP's temperature stays within its bound; SigLIP's is free", async () => {
  const form = { save: async () => {} };
  const towers = { text: { vocabSize: 20, eosTokenId: 1 }, vision: { imageSize: 8, patchSize: 4 } };
  const clip = new CLIPModel({ ...towers, logitScale: 6 }, randomKey(0));
  const batch = { pixelValues: tensor([0]), inputIds: tensor([0], { dtype: "i32" }) } as never;
  await contrastive(clip, { form }).prepare?.(batch, { step: 0 });
  expect((await clip.logitScale.read())[0]).toBeCloseTo(Math.log(100), 5);
  const siglip = new SiglipModel({ ...towers, logitScale: 6 } as never, randomKey(0));
  const [before] = await siglip.logitScale.read();
  siglip.logitScale.set(Float32Array.of(6));
  await contrastive(siglip, { form }).prepare?.(batch, { step: 0 });
  expect([before === 6, (await siglip.logitScale.read())[0]]).toEqual([before === 6, 6]);
});

test("recalls count captions of one picture together", () => {
  const retrieval = new CaptionRetrieval();
  const vectors = (rows: readonly (readonly number[])[]) => ({
    shape: [rows.length, 2],
    data: Float32Array.from(rows.flat()),
  });
  retrieval.add({
    imageEmbeds: vectors([[1, 0], [0, 1], [1, 0]]), // biome-ignore format: a row a picture
    textEmbeds: vectors([[0.6, 0.8], [0, 1], [1, 0]]), // biome-ignore format: a row a caption
    pictures: { shape: [3], data: Int32Array.of(0, 1, 0) },
  });
  const { textToImageRecallAt1, imageToTextRecallAt1, textToImageRecallAt5 } = retrieval.result();
  expect([textToImageRecallAt1, imageToTextRecallAt1, textToImageRecallAt5]).toEqual([2 / 3, 1, 1]);
});

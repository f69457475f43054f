/** LLaVA put together and trained in its two stages: it learns to name the colours of pictures. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeRows } from "../data/index.ts";
import { readSafetensors } from "../files/index.ts";
import { fromConfig, fromPretrained, LlavaForConditionalGeneration, savePretrained } from "../models/index.ts";
import { ImageProcessor } from "../processors/index.ts";
import { randomKey } from "../tensor/index.ts";
import { eventsOf } from "../testing/method-runs.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { type MethodEvent, methods, resolveConfig } from "./index.ts";
import { expanded } from "./vision-language/tokens.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
const clip = `${golden}pipelines/models/clip`;
const colours = { red: [220, 20, 20], green: [20, 200, 20], blue: [20, 20, 220], white: [240, 240, 240] } as const;
const SIDE = 16;
let root: string;
let language: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-llava-"));
  language = join(root, "language");
  const tokenizer = await Tokenizer.open(`${golden}tokenizers/bpe-600.tokenizer.json`);
  const model = fromConfig(
    {
      ...{ model_type: "llama", hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 2 },
      ...{ num_key_value_heads: 2, head_dim: 16, vocab_size: 600, max_position_embeddings: 128 },
    },
    { task: "causal-lm", key: randomKey(1) },
  );
  await mkdir(language);
  await savePretrained(model, language, { tokenizer });
  const rows: object[] = [];
  for (const [name, colour] of Object.entries(colours))
    for (const shade of [0, 10]) {
      const bytes = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => Math.max(0, colour[i % 3] - shade));
      await sharp(bytes, { raw: { width: SIDE, height: SIDE, channels: 3 } })
        .png()
        .toFile(join(root, `${name}-${shade}.png`));
      const conversations = [
        { from: "human", value: "<image>\nwhich colour?" },
        { from: "gpt", value: name },
      ];
      rows.push({ image: `${name}-${shade}.png`, conversations });
    }
  await writeFile(join(root, "colours.json"), JSON.stringify(rows));
});
afterAll(() => rm(root, { recursive: true }));

async function resolved(name: string, { method, ...change }: { method?: object; [field: string]: unknown }) {
  const input = {
    method: { name: "llava", stage: "full", generated: 8, ...method },
    model: { vision: clip, language },
    data: { train: "colours.json", validation: "colours.json" },
    optimizer: { learningRate: 5e-3 },
    schedule: { name: "constant" },
    evaluation: { interval: 100 },
    ...change,
    output: join(root, "runs", name),
  };
  return resolveConfig(input, { methods, where: "test", folder: root, name });
}

async function run(name: string, change: { method?: object; [field: string]: unknown }) {
  return eventsOf(await resolved(name, change), { trackers: [] });
}
const lossesOf = (events: readonly MethodEvent[]) =>
  events.flatMap((event) => (event.type === "step" ? [event.loss] : []));
const weightsIn = async (folder: string) => (await readSafetensors(join(folder, "model.safetensors"))).tensors;
const modelOf = (name: string) => join(root, "runs", name, "model");

test("stage projector leaves the rest to the byte, and stage full goes on to name the colours", async () => {
  const first = await run("projector", { method: { stage: "projector" }, training: { steps: 4, batchSize: 4 } });
  expect(first.events[0]).toMatchObject({
    trainedParameters: 12 * 32 + 32 + 32 * 32 + 32,
    facts: { pictures: 8, "tokens of pictures": 32, "without a picture": 0 },
  });
  const [before, tower, text] = [
    await weightsIn(modelOf("projector")),
    await weightsIn(clip),
    await weightsIn(language),
  ];
  for (const [key, { data }] of before) {
    if (key.startsWith("vision_tower.")) expect(data).toEqual(tower.get(key.replace("vision_tower.", ""))?.data);
    const name = key.replace("language_model.", "");
    // the table of tokens has a row more, the mean of the others
    const same = text.get(name)?.data.length ?? 0;
    if (key.startsWith("language_model.")) expect(data.subarray(0, same)).toEqual(text.get(name)?.data);
    if (!key.endsWith("embed_tokens.weight")) continue;
    const mean = Array.from({ length: 600 }, (_, row) => Number(data[32 * row + 5])).reduce((a, b) => a + b) / 600;
    expect(data.length).toBe(601 * 32);
    expect(data[600 * 32 + 5]).toBeCloseTo(mean, 6);
  }
  const { events } = await run("full", {
    model: modelOf("projector"),
    training: { steps: 60, batchSize: 8 },
    samples: { prompts: ["which colour?"], interval: 60, maxNewTokens: 4 },
  });
  expect(events.find((event) => event.type === "sample")).toMatchObject({ text: expect.any(String) });
  const measured = events.findLast((event) => event.type === "evaluation");
  expect(measured?.metrics).toMatchObject({ exactMatch: 1, tokenAccuracy: 1 });
  expect(measured?.metrics.perplexity).toBeCloseTo(Math.exp(measured?.validationLoss ?? 0), 3);
  const after = await weightsIn(modelOf("full"));
  for (const [key, { data }] of after)
    if (key.startsWith("vision_tower.")) expect(data).toEqual(before.get(key)?.data);
    else if (key.endsWith("proj.weight")) expect(data).not.toEqual(before.get(key)?.data);
  const model = await fromPretrained(modelOf("full"), { task: "image-text-to-text", strict: true });
  expect(model).toBeInstanceOf(LlavaForConditionalGeneration);
  const tokenizer = await Tokenizer.open(modelOf("full"));
  expect(tokenizer.tokenToId("<image>")).toBe(model.imageTokenId);
  const processor = JSON.parse(await readFile(join(modelOf("full"), "processor_config.json"), "utf8"));
  expect(processor).toMatchObject({ processor_class: "LlavaProcessor", patch_size: 8, image_token: "<image>" });
  expect(await readFile(join(modelOf("full"), "README.md"), "utf8")).toContain("pipeline_tag: image-text-to-text");
});

test("cut and resumed: the losses of a run that was not cut, to the bit", async () => {
  const config = (steps: number) => ({
    method: { generated: 0 },
    data: { train: "colours.json", validationShare: 0 },
    training: { steps, batchSize: 3, accumulation: 2, seed: 5 },
    checkpoints: { interval: 2 },
  });
  const whole = lossesOf((await run("whole", config(4))).events);
  const cut = lossesOf((await run("cut", config(2))).events);
  const rest = lossesOf((await run("cut", config(4))).events);
  expect([...cut, ...rest]).toEqual(whole);
  expect(new Set(whole).size).toBe(4);
});

const question = (value: string) => [
  { from: "human", value },
  { from: "gpt", value: "red" },
];

async function prepared(name: string, rows: readonly object[], change: { method?: object; data?: object } = {}) {
  await writeFile(join(root, `${name}.json`), JSON.stringify(rows));
  const data = { train: `${name}.json`, validationShare: 0, ...change.data };
  const { method, config, folder } = await resolved(name, { ...change, data, training: { batchSize: 2 } });
  const notes: string[] = [];
  const onWarning = (warning: { notes?: readonly string[] }) => notes.push(...(warning.notes ?? []));
  const result = await method.prepare(config, { folder, onWarning: onWarning as never });
  await result.close();
  return { result, notes };
}

test("bad rows are told with file and line, and left out where asked for", async () => {
  await writeFile(join(root, "broken.png"), "no picture");
  const good = { image: "red-0.png", conversations: question("<image>\nwhich?") };
  const bad: [string, object, RegExp][] = [
    ["missing", { image: "none.png", conversations: question("<image>\nwhich?") }, /missing\.json:\d.*none\.png/s],
    ["damaged", { image: "broken.png", conversations: question("<image>\nwhich?") }, /damaged\.json:\d.*broken\.png/s],
    [
      "few",
      { image: ["red-0.png", "blue-0.png"], conversations: question("<image>\nwhich?") },
      /1 marks and 2 pictures/,
    ],
    [
      "many",
      { id: "07", image: "red-0.png", conversations: question("<image><image>") },
      /id 07: .*2 marks and 1 pictures/,
    ],
    ["none", { conversations: question("<image>\nwhich?") }, /1 marks and 0 pictures/],
    ["unmarked", { image: "red-0.png", conversations: question("which?") }, /0 marks and 1 pictures/],
    ["address", { image: "http://127.0.0.1/red.png", conversations: question("<image>") }, /an address of the network/],
    [
      "asked",
      { image: "red-0.png", conversations: [{ from: "human", value: "<image>" }] },
      /a message of the assistant/,
    ],
  ];
  for (const [name, row, reason] of bad) await expect(prepared(name, [good, row])).rejects.toThrow(reason);
  const rows = [good, ...bad.map(([, row]) => row)];
  const { result, notes } = await prepared("skipped", rows, { data: { onBadRow: "skip" } });
  expect(result.facts).toMatchObject({ examples: 1, pictures: 1 });
  expect(notes.join("; ")).toMatch(/8 rows are left out, as .*skipped\.json:\d+: .*none\.png/s);
});

test("rows are cut in front of a picture, not inside of it", async () => {
  const conversations = [
    ...question("<image>\nwhich colour?"),
    ...question("and this? <image> tell it"),
    ...question("thanks"),
  ];
  const rows = [{ image: ["red-0.png", "blue-0.png"], conversations }];
  const whole = await prepared("long", rows);
  expect(whole.result.facts).toMatchObject({ pictures: 2, "tokens of pictures": 8 });
  const text = (await whole.result.preview?.(1)) ?? "";
  expect(text).toContain("[picture 2: 4 tokens]");
  expect(text.match(/«[^»]*»/g)).toEqual(Array(3).fill("« red<|endoftext|>»"));
  const { result, notes } = await prepared("cut", rows, { data: { maxLength: 40 } });
  expect(result.facts).toMatchObject({ pictures: 1, "tokens of pictures": 4 });
  const marked = { ids: Int32Array.of(5, 9, 6, 9, 7), weights: Uint8Array.of(0, 0, 1, 1, 1), places: [2, 3], index: 0 };
  const lengths = [2, 3, 4, 6, 7, 8].map((most) => {
    const { example, isLong } = expanded(marked, 9, most);
    return [example.ids.join(" "), example.places.length, isLong];
  });
  expect(lengths).toEqual([
    ["5", 0, true],
    ["5 9 9", 1, true],
    ["5 9 9 6", 1, true],
    ["5 9 9 6", 1, true],
    ["5 9 9 6 9 9 9", 2, true],
    ["5 9 9 6 9 9 9 7", 2, false],
  ]);
  expect([...expanded(marked, 9, 8).example.weights]).toEqual([0, 0, 0, 1, 0, 0, 0, 1]);
  expect(notes.join("; ")).toMatch(
    /1 of 1 rows are longer than maxLength 40 and cut, pictures whole, as .*cut\.json:1/,
  );
  await expect(prepared("skip", rows, { data: { maxLength: 40, onTooLong: "skip" } })).rejects.toThrow(
    "conversations with something to learn",
  );
});

test("pictures as parts, in columns, bytes and addresses of files; marks in texts of parts stay text", async () => {
  const file = join(root, "blue-0.png");
  const data = `data:image/png;base64,${(await readFile(file)).toString("base64")}`;
  const answer = { role: "assistant", content: "blue" };
  const ask = (...parts: object[]) => [{ role: "user", content: [...parts, { type: "text", text: "which?" }] }, answer];
  const rows = [
    { messages: ask({ type: "image", path: "blue-0.png" }) },
    { messages: ask({ type: "image", url: `file://${file}` }) },
    { messages: ask({ type: "image_url", image_url: { url: data } }) },
    { messages: ask({ type: "image" }, { type: "image" }), images: ["blue-0.png", { bytes: null, path: "red-0.png" }] },
    { messages: ask({ type: "text", text: "<image> is a word" }) },
    { messages: [{ role: "user", content: "no picture" }, answer] },
  ];
  const { result } = await prepared("parts", rows);
  expect(result.facts).toMatchObject({ examples: 6, pictures: 5, "without a picture": 2 });
  // tables have every field in every part
  const table = [
    [
      { type: "image", path: "blue-0.png", text: null },
      { type: "text", path: null, text: "which?" },
    ],
    [{ type: "text", path: null, text: "none?" }],
  ].map((content) => ({
    messages: [
      { role: "user", content },
      { role: "assistant", content: [{ type: "text", path: null, text: "blue" }] },
    ],
  }));
  const writer = await writeRows(join(root, "table.parquet"));
  for (const row of table) await writer.write(row);
  await writer.close();
  const { result: ofTable } = await prepared("table", [], { data: { train: "table.parquet" } });
  expect(ofTable.facts).toMatchObject({ examples: 2, pictures: 1, "without a picture": 1 });
  const folder = join(root, "elsewhere");
  await mkdir(folder);
  const moved = [{ image: "blue-0.png", conversations: question("<image>") }];
  await writeFile(join(folder, "rows.json"), JSON.stringify(moved));
  const { result: fromFolder } = await prepared("moved", moved, {
    method: { imageFolder: root, checkPictures: false },
    data: { train: "elsewhere/rows.json" },
  });
  expect(fromFolder.facts).toMatchObject({ pictures: 1 });
  await expect(prepared("texts", [rows[5]])).rejects.toThrow("rows with pictures");
});

test("a language model that waits; an adapter of it, with the projector beside it, alone or merged", async () => {
  const unfreeze = [{ step: 9, parameters: ["language_model.*"] }];
  await run("waits", {
    model: modelOf("projector"),
    unfreeze,
    training: { steps: 1, batchSize: 4 },
    method: { generated: 0 },
  });
  const [base, waits] = [await weightsIn(modelOf("projector")), await weightsIn(modelOf("waits"))];
  const changed = [...base.keys()].filter((key) => String(base.get(key)?.data) !== String(waits.get(key)?.data));
  expect(changed.every((key) => key.startsWith("multi_modal_projector."))).toBe(true);
  expect(changed).toHaveLength(4);
  const training = { steps: 3, batchSize: 4 };
  const adapter = { type: "lora", rank: 2 };
  await run("adapter", { model: modelOf("projector"), adapter, training });
  const saved = (await readSafetensors(join(modelOf("adapter"), "adapter_model.safetensors"))).tensors;
  expect([...saved.keys()].filter((key) => /vision_tower/.test(key))).toEqual([]);
  expect([...saved.keys()].filter((key) => /multi_modal_projector/.test(key))).toHaveLength(4);
  expect(
    [...saved.keys()].filter((key) => /^base_model\.model\.model\.language_model\.layers.*lora_A/.test(key)),
  ).toHaveLength(14);
  // a tower that does not say how pictures are
  const model = { vision: `${golden}models/clip`, language };
  await run("merged", { model, adapter: { ...adapter, merge: true }, training });
  const merged = await fromPretrained(modelOf("merged"), { task: "image-text-to-text", strict: true });
  expect((await ImageProcessor.open(modelOf("merged"))).settings.size).toEqual({ height: 16, width: 16 });
  expect(merged).toBeInstanceOf(LlavaForConditionalGeneration);
  await expect(run("lost", { adapter, training })).rejects.toThrow("adapter.merge");
  await expect(run("both", { method: { stage: "projector" }, adapter, training })).rejects.toThrow("config, adapter");
});

test("a config's form of pictures counts before the model's own; all tokens may be learned", async () => {
  const { method, config, folder } = await resolved("form", {
    method: { image: { size: SIDE, mean: 0.25, std: 0.5 }, learned: "all" },
    model: `${golden}pipelines/models/llava`,
    training: { batchSize: 2 },
  });
  const { objective, facts, close } = await method.prepare(config, { folder, onWarning: () => {} });
  expect(facts["learned tokens"]).toBe(Number(facts.tokens) - Number(facts["tokens of pictures"]));
  await objective.save(join(root, "form"));
  const { settings } = await ImageProcessor.open(join(root, "form"));
  expect(settings.image_mean).toEqual([0.25, 0.25, 0.25]);
  await close();
});

test("what is not followed is refused", async () => {
  const training = { steps: 1, batchSize: 2 };
  const data = { train: "colours.json", packing: true };
  await expect(run("packed", { data, training })).rejects.toThrow("data.packing");
  const siglip = `${golden}pipelines/models/siglip`;
  await expect(run("siglip", { model: { vision: siglip, language }, training })).rejects.toThrow(
    /a CLIP model.*siglip/,
  );
  for (const [family, name] of [
    ["gpt2", `${golden}pipelines/models/gpt2`],
    ["gemma2", `${golden}decoders/gemma2`],
  ]) {
    const refused = run(family, { model: { vision: clip, language: name }, training });
    await expect(refused).rejects.toThrow(`${name}, a ${family}`);
  }
  const blip = `${golden}pipelines/models/blip`;
  await expect(run("blip", { model: blip, training })).rejects.toThrow(/a task of blip.*image-text-to-text/);
  const sft = { method: "sft", model: { vision: clip, language }, data: { train: "colours.json" } };
  await expect(resolveConfig(sft, { methods, where: "test", folder: root, name: "sft" })).rejects.toThrow(
    "test, model",
  );
  await expect(run("trained", { tokenizer: { train: "bpe" }, training })).rejects.toThrow("config, tokenizer");
  await expect(
    run("learns", { data: { train: { path: "colours.json", format: "alpaca" } }, training }),
  ).rejects.toThrow("rows of alpaca");
  await expect(run("size", { method: { image: { size: 12 } }, training })).rejects.toThrow("16 x 16 pixels");
  const projector = { activation: "tanh" };
  await expect(resolved("tanh", { model: { vision: clip, language, projector } })).rejects.toThrow("activation");
});

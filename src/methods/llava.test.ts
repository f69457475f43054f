/** LLaVA put together and trained in its two stages: it learns to name the colours of pictures. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readSafetensors } from "../files/index.ts";
import { fromConfig, fromPretrained, LlavaForConditionalGeneration, savePretrained } from "../models/index.ts";
import { randomKey } from "../tensor/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { type MethodEvent, methods, resolveConfig, runMethod } from "./index.ts";

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
      ...{ num_key_value_heads: 2, head_dim: 16, vocab_size: 600, max_position_embeddings: 64 },
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
  const events: MethodEvent[] = [];
  const notes: string[] = [];
  const onWarning = (warning: { notes?: readonly string[] }) => notes.push(...(warning.notes ?? []));
  const options = { onWarning: onWarning as never, trackers: [] };
  for await (const event of runMethod(await resolved(name, change), options)) events.push(event);
  return { events, notes };
}
const lossesOf = (events: readonly MethodEvent[]) =>
  events.flatMap((event) => (event.type === "step" ? [event.loss] : []));
const weightsIn = async (folder: string) => (await readSafetensors(join(folder, "model.safetensors"))).tensors;
const modelOf = (name: string) => join(root, "runs", name, "model");

test("stage projector leaves the rest to the byte, and stage full goes on to name the colours", async () => {
  const first = await run("projector", { method: { stage: "projector" }, training: { steps: 4, batchSize: 4 } });
  expect(first.events[0]).toMatchObject({
    trainedParameters: 12 * 32 + 32 + 32 * 32 + 32,
    facts: { pictures: 8, "tokens of pictures": 32, "examples without a picture": 0 },
  });
  const [before, tower, text] = [
    await weightsIn(modelOf("projector")),
    await weightsIn(clip),
    await weightsIn(language),
  ];
  for (const [key, { data }] of before) {
    if (key.startsWith("vision_tower.")) expect(data).toEqual(tower.get(key.replace("vision_tower.", ""))?.data);
    const name = key.replace("language_model.", "");
    // the table of tokens has a row more
    const same = text.get(name)?.data.length ?? 0;
    if (key.startsWith("language_model.")) expect(data.subarray(0, same)).toEqual(text.get(name)?.data);
  }
  const { events } = await run("full", { model: modelOf("projector"), training: { steps: 60, batchSize: 8 } });
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

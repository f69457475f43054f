/**
 * Training on a text is a preset of pretraining: beside it stands the same training put together by hand, of a GPT-2,
 * AdamW, the cosine schedule and windows of the prepared tokens. Both are the same to the bit.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openPrepared, type PreparedData, prepareData, TextCorpus, TokenDataset } from "../../data/index.ts";
import { readSafetensors, writeJson } from "../../files/index.ts";
import { GPT2LMHeadModel } from "../../models/index.ts";
import { AdamW, cosineSchedule } from "../../optim/index.ts";
import { randomKey } from "../../tensor/index.ts";
import { defaultRunConfig, languageModel, type RunConfig, type TrainEvent, train } from "../../train/index.ts";
import { runTraining } from "../index.ts";

const STEPS = 20;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kindling-"));
  await writeFile(join(root, "one.txt"), "the cat sat on the mat and the dog sat on the log. ".repeat(60));
  await mkdir(join(root, "many"));
  const verbs = ["sat", "ran", "slept", "sang"];
  for (let i = 0; i < 24; i++) {
    const line = `Fable ${i}: the fox ${verbs[i % 4]} by the river until the crow of day ${i * i} was gone.\n`;
    await writeFile(join(root, "many", `${String(i).padStart(2, "0")}.md`), line.repeat(6));
  }
});
afterAll(() => rm(root, { recursive: true }));

const small: RunConfig = {
  ...defaultRunConfig,
  ...{ contextLength: 16, hiddenSize: 32, numLayers: 2, numHeads: 2, batchSize: 4, steps: STEPS, warmupSteps: 7 },
  ...{ evaluationInterval: 6, checkpointInterval: 9, dropout: 0.1, seed: 5 },
};
const cases: Record<string, () => RunConfig> = {
  "characters of one text": () => ({ ...small, text: join(root, "one.txt"), tokenizer: "char" }),
  "pieces of words of many texts": () => ({ ...small, text: join(root, "many"), vocabSize: 300, dropout: 0 }),
  "in bf16, with a warm-up that is longer than training": () => ({
    ...small,
    ...{ text: join(root, "one.txt"), tokenizer: "char", precision: "bf16", warmupSteps: 100, weightDecay: 0.3 },
  }),
};

/** The training of a prepared text, by hand. */
async function* byHand(
  folder: string,
  config: RunConfig,
  { tokenizer, trainPath, validationPath, fingerprint }: PreparedData,
): AsyncGenerator<TrainEvent, void, void> {
  const { contextLength, hiddenSize, numLayers, numHeads, dropout, batchSize, seed, steps } = config;
  const end = tokenizer.endOfTextId;
  const model = new GPT2LMHeadModel(
    {
      ...{ vocabSize: tokenizer.vocabSize, maxPositionEmbeddings: contextLength, hiddenSize, numLayers, numHeads },
      ...{ embeddingDropout: dropout, attentionDropout: dropout, residualDropout: dropout },
      ...{ bosTokenId: end, eosTokenId: end },
    },
    randomKey(seed),
  );
  model.generationConfig = { do_sample: true, temperature: 0.8, top_k: 50 };
  const objective = languageModel(model, { tokenizer });
  const options = { contextLength, batchSize, vocabSize: tokenizer.vocabSize, seed };
  const trainData = await TokenDataset.open(trainPath, options);
  const validationData = await TokenDataset.open(validationPath, options);
  const { learningRate, warmupSteps, weightDecay, clipNorm, precision, evaluationInterval, checkpointInterval } =
    config;
  try {
    yield* train({
      ...{ objective, trainData, folder, fingerprint, steps, clipNorm, precision, seed },
      ...{ evaluationInterval, checkpointInterval, validationData: validationData.spread(8) },
      optimizer: new AdamW(objective.trained, { betas: [0.9, 0.95], weightDecay }),
      schedule: cosineSchedule({ learningRate, warmupSteps: Math.min(warmupSteps, steps), totalSteps: steps }),
    });
    await objective.save(join(folder, "model"));
  } finally {
    await trainData.close();
    await validationData.close();
  }
}

async function handMade(folder: string, config: RunConfig): Promise<TrainEvent[]> {
  const { tokenizer, vocabSize, contextLength } = config;
  const data = join(folder, "data");
  const corpus = await TextCorpus.open(config.text as string);
  const prepared =
    (await openPrepared(data)) ?? (await prepareData(corpus, data, { tokenizer, vocabSize, contextLength }));
  const events: TrainEvent[] = [];
  for await (const event of byHand(folder, config, prepared)) events.push(event);
  return events;
}

async function preset(folder: string, config: RunConfig): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  for await (const event of runTraining(folder, config)) events.push(event as TrainEvent);
  return events;
}

/** What is to be the same: rates, losses, norms, and measurements. */
const numbersOf = (events: readonly TrainEvent[]) =>
  events.flatMap((event) => {
    if (event.type === "step") return [[event.step, event.learningRate, event.loss, event.gradientNorm]];
    return event.type === "evaluation" ? [[event.step, event.validationLoss]] : [];
  });

const jsonAt = async (...path: string[]) => JSON.parse(await readFile(join(...path), "utf8"));

/** What a checkpoint keeps, but for the seconds that it took. */
async function checkpointAt(folder: string) {
  const path = join(folder, "checkpoint");
  const { elapsedSeconds: _, ...state } = await jsonAt(path, "training_state.json");
  return {
    state,
    names: (await readdir(path)).sort(),
    weights: (await readSafetensors(join(path, "model.safetensors"))).tensors,
    optimizer: (await readSafetensors(join(path, "optimizer.safetensors"))).tensors,
    config: await jsonAt(path, "config.json"),
    generation: await jsonAt(path, "generation_config.json"),
    tokenizer: await jsonAt(path, "tokenizer.json"),
  };
}

describe.each(Object.entries(cases))("%s", (name, config) => {
  const folder = () => join(root, name);

  test("have the rates, the losses and the checkpoint of the same training by hand", async () => {
    const [hand, run] = [join(folder(), "hand"), join(folder(), "run")];
    const expected = numbersOf(await handMade(hand, config()));
    expect(expected.length).toBeGreaterThan(STEPS);
    expect(numbersOf(await preset(run, config()))).toEqual(expected);
    expect(await checkpointAt(run)).toEqual(await checkpointAt(hand));
    const weights = async (at: string) => (await readSafetensors(join(at, "model", "model.safetensors"))).tensors;
    expect(await weights(run)).toEqual(await weights(hand));
  }, 60_000);

  test("go on from a folder of before, and their steps are the same then, too", async () => {
    const [hand, run] = [join(folder(), "hand"), join(folder(), "earlier")];
    await writeJson(join(run, "run.json"), config());
    const half = await handMade(run, { ...config(), steps: STEPS / 2 });
    expect(half.at(-1)).toMatchObject({ step: STEPS / 2 });
    const rest = await preset(run, config());
    expect(rest.find(({ type }) => type === "resumed")).toMatchObject({ step: STEPS / 2 });
    expect(rest.filter(({ type }) => type === "step")).toHaveLength(STEPS / 2);
    expect((await checkpointAt(run)).names).toEqual((await checkpointAt(hand)).names);
  }, 60_000);
});

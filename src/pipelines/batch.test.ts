/** Inputs that are run together give what each gives alone. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { BertForSequenceClassification } from "../models/index.ts";
import { randomKey } from "../tensor/index.ts";
import { expectClose } from "../testing/close.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { answers } from "./common.ts";
import { CrossEncoder, type PipelineTask, pipeline, SentenceEncoder, TextClassificationPipeline } from "./index.ts";

const golden = fileURLToPath(new URL("../../golden/", import.meta.url));
const models = join(golden, "pipelines/models");
const TOLERANCE = 1e-5;

const texts = [
  "It was a dark and stormy night.",
  "Call me Ishmael. Some years ago I sailed from Nantucket with Queequeg, the harpooneer, and a whale swam by!",
  "Rain",
  "The landlord of the inn was old; it was a dark night, and he sailed from Nantucket.",
  "Ishmael sailed",
];
const images = ["tall", "photo", "wide", "tall"].map((name) =>
  join(golden, "images", `${name}.${name === "photo" ? "jpg" : "png"}`),
);
const withMask = texts.map((text, i) => `${text} [MASK]${i === 2 ? " night [MASK]." : "."}`);
const questions = texts.slice(0, 3).map((context) => ({ question: "Who sailed from Nantucket?", context }));

const numbersIn = (value: unknown): number[] =>
  typeof value === "number"
    ? [value]
    : typeof value === "object" && value !== null
      ? Object.values(value).flatMap(numbersIn)
      : [];
/** All but the numbers, which bytes of masks are too. */
const frameOf = (value: unknown) =>
  JSON.stringify(value, (key, part) => (typeof part === "number" || key === "data" ? 0 : part));
function expectEqual(what: string, actual: unknown, expected: unknown): void {
  expect([what, frameOf(actual)]).toEqual([what, frameOf(expected)]);
  expectClose(what, numbersIn(actual), numbersIn(expected), TOLERANCE);
}

type Case = [task: PipelineTask, model: string, inputs: readonly unknown[], options: object, processor?: string];
const cases: Case[] = [
  ["text-classification", "bert-sequence-classification", texts, { topK: null }],
  ["text-classification", "bart", texts, {}],
  ["text-classification", "bert-token-types", [...texts, { text: texts[0], textPair: texts[3] }], { topK: 2 }],
  ["zero-shot-classification", "bert-nli", texts, { candidateLabels: ["whales", "the sea", "little old beds"] }],
  ["token-classification", "bert-token-classification", texts, { stride: 2 }],
  ["token-classification", "roberta-token-classification", texts, { aggregationStrategy: "simple" }],
  ["question-answering", "bert-question-answering", questions, { topK: 3, maxSeqLen: 30, docStride: 4 }],
  ["question-answering", "roberta-question-answering", questions, { handleImpossibleAnswer: true }],
  ["fill-mask", "bert-masked-lm", withMask, {}],
  ["feature-extraction", "bert-multi-label", texts, {}],
  ["image-classification", "models/vit-image-classification", images, {}, "images/vit"],
  ["image-segmentation", "models/segformer-semantic-segmentation", images, {}, "images/segformer"],
  ["object-detection", "models/yolos", images, { threshold: 0.3 }, "images/yolos"],
  ["object-detection", "models/detr", images, { threshold: 0.3 }, "images/detr"], // pictures of three sizes
  ["zero-shot-image-classification", "clip", images, { candidateLabels: ["a whale", "the sea"] }],
];
describe("a pipeline with batchSize", () => {
  test.each(cases)("%s by %s", async (task, model, inputs, options, processor) => {
    const folder = join(processor ? golden : models, model);
    const tested = await pipeline(task, folder, processor ? { processor: join(golden, processor) } : {});
    const run = (batchSize?: number) =>
      (tested as unknown as { run(inputs: unknown, options: object): Promise<unknown[]> }).run(inputs, {
        ...options,
        ...(batchSize !== undefined && { batchSize }),
      });
    const alone = await run();
    expect(alone.length).toBe(inputs.length);
    expect(new Set(alone.map((answer) => JSON.stringify(answer))).size).toBeGreaterThan(1);
    for (const batchSize of [3, 100]) expectEqual(`batches of ${batchSize}`, await run(batchSize), alone);
    for (const batchSize of [0, 1.5, -1, "3", null]) {
      await expect(run(batchSize as number)).rejects.toMatchObject({
        where: `${task}, batchSize`,
        expected: "a whole number of at least 1",
        received: JSON.stringify(batchSize),
      });
    }
    tested.dispose();
  });
});

test("vectors of sentences", async () => {
  const encoder = await SentenceEncoder.open(join(models, "sentence-bert"));
  const options = { prompt: "query: ", normalizeEmbeddings: true };
  const alone = await encoder.encode(texts, options);
  expectEqual("batches of 2", await encoder.encode(texts, { ...options, batchSize: 2 }), alone);
  expect(await encoder.encode([], { batchSize: 2 })).toEqual([]);
  await expect(encoder.encode(texts, { batchSize: 0 })).rejects.toThrow(/encode, batchSize: .*received 0\. Fix/);
  await expect(encoder.encode(texts, { normalise: true } as never)).rejects.toThrow(/normalizeEmbeddings/);
  encoder.dispose();
});

test("scores of pairs", async () => {
  const judge = await CrossEncoder.open(join(models, "cross-encoder"));
  const alone = await judge.rank("Who sailed?", texts);
  expectEqual("batches of 4", await judge.rank("Who sailed?", texts, { batchSize: 4 }), alone);
  await expect(judge.rank("Who sailed?", texts, { top_k: 1 } as never)).rejects.toThrow(/did you mean "topK"/);
  await expect(judge.predict([], { batchsize: 1 } as never)).rejects.toThrow(/did you mean "batchSize"/);
  judge.dispose();
});

test("as many labels as places of a padded text are all there", async () => {
  const tokenizer = await Tokenizer.open(join(models, "bert-sequence-classification"));
  const labels = Array.from({ length: 16 }, (_, i) => `label ${i}`);
  const sizes = { vocabSize: 300, hiddenSize: 12, numHeads: 2, numLayers: 1, intermediateSize: 16 };
  const model = new BertForSequenceClassification({ ...sizes, maxPositionEmbeddings: 64, labels }, randomKey(1));
  const classifier = new TextClassificationPipeline(model, tokenizer);
  const scores = (await classifier.run("It was a dark night.", { topK: null })).map(({ score }) => score);
  expect(scores.length).toBe(16);
  expect(scores.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
  classifier.dispose();
});

test("parts are run in their order, across inputs, and answered as soon as all of an input have results", async () => {
  const events: string[] = [];
  const result = await answers([2, 1, 4, 1], {
    task: "count",
    batchSize: 3,
    prepare: async (count) => Array.from({ length: count }, (_, i) => `${count}.${i}`),
    run: async (parts) => {
      events.push(parts.join(" "));
      return parts.map((part) => part.toUpperCase());
    },
    answer: (count, parts, results) => {
      events.push(`= ${count}`);
      expect(results).toEqual(parts);
      return count * 10;
    },
  });
  expect(result).toEqual([20, 10, 40, 10]);
  expect(events).toEqual(["2.0 2.1 1.0", "= 2", "= 1", "4.0 4.1 4.2", "4.3 1.0", "= 4", "= 1"]);
});

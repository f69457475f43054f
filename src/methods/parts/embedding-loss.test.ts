/** Embeddings against sentence-transformers: see golden/make_retrieval.py. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readJson } from "../../files/index.ts";
import { AdamW } from "../../optim/index.ts";
import { expectClose, tolerances } from "../../testing/close.ts";
import { type Gradients, gradientsOf, normOf } from "../../testing/gradients.ts";
import { methodConfig } from "../../testing/method-config.ts";
import { compileTrainStep } from "../../train/index.ts";
import type { EmbeddingLossOptions } from "./embedding-loss.ts";
import { embeddingBatches, embeddingObjective } from "./embedding-objective.ts";
import { encodePairs } from "./encoded-pairs.ts";
import { openSentences } from "./sentence-files.ts";

const golden = (path: string) => fileURLToPath(new URL(`../../../golden/${path}`, import.meta.url));
interface Case extends Gradients {
  model: string;
  loss: EmbeddingLossOptions["loss"];
  options: Partial<EmbeddingLossOptions>;
  texts: string[][];
  scores: number[] | null;
  value: number;
}
interface Trace {
  model: string;
  batches: string[][][];
  learningRate: number;
  weightDecay: number;
  losses: number[];
}
const { embeddings: cases, trace } = (await readJson(golden("train/retrieval.json"))) as unknown as {
  embeddings: Case[];
  trace: Trace;
};

const tolerance = tolerances.f32 as number;
const context = { folder: "", onWarning: () => {} };
const usual: EmbeddingLossOptions = {
  ...({
    loss: "in-batch",
    scale: 20,
    similarity: "cosine",
    symmetric: false,
    margin: 5,
    distance: "euclidean",
  } as const),
  ...{ matryoshka: [], matryoshkaWeights: [] },
};

/** A model, and batches of columns of texts. */
async function opened(model: string) {
  const config = methodConfig("embeddings", { model: golden(`pipelines/models/${model}`) });
  const sentences = await openSentences(config, {}, context);
  const batchOf = async (texts: string[][], scores: number[] | null) => {
    const [anchors, positives, ...negatives] = texts;
    const pairs = anchors.map((anchor, i) => ({
      ...{ anchor, positive: positives[i], negatives: negatives.map((column) => column[i]) },
      ...(scores && { score: scores[i] }),
    }));
    const encoding = { ...sentences, prompts: { anchor: "", document: "" }, negatives: negatives.length };
    const options = { batchSize: pairs.length, seed: 0, groupByLength: false, isShuffled: false };
    const { source } = embeddingBatches(await encodePairs(pairs, encoding, context), sentences, {
      ...options,
      ...{ isInBatch: false, hasScores: scores !== null, promptTokens: [0, 0] },
    });
    return source.batch(0);
  };
  const objective = (options: Partial<EmbeddingLossOptions>) =>
    embeddingObjective(
      sentences,
      { ...usual, ...options },
      { trained: sentences.model.namedParameters(), metrics: "none" },
    );
  return { sentences, batchOf, objective };
}

test.each(cases.map((each) => [`${each.loss} ${JSON.stringify(each.options)} of ${each.model}`, each] as const))(
  "%s: loss and gradients are sentence-transformers'",
  async (_, { model, loss, options, texts, scores, value, norms, key, gradient }) => {
    const { sentences, batchOf, objective } = await opened(model);
    const result = await gradientsOf(objective({ loss, ...options }), await batchOf(texts, scores));
    expectClose("loss", [result.loss], [value], tolerance);
    const names = new Map(sentences.model.dense.map(({ place }, i) => [`dense.${i}`, place.slice(0, 1)]));
    const stored = (name: string) => name.replace(/^dense\.\d+/, (start) => names.get(start) as string);
    const ours = new Map([...result.gradients].map(([name, numbers]) => [stored(name), numbers]));
    expect([...ours.keys()].sort()).toEqual(Object.keys(norms).sort());
    for (const [name, numbers] of ours) expectClose(name, [normOf(numbers)], [norms[name]], 5 * tolerance);
    expectClose(key, ours.get(key) as Float32Array, gradient, tolerance);
    sentences.model.dispose();
  },
);

test("10 steps of AdamW have sentence-transformers' losses", async () => {
  const { sentences, batchOf, objective } = await opened(trace.model);
  const learned = objective({});
  const optimizer = new AdamW(learned.trained, { weightDecay: trace.weightDecay });
  const step = compileTrainStep(learned, optimizer, { clipNorm: Number.POSITIVE_INFINITY });
  const batches = await Promise.all(trace.batches.map((texts) => batchOf(texts, null)));
  const losses: number[] = [];
  for (let i = 0; i < trace.losses.length; i++)
    losses.push(await (await step(batches[i % 2] as never, trace.learningRate, i as never)).loss.item());
  expectClose("losses", losses, trace.losses, 1e-4);
  sentences.model.dispose();
});

/** Sentence embeddings. */
import { z } from "zod";
import { OptionError } from "../base/index.ts";
import type { TextPair } from "../data/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import type { SupervisedOptions } from "../train/index.ts";
import { type AnyPreparedMethod, defineMethod, type MethodConfig, type MethodContext } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { type OpenedData, openData } from "./parts/datasets.ts";
import { type EmbeddingLoss, type EmbeddingLossOptions, embeddingLosses } from "./parts/embedding-loss.ts";
import { type EmbeddingMetrics, embeddingBatches, embeddingObjective } from "./parts/embedding-objective.ts";
import { encodePairs, negativesOf, requirePairParts } from "./parts/encoded-pairs.ts";
import { refusePacking } from "./parts/encoded-texts.ts";
import { trainedParameters } from "./parts/models.ts";
import { openSentences, poolings } from "./parts/sentence-files.ts";
import { readPairs } from "./parts/text-pairs.ts";

const settings = {
  loss: z
    .enum(embeddingLosses)
    .optional()
    .describe(
      "in-batch: each anchor finds its positive among those of the batch and the negatives. triplet: a margin to each negative. cosine: cosines are the scores. cosent: cosines are in the order of the scores. Default: cosent where rows have scores, otherwise in-batch.",
    ),
  scale: z.number().positive().default(20).describe("Factor of similarities, of in-batch and cosent."),
  similarity: z.enum(["cosine", "dot"]).default("cosine").describe("Of in-batch."),
  symmetric: z.boolean().default(false).describe("Of in-batch: positives look for their anchor too."),
  hardNegatives: z.int().min(0).optional().describe("Negatives of each row that are used. Default: all that each has."),
  margin: z.number().min(0).default(5).describe("Of triplet."),
  distance: z.enum(["euclidean", "cosine"]).default("euclidean").describe("Of triplet."),
  matryoshka: z
    .array(z.int().min(1))
    .default([])
    .describe("Widths at which vectors are to be good too, as [384, 128, 32]. arXiv:2205.13147."),
  matryoshkaWeights: z.array(z.number().positive()).optional().describe("Of each width. Default: 1."),
  pooling: z.enum(poolings).default("mean").describe("Of a model that has no modules.json."),
  prompts: z
    .strictObject({ anchor: z.string().default(""), document: z.string().default("") })
    .prefault({})
    .describe("What stands in front of anchors, and of positives and negatives."),
};
type Config = MethodConfig<typeof settings>;

/**
 * Sentence embeddings: an encoder learns which texts belong together. Rows are pairs (anchor, positive, negatives or a
 * score), or questions with answers. Pooling and further layers are those of the model's folder, and the result is a
 * folder of sentence-transformers. Reimers and Gurevych 2019, arXiv:1908.10084; in-batch negatives: Henderson et al.
 * 2017, arXiv:1705.00652, section 4.
 */
export const embeddings = defineMethod({
  name: "embeddings",
  summary: "Sentence embeddings: an encoder learns which texts belong together.",
  settings,
  defaults: {
    optimizer: { learningRate: 2e-5 },
    training: { batchSize: 32 },
    data: { maxLength: 256, groupByLength: false },
  },
  template: `# Sentence embeddings: an encoder learns which texts belong together.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: embeddings
  loss: in-batch              # triplet (with negatives), cosine or cosent (with scores)
  scale: 20
  # hardNegatives: 1          # of each row; default: all
  # matryoshka: [384, 128, 64]   # widths at which vectors are to be good too
model: sentence-transformers/all-MiniLM-L6-v2   # its pooling is kept; a plain encoder gets the mean
data:
  train: pairs.jsonl          # rows with anchor and positive, question and answer; negatives; score
  validationShare: 0.05       # or validation: other.jsonl
  maxLength: 256              # tokens of each text; longer ones are cut
optimizer:
  learningRate: 2.0e-5
training:
  epochs: 1
  batchSize: 32               # more rows are more to be told apart, and learn more
evaluation:
  monitor: ndcgAt10           # of a search of each anchor among all positives; spearman with scores
`,
  async prepare(config, context) {
    refusePacking(config, "embeddings");
    return prepare(config, await openData(config.data, context), context);
  },
});

/** The pairs to learn from and to measure on, and how many negatives each has. */
async function readAll(config: Config, { train, validation, badRows }: OpenedData) {
  const pairs = await readPairs(train, config, badRows);
  const measured = validation && (await readPairs(validation, config, badRows));
  return { pairs, measured, negatives: negativesOf([...pairs, ...(measured ?? [])], config.method.hardNegatives) };
}

async function prepare(config: Config, opened: OpenedData, context: MethodContext): Promise<AnyPreparedMethod> {
  const { pooling, prompts } = config.method;
  const sentences = await openSentences(config, { pooling }, context);
  const { model, tokenizer, form } = sentences;
  const { pairs, measured, negatives } = await readAll(config, opened);
  const options = lossOptions(config, pairs, { negatives, width: model.width });
  const hasScores = options.loss === "cosine" || options.loss === "cosent";
  const encoding = { tokenizer, form, prompts, negatives: hasScores ? 0 : negatives };
  const { batchSize = 32, seed } = config.training;
  const promptTokens = [
    await tokensOf(tokenizer, prompts.anchor),
    await tokensOf(tokenizer, prompts.document),
  ] as const;
  const batching = { batchSize, seed, hasScores, promptTokens, groupByLength: config.data.groupByLength };
  const isInBatch = options.loss === "in-batch";
  const encoded = await encodePairs(pairs, encoding, context);
  const learned = embeddingBatches(encoded, sentences, { ...batching, isInBatch, isShuffled: true });
  const validation =
    measured &&
    embeddingBatches(await encodePairs(measured, encoding, context), sentences, {
      ...{ ...batching, isShuffled: false },
      ...{ isInBatch: isInBatch && measured.length >= batchSize },
    });
  const metrics = metricsOf(measured ?? [], hasScores);
  const make = ({ trained = model.namedParameters() }: SupervisedOptions) =>
    embeddingObjective(sentences, options, { trained, metrics });
  return {
    model,
    tokenizer,
    objective: config.adapter
      ? await adapted(config, { model: model.encoder, tokenizer }, make)
      : make({ trained: trainedParameters(model, config) }),
    trainData: learned.source,
    batchesPerEpoch: learned.batchesPerEpoch,
    validationData: validation?.source,
    facts: {
      pairs: pairs.length,
      "distinct texts": new Set(encoded.flatMap(({ numbers }) => numbers)).size,
      "negatives of a pair": encoding.negatives,
      ...(measured && { "validation pairs": measured.length }),
      loss: options.loss,
      "width of vectors": model.width,
    },
    fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
    preview: async (count) => pairs.slice(0, count).map(pairPreview).join("\n"),
    close: () => opened.close(),
  };
}

/** What is measured on validation pairs: of one score there is no correlation. */
function metricsOf(pairs: readonly TextPair[], hasScores: boolean): EmbeddingMetrics {
  if (!hasScores) return "retrieval";
  return new Set(pairs.map(({ score }) => score)).size > 1 ? "similarity" : "none";
}

/** The loss, checked against the pairs. @throws OptionError or DataError for what cannot be learned */
function lossOptions(
  { method, data }: Config,
  pairs: readonly TextPair[],
  { negatives, width }: { negatives: number; width: number },
): EmbeddingLossOptions {
  const usual: EmbeddingLoss = pairs.every(({ score }) => score !== undefined) ? "cosent" : "in-batch";
  const { loss = usual, scale, similarity, symmetric, margin, distance, matryoshka, matryoshkaWeights } = method;
  requirePairParts(pairs, negatives, {
    loss,
    scores: loss === "cosine" || loss === "cosent",
    range: loss === "cosine" ? [-1, 1] : undefined,
    negatives: loss === "triplet",
  });
  const weights = matryoshkaWeights ?? matryoshka.map(() => 1);
  const wide = matryoshka.find((each) => each > width);
  const refuse = (field: string, expected: string, received: string, fix: string): never => {
    throw new OptionError({ where: `config, ${field}`, expected, received, fix });
  };
  if (wide !== undefined)
    refuse("method.matryoshka", `widths of at most ${width}, the vectors'`, String(wide), "leave it out");
  if (weights.length !== matryoshka.length)
    refuse("method.matryoshkaWeights", `${matryoshka.length}, one of each width`, `${weights.length}`, "give one each");
  if (loss === "in-batch" && data.groupByLength)
    refuse(
      "data.groupByLength",
      "false with in-batch: rows of one length would be told apart from one another alone",
      "true",
      "leave it out",
    );
  return { loss, scale, similarity, symmetric, margin, distance, matryoshka, matryoshkaWeights: weights };
}

/** Tokens at the start of a text that are a prompt's, the special one before them with them. */
async function tokensOf(tokenizer: Tokenizer, prompt: string): Promise<number> {
  if (prompt === "") return 0;
  const { specialTokensMask } = await tokenizer.encodeText(prompt);
  return specialTokensMask.length - (specialTokensMask.at(-1) === 1 ? 1 : 0);
}

function pairPreview({ anchor, positive, negatives = [], score }: TextPair, i: number): string {
  const lines = [`anchor: ${anchor}`, `positive: ${positive}`, ...negatives.map((text) => `negative: ${text}`)];
  return [`--- pair ${i + 1} ---`, ...lines, ...(score === undefined ? [] : [`score: ${score}`])].join("\n");
}

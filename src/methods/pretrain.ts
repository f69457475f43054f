/** Pretraining on texts, of a new model or going on from one. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { OptionError } from "../base/index.ts";
import type { PretrainedModel } from "../models/index.ts";
import type { Tokenizer } from "../tokenizers/index.ts";
import type { SharedConfig } from "./config/schema.ts";
import { type AnyPreparedMethod, defineMethod, type MethodContext } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { openModel, openTokenizer, requireLength, requireVocabulary } from "./parts/models.ts";
import { withPerplexity } from "./parts/perplexity.ts";
import type { TextPacking } from "./parts/pretraining-batches.ts";
import { requireSettings, type TextTask, textTask } from "./parts/text-objectives.ts";
import { previewTexts, type ShownBatch } from "./parts/text-preview.ts";
import { type MeasuredDocuments, type TokenTexts, tokeniseTexts } from "./parts/text-tokens.ts";
import { type OpenedTexts, openTexts } from "./parts/texts.ts";
import { openStream, preparedStream } from "./parts/token-stream.ts";
import { type TextObjective, trainTokenizer } from "./parts/trained-tokenizer.ts";

const share = z.number().gt(0).lt(1);
const settings = {
  objective: z
    .enum(["causal", "masked", "span-corruption"])
    .default("causal")
    .describe("Tell the next token (GPT), masked tokens (BERT), or what was taken out of a text (T5)."),
  packing: z
    .enum(["documents", "concatenate", "none"])
    .optional()
    .describe(
      "How texts share a row of maxLength tokens: several, unseen by one another; one stream, cut where a row is full; " +
        "or each in rows of its own. Default: documents, and none where the objective is not causal.",
    ),
  textFiles: z
    .enum(["documents", "lines", "stream"])
    .default("documents")
    .describe(
      "Whether a text file is one document, or each of its lines is; or all of them are one stream of tokens, which the " +
        "run's folder keeps, with every so many files or the end of the stream for validation.",
    ),
  lossChunk: z
    .int()
    .min(1)
    .optional()
    .describe("Causal: logits of so many tokens of the vocabulary at a time. Much less memory, some more time."),
  maskProbability: share.optional().describe("Masked: share of the tokens that are asked for. Default: 0.15."),
  wholeWords: z.boolean().optional().describe("Masked: the tokens of a word together."),
  noiseDensity: share.optional().describe("Span corruption: share of the tokens that are taken out. Default: 0.15."),
  meanSpanLength: z.number().positive().optional().describe("Span corruption: tokens of a span. Default: 3."),
};

/**
 * Pretraining: a model learns texts, from random weights or going on from others. Rows have a text, text files are
 * documents. Radford et al. 2019 for the next token; Devlin et al. 2018, arXiv:1810.04805, section 3.1, for masked
 * ones; Raffel et al. 2019, arXiv:1910.10683, section 3.1.4, for spans.
 */
export const pretrain = defineMethod({
  name: "pretrain",
  summary: "Pretraining: a model learns texts, from nothing or going on from what it knows.",
  settings,
  defaults: { optimizer: { learningRate: 6e-4 }, training: { batchSize: 16 } },
  template: `# Pretraining: a model learns texts, from nothing or going on from what it knows.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: pretrain
  objective: causal           # the next token; masked: BERT's; span-corruption: T5's
  # packing: concatenate      # one stream of tokens; documents: texts share a row, unseen by one another
  # textFiles: stream         # all text files are one stream of tokens, which the run keeps; lines: each line is a text
  # lossChunk: 1024           # less memory where the vocabulary is large
model:
  new:                        # a config.json; or the name of a model to go on from
    model_type: gpt2
    n_positions: 256
    n_embd: 256
    n_layer: 6
    n_head: 8
tokenizer:                    # with a model to go on from: leave it out
  train: bpe                  # or char; or the name of a tokenizer
  vocabSize: 8192
data:
  train: texts                # text files, or rows with a text: .jsonl, .parquet, .csv, also .gz; or a list of them
  # train:                    # shares of the tokens by weights
  #   - { path: books, weight: 2 }
  #   - { path: web.jsonl, weight: 1, columns: { text: body } }
  validationShare: 0.05       # or validation: other.txt
  maxLength: 256              # tokens of a row
optimizer:
  learningRate: 6.0e-4
training:
  epochs: 3
  batchSize: 16               # rows
  # precision: bf16
samples:                      # texts that the model writes while it learns
  prompts: ["Once upon a time"]
`,
  async prepare(config, context) {
    const { objective, textFiles } = config.method;
    requireConfig(config);
    requireSettings(objective, config.method);
    if (textFiles === "stream") return preparedStream(config, await openStream(config, context), context);
    const texts = await openTexts(config, { isByLine: textFiles === "lines" }, context);
    try {
      const tokenizer = await tokenizerOf(config, objective, texts, context);
      const task = await textTask(objective, config.method, tokenizer);
      if (task.task === "causal-lm" && task.around.after.length === 0)
        context.onWarning({
          where: "tokenizer",
          notes: ["it has no token that ends a text: none stands between texts"],
        });
      const model = await openModel(config, { task: task.task, defaults: task.configOf }, context);
      requireVocabulary(tokenizer, model);
      requireLength(model, config.data.maxLength);
      return await prepared({ config, context, texts, tokenizer, task, model });
    } catch (error) {
      await texts.close();
      throw error;
    }
  },
});

type PretrainConfig = SharedConfig & { method: { objective: TextObjective; packing?: TextPacking } };

interface Parts {
  config: PretrainConfig;
  context: MethodContext;
  texts: OpenedTexts;
  tokenizer: Tokenizer;
  // biome-ignore lint/suspicious/noExplicitAny: what a batch is, is between an objective's source and its loss
  task: TextTask<any>;
  model: PretrainedModel;
}

async function prepared(parts: Parts): Promise<AnyPreparedMethod> {
  const { config, context, texts, tokenizer, task } = parts;
  const { maxLength } = config.data;
  const tokens = await tokeniseTexts(texts, { tokenizer, around: task.around, leastTail: maxLength + 1, context });
  try {
    return await withTokens(parts, tokens);
  } catch (error) {
    await tokens.close();
    throw error;
  }
}

async function withTokens(
  { config, context, texts, tokenizer, task, model }: Parts,
  tokens: TokenTexts,
): Promise<AnyPreparedMethod> {
  const { packing = task.packing } = config.method;
  const { maxLength, groupByLength } = config.data;
  const { batchSize = 16, seed } = config.training;
  const batches = { packing, maxLength, batchSize, groupByLength, padId: task.padId, seed };
  requireWindow(tokens.train, batches);
  const trained = task.batches(tokens.train, { ...batches, isShuffled: true });
  const validation = measurable(tokens.validation, batches, context);
  const measured = validation && task.batches(validation, { ...batches, isShuffled: false });
  const bits = task.hasBits && validation?.bytes ? validation.tokens / validation.bytes : undefined;
  const objective = await adapted(config, { model, tokenizer }, (options) => task.objective(model, options));
  const isInPlace = task.task === "masked-lm";
  return {
    model,
    tokenizer,
    objective: withPerplexity(objective, bits),
    trainData: trained.source,
    batchesPerEpoch: trained.batchesPerEpoch,
    validationData: measured?.source,
    facts: {
      documents: countOf(tokens.train),
      tokens: tokens.train.tokens,
      "rows per epoch": trained.batchesPerEpoch * batchSize,
      padding: `${(100 * trained.padding).toFixed(1)} %`,
      vocabulary: tokenizer.vocabSize,
      ...(validation && { "validation documents": countOf(validation), "validation tokens": validation.tokens }),
    },
    fingerprint: { data: await sumOf(texts), tokenizer: sha256(JSON.stringify(tokenizer.toJson())) },
    preview: async (count: number) =>
      previewTexts((await trained.source.batch(0)) as ShownBatch, tokenizer, { count, isInPlace }),
    sample: task.sample?.(model),
    async close() {
      await tokens.close();
      await texts.close();
    },
  };
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** The texts in one sum. */
async function sumOf({ train, validation }: OpenedTexts): Promise<string> {
  const sums = await Promise.all([...train, ...validation].map(({ rows }) => rows.fingerprint()));
  return sha256(sums.join());
}

function countOf({ lengths }: MeasuredDocuments): number {
  let count = 0;
  for (let i = 0; i < lengths.length; i++) if (lengths[i] > 0) count++;
  return count;
}

/** The tokenizer that a config names, or one that is trained on its texts. */
async function tokenizerOf(
  config: SharedConfig,
  objective: TextObjective,
  texts: OpenedTexts,
  context: MethodContext,
): Promise<Tokenizer> {
  const { tokenizer, model, data } = config;
  if (typeof tokenizer !== "object") return openTokenizer(config);
  if (typeof model === "object" && "new" in model) {
    const learned = data.validation === undefined ? [...texts.train, ...texts.validation] : texts.train;
    return trainTokenizer(tokenizer, learned, { objective, context });
  }
  throw new OptionError({
    where: "config, tokenizer",
    expected: "the model's own tokenizer, whose ids it has learned",
    received: `a new one (train: ${tokenizer.train})`,
    fix: "leave tokenizer out, or begin a new model: model: { new: { model_type: gpt2 } }",
  });
}

/** Settings that mean nothing here are refused. */
function requireConfig({ data, samples, method }: PretrainConfig): void {
  const refuse = (where: string, expected: string, received: string, fix: string) =>
    new OptionError({ where: `config, ${where}`, expected, received, fix });
  if (data.packing)
    throw refuse("data.packing", "no packing of examples", "true", "say how texts share rows: method.packing");
  if (data.onTooLong === "skip")
    throw refuse("data.onTooLong", "cut: long texts have several rows", "skip", "leave it out");
  if (samples && method.objective !== "causal")
    throw refuse("samples", "none: such a model does not go on with a text", "some", "leave them out");
}

interface Rows {
  packing: TextPacking;
  maxLength: number;
}

const isTooShort = ({ tokens }: MeasuredDocuments, { packing, maxLength }: Rows) =>
  packing === "concatenate" && tokens <= maxLength;

/** @throws OptionError for a stream that is shorter than a row */
function requireWindow(documents: MeasuredDocuments, rows: Rows): void {
  if (!isTooShort(documents, rows)) return;
  throw new OptionError({
    where: "config, data.maxLength",
    expected: `less than the ${documents.tokens} tokens of the texts`,
    received: String(rows.maxLength),
    fix: "use more text or shorter rows",
  });
}

/** Validation that has at least a row. */
function measurable(
  documents: MeasuredDocuments | undefined,
  rows: Rows,
  { onWarning }: MethodContext,
): MeasuredDocuments | undefined {
  if (documents && !isTooShort(documents, rows)) return documents;
  if (documents)
    onWarning({ where: "data", notes: [`the ${documents.tokens} tokens for validation are less than a row of it`] });
  return undefined;
}

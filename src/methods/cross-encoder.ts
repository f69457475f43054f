/** Cross-encoders. */
import { join } from "node:path";
import { z } from "zod";
import { OptionError } from "../base/index.ts";
import { readJson, writeJson } from "../files/index.ts";
import type { SequenceClassifier } from "../models/index.ts";
import { type SupervisedOptions, supervised } from "../train/index.ts";
import { type AnyPreparedMethod, defineMethod, type MethodConfig, type MethodContext } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { withTrainedHead } from "./parts/class-choice.ts";
import { type OpenedData, openData } from "./parts/datasets.ts";
import { encodeTexts, refusePacking, textForm } from "./parts/encoded-texts.ts";
import { classesOf, firstOfRows, isBinary, type JudgedPairs, numbersOf, readJudged } from "./parts/judged-pairs.ts";
import { openModel, openTokenizer, requireVocabulary } from "./parts/models.ts";
import { type PairLoss, pairBatches, pairLosses, pairObjective } from "./parts/pair-objective.ts";
import { hasHead } from "./parts/stored-head.ts";

const settings = {
  loss: z
    .enum(pairLosses)
    .optional()
    .describe(
      "bce: yes or no, or how much from 0 to 1. cross-entropy: one class of several. mse: how much. list-net: the positive before the negatives of its row. Default: by the labels.",
    ),
};
type Config = MethodConfig<typeof settings>;

/** The activations that scores are shown by, as sentence-transformers names them. */
const IDENTITY = "torch.nn.modules.linear.Identity";
const activations: Record<PairLoss, string> = {
  bce: "torch.nn.modules.activation.Sigmoid",
  "cross-entropy": IDENTITY,
  mse: IDENTITY,
  "list-net": IDENTITY,
};

/**
 * Cross-encoders: a classifier reads two texts together and says how they belong together. Rows are two texts with a
 * label or a score, or a text with others that are right and wrong for it. The result is a folder of
 * sentence-transformers' CrossEncoder. Nogueira and Cho 2019, arXiv:1901.04085.
 */
export const crossEncoder = defineMethod({
  name: "cross-encoder",
  summary: "Cross-encoders: two texts are read together, and judged.",
  settings,
  defaults: { optimizer: { learningRate: 2e-5 }, training: { batchSize: 16 }, data: { maxLength: 256 } },
  template: `# Cross-encoders: two texts are read together, and judged.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: cross-encoder
  # loss: bce                 # yes or no; cross-entropy: classes; mse: how much; list-net: right before wrong
model: cross-encoder/ms-marco-MiniLM-L6-v2   # or a plain encoder, which gets a new head
data:
  train: pairs.jsonl          # premise, hypothesis and label; sentence1, sentence2 and score; query, positive and negatives
  validationShare: 0.05       # or validation: other.jsonl
  maxLength: 256              # tokens of a pair; the longer text is cut
optimizer:
  learningRate: 2.0e-5
training:
  epochs: 1
  batchSize: 16
`,
  async prepare(config, context) {
    refusePacking(config, "cross-encoder");
    return prepare(config, await openData(config.data, context), context);
  },
});

/** The loss that fits the labels. */
function usualLoss({ kind, pairs }: JudgedPairs): PairLoss {
  if (kind === "lists") return "bce";
  if (kind === "classes") return isBinary(pairs) ? "bce" : "cross-entropy";
  return pairs.every(({ label }) => Number(label) >= 0 && Number(label) <= 1) ? "bce" : "mse";
}

/** @throws OptionError for a loss of other rows */
function requireKind(loss: PairLoss, { kind }: JudgedPairs): void {
  const needed = loss === "list-net" ? "lists" : loss === "cross-entropy" ? "classes" : kind;
  if (kind === needed) return;
  const rows = { lists: "negatives", classes: "labels", scores: "scores" } as const;
  throw new OptionError({
    where: `config, method.loss: ${loss}`,
    expected: `rows with ${rows[needed]}`,
    received: `rows with ${rows[kind]}`,
    fix: "take another loss, or leave it out",
  });
}

/** Labels of all pairs as numbers, and the names of the model's outputs. */
function labelsOf(loss: PairLoss, train: JudgedPairs, validation: JudgedPairs | undefined) {
  if (loss !== "cross-entropy") {
    const numbers = ({ pairs }: JudgedPairs) => pairs.map(({ label }) => Number(label));
    numbersOf(train.pairs, loss, loss === "bce");
    return { names: ["LABEL_0"], train: numbers(train), validation: validation && numbers(validation) };
  }
  const classes = classesOf(train.pairs);
  const numbers = ({ pairs }: JudgedPairs) => pairs.map(({ label }) => classes.idOf(label));
  return { names: classes.names, train: numbers(train), validation: validation && numbers(validation) };
}

/** The pairs to learn from and to measure on, as many of each row. */
async function readAll(config: Config, { train: rows, validation: measured, badRows }: OpenedData) {
  const train = await readJudged(rows, config, badRows);
  const validation = measured && (await readJudged(measured, config, badRows));
  const perRow = Math.min(train.perRow, validation?.perRow ?? train.perRow);
  return { train: firstOfRows(train, perRow), validation: validation && firstOfRows(validation, perRow) };
}

async function prepare(config: Config, opened: OpenedData, context: MethodContext): Promise<AnyPreparedMethod> {
  const { train, validation } = await readAll(config, opened);
  const { loss = usualLoss(train) } = config.method;
  for (const rows of [train, ...(validation ? [validation] : [])]) requireKind(loss, rows);
  const labels = labelsOf(loss, train, validation);
  const model = (await openModel(
    config,
    { task: "sequence-classification", labels: labels.names },
    context,
  )) as SequenceClassifier;
  const isNew = !(await hasHead(config, "ForSequenceClassification"));
  const tokenizer = await openTokenizer(config);
  requireVocabulary(tokenizer, model);
  const form = textForm(config, { tokenizer, model });
  const encode = ({ pairs }: JudgedPairs) =>
    encodeTexts(
      pairs.map(({ texts }) => texts),
      { tokenizer, form },
      context,
    );
  const { batchSize = 16, seed } = config.training;
  const { groupByLength } = config.data;
  const batching = { batchSize, seed, groupByLength, hasClasses: loss === "cross-entropy" };
  const perRow = loss === "list-net" ? train.perRow : 1;
  const texts = await encode(train);
  const learned = pairBatches({ texts, labels: labels.train }, form, { ...batching, perRow, isShuffled: true });
  const measured =
    validation &&
    pairBatches({ texts: await encode(validation), labels: labels.validation as number[] }, form, {
      ...{ ...batching, perRow, isShuffled: false },
    });
  const parts = { model, loss, perRow, isBinary: isBinary(train.pairs) };
  return {
    model,
    tokenizer,
    objective: await adapted(withTrainedHead(config, model, isNew), { model, tokenizer }, (options) =>
      objectiveOf(parts, options),
    ),
    trainData: learned.source,
    batchesPerEpoch: learned.batchesPerEpoch,
    validationData: measured?.source,
    facts: {
      pairs: train.pairs.length,
      ...(train.perRow > 1 && { "pairs of a row": train.perRow }),
      ...(validation && { "validation pairs": validation.pairs.length }),
      ...(labels.names.length > 1 && { classes: labels.names.join(", ") }),
      loss,
      "longest pair": Math.max(...texts.map(({ ids }) => ids.length)),
    },
    fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
    preview: async (count) => train.pairs.slice(0, count).map(previewOf).join("\n"),
    close: () => opened.close(),
  };
}

function objectiveOf(
  parts: Omit<Parameters<typeof pairObjective>[0], "trained">,
  { tokenizer, trained = parts.model.namedParameters() }: SupervisedOptions,
) {
  const { save, load } = supervised(parts.model, { tokenizer });
  return {
    ...pairObjective({ ...parts, trained }),
    ...{ save, load },
    async saveResult(folder: string) {
      await save(folder);
      const path = join(folder, "config.json");
      const activation = { activation_fn: activations[parts.loss] };
      await writeJson(path, { ...(await readJson(path)), sentence_transformers: activation });
    },
  };
}

const previewOf = ({ texts: [first, second], label }: JudgedPairs["pairs"][number], i: number): string =>
  `--- pair ${i + 1} ---\n${first}\n${second}\nlabel: ${label}`;

/** Distillation of classifiers of texts. */
import { DataError } from "../../base/index.ts";
import { type BadRows, batchesOf, ClassNames, type ClassValue, type Rows, readExamples } from "../../data/index.ts";
import { metricsOf } from "../../metrics/index.ts";
import type { RunOptions, SequenceClassifier } from "../../models/index.ts";
import { crossEntropy, type Tensor, tensor } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { type Objective, type Scorer, type SupervisedOptions, supervised } from "../../train/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { AnyPreparedMethod, MethodContext } from "../method.ts";
import { adapted } from "./adapters.ts";
import { attentionMatchingLoss, requireMatchingHeads, withScores } from "./attention-matching.ts";
import type { OpenedData } from "./datasets.ts";
import {
  type DistillationOptions,
  type DistillationParts,
  gapScorer,
  projectionsOf,
  savingWith,
  stateOf,
  statesLoss,
  taughtLoss,
} from "./distillation.ts";
import {
  type EncodedText,
  encodeTexts,
  type TextForm,
  type TextInputs,
  textForm,
  textInputs,
} from "./encoded-texts.ts";
import { openStudent, openTeacher, requireLabelsOf, studentTokenizer, teacherTokenizer } from "./student.ts";
import { namedFormat } from "./text-pairs.ts";

/** Texts with their classes, where they have any. */
export interface ClassBatch {
  texts: TextInputs;
  /** i32 [B]; absent where rows have no labels */
  labels?: Tensor<"i32">;
  /** Which texts they are, i32 [B]: those that come again count once. */
  numbers: Tensor<"i32">;
}

/** Texts of rows, and their classes where all have one. */
interface Labelled {
  texts: (string | readonly [string, string])[];
  classes: number[] | undefined;
}

/** A student, its teacher, and the rows of a config. @throws DataError or OptionError for what does not fit */
export async function prepareClasses(
  config: SharedConfig,
  { teacher: name, options, student: choice }: DistillationParts,
  opened: OpenedData,
  context: MethodContext,
): Promise<AnyPreparedMethod> {
  const teacher = (await openTeacher(name, "sequence-classification", context)) as SequenceClassifier;
  const { labels } = teacher.config;
  const tokenizer = await studentTokenizer(config, await teacherTokenizer(name, teacher));
  await requireLabelsOf(config, labels);
  const wanted = { task: "sequence-classification", labels, vocabSize: tokenizer.vocabSize, ...choice } as const;
  const student = (await openStudent(config, wanted, context)) as SequenceClassifier;
  const train = await readTexts(opened.train, config, { labels, badRows: opened.badRows });
  const validation =
    opened.validation && (await readTexts(opened.validation, config, { labels, badRows: opened.badRows }));
  if (options.weights.hard > 0 && [train, validation].some((rows) => rows && !rows.classes)) throw noLabels();
  const form = textForm(config, { tokenizer, model: student });
  const batches = async ({ texts, classes }: Labelled, isShuffled: boolean) =>
    classBatches({ encoded: await encodeTexts(texts, { tokenizer, form }, context), classes }, form, {
      ...{ config, isShuffled },
    });
  requireMatchingHeads(config, { student, teacher, options });
  const projections = projectionsOf(config, { student, teacher, options });
  const make = ({ trained }: SupervisedOptions) =>
    classObjective({ student, teacher, projections, options, tokenizer, trained });
  return {
    model: student,
    tokenizer,
    objective: await adapted(config, { model: student, tokenizer }, make),
    trainData: await batches(train, true),
    batchesPerEpoch: Math.ceil(train.texts.length / (config.training.batchSize ?? 32)),
    validationData: validation && (await batches(validation, false)),
    facts: {
      texts: train.texts.length,
      ...(validation && { "validation texts": validation.texts.length }),
      classes: labels.join(", "),
      "teacher parameters": teacher.parameterCount(),
    },
    fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
    close: async () => {
      teacher.dispose();
      await opened.close();
    },
  };
}

const noLabels = (): DataError =>
  new DataError({
    where: "data",
    expected: "rows with labels, as weights.hard counts them",
    received: "rows without",
    fix: "give labels, or leave weights.hard at 0",
  });

async function readTexts(
  rows: Rows,
  config: SharedConfig,
  { labels, badRows }: { labels: readonly string[]; badRows: BadRows },
): Promise<Labelled> {
  const { recognised, examples } = await readExamples(rows, { ...namedFormat(config), badRows });
  const names = new ClassNames(labels);
  const texts: Labelled["texts"] = [];
  const classes: number[] = [];
  let index = 0;
  for await (const example of examples as AsyncIterable<{ text?: string; textPair?: string; label?: ClassValue }>) {
    const { text, textPair, label } = example;
    const where = rows.placeOf(index++);
    if (text === undefined)
      throw new DataError({
        where,
        expected: "a text, with a label if there is one",
        received: `a row of ${recognised.format}`,
        fix: "say which column has the text: columns: { text: review }",
      });
    texts.push(textPair === undefined ? text : [text, textPair]);
    if (label !== undefined) classes.push(classOf(label, names, where));
  }
  return { texts, classes: classes.length === texts.length ? classes : undefined };
}

/** The teacher's number of a class, by its name or its number. */
function classOf(label: ClassValue, names: ClassNames, where: string): number {
  if (names.names.includes(String(label))) return names.idOf(label);
  const number = typeof label === "boolean" ? Number(label) : Number(String(label));
  if (Number.isInteger(number) && number >= 0 && number < names.names.length) return number;
  throw new DataError({
    where,
    expected: `a label of the teacher's: ${names.names.slice(0, 10).join(", ")}`,
    received: JSON.stringify(label),
    fix: "choose a teacher of these labels, or correct the row",
  });
}

/** Batches of texts. */
export function classBatches(
  { encoded, classes }: { encoded: readonly EncodedText[]; classes: readonly number[] | undefined },
  form: TextForm,
  { config: { data, training }, isShuffled }: { config: SharedConfig; isShuffled: boolean },
) {
  const { batchSize = 32, seed } = training;
  const lengths = encoded.map(({ ids }) => ids.length);
  return batchesOf([...encoded.keys()], {
    ...{ batchSize, seed, isShuffled },
    ...(isShuffled && data.groupByLength && { lengths }),
    collate: (numbers): ClassBatch => ({
      texts: textInputs(
        numbers.map((i) => encoded[i]),
        form,
      ),
      ...(classes && { labels: tensor(Int32Array.from(numbers, (i) => classes[i])) }),
      numbers: tensor(Int32Array.from(numbers)),
    }),
  });
}

/** What an objective of classifiers is made of. */
export interface ClassObjectiveParts extends SupervisedOptions {
  student: SequenceClassifier;
  teacher: SequenceClassifier;
  projections: ReturnType<typeof projectionsOf>;
  options: DistillationOptions;
  tokenizer?: Tokenizer;
}

/** The objective of a classifier that learns from another. Counts texts. */
export function classObjective(parts: ClassObjectiveParts): Objective<ClassBatch> {
  const { student, teacher, projections, options, tokenizer, trained = student.namedParameters() } = parts;
  type Logits = Record<"student" | "teacher", Tensor<"f32">>;
  const traced = new WeakMap<ClassBatch, Logits>(); // an adapter is in place for the loss alone
  const outputsOf = (who: keyof Logits) => (batch: ClassBatch) => {
    const logits = traced.get(batch)?.[who] ?? { student, teacher }[who].forward(batch.texts).logits;
    const { labels, numbers } = batch;
    return { logits, numbers, ...(labels && { labels }) };
  };
  return {
    trained: new Map([...trained, ...projections.namedParameters("projections.")]),
    state: stateOf(student, teacher, projections),
    unit: "texts",
    count: ({ numbers }) => Number(numbers.shape[0]),
    loss(batch, run: RunOptions) {
      const { texts, labels } = batch;
      const hasAttention = options.weights.attention > 0;
      const learner = withScores(hasAttention, (sees) => student.forward({ ...texts, ...run, ...sees }));
      const model = withScores(hasAttention, (sees) => teacher.forward({ ...texts, ...sees }));
      const [ours, theirs] = [learner.output, model.output];
      const logits = { student: ours.logits, teacher: theirs.logits };
      if (!run.isTraining) traced.set(batch, logits);
      const hard = labels && (() => crossEntropy(logits.student, labels));
      const states = { mask: texts.attentionMask, projections };
      const hidden = () => statesLoss(ours.hiddenStates, theirs.hiddenStates, states);
      const matching = { mask: texts.attentionMask, kind: options.attention };
      const attention = () => attentionMatchingLoss(learner.scores, model.scores, matching);
      return { loss: taughtLoss({ logits, hard, hidden, attention }, options) };
    },
    scorer: () => {
      const scorers = [classScorer(outputsOf("student")), classScorer(outputsOf("teacher"))] as const;
      return gapScorer(...scorers, "accuracy");
    },
    ...savingWith(projections, supervised(student, { tokenizer })),
  };
}

/** Accuracy and the like of texts with labels; nothing of others. */
function classScorer(outputs: (batch: ClassBatch) => Readonly<Record<string, Tensor>>): Scorer<ClassBatch> {
  let texts = new Map<number, { logits: number[]; label: number }>();
  return {
    outputs,
    add({ logits, labels, numbers }) {
      const width = logits.shape[1];
      for (let i = 0; labels && i < labels.shape[0]; i++) {
        const row = Array.from({ length: width }, (_, j) => Number(logits.data[i * width + j]));
        texts.set(Number(numbers.data[i]), { logits: row, label: Number(labels.data[i]) });
      }
    },
    result() {
      const all = [...texts.values()];
      texts = new Map();
      if (all.length === 0) return {};
      const metric = metricsOf("classification");
      metric.add(
        all.map(({ logits }) => logits),
        all.map(({ label }) => label),
      );
      return metric.result();
    },
  };
}

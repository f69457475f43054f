/** Distillation of sentence embeddings. */
import { OptionError } from "../../base/index.ts";
import { batchesOf, type Rows, readExamples, recogniseRows, type Source, type TextPair } from "../../data/index.ts";
import { mseLoss } from "../../losses/index.ts";
import type { RunOptions } from "../../models/index.ts";
import { add, mul, stopGradient, type Tensor } from "../../tensor/index.ts";
import type { Objective, SupervisedOptions } from "../../train/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { AnyPreparedMethod, MethodContext } from "../method.ts";
import { adapted } from "./adapters.ts";
import type { OpenedData } from "./datasets.ts";
import { type DistillationParts, gapScorer } from "./distillation.ts";
import { embeddingBatches } from "./embedding-objective.ts";
import { encodePairs } from "./encoded-pairs.ts";
import { encodeTexts } from "./encoded-texts.ts";
import { trainedParameters } from "./models.ts";
import { retrievalScorer } from "./retrieval-scorer.ts";
import { type OpenedSentences, openSentences } from "./sentence-files.ts";
import type { SentenceInputs } from "./sentence-model.ts";
import { requireSameVocabulary } from "./student.ts";
import { namedFormat, readPairs } from "./text-pairs.ts";

/** Texts whose vectors are learned; in evaluation on pairs the anchors, and then the positives. */
export interface VectorBatch {
  texts: readonly SentenceInputs[];
  /** Numbers of the texts of pairs, i32 [B, 2]. */
  numbers?: Tensor<"i32">;
}

/** A student, its teacher, and the rows of a config: texts, or pairs, by which the search is measured too. */
export async function prepareEmbeddings(
  config: SharedConfig,
  { teacher: name, options, student: choice }: DistillationParts,
  opened: OpenedData,
  context: MethodContext,
): Promise<AnyPreparedMethod> {
  if (Math.max(options.weights.hard, options.weights.hidden, options.weights.attention) > 0) throw vectorsAlone();
  const teacher = await openSentences({ ...config, model: name, tokenizer: undefined }, {}, context);
  const isNew = typeof config.model === "object" && "new" in config.model;
  const begun = isNew ? { ...config, tokenizer: config.tokenizer ?? name } : config;
  const defaults = { vocab_size: teacher.tokenizer.vocabSize };
  const student = await openSentences(begun, { ...choice, defaults }, context);
  requireSameVocabulary(student.tokenizer, teacher.tokenizer);
  requireSameWidth(student, teacher);
  const train = await readTextsOrPairs(opened.train, config, opened);
  const validation = opened.validation && (await readTextsOrPairs(opened.validation, config, opened));
  const make = ({ trained }: SupervisedOptions) =>
    vectorObjective({ student, teacher, trained, hasSearch: validation?.pairs !== undefined });
  return {
    model: student.model,
    tokenizer: student.tokenizer,
    objective: config.adapter
      ? await adapted(config, { model: student.model.encoder, tokenizer: student.tokenizer }, make)
      : make({ trained: trainedParameters(student.model, config) }),
    trainData: await textBatches(train.texts, student, { config, isShuffled: true }, context),
    batchesPerEpoch: Math.ceil(train.texts.length / (config.training.batchSize ?? 32)),
    validationData: validation && (await validationBatches(validation, student, config, context)),
    facts: {
      texts: train.texts.length,
      ...(validation && { "validation texts": validation.texts.length }),
      "width of vectors": student.model.width,
      "teacher parameters": teacher.model.parameterCount(),
    },
    fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
    close: async () => {
      teacher.model.dispose();
      await opened.close();
    },
  };
}

const vectorsAlone = (): OptionError =>
  new OptionError({
    where: "config, method.weights",
    expected: "soft alone: vectors have no labels, and are what is matched",
    received: "hard, hidden or attention above 0",
    fix: "leave them out",
  });

/** @throws OptionError for vectors of two widths */
function requireSameWidth({ model: student }: OpenedSentences, { model: teacher }: OpenedSentences): void {
  if (student.width === teacher.width) return;
  throw new OptionError({
    where: "config, method.teacher",
    expected: `a teacher with vectors ${student.width} wide, as the student's`,
    received: `${teacher.width}`,
    fix: "choose another teacher, or a student of its width",
  });
}

interface TextsOrPairs {
  /** Each text once. */
  texts: string[];
  pairs: TextPair[] | undefined;
}

async function readTextsOrPairs(rows: Rows, config: SharedConfig, { badRows }: OpenedData): Promise<TextsOrPairs> {
  const named = namedFormat(config);
  const { format } = await recogniseRows(rows, named);
  if (format === "text" || format === "classification") {
    const { examples } = await readExamples(rows, { ...named, format, badRows });
    const texts = new Set<string>();
    for await (const { text } of examples) texts.add(text);
    return { texts: [...texts], pairs: undefined };
  }
  const pairs = await readPairs(rows, config, badRows);
  return { texts: [...new Set(pairs.flatMap(({ anchor, positive }) => [anchor, positive]))], pairs };
}

async function textBatches(
  texts: readonly string[],
  { model, tokenizer, form }: OpenedSentences,
  { config: { data, training }, isShuffled }: { config: SharedConfig; isShuffled: boolean },
  context: MethodContext,
): Promise<Source<VectorBatch>> {
  const encoded = await encodeTexts(texts, { tokenizer, form }, context);
  const lengths = encoded.map(({ ids }) => ids.length);
  return batchesOf(encoded, {
    ...{ batchSize: training.batchSize ?? 32, seed: training.seed, isShuffled },
    ...(isShuffled && data.groupByLength && { lengths }),
    collate: (rows) => ({ texts: [model.inputsOf(rows, form)] }),
  });
}

async function validationBatches(
  { texts, pairs }: TextsOrPairs,
  student: OpenedSentences,
  config: SharedConfig,
  context: MethodContext,
): Promise<Source<VectorBatch>> {
  if (!pairs) return textBatches(texts, student, { config, isShuffled: false }, context);
  const { tokenizer, form } = student;
  const prompts = { anchor: "", document: "" };
  const encoded = await encodePairs(pairs, { tokenizer, form, prompts, negatives: 0 }, context);
  const { source } = embeddingBatches(encoded, student, {
    ...{ batchSize: config.training.batchSize ?? 32, seed: 0, groupByLength: false, isShuffled: false },
    ...{ isInBatch: false, hasScores: false, promptTokens: [0, 0] },
  });
  return {
    count: source.count,
    batch: async (index) => {
      const { anchors, positives, numbers } = await source.batch(index);
      return { texts: [anchors, positives], numbers };
    },
  };
}

/** What an objective of vectors is made of. */
export interface VectorObjectiveParts extends SupervisedOptions {
  student: OpenedSentences;
  teacher: OpenedSentences;
  /** Whether evaluation is on pairs. */
  hasSearch: boolean;
}

/**
 * The objective of vectors that are to be a teacher's: their mean squared error. Reimers and Gurevych 2020,
 * arXiv:2004.09813, equation 1. Counts texts.
 */
function vectorObjective({ student, teacher, trained, hasSearch }: VectorObjectiveParts): Objective<VectorBatch> {
  type Vectors = Record<"student" | "teacher", Tensor<"f32">[]>;
  const traced = new WeakMap<VectorBatch, Vectors>(); // an adapter is in place for the loss alone
  const vectorsOf = ({ texts }: VectorBatch, { key, ...run }: RunOptions): Vectors => ({
    student: texts.map((inputs, i) => student.model.embed(inputs, { ...run, key: key?.fold(i) })),
    teacher: texts.map((inputs) => stopGradient(teacher.model.embed(inputs, {}))),
  });
  const searchOf = (who: keyof Vectors) =>
    retrievalScorer((batch: VectorBatch) => {
      const [anchors, positives] = (traced.get(batch) ?? vectorsOf(batch, {}))[who];
      return { anchors, positives, numbers: batch.numbers as Tensor<"i32"> };
    });
  const { save, load, saveResult, model } = student;
  return {
    trained: trained ?? model.namedParameters(),
    state: new Map([...model.namedState(), ...teacher.model.namedState("teacher.")]),
    unit: "texts",
    count: ({ texts }) => texts.reduce((sum, { inputIds }) => sum + Number(inputIds.shape[0]), 0),
    loss(batch, run) {
      const vectors = vectorsOf(batch, run);
      if (!run.isTraining) traced.set(batch, vectors);
      const losses = vectors.student.map((ours, i) => mseLoss(ours, vectors.teacher[i]));
      return {
        loss: mul(
          losses.reduce((a, b) => add(a, b)),
          1 / losses.length,
        ),
      };
    },
    ...(hasSearch && { scorer: () => gapScorer(searchOf("student"), searchOf("teacher"), "ndcgAt10") }),
    ...{ save, load, saveResult },
  };
}

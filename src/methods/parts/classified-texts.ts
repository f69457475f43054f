/** Texts with classes: what their labels are, and batches of them. */
import { DataError, OptionError } from "../../base/index.ts";
import type { ClassifiedText, ClassValue, Rows } from "../../data/index.ts";
import type { LabelConfig, SequenceClassifier } from "../../models/index.ts";
import { type Tensor, tensor } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { AskedClassifier } from "./class-answers.ts";
import { balancedWeights, type ClassChoice, chooseClasses, numberOf } from "./class-choice.ts";
import type { ClassificationBatch, ClassificationProblem } from "./classification-objective.ts";
import type { TextForm } from "./encoded-texts.ts";
import { newModelDefaults, type OpenModelOptions } from "./models.ts";
import { encoderInputs, type TextTokens } from "./text-batches.ts";

/** A text with the number of its class, the numbers of all its classes, or the number that it has. */
export interface Classified extends TextTokens {
  target: readonly number[];
  /** The number of its row. */
  row: number;
}

/** What the labels of rows are: lists, numbers with a fraction somewhere, or classes. */
export async function problemOf(rows: Rows<ClassifiedText>): Promise<ClassificationProblem> {
  let hasFraction = false;
  for await (const { label } of rows) {
    if (Array.isArray(label)) return "multiple";
    hasFraction ||= typeof label === "number" && !Number.isInteger(label);
  }
  return hasFraction ? "regression" : "single";
}

/** @throws OptionError for settings that mean nothing to a problem of other than one class of several */
export function requireClasses(
  problem: ClassificationProblem,
  settings: { labelSmoothing: number; classWeights: string; labels?: readonly string[] | undefined },
): void {
  const { labelSmoothing, classWeights, labels } = settings;
  const isRegression = problem === "regression";
  const refused = [
    labelSmoothing > 0 && "labelSmoothing",
    isRegression && classWeights !== "none" && "classWeights",
    isRegression && labels && "labels",
  ].filter((name) => typeof name === "string");
  if (refused.length === 0) return;
  throw new OptionError({
    where: `config, method.${refused[0]}`,
    expected: `nothing: it means nothing where the problem is ${problem}`,
    received: "a setting",
    fix: "leave it out, or say the problem: single",
  });
}

/** The classes of the training rows. @throws as `chooseClasses`; DataError for a list where there is to be one class */
export async function choiceOf(
  config: SharedConfig & { method: { labels?: readonly string[] | undefined } },
  rows: Rows<ClassifiedText>,
  problem: ClassificationProblem,
): Promise<ClassChoice> {
  const values: ClassValue[] = [];
  let index = 0;
  for await (const { label } of rows) values.push(...classesOf(label, problem, rows.placeOf(index++)));
  if (values.length === 0)
    throw new DataError({
      where: "data",
      expected: "classes to learn",
      received: "empty lists of labels alone",
      fix: "name the column of the labels: columns: { label: ... }",
    });
  const { labels } = config.method;
  return chooseClasses(config, { values, labels, architecture: "ForSequenceClassification" });
}

function classesOf(
  label: ClassifiedText["label"],
  problem: ClassificationProblem,
  place: string,
): readonly ClassValue[] {
  if (!Array.isArray(label)) return [label as ClassValue];
  if (problem === "multiple") return label;
  throw new DataError({
    where: place,
    expected: "one class",
    received: `a list of ${label.length}`,
    fix: "say that there may be several: method: { name: classification, problem: multiple }",
  });
}

/** What the model of a problem is opened for. */
export function headOf(
  problem: ClassificationProblem,
  choice: ClassChoice | undefined,
  tokenizer: Tokenizer,
): OpenModelOptions<"sequence-classification"> {
  const problemTypes = {
    single: "single_label_classification",
    multiple: "multi_label_classification",
    regression: "regression",
  } as const satisfies Record<ClassificationProblem, LabelConfig["problemType"]>;
  const labels = choice ? choice.names : ["LABEL_0"];
  return {
    task: "sequence-classification",
    problemType: problemTypes[problem],
    ...(!choice?.isStored && { labels }),
    defaults: newModelDefaults(tokenizer),
  };
}

/** What is to be told of a text. @throws DataError for a class that there is not, or what is no number */
export function targetOf(
  label: ClassifiedText["label"],
  problem: ClassificationProblem,
  choice: ClassChoice | undefined,
  place: string,
): readonly number[] {
  if (choice) return classesOf(label, problem, place).map((value) => numberOf(value, choice, place));
  const number = typeof label === "string" && label.trim() !== "" ? Number(label) : label;
  if (typeof number === "number" && Number.isFinite(number)) return [number];
  throw new DataError({
    where: place,
    expected: "a number",
    received: JSON.stringify(label),
    fix: "correct the row, or say another problem: single, multiple",
  });
}

/** A batch of texts with their labels. */
export function classifiedBatch(
  examples: readonly Classified[],
  { problem, classCount, form }: { problem: ClassificationProblem; classCount: number; form: TextForm },
): ClassificationBatch {
  return { ...encoderInputs(examples, form), labels: labelsOf(examples, problem, classCount) };
}

function labelsOf(
  examples: readonly Classified[],
  problem: ClassificationProblem,
  classCount: number,
): Tensor<"i32"> | Tensor<"f32"> {
  const firsts = examples.map(({ target }) => target[0]);
  if (problem === "single") return tensor(firsts, { dtype: "i32" }) as Tensor<"i32">;
  if (problem === "regression") return tensor(firsts, { dtype: "f32" }) as Tensor<"f32">;
  const values = new Float32Array(examples.length * classCount);
  for (const [row, { target }] of examples.entries()) for (const id of target) values[row * classCount + id] = 1;
  return tensor(values, { shape: [examples.length, classCount] }) as Tensor<"f32">;
}

/** Weights by which rare classes count more: each class the same in all, or of each its zeros to its ones. */
export function weightsOf(problem: ClassificationProblem, { counts }: ClassChoice, rows: number): Float32Array {
  if (problem === "single") return balancedWeights(counts);
  return Float32Array.from(counts, (count) => Math.max(1, rows - count) / count);
}

/** A classifier of one class of several, and the texts that it is measured on. */
export function askedTexts(
  model: SequenceClassifier,
  { names }: ClassChoice,
  { rows, kept }: { rows: Rows<ClassifiedText>; kept: readonly Classified[] },
): AskedClassifier<ClassificationBatch> {
  return {
    names,
    outputs: ({ labels, ...inputs }) => ({ logits: model.forward(inputs).logits, labels: labels as Tensor<"i32"> }),
    async exampleAt(index) {
      const { row } = kept[index];
      const { text, textPair } = await rows.row(row);
      return { place: rows.placeOf(row), text: textPair === undefined ? text : `${text}\n${textPair}` };
    },
  };
}

/** Texts with their classes, for people. */
export async function previewClassified(
  examples: readonly Classified[],
  { tokenizer, names }: { tokenizer: Tokenizer; names: readonly string[] | undefined },
): Promise<string> {
  const lines = examples.map(async ({ ids, target }) => {
    const text = await tokenizer.decode([...ids], { skipSpecialTokens: false });
    return `${target.map((value) => names?.[value] ?? value).join(", ")}: ${text}`;
  });
  return (await Promise.all(lines)).join("\n");
}

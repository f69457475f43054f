/** Teachers, and students that are made of their layers. */
import { OptionError } from "../../base/index.ts";
import { readJson } from "../../files/index.ts";
import { openFolder } from "../../hub/index.ts";
import { fromConfig, fromPretrained, type PretrainedModel, type TaskModels } from "../../models/index.ts";
import { randomKey } from "../../tensor/index.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { openModel, requireVocabulary } from "./models.ts";

/** What a student may be made of. */
export interface StudentChoice {
  /** Layers of the config's model that the student has, from 0 on. @default the model as it is */
  layers?: readonly number[];
}

/** The name of the teacher. @throws OptionError where there is none */
export function teacherName({ model }: SharedConfig, teacher: string | undefined, { layers }: StudentChoice): string {
  const named = typeof model === "string" ? model : "name" in model ? model.name : undefined;
  const name = teacher ?? (layers ? named : undefined);
  if (name !== undefined) return name;
  throw new OptionError({
    where: "config, method.teacher",
    expected: "the model that is learned from",
    received: "none",
    fix: "name it, or let the student have layers of the model: student: { layers: [0, 5] }",
  });
}

/** The tokenizer of a teacher. */
export async function teacherTokenizer(name: string, model: PretrainedModel): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.open(name);
  requireVocabulary(tokenizer, model);
  return tokenizer;
}

/** The student's tokenizer: the config's, the model's, or the teacher's. @throws OptionError for other tokens */
export async function studentTokenizer({ model, tokenizer }: SharedConfig, teacher: Tokenizer): Promise<Tokenizer> {
  const named = typeof model === "string" ? model : "name" in model ? model.name : undefined;
  const place = typeof tokenizer === "string" ? tokenizer : named;
  const student = place === undefined ? teacher : await Tokenizer.open(place);
  requireSameVocabulary(student, teacher);
  return student;
}

/** @throws OptionError where an id is not the same token for both */
export function requireSameVocabulary(student: Tokenizer, teacher: Tokenizer): void {
  const refuse = (received: string): never => {
    throw new OptionError({
      where: "config, method.teacher",
      expected: "a teacher with the student's vocabulary",
      received,
      fix: "choose another teacher, or begin the student anew with the teacher's tokenizer: model: { new: ... }",
    });
  };
  if (student.vocabSize !== teacher.vocabSize)
    refuse(`one of ${teacher.vocabSize} tokens, where the student has ${student.vocabSize}`);
  for (let id = 0; id < student.vocabSize; id++)
    if (student.idToToken(id) !== teacher.idToToken(id))
      refuse(`${JSON.stringify(teacher.idToToken(id))} for the student's ${JSON.stringify(student.idToToken(id))}`);
}

/** The student of a config: the model itself, or one that has some of its layers. */
export async function openStudent<T extends keyof TaskModels>(
  config: SharedConfig,
  { task, labels, layers, vocabSize }: StudentChoice & { task: T; labels?: readonly string[]; vocabSize?: number },
  context: MethodContext,
): Promise<TaskModels[T]> {
  const defaults = vocabSize === undefined ? undefined : { vocab_size: vocabSize };
  const whole = await openModel(config, { task, labels, defaults }, context);
  if (!layers) return whole;
  const student = await withLayers(whole, layers, task);
  whole.dispose();
  return student;
}

/** @throws OptionError for a student that is a classifier of other classes */
export async function requireLabelsOf({ model }: SharedConfig, labels: readonly string[]): Promise<void> {
  const name = typeof model === "string" ? model : "name" in model ? model.name : undefined;
  if (name === undefined) return;
  const folder = await openFolder(name, {});
  const { architectures, id2label } = await readJson(folder.file("config.json"));
  const isClassifier = /ForSequenceClassification$/.test(String((architectures as string[] | undefined)?.[0]));
  const names = Object.values((id2label ?? {}) as Record<string, string>);
  if (!isClassifier || names.length === 0 || names.join("\n") === labels.join("\n")) return;
  throw new OptionError({
    where: "config, method.teacher",
    expected: `a teacher of the student's classes: ${names.join(", ")}`,
    received: `one of ${labels.join(", ")}`,
    fix: "choose another teacher, or a student without a head",
  });
}

/** A teacher in evaluation, as it is. */
export const openTeacher = <T extends keyof TaskModels>(
  name: string,
  task: T,
  { onWarning }: MethodContext,
): Promise<TaskModels[T]> => fromPretrained(name, { task, onWarning });

/** The number of a layer in the name of a weight. */
const LAYER = /(?<=\.)\d+(?=\.)/;

/**
 * A model with some layers of another, and all else of it.
 * @throws OptionError for layers that there are not, and models whose layers are no list
 */
export async function withLayers<T extends keyof TaskModels>(
  model: TaskModels[T],
  layers: readonly number[],
  task: T,
): Promise<TaskModels[T]> {
  const { family, architecture, modelType } = model as PretrainedModel;
  const json = family.configToJson(model);
  const { fields } = typeof family.configKeys === "function" ? family.configKeys(json) : family.configKeys;
  const key = (fields as Record<string, { key: string }>).numLayers?.key;
  const count = key === undefined ? undefined : Number(json[key]);
  const wrong = layers.find((layer) => count === undefined || layer >= count);
  if (key === undefined || wrong !== undefined) throw noLayers(`${wrong} of ${architecture}`, count);
  // what the config says of each layer
  const parts = Object.entries(json).map(([name, value]) => [
    name,
    Array.isArray(value) && value.length === count ? layers.map((layer) => value[layer]) : value,
  ]);
  const smaller = { ...Object.fromEntries(parts), model_type: modelType, architectures: [architecture] };
  const student = fromConfig({ ...smaller, [key]: layers.length }, { task, key: randomKey(0), onWarning: () => {} });
  const state = model.namedState();
  for (const [name, variable] of student.namedState()) {
    const source = state.get(name.replace(LAYER, (layer) => String(layers[Number(layer)])));
    if (!source || String(source.shape) !== String(variable.shape)) throw noLayers(`${name} of ${architecture}`, count);
    variable.set((await source.read()) as Float32Array);
  }
  student.source = model.source;
  student.generationConfig = model.generationConfig;
  return student;
}

const noLayers = (received: string, count: number | undefined): OptionError =>
  new OptionError({
    where: "config, method.student.layers",
    expected: count === undefined ? "a model with a list of layers" : `numbers of layers from 0 to ${count - 1}`,
    received,
    fix: "choose others, or describe the student: model: { new: ... }",
  });

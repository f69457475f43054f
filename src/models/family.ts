import { DataError, listedNames, nearest } from "../base/index.ts";
import type { RandomKey } from "../tensor/index.ts";
import type { Json } from "./labels.ts";
import type { Family, PretrainedModel, Task } from "./model.ts";

/** Positions from 0 on, which older files hold. */
export const POSITION_IDS = /(^|\.)position_ids$/;
/** Of the rotary positions of a layer, which older files hold. */
export const FREQUENCIES = /rotary_emb\.inv_freq/;

/** `untie` of families where tie_word_embeddings says it. */
export const untiedWords = (json: Json): Json => ({ ...json, tie_word_embeddings: false });

/**
 * A model of a class for a config.json, with weights as at the start of training. @throws DataError or OptionError for
 * a config that is wrong
 */
export function createModel(
  family: Family,
  architecture: string,
  path: string,
  json: Json,
  key: RandomKey,
): PretrainedModel {
  const config = family.configFromJson(path, json, architecture);
  return new family.classes[architecture](config as never, key);
}

/**
 * The family of a config.json, one of several: of those that match the last. @throws DataError naming the nearest
 * family where none does
 */
export function findFamily(path: string, families: Iterable<Family>, json: Json): Family {
  const candidates = [...families];
  const family = candidates.findLast((each) => each.matches?.(json) ?? each.modelType === json.model_type);
  if (family) return family;
  const names = candidates.map((candidate) => candidate.modelType);
  const near = nearest(String(json.model_type), names);
  throw new DataError({
    where: `${path}, model_type`,
    expected: `a supported architecture: ${listedNames(String(json.model_type), names)}`,
    received: JSON.stringify(json.model_type) ?? "none",
    fix: near ? `did you mean "${near}"?` : "convert the model, use another, or register its family: registerFamily",
  });
}

/**
 * The class to make: the one that config.json names, or for a task that is not its own the first for that.
 * @throws DataError naming the nearest class, or the tasks of the family
 */
export function architectureFor(
  path: string,
  { architectures }: Json,
  { modelType, classes }: Family,
  task?: Task,
): string {
  const names = Object.keys(classes);
  const [stated] = Array.isArray(architectures) ? architectures : [];
  if (task !== undefined) {
    const ofTask = names.filter((candidate) => classes[candidate].task === task);
    const name = ofTask.find((candidate) => candidate === stated) ?? ofTask[0];
    if (name) return name;
    const known = [...new Set(Object.values(classes).map((ModelClass) => ModelClass.task))].join(", ");
    throw new DataError({
      where: path,
      expected: `a task of ${modelType}: ${known}`,
      received: task,
      fix: "choose one of them, or another model",
    });
  }
  if (stated === undefined) return names[names.length - 1];
  if (names.includes(stated)) return stated;
  const near = nearest(String(stated), names);
  throw new DataError({
    where: `${path}, architectures`,
    expected: `one of ${listedNames(String(stated), names)}`,
    received: JSON.stringify(stated),
    fix: near
      ? `did you mean "${near}"?`
      : `name the task: fromPretrained(path, { task: "${classes[names[0]].task}" })`,
  });
}

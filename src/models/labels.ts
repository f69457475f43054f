import { DataError } from "../base/index.ts";
import { choice, type Fields, optional } from "./config.ts";

/** An object of a JSON file, read and not checked yet. */
export type Json = Record<string, unknown>;

/** What every config of a model with labels has. */
export interface LabelConfig {
  /** Names of the classes, by number. */
  labels: readonly string[];
  /** How labels are told from one another. @default by their number and dtype, as transformers does */
  problemType: "regression" | "single_label_classification" | "multi_label_classification" | null;
}

const problemTypes = ["regression", "single_label_classification", "multi_label_classification"] as const;

/** LABEL_0, LABEL_1, ... as transformers names classes without names. */
export const defaultLabels = (count: number): string[] => Array.from({ length: count }, (_, i) => `LABEL_${i}`);

/** The labels of a config, two where none are given; of config.json they are read by `labelsFromJson`. */
export const labelFields: Fields<LabelConfig> = {
  labels: {
    key: "id2label",
    default: defaultLabels(2),
    expected: "a list of at least one name",
    isFine: (value) => Array.isArray(value) && value.length > 0 && value.every((name) => typeof name === "string"),
  },
  problemType: optional(choice("problem_type", problemTypes, "single_label_classification")),
};

/**
 * The labels of a config.json: id2label, or num_labels of them, or 2. @throws DataError for labels that are not
 * numbered 0, 1, ...
 */
export function labelsFromJson(path: string, json: Json): LabelConfig {
  const type = json.problem_type ?? null;
  if (type !== null && !problemTypes.includes(type as (typeof problemTypes)[number])) {
    throw new DataError({
      where: `${path}, problem_type`,
      expected: problemTypes.join(", "),
      received: JSON.stringify(type),
      fix: "correct config.json",
    });
  }
  return { labels: namesFromJson(path, json), problemType: type as LabelConfig["problemType"] };
}

function namesFromJson(path: string, { id2label, num_labels: numLabels }: Json): string[] {
  if (id2label !== null && typeof id2label === "object") {
    const names = Object.entries(id2label).sort(([a], [b]) => Number(a) - Number(b));
    const isFine =
      names.length > 0 &&
      names.every(([id, name], i) => Number(id) === i && ["string", "number"].includes(typeof name));
    if (!isFine) {
      const received = JSON.stringify(id2label).slice(0, 80);
      throw new DataError({
        where: `${path}, id2label`,
        expected: "names for the numbers 0, 1, ...",
        received,
        fix: "correct config.json",
      });
    }
    return names.map(([, name]) => String(name));
  }
  const count = typeof numLabels === "number" && Number.isInteger(numLabels) && numLabels > 0 ? numLabels : 2;
  return defaultLabels(count);
}

/** Labels as config.json has them: id2label, label2id, and problem_type where there is one. */
export function labelsToJson({ labels, problemType }: LabelConfig): Json {
  return {
    id2label: Object.fromEntries(labels.map((label, i) => [i, label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
    ...(problemType === null ? {} : { problem_type: problemType }),
  };
}

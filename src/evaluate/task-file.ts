import { parse } from "yaml";
import { checkOptions, DataError, isObject, OptionError } from "../base/index.ts";
import { readText } from "../files/index.ts";
import { besideFile } from "./documents.ts";
import { defineTask, type EvalTask, type FilterStep, type TaskMetric, type TaskOptions } from "./task.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Fields that say the same in both, under their names in lm-evaluation-harness. */
const sameFields: Readonly<Record<string, keyof TaskOptions>> = {
  task: "name",
  task_alias: "alias",
  test_split: "testSplit",
  validation_split: "validationSplit",
  training_split: "trainingSplit",
  fewshot_split: "fewshotSplit",
  output_type: "outputType",
  doc_to_text: "docToText",
  doc_to_target: "docToTarget",
  doc_to_choice: "docToChoice",
  description: "description",
  gen_prefix: "genPrefix",
  target_delimiter: "targetDelimiter",
  fewshot_delimiter: "fewshotDelimiter",
  num_fewshot: "numFewshot",
};
/** Fields that are read here. */
const otherFields = [
  ...["include", "dataset_path", "dataset_kwargs", "fewshot_config", "metric_list", "generation_kwargs"],
  ...["filter_list", "metadata", "repeats", "tag"],
];
const fewshotFields = ["sampler", "samples", "fewshot_indices", "split"];
const metricFields: Readonly<Record<string, keyof TaskMetric>> = {
  metric: "metric",
  aggregation: "aggregation",
  higher_is_better: "higherIsBetter",
  ignore_case: "ignoreCase",
  ignore_punctuation: "ignorePunctuation",
  ignore_numbers: "ignoreNumbers",
  regexes_to_ignore: "regexesToIgnore",
};
const filterFields: Readonly<Record<string, keyof FilterStep>> = {
  function: "function",
  regex_pattern: "regexPattern",
  group_select: "groupSelect",
  fallback: "fallback",
  mapping_dict: "mapping",
  default_value: "defaultValue",
};
const generationFields = ["until", "max_gen_toks", "do_sample", "temperature", "top_k", "top_p"];

/**
 * A task of a YAML or JSON file in a part of lm-evaluation-harness' format: data of JSON lines, rules as fields' names,
 * lists or Jinja templates. Paths are seen from the file.
 * @param others go before what the file says
 * @throws DataError for a file that cannot be read; OptionError for fields that are not followed, naming the nearest
 */
export async function readTask(path: string, others: Partial<TaskOptions> = {}): Promise<EvalTask> {
  const fields = await readFields(path);
  checkOptions(path, fields, [...Object.keys(sameFields), ...otherFields], "it is not followed: remove it");
  const { metadata, repeats = 1 } = fields;
  if (repeats !== 1) throw wrong(path, "repeats", "1: an answer is written once", repeats);
  const options = renamed(path, fields, sameFields, otherFields);
  const version = isObject(metadata) ? metadata.version : undefined;
  const task = {
    ...options,
    data: dataOf(path, fields),
    ...(version !== undefined && { version: version as string | number }),
    ...choicesOf(options.docToChoice),
    ...fewshotOf(path, fields),
    ...listOf(path, fields, "metric_list", (metrics) => ({ metrics: metrics.map((one) => metricOf(path, one)) })),
    ...listOf(path, fields, "filter_list", (filters) => ({ filters: filters.map((one) => filterOf(path, one)) })),
    ...(fields.generation_kwargs !== undefined && { generation: generationOf(path, fields.generation_kwargs) }),
    ...others,
  };
  return defineTask(task as unknown as TaskOptions);
}

function wrong(path: string, field: string, expected: string, value: unknown): OptionError {
  const received = JSON.stringify(value)?.slice(0, 80) ?? String(value);
  return new OptionError({ where: `${path}, ${field}`, expected, received, fix: "see docs/evaluation.md" });
}

/** The fields of a file, over those of the file that it includes. */
async function readFields(path: string, from: readonly string[] = []): Promise<Fields> {
  if (from.includes(path)) throw wrong(path, "include", "a file that does not include this one", path);
  const text = await readText(path, "a task in YAML or JSON");
  if (/^[^#\n]*:\s*!function\b/mu.test(text))
    throw new DataError({
      where: path,
      expected: "a task without code",
      received: "a !function of Python",
      fix: "write a template in its place, or a task in TypeScript with defineTask",
    });
  let value: unknown;
  try {
    value = parse(text, { version: "1.1" }); // as PyYAML has it: an unquoted yes or on is true
  } catch (cause) {
    const received = (cause as Error).message;
    throw new DataError({ where: path, expected: "YAML", received, fix: "mend the line that it names", cause });
  }
  if (!isObject(value)) throw wrong(path, "the file", "a field for each part of the task", value);
  const { include, ...fields } = value;
  if (include === undefined) return fields;
  if (typeof include !== "string") throw wrong(path, "include", "the path of a file", include);
  return { ...(await readFields(besideFile(path, include), [...from, path])), ...fields };
}

/** Fields under other names; null stands for none. */
function renamed(
  where: string,
  fields: unknown,
  names: Readonly<Record<string, string>>,
  others: readonly string[] = [],
): Record<string, unknown> {
  if (!isObject(fields)) throw wrong(where, "a part", "an object of fields", fields);
  checkOptions(where, fields, [...Object.keys(names), ...others], "it is not followed: remove it");
  const entries = Object.entries(fields).filter(([name, value]) => Object.hasOwn(names, name) && value !== null);
  return Object.fromEntries(entries.map(([name, value]) => [names[name], value]));
}

function dataOf(path: string, { dataset_path: kind, dataset_kwargs: kwargs }: Fields): TaskOptions["data"] {
  if (kind !== "json") throw wrong(path, "dataset_path", "json, with data_files in dataset_kwargs", kind);
  const files = isObject(kwargs) ? kwargs.data_files : undefined;
  if (isObject(kwargs))
    checkOptions(`${path}, dataset_kwargs`, kwargs, ["data_files"], "it is not followed: remove it");
  const bySplit = typeof files === "string" || Array.isArray(files) ? { train: files } : files;
  if (!isObject(bySplit)) throw wrong(path, "dataset_kwargs", "data_files: a path for each split", kwargs);
  return Object.fromEntries(
    Object.entries(bySplit).map(([split, value]) => {
      const paths = [value].flat();
      if (!paths.every((one) => typeof one === "string")) throw wrong(path, `data_files of ${split}`, "paths", value);
      return [split, (paths as string[]).map((one) => besideFile(path, one))];
    }),
  );
}

/** Choices by their names are their values. */
const choicesOf = (rule: unknown) => (isObject(rule) ? { docToChoice: Object.values(rule) as string[] } : {});

function fewshotOf(path: string, { fewshot_config: config }: Fields): Partial<TaskOptions> {
  if (config === undefined || config === null) return {};
  const names = { sampler: "sampler", samples: "samples", fewshot_indices: "fewshotIndices", split: "split" };
  const { split, ...fewshot } = renamed(`${path}, fewshot_config`, config, names, fewshotFields);
  const samplers = ["default", "first_n"];
  if (fewshot.sampler !== undefined && !samplers.includes(fewshot.sampler as string))
    throw wrong(path, "sampler", samplers.join(" or "), fewshot.sampler);
  return { fewshot, ...(split !== undefined && { fewshotSplit: split as string }) };
}

function listOf(
  path: string,
  fields: Fields,
  name: string,
  read: (list: readonly unknown[]) => Partial<TaskOptions>,
): Partial<TaskOptions> {
  const list = fields[name];
  if (list === undefined || list === null) return {};
  if (!Array.isArray(list)) throw wrong(path, name, "a list", list);
  return read(list);
}

function metricOf(path: string, fields: unknown): TaskMetric {
  const where = `${path}, metric_list`;
  const { aggregation, ...metric } = renamed(where, fields, metricFields) as unknown as Omit<
    TaskMetric,
    "aggregation"
  > & {
    aggregation?: string;
  };
  if (aggregation === undefined) return metric;
  if (aggregation === "median") return { ...metric, aggregation };
  const usual = aggregationNames[metric.metric] ?? "mean";
  if (aggregation === usual) return metric; // it says nothing more
  throw wrong(path, `metric_list, aggregation of ${metric.metric}`, `${usual} or median`, aggregation);
}

/** What lm-evaluation-harness calls the aggregations of metrics that are not means. */
const aggregationNames: Readonly<Record<string, string>> = {
  perplexity: "perplexity",
  word_perplexity: "weighted_perplexity",
  byte_perplexity: "weighted_perplexity",
  bits_per_byte: "bits_per_byte",
  mcc: "matthews_corrcoef",
  ...Object.fromEntries(["f1", "brier_score", "bleu", "chrf", "chrf++"].map((name) => [name, name])),
};

function filterOf(path: string, fields: unknown): { name: string; steps: FilterStep[] } {
  const where = `${path}, filter_list`;
  const { name, steps } = renamed(where, fields, { name: "name", filter: "steps" });
  if (typeof name !== "string" || !Array.isArray(steps))
    throw wrong(path, "filter_list", "a name and a filter", fields);
  return { name, steps: steps.map((step) => renamed(where, step, filterFields) as unknown as FilterStep) };
}

function generationOf(path: string, fields: unknown): TaskOptions["generation"] {
  const names = Object.fromEntries(
    generationFields.map((name) => [name, name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())]),
  );
  const aliases = { max_new_tokens: "maxGenToks", max_tokens: "maxGenToks" };
  const { until, ...options } = renamed(`${path}, generation_kwargs`, fields, { ...names, ...aliases });
  return { ...options, ...(until !== undefined && { until: [until].flat() as string[] }) };
}

import { checkOptions, DataError, OptionError } from "../base/index.ts";

/** A row of a task's data. */
export type Doc = Readonly<Record<string, unknown>>;

/** What a model is asked for. */
export type OutputType = "multiple_choice" | "loglikelihood" | "loglikelihood_rolling" | "generate_until";

/** What a part of a prompt may be: a text, the number of a choice, or several texts. */
export type DocPart = string | number | readonly (string | number)[];
/** A field's name, a Jinja template over the fields of a row, or a function. */
export type DocRule = string | number | ((doc: Doc) => DocPart);
/** A rule that gives texts, or the texts themselves. */
export type ChoiceRule = string | readonly string[] | ((doc: Doc) => readonly string[]);

/** A metric of a task. */
export interface TaskMetric {
  /** Its name in lm-evaluation-harness, or another where there is a `score`. */
  metric: string;
  /** How the numbers of rows become one. @default that of the metric */
  aggregation?: "mean" | "median";
  higherIsBetter?: boolean;
  /** Of exact_match: what is not compared. */
  ignoreCase?: boolean;
  ignorePunctuation?: boolean;
  ignoreNumbers?: boolean;
  /** Of exact_match: regular expressions of what is taken out first. */
  regexesToIgnore?: readonly string[];
  /** A metric of one's own, of a text that was written and those that would be right. */
  score?: (prediction: string, references: readonly string[]) => number;
}

/** A step between what a model has written and what is judged. */
export interface FilterStep {
  function: "regex" | "take_first" | "remove_whitespace" | "lowercase" | "uppercase" | "map";
  /** Of regex. @default "#### (\\-?[0-9\\.\\,]+)" */
  regexPattern?: string;
  /** Of regex: which match, from the end when negative. @default 0 */
  groupSelect?: number;
  /** Of regex: what stands where nothing matches. @default "[invalid]" */
  fallback?: string;
  /** Of map: what texts become. */
  mapping?: Readonly<Record<string, string>>;
  /** Of map: what others become. @default "" */
  defaultValue?: string;
}

/** How a text is written. */
export interface TaskGeneration {
  /** Texts that end it. @default the delimiter of examples */
  until?: readonly string[];
  /** @default 256 */
  maxGenToks?: number;
  /** Draw, by the temperature; otherwise the likeliest tokens. @default false */
  doSample?: boolean;
  temperature?: number;
  topK?: number;
  topP?: number;
}

/** How examples are chosen. */
export interface FewshotOptions {
  /** "default": by chance; "first_n": the first. @default "default" */
  sampler?: "default" | "first_n";
  /** Examples in place of those of a split. */
  samples?: readonly Doc[];
  /** Which are taken of the split. @default all */
  fewshotIndices?: readonly number[];
}

/** A task: its data, how a row becomes a prompt, and how answers are judged. */
export interface TaskOptions {
  name: string;
  /** What the table calls it. @default the name */
  alias?: string;
  version?: number | string;
  /** Rows of each split: a JSONL file, several, or the rows themselves. */
  data: Readonly<Record<string, string | readonly string[] | readonly Doc[]>>;
  /** The split that is judged; else the validation split. */
  testSplit?: string;
  validationSplit?: string;
  trainingSplit?: string;
  /** The split of examples. @default the training split, or that of validation, or that of tests */
  fewshotSplit?: string;
  /** @default "generate_until" */
  outputType?: OutputType;
  docToText: DocRule;
  docToTarget: DocRule;
  /** Texts of which one is right; then the target is the number of it. */
  docToChoice?: ChoiceRule;
  /** Changes each row before all else. */
  processDoc?: (doc: Doc) => Doc;
  /** In front of all examples. */
  description?: string;
  /** How the answer begins. */
  genPrefix?: string;
  /** Between a question and its answer. @default " " */
  targetDelimiter?: string;
  /** Behind each example. @default "\n\n" */
  fewshotDelimiter?: string;
  /** Examples in front of each question. @default 0 */
  numFewshot?: number;
  fewshot?: FewshotOptions;
  /** @default those that are usual for the output type */
  metrics?: readonly TaskMetric[];
  generation?: TaskGeneration;
  /** Ways to read an answer, each judged by all metrics. @default it is taken as it is */
  filters?: readonly { name: string; steps: readonly FilterStep[] }[];
}

/** A task whose options are complete. */
export type EvalTask = TaskOptions &
  Required<
    Pick<
      TaskOptions,
      "outputType" | "description" | "targetDelimiter" | "fewshotDelimiter" | "numFewshot" | "metrics" | "filters"
    >
  > & { alias: string; fewshot: FewshotOptions; evalSplit: string };

const optionNames: { readonly [K in keyof Required<TaskOptions>]: true } = {
  name: true,
  alias: true,
  version: true,
  data: true,
  testSplit: true,
  validationSplit: true,
  trainingSplit: true,
  fewshotSplit: true,
  outputType: true,
  docToText: true,
  docToTarget: true,
  docToChoice: true,
  processDoc: true,
  description: true,
  genPrefix: true,
  targetDelimiter: true,
  fewshotDelimiter: true,
  numFewshot: true,
  fewshot: true,
  metrics: true,
  generation: true,
  filters: true,
};

/** Metrics of each output type, those that are usual first. */
const metricsOfOutput: Readonly<Record<OutputType, readonly string[]>> = {
  multiple_choice: ["acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "f1", "mcc", "brier_score"],
  loglikelihood: ["perplexity", "acc"],
  loglikelihood_rolling: ["word_perplexity", "byte_perplexity", "bits_per_byte"],
  generate_until: ["exact_match", "bleu", "chrf", "chrf++"],
};
const usualCounts: Readonly<Record<OutputType, number>> = {
  multiple_choice: 2,
  loglikelihood: 2,
  loglikelihood_rolling: 3,
  generate_until: 1,
};

/** What is done to answers when a task says nothing. */
const takeFirst = { name: "none", steps: [{ function: "take_first" }] } as const;

/**
 * A task, checked and with its defaults.
 * @throws OptionError for an unknown option or value; DataError for a split that the data has not
 */
export function defineTask(options: TaskOptions): EvalTask {
  const where = `task ${options.name ?? ""}`.trim();
  checkOptions(where, options, Object.keys(optionNames));
  const { outputType = "generate_until", data, testSplit, validationSplit, numFewshot = 0 } = options;
  const types = Object.keys(metricsOfOutput) as OutputType[];
  if (typeof options.name !== "string" || options.name === "")
    refuse("task", "a name", String(options.name), "name it");
  if (!types.includes(outputType)) refuse(where, `an output type of ${types.join(", ")}`, outputType, "choose one");
  if (!Number.isInteger(numFewshot) || numFewshot < 0)
    refuse(where, "numFewshot to be an integer of at least 0", String(numFewshot), "give 0 for none");
  if (outputType === "multiple_choice" && options.docToChoice === undefined)
    refuse(where, "docToChoice for multiple choice", "none", "say where the choices are");
  const evalSplit = testSplit ?? validationSplit;
  for (const split of [evalSplit ?? "test", options.trainingSplit, options.fewshotSplit])
    if (split !== undefined && !Object.hasOwn(data ?? {}, split))
      throw new DataError({
        where,
        expected: `data of the split ${split}`,
        received: Object.keys(data ?? {}).join(", ") || "none",
        fix: "name a file for the split, or a split that there is in testSplit",
      });
  const usual: TaskMetric[] = metricsOfOutput[outputType]
    .slice(0, usualCounts[outputType])
    .map((metric) => ({ metric }));
  const { metrics = usual, filters = [takeFirst] } = options;
  for (const { metric, score } of metrics) requireMetric(where, outputType, metric, score !== undefined);
  requireFilters(where, outputType, filters);
  return {
    ...options,
    alias: options.alias ?? options.name,
    description: options.description ?? "",
    targetDelimiter: options.targetDelimiter ?? " ",
    fewshotDelimiter: options.fewshotDelimiter ?? "\n\n",
    fewshot: options.fewshot ?? {},
    evalSplit: evalSplit ?? "test",
    outputType,
    numFewshot,
    metrics,
    filters,
  };
}

function refuse(where: string, expected: string, received: string, fix: string): never {
  throw new OptionError({ where, expected, received, fix });
}

function requireMetric(where: string, outputType: OutputType, metric: string, hasScore: boolean): void {
  if (hasScore && outputType !== "generate_until")
    refuse(where, "a score of one's own only of generate_until", `${metric} of ${outputType}`, "remove it");
  if (hasScore || metricsOfOutput[outputType].includes(metric)) return;
  const names = metricsOfOutput[outputType].join(", ");
  refuse(
    where,
    `metrics of ${outputType}: ${names}`,
    JSON.stringify(metric),
    "choose one, or give a score of your own",
  );
}

function requireFilters(
  where: string,
  outputType: OutputType,
  filters: readonly { name: string; steps: readonly FilterStep[] }[],
): void {
  const known = ["regex", "take_first", "remove_whitespace", "lowercase", "uppercase", "map"];
  for (const { name, steps } of filters)
    for (const step of steps) {
      if (!known.includes(step.function))
        refuse(`${where}, filter ${name}`, `a function of ${known.join(", ")}`, String(step.function), "choose one");
      if (outputType !== "generate_until" && step.function !== "take_first")
        refuse(`${where}, filter ${name}`, `take_first of ${outputType}`, step.function, "filter only what is written");
    }
}

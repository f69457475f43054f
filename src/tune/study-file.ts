import { readFile } from "node:fs/promises";
import { basename, dirname, extname, resolve } from "node:path";
import { parse } from "yaml";
import { checkOptions, DataError, isObject, listedNames, nearest, OptionError, withYamlErrors } from "../base/index.ts";
import { withReadErrors } from "../files/index.ts";
import { ashaSampler } from "./asha.ts";
import { commandRun, type FinalValue, wordsOf } from "./command.ts";
import { halvingSampler } from "./halving.ts";
import { moduleRun } from "./process.ts";
import { ashaPruner, hyperbandPruner, medianPruner, type Pruner, patiencePruner, percentilePruner } from "./pruners.ts";
import type { Direction } from "./records.ts";
import { gridSampler, haltonSampler, randomSampler, type Sampler } from "./samplers.ts";
import { parseSpace, type Space } from "./space.ts";
import { tpeSampler } from "./tpe.ts";
import type { Trial } from "./trial.ts";
import type { TuneOptions } from "./tune.ts";

/** A study as a file says it. */
export interface StudyFile {
  name: string;
  /** What `tune` takes, but for the store, the signal and whom it tells. */
  options: TuneOptions & { space: Space; direction: Direction; sampler: Sampler };
  /** What the first trial runs: the words of a command, or a module. */
  example(facts: { folder: string; threads: number }): string[];
}

/** How a study file is read. */
export interface StudyFileOptions {
  /** The words that "kindling" in a command stands for. @default ["kindling"] */
  kindling?: readonly string[];
}

const fields = [
  ...["name", "space", "direction", "sampler", "pruner", "trials", "concurrency", "timeoutSeconds"],
  ...["trialTimeoutSeconds", "mostFailures", "target", "patience", "run", "command", "config", "overrides"],
  ...["budget", "metric", "metricsFile", "value", "keepsFolder", "copiesFolder", "env", "objectives"],
];

/** A sampler of budgets with the one that chooses values, where that is named. */
const withSampler =
  <T>(make: (options: T) => Sampler) =>
  (options: Record<string, unknown>): Sampler => {
    const { sampler, ...rest } = options;
    return make({ ...rest, ...(sampler !== undefined && { sampler: partOf("sampler", sampler, samplers) }) } as T);
  };

const samplers: Readonly<Record<string, (options: never) => Sampler>> = {
  tpe: tpeSampler,
  random: randomSampler,
  halton: haltonSampler,
  grid: gridSampler,
  halving: withSampler(halvingSampler),
  asha: withSampler(ashaSampler),
};

const pruners: Readonly<Record<string, (options: never) => Pruner>> = {
  median: medianPruner,
  percentile: percentilePruner,
  asha: ashaPruner,
  hyperband: hyperbandPruner,
  patience: patiencePruner,
};

/**
 * Reads a study from YAML: space, sampler, pruner, and what a trial runs: `run`, a module; `command`, a program; or
 * `config`, a configuration for `kindling train`.
 * @throws DataError for a file that cannot be read; OptionError for a field that is unknown or cannot be
 */
export async function readStudyFile(
  path: string,
  { kindling = ["kindling"] }: StudyFileOptions = {},
): Promise<StudyFile> {
  const text = await withReadErrors(path, "a study in YAML", () => readFile(path, "utf8"));
  const json = parsed(path, text);
  checkOptions(path, json, fields);
  const space = parseSpace(`${path}: space`, json.space);
  const { direction = "minimize", trials, concurrency, mostFailures, target, patience } = json;
  const numbers = { trials, concurrency, mostFailures, target, patience };
  if (json.objectives !== undefined && !isObject(json.objectives))
    throw wrong(`${path}: objectives`, "a direction for each metric, as { accuracy: maximize }", json.objectives);
  const times = {
    timeoutMs: milliseconds(json.timeoutSeconds),
    trialTimeoutMs: milliseconds(json.trialTimeoutSeconds),
  };
  const sampler = partOf("sampler", json.sampler ?? "tpe", samplers);
  const { run, example } = runOf({ path, json, space, kindling, sampler });
  const options = {
    ...defined({ ...numbers, ...times }),
    ...(json.pruner !== undefined && { pruner: partOf("pruner", json.pruner, pruners) }),
    ...(json.objectives !== undefined && { objectives: json.objectives as Record<string, Direction> }),
    ...{ space, direction: direction as Direction, sampler, run },
  };
  const { name = basename(path, extname(path)) } = json;
  if (typeof name !== "string" || !/^[\w.-]+$/.test(name)) throw wrong(`${path}: name`, "letters, digits, . _ -", name);
  return { name, options, example };
}

const wrong = (where: string, expected: string, received: unknown, fix = "correct the file") =>
  new OptionError({ where, expected, received: JSON.stringify(received)?.slice(0, 60) ?? "nothing", fix });

/** NaN for what is no number, which `tune` refuses. */
const milliseconds = (seconds: unknown) =>
  seconds === undefined ? undefined : typeof seconds === "number" ? 1000 * seconds : Number.NaN;
const defined = (values: object) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

function parsed(path: string, text: string): Record<string, unknown> {
  const json: unknown = withYamlErrors(path, () => parse(text));
  if (isObject(json)) return json;
  throw new DataError({
    where: path,
    expected: "fields such as space",
    received: "none",
    fix: "write a line for each",
  });
}

/** A sampler or a pruner: its name, or an object with its name as type and its options. */
function partOf<T>(where: string, json: unknown, parts: Readonly<Record<string, (options: never) => T>>): T {
  const { type, ...options } = isObject(json) ? json : { type: json };
  const names = Object.keys(parts);
  if (typeof type === "string" && Object.hasOwn(parts, type)) return parts[type](options as never);
  const near = nearest(String(type), names);
  const fix = near ? `did you mean "${near}"?` : "name one of them, or write { type: ..., ... }";
  throw wrong(where, `one of ${listedNames(String(type), names)}`, type, fix);
}

interface RunSource {
  path: string;
  json: Record<string, unknown>;
  space: Space;
  kindling: readonly string[];
  sampler: Sampler;
}

function runOf(source: RunSource): Pick<StudyFile, "example"> & { run: TuneOptions["run"] } {
  const { path, json, space, sampler } = source;
  const kinds = ["run", "command", "config"].filter((field) => json[field] !== undefined);
  if (kinds.length !== 1) throw wrong(path, "one of run, command and config", kinds, "say what a trial runs");
  const ofCommands = ["metric", "metricsFile", "value", "keepsFolder", "copiesFolder", "overrides", "budget"];
  if (kinds[0] === "run") {
    if (typeof json.run !== "string") throw wrong(`${path}: run`, "the path of a module", json.run);
    const idle = ofCommands.find((field) => json[field] !== undefined);
    if (idle) throw wrong(`${path}: ${idle}`, "a command or a config that it is for", json[idle], "remove it");
    const module = resolve(dirname(path), json.run);
    return { run: moduleRun(module, environmentOf(path, json.env)), example: () => [module] };
  }
  const command = kinds[0] === "config" ? trainingCommand(source) : commandOf(source);
  const idle = ["overrides", "budget"].find((field) => kinds[0] === "command" && json[field] !== undefined);
  if (idle) throw wrong(`${path}: ${idle}`, "a config that it is for", json[idle], "write it in the command");
  const isTraining = kinds[0] === "config";
  const { metric, value = "last", keepsFolder = isTraining, copiesFolder = isTraining } = json;
  if (typeof metric !== "string") throw wrong(`${path}: metric`, "the name of a number, as validationLoss", metric);
  const metricsFile = json.metricsFile ?? (isTraining ? `{folder}/${RUN}/metrics.jsonl` : undefined);
  if (metricsFile !== undefined && typeof metricsFile !== "string")
    throw wrong(`${path}: metricsFile`, "a path", metricsFile);
  for (const [field, each] of Object.entries({ keepsFolder, copiesFolder }))
    if (typeof each !== "boolean") throw wrong(`${path}: ${field}`, "true or false", each);
  const run = commandRun(space, {
    ...{ command, metric, value: value as FinalValue },
    ...{ keepsFolder: keepsFolder as boolean, copiesFolder: copiesFolder as boolean },
    ...(metricsFile !== undefined && { metricsFile }),
    ...environmentOf(path, json.env),
  });
  const example: StudyFile["example"] = (facts) => {
    const first = sampler.propose({ space, direction: "minimize", trials: [], number: 0 });
    const trial = { number: 0, attempt: 1, ...(typeof first === "object" && first), ...facts };
    return wordsOf(command, space, trial as unknown as Trial);
  };
  return { run, example };
}

/** Name of the run that a trial of `config` makes in its folder. */
const RUN = "run";

/** `kindling train` with a configuration, the trial's values, and its folder as that of the run. */
function trainingCommand({ path, json, kindling }: RunSource): string[] {
  const { config, overrides = {}, budget } = json;
  if (typeof config !== "string") throw wrong(`${path}: config`, "the path of a configuration", config);
  if (!isObject(overrides)) throw wrong(`${path}: overrides`, "values by name, as { steps: 100 }", overrides);
  if (budget !== undefined && typeof budget !== "string") throw wrong(`${path}: budget`, "a name, as steps", budget);
  const fixed = Object.entries(overrides).map(([name, value]) => `${name}=${value}`);
  return [
    ...[...kindling, "train", resolve(dirname(path), config), "{overrides}", ...fixed],
    ...(budget === undefined ? [] : [`${budget}={budget}`]),
    `output={folder}/${RUN}`,
  ];
}

function commandOf({ path, json: { command }, kindling }: RunSource): string[] {
  const words = typeof command === "string" ? command.trim().split(/\s+/) : command;
  const isFine =
    Array.isArray(words) && words.length > 0 && words.every((word) => ["string", "number"].includes(typeof word));
  if (!isFine) throw wrong(`${path}: command`, "a program and its arguments", command, "write [python, train.py, ...]");
  const [program, ...args] = words.map(String);
  return program === "kindling" ? [...kindling, ...args] : [program, ...args];
}

function environmentOf(path: string, json: unknown): { env?: Record<string, string> } {
  if (json === undefined) return {};
  if (!isObject(json)) throw wrong(`${path}: env`, "variables by name", json);
  return { env: Object.fromEntries(Object.entries(json).map(([name, value]) => [name, String(value)])) };
}

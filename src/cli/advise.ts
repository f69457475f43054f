/** `kindling doctor --model` and `kindling recommend`: what a model takes, and which one fits. */
import { freemem, totalmem } from "node:os";
import type { Command } from "commander";
import type { DeviceCost, ServingEstimate, TrainingEstimate, TrainingOptions } from "../advise/index.ts";
import { OptionError } from "../base/index.ts";
import { isRemoteName } from "../hub/index.ts";
import { findModel } from "./models.ts";
import { choice } from "./option-names.ts";
import { integer, number } from "./parse-values.ts";
import { dropUndefined } from "./sampling.ts";
import { formatBytes, formatCount, formatSeconds, tableOf } from "./terminal.ts";

const importAdvise = () => import("../advise/index.ts");

const GIB = 2 ** 30;
const tasks = ["train", "finetune", "serve"] as const;

/** What `kindling doctor` is asked of a model. */
export interface DoctorFlags {
  model?: string;
  task?: (typeof tasks)[number];
  runs: string;
  adapter?: "lora" | "qlora";
  rank?: number;
  batch?: number;
  length?: number;
  precision?: "f32" | "bf16";
  checkpointActivations?: boolean;
  tokens: number;
  weights?: ServingEstimate["weights"];
  context?: number;
  concurrency?: number;
  json?: boolean;
}

const DEFAULT_TOKENS = 10e6;

/** The options of `kindling doctor` about a model. */
export const withEstimates = (command: Command): Command =>
  command
    .option(
      "--model <name>",
      "estimate memory, time and cost of this model: a folder, a config.json, a .gguf file, a run or a repository, of which the config alone is read",
    )
    .addOption(choice("--task <task>", "what is done with it (default: finetune)", tasks))
    .addOption(choice("--adapter <kind>", "finetune: what is trained (default: lora)", ["lora", "qlora"]))
    .option("--rank <n>", "finetune: of LoRA's matrices (default: 16)", integer)
    .option("--batch <n>", "train, finetune: examples of a batch (default: 8)", integer)
    .option("--length <tokens>", "train, finetune: of an example (default: 512)", integer)
    .addOption(choice("--precision <dtype>", "train, finetune: of products (default: f32)", ["f32", "bf16"]))
    .option("--checkpoint-activations", "train, finetune: layers are computed again for their gradients")
    .option("--tokens <n>", "of the training, or to be written, for time and cost", number, DEFAULT_TOKENS)
    .addOption(choice("--weights <kind>", "serve: how they are kept (default: f16)", ["f32", "f16", "q8", "q4"]))
    .option("--context <tokens>", "serve: longest prompt and answer (default: the model's, at most 4096)", integer)
    .option("--concurrency <n>", "serve: texts at the same time (default: 1)", integer)
    .option("--runs <folder>", "folder of all runs", "runs")
    .option("--json", "with --model: as JSON");

/** Estimates of a model, for this machine and for GPUs. */
export async function estimateCommand(name: string, flags: DoctorFlags): Promise<void> {
  const { task = "finetune", tokens, json } = flags;
  requireOptionsOf(task, flags);
  const { describeModel, gpus, measureFlops, servingCost, trainingCost } = await importAdvise();
  const model = await describeModel(await placeOf(name, flags.runs));
  const flopsPerSecond = await measureFlops();
  const estimate = task === "serve" ? await servingOf(model, flags) : await trainingOf(model, task, flags);
  const devices = gpus.map((gpu) =>
    "items" in estimate ? trainingCost(estimate, gpu, tokens) : servingCost(estimate, gpu, tokens),
  );
  const here = await costHere(estimate, flopsPerSecond, tokens);
  const memory = { total: totalmem(), free: freemem() };
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ model: name, task, tokens, estimate, here, memory, devices }, null, 2)}\n`,
    );
    return;
  }
  process.stdout.write(`${name}: ${headOf(estimate, task)}\n${tableOf(memoryRows(estimate))}\n`);
  const fits = estimate.totalBytes <= memory.total ? "fits" : "does not fit";
  process.stdout.write(
    `${fits} into this machine's ${formatBytes(memory.total)} (${formatBytes(memory.free)} free)\n\n`,
  );
  process.stdout.write(`${formatCount(tokens)} ${unitOf(estimate)}:\n${tableOf(deviceRows([here, ...devices]))}`);
  const { PRICES_DATE, TRAINING_UTILISATION, DECODE_UTILISATION } = await importAdvise();
  const share = "items" in estimate ? TRAINING_UTILISATION : DECODE_UTILISATION;
  const of = "items" in estimate ? "the highest rate" : "the bandwidth";
  process.stdout.write(`\nGPUs at ${100 * share} % of ${of}, prices of ${PRICES_DATE}: an order of size, not a bill\n`);
}

/** A repository's name, or the path of what is here. */
async function placeOf(name: string, runs: string): Promise<string> {
  return name.endsWith(".json") || (await isRemoteName(name)) ? name : findModel(name, runs);
}

type Model = Awaited<ReturnType<Awaited<ReturnType<typeof importAdvise>>["describeModel"]>>;

async function trainingOf(model: Model, task: "train" | "finetune", flags: DoctorFlags): Promise<TrainingEstimate> {
  const { estimateTraining } = await importAdvise();
  const { adapter = "lora", rank, batch: batchSize, length, precision, checkpointActivations } = flags;
  const way = task === "train" ? "full" : adapter;
  const form: TrainingOptions = { way, rank, batchSize, length, precision, checkpointActivations };
  return estimateTraining(model, dropUndefined(form));
}

async function servingOf(model: Model, { weights, context, concurrency }: DoctorFlags): Promise<ServingEstimate> {
  const { estimateServing } = await importAdvise();
  return estimateServing(model, dropUndefined({ weights, context, concurrency }));
}

/** @throws OptionError for an option that another task has */
function requireOptionsOf(task: (typeof tasks)[number], flags: DoctorFlags): void {
  const training = ["batch", "length", "precision", "checkpointActivations"] as const;
  const others = {
    train: ["adapter", "rank", "weights", "context", "concurrency"],
    finetune: ["weights", "context", "concurrency"],
    serve: ["adapter", "rank", ...training],
  } as const satisfies Record<(typeof tasks)[number], readonly (keyof DoctorFlags)[]>;
  const strange = others[task].find((name) => flags[name] !== undefined);
  if (strange === undefined) return;
  throw new OptionError({
    where: "doctor",
    expected: `options of --task ${task}`,
    received: `--${strange.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    fix: "leave it out, or choose another task",
  });
}

const unitOf = (estimate: TrainingEstimate | ServingEstimate) =>
  "items" in estimate ? "tokens of training" : "tokens written";

/** Time on this machine, at the rate that its matrix products were measured to have. */
async function costHere(
  estimate: TrainingEstimate | ServingEstimate,
  flopsPerSecond: number,
  tokens: number,
): Promise<DeviceCost> {
  const { trainingRate } = await importAdvise();
  const tokensPerSecond =
    "items" in estimate ? trainingRate(estimate, flopsPerSecond) : flopsPerSecond / estimate.flopsPerToken;
  return { device: "this machine", cards: 1, tokensPerSecond, seconds: tokens / tokensPerSecond };
}

function headOf(estimate: TrainingEstimate | ServingEstimate, task: string): string {
  const parameters = `${formatCount(estimate.parameters)} parameters`;
  if (!("items" in estimate))
    return `serve, ${parameters}, ${estimate.weights}, ${estimate.concurrency} texts of ${estimate.context} tokens`;
  const { way, trainedParameters, batchSize, length, precision, checkpointActivations } = estimate;
  const kept = checkpointActivations ? ", activations computed again" : "";
  return `${task} (${way}), ${parameters}, ${formatCount(trainedParameters)} trained, batches of ${batchSize} x ${length}, ${precision}${kept}`;
}

function memoryRows(estimate: TrainingEstimate | ServingEstimate): string[][] {
  const parts: [string, number][] =
    "items" in estimate
      ? [
          ["weights", estimate.weightBytes],
          ["optimizer", estimate.optimizerBytes],
          ["gradients, activations", estimate.stepBytes],
        ]
      : [
          ["weights", estimate.weightBytes],
          ["keys and values", estimate.cacheBytes],
        ];
  const rows: [string, number][] = [...parts, ["runtime", estimate.runtimeBytes], ["together", estimate.totalBytes]];
  return rows.map(([name, bytes]) => [name, formatBytes(bytes)]);
}

function deviceRows(costs: readonly DeviceCost[]): string[][] {
  const rows = costs.map(({ device, cards, tokensPerSecond, seconds, dollars }) => [
    device,
    String(cards),
    formatCount(tokensPerSecond),
    formatSeconds(seconds),
    dollars === undefined ? "" : `$${dollars < 10 ? dollars.toFixed(2) : dollars.toFixed(0)}`,
  ]);
  return [["device", "cards", "tokens/s", "time", "cost"], ...rows];
}

const EXAMPLES = `
Examples:
  kindling recommend --task chat --language zh --licence permissive
  kindling recommend --task classification --max-memory 4 --use train
  kindling recommend --task embedding --json`;

interface RecommendFlags {
  task: string;
  language?: string;
  maxMemory?: number;
  licence?: string;
  use?: "serve" | "finetune" | "train";
  limit: number;
  json?: boolean;
}

/** Declares `kindling recommend`. */
export function addRecommend(program: Command): void {
  program
    .command("recommend")
    .description("Name base models for a task that fit, the best first: from a table in the package, without a server.")
    .requiredOption("--task <task>", "chat, classification, embedding, ner, translation, speech or vision")
    .option("--language <code>", "that it reads, such as zh (default: any)")
    .option("--max-memory <GiB>", "that it may take (default: this machine's)", number)
    .option("--licence <licence>", "permissive, or a licence's name such as mit (default: any)")
    .addOption(choice("--use <use>", "what the memory is for (default: serve)", ["serve", "finetune", "train"]))
    .option("--limit <n>", "most models", integer, 8)
    .option("--json", "as JSON")
    .addHelpText("after", EXAMPLES)
    .action((flags: RecommendFlags) => recommendCommand(flags));
}

async function recommendCommand({
  json,
  limit,
  maxMemory = totalmem() / GIB,
  ...flags
}: RecommendFlags): Promise<void> {
  const { MODELS_DATE, recommend } = await importAdvise();
  const options = dropUndefined({ ...flags, maxMemory }) as Parameters<typeof recommend>[0];
  const models = recommend(options).slice(0, limit);
  if (json) {
    process.stdout.write(`${JSON.stringify({ date: MODELS_DATE, models }, null, 2)}\n`);
    return;
  }
  if (models.length === 0) {
    process.stdout.write("none fits: allow more memory, another licence, or another language\n");
    return;
  }
  const rows = models.map(({ name, millions, licence, year, weights, memory, why }) => [
    name,
    formatCount(millions * 1e6),
    `${memory.toFixed(1)} GiB${weights ? ` ${weights}` : ""}`,
    licence,
    String(year),
    why,
  ]);
  process.stdout.write(`${tableOf([["model", "size", "memory", "licence", "year", "why"], ...rows])}`);
  process.stdout.write(`\ntable of ${MODELS_DATE}; next: kindling doctor --model ${models[0].name} --task finetune\n`);
}

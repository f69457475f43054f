import { totalmem } from "node:os";
import { join } from "node:path";
import { checkOptions, DataError, type FloatDType, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import type { TokenizerKind } from "../data/index.ts";
import { exists, readJson } from "../files/index.ts";

/** Everything that decides what a run computes; kept in run.json. */
export interface RunConfig {
  /** File or folder of UTF-8 text. Without one a run goes on with the text that it prepared when it began. */
  text?: string;
  tokenizer: TokenizerKind;
  /** Most tokens of the BPE vocabulary. */
  vocabSize: number;
  contextLength: number;
  hiddenSize: number;
  numLayers: number;
  numHeads: number;
  dropout: number;
  batchSize: number;
  steps: number;
  /** Training ends after this many seconds, whatever the steps; the learning rate falls in time for it. 0: no limit. */
  maxSeconds: number;
  learningRate: number;
  warmupSteps: number;
  weightDecay: number;
  clipNorm: number;
  /** Dtype of products; weights and optimizer state stay in f32. */
  precision: FloatDType;
  seed: number;
  evaluationInterval: number;
  checkpointInterval: number;
}

/** A small GPT that learns from a book in minutes on two cores. */
export const defaultRunConfig: Omit<RunConfig, "text"> = {
  tokenizer: "bpe",
  vocabSize: 1024,
  contextLength: 128,
  hiddenSize: 192,
  numLayers: 4,
  numHeads: 6,
  dropout: 0,
  batchSize: 12,
  steps: 2000,
  maxSeconds: 0,
  learningRate: 2e-3,
  warmupSteps: 100,
  weightDecay: 0.1,
  clipNorm: 1,
  precision: "f32",
  seed: 1337,
  evaluationInterval: 100,
  checkpointInterval: 500,
};

/** Options that may change when a run is resumed. Whether the text did is decided by its content. */
const changeable = new Set(["text", "steps", "maxSeconds", "evaluationInterval", "checkpointInterval"]);

/** What differs from the options a run was started with, in words. */
export function changedOptions(stored: RunConfig, config: RunConfig): string[] {
  const earlier: RunConfig = { ...defaultRunConfig, ...stored }; // options that were added since
  const keys = Object.keys(config) as (keyof RunConfig)[];
  return keys
    .filter((key) => !changeable.has(key) && earlier[key] !== config[key])
    .map((key) => `${key} ${config[key]} instead of ${earlier[key]}`);
}

const positiveIntegers = [
  "vocabSize",
  "contextLength",
  "hiddenSize",
  "numLayers",
  "numHeads",
  "batchSize",
  "steps",
  "evaluationInterval",
  "checkpointInterval",
] as const;

const { integer, positiveInteger, positive, notNegative, share } = numberRules;
const numbersOfRuns = {
  ...(Object.fromEntries(positiveIntegers.map((name) => [name, positiveInteger])) as Record<
    (typeof positiveIntegers)[number],
    typeof positiveInteger
  >),
  learningRate: positive,
  clipNorm: positive,
  warmupSteps: notNegative,
  weightDecay: notNegative,
  maxSeconds: notNegative,
  seed: integer,
  dropout: share,
};

/** Checks ranges. @throws OptionError naming the option */
export function checkRunConfig(config: RunConfig): void {
  checkOptions("train", config, ["text", ...Object.keys(defaultRunConfig)]);
  const require = (isFine: boolean, expected: string, received: unknown, fix = "correct the option") => {
    if (!isFine) throw new OptionError({ where: "train", expected, received: String(received), fix });
  };
  requireNumbers("train", config, numbersOfRuns, "correct the option");
  require(config.tokenizer === "bpe" || config.tokenizer === "char", "tokenizer to be bpe or char", config.tokenizer);
  require(["f32", "bf16", "f16"].includes(config.precision), "precision to be f32, bf16 or f16", config.precision);
  const near = Math.ceil(config.hiddenSize / config.numHeads) * config.numHeads;
  const widths = `${config.hiddenSize} and ${config.numHeads}`;
  require(config.hiddenSize % config.numHeads ===
    0, "hiddenSize to be a multiple of numHeads", widths, `use --width ${near}`);
  const bytes = stateBytes(config);
  const size = `a model whose weights, gradients and optimizer take ${Math.ceil(bytes / 2 ** 30)} GiB`;
  const memory = `a model that fits the ${Math.floor(totalmem() / 2 ** 30)} GiB of memory`;
  require(bytes <= totalmem(), memory, size, "use a smaller --width or fewer --layers");
}

/** Weights, their gradients and two moments, in f32. */
function stateBytes({ vocabSize, contextLength, hiddenSize, numLayers }: RunConfig): number {
  return 4 * 4 * ((vocabSize + contextLength) * hiddenSize + numLayers * 12 * hiddenSize ** 2);
}

export const CONFIG_FILE = "run.json";

/**
 * The config of a run that was started in this folder, or undefined.
 * @throws DataError when its run.json is none
 */
export async function readRunConfig(folder: string): Promise<RunConfig | undefined> {
  const path = join(folder, CONFIG_FILE);
  if (!(await exists(path))) return undefined;
  const config = await readJson(path);
  const isRun =
    positiveIntegers.every((name) => !(name in config) || Number.isSafeInteger(config[name])) &&
    "contextLength" in config;
  if (!isRun)
    throw new DataError({
      where: path,
      expected: "the options of a run",
      received: "another file",
      fix: "choose another --name",
    });
  return config as unknown as RunConfig;
}

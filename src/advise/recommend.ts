/** Which model to begin from. */
import { checkOptions, nearest, numberRules, OptionError, requireNumbers } from "../base/index.ts";
import { type BaseModel, baseModels, modelTasks } from "./base-models.ts";
import { type ServedWeights, weightBytesOf } from "./serving.ts";
import { BASE_BYTES, TRAINED_BYTES } from "./training.ts";

/** What is looked for. */
export interface RecommendOptions {
  task: (typeof modelTasks)[number];
  /** ISO 639-1, such as "zh". @default any */
  language?: string;
  /** Most memory, in GiB. */
  maxMemory: number;
  /** "permissive" for licences that only ask to be named (Apache, MIT, BSD), or a licence's name. @default any */
  licence?: string;
  /** What the memory is for: running it, an adapter beside it, or all of it. @default "serve" */
  use?: "serve" | "finetune" | "train";
}

/** A model that fits, and how. */
export interface Recommendation extends BaseModel {
  /** How the weights are kept where it is served: the most exact way that fits. */
  weights?: ServedWeights;
  /** GiB, before activations and keys and values, which the texts decide. */
  memory: number;
}

const GIB = 2 ** 30;
const MILLION = 1e6;
const PERMISSIVE = /^(apache-2\.0|mit|bsd(-[23]-clause)?|isc|cc0-1\.0)$/;
/** Share of the numbers that an adapter of rank 16 has, of small models; less of large ones. */
const ADAPTER_SHARE = 0.04;
const trainedBytes = { finetune: 4 + ADAPTER_SHARE * TRAINED_BYTES, train: TRAINED_BYTES } as const;
const precisions: readonly ServedWeights[] = ["f32", "f16", "q8", "q4"];
/** Models of one year's progress are like those of twice the size. */
const YEARS_PER_DOUBLING = 1;

/**
 * The models for a task that fit, the best first: newer ones and larger ones, where a year counts like twice the size,
 * and of a language those that were made for it before those of a hundred.
 * @throws OptionError for a task that is not known, and a memory that is not above 0
 *
 * @example
 * recommend({ task: "classification", language: "zh", maxMemory: 8, licence: "permissive" })[0].name;
 */
export function recommend(options: RecommendOptions): Recommendation[] {
  checkOptions("recommend", options, ["task", "language", "maxMemory", "licence", "use"]);
  const { task, language, maxMemory, licence, use = "serve" } = options;
  requireNumbers("recommend", { maxMemory }, { maxMemory: numberRules.positive });
  requireOneOf("task", task, modelTasks);
  requireOneOf("use", use, ["serve", "finetune", "train"]);
  const isAllowed = (name: string) =>
    licence === undefined || (licence === "permissive" ? PERMISSIVE.test(name) : name === licence);
  return baseModels
    .filter((model) => model.tasks.includes(task) && isAllowed(model.licence) && reads(model, language))
    .flatMap((model) => {
      const fitting = placeIn(model, use, maxMemory);
      return fitting ? [{ ...model, ...fitting }] : [];
    })
    .sort((a, b) => scoreOf(b, language) - scoreOf(a, language));
}

const reads = ({ languages }: BaseModel, language: string | undefined) =>
  language === undefined || languages.length === 0 || languages.includes(language) || languages.includes("multi");

/** How a model fits into so many GiB; undefined if it does not. */
function placeIn(
  { millions, tasks }: BaseModel,
  use: NonNullable<RecommendOptions["use"]>,
  maxMemory: number,
): Pick<Recommendation, "weights" | "memory"> | undefined {
  const memoryOf = (bytesPerNumber: number) => (millions * MILLION * bytesPerNumber + BASE_BYTES) / GIB;
  if (use !== "serve") {
    const memory = memoryOf(trainedBytes[use]);
    return memory <= maxMemory ? { memory } : undefined;
  }
  // blocks are of GGUF files, which decoders have
  const kinds = tasks.includes("chat") ? precisions : precisions.slice(0, 2);
  const weights = kinds.find((kind) => memoryOf(weightBytesOf[kind]) <= maxMemory);
  return weights && { weights, memory: memoryOf(weightBytesOf[weights]) };
}

function scoreOf({ millions, year, languages }: BaseModel, language: string | undefined): number {
  const isMadeFor = language !== undefined && languages.includes(language);
  return Math.log2(millions) + year / YEARS_PER_DOUBLING + (isMadeFor ? 2 : 0);
}

function requireOneOf(field: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  const near = nearest(value, known);
  throw new OptionError({
    where: `recommend, ${field}`,
    expected: known.join(", "),
    received: JSON.stringify(value),
    fix: near ? `did you mean "${near}"?` : "choose one of them",
  });
}

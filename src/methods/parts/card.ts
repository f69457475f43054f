/** What the model card of a run says. */
import { basename } from "node:path";
import { type Confusion, estimateEnergy, type ModelCard, thisHardware } from "../../track/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { Method } from "../method.ts";
import { datasetsOf } from "./datasets.ts";
import { baseModels } from "./models.ts";

/** What a run knows of itself in the end. */
export interface RunFacts {
  method: Method;
  folder: string;
  facts: Readonly<Record<string, string | number>>;
  fingerprint: Readonly<Record<string, string>>;
  parameters: { all: number; trained: number };
  step: number;
  seconds: number;
  /** What was measured of the result, on the validation data. */
  measured: Readonly<Record<string, number>>;
  /** Of a classifier, on the same data. */
  confusion: Confusion | undefined;
}

/** The hub's names of tasks, by methods. */
const pipelineTags: Readonly<Record<string, string>> = {
  sft: "text-generation",
  pretrain: "text-generation",
  preference: "text-generation",
  grpo: "text-generation",
  ppo: "text-generation",
  classification: "text-classification",
  reward: "text-classification",
  "token-classification": "token-classification",
  "question-answering": "question-answering",
  seq2seq: "text2text-generation",
  embeddings: "sentence-similarity",
  "cross-encoder": "text-ranking",
  "image-classification": "image-classification",
  "object-detection": "object-detection",
  clip: "zero-shot-image-classification",
  llava: "image-text-to-text",
  speech: "automatic-speech-recognition",
};

/** The card of a run: what its config says, and what was measured. */
export function cardOf(config: SharedConfig, run: RunFacts): ModelCard {
  const { method, folder, facts, fingerprint, parameters, step, seconds, measured, confusion } = run;
  const { card, adapter } = config;
  const bases = baseModels(config);
  const name = card.name ?? basename(folder);
  const hardware = thisHardware();
  const isAdapter = adapter !== undefined && !adapter.merge;
  const pipelineTag = pipelineTags[method.name];
  const dataName = datasetsOf(config.data.train)
    .flatMap(({ path }) => path)
    .map((path) => basename(path))
    .join(", ");
  const sum = fingerprint.data ?? fingerprint.corpus ?? "";
  const counts = Object.fromEntries(
    Object.entries(facts).filter((entry): entry is [string, number] => typeof entry[1] === "number"),
  );
  return {
    name,
    summary: card.description ?? method.summary,
    ...(card.license !== undefined && { license: card.license }),
    ...(card.languages && { languages: card.languages }),
    ...(bases.length > 0 && {
      baseModels: bases,
      baseModelRelation: isAdapter ? "adapter" : adapter?.merge ? "merge" : "finetune",
    }),
    tags: ["kindling", method.name, ...(card.tags ?? [])],
    ...(pipelineTag !== undefined && { pipelineTag }),
    libraryName: isAdapter ? "peft" : "transformers",
    method: method.summary.replace(/\.$/, ""),
    data: card.datasets
      ? card.datasets.map((id) => ({ name: id, hubId: id, counts }))
      : [
          {
            name: dataName,
            counts,
            ...(/^[0-9a-f]{64}$/.test(sum) && { sha256: sum }),
          },
        ],
    config: settingsOf(config),
    results: Object.entries(measured).map(([type, value]) => ({
      task: { type: pipelineTag ?? method.name },
      dataset: { type: "validation", name: dataName, split: "validation" },
      metric: { type, value },
    })),
    ...(confusion && { confusion }),
    parameters,
    steps: step,
    seconds,
    hardware,
    energy: estimateEnergy({ seconds, cores: hardware.cores }),
  };
}

/** The settings that decide what a training computes, by one name each. */
export function settingsOf({
  optimizer,
  schedule,
  training,
  adapter,
  data,
}: SharedConfig): NonNullable<ModelCard["config"]> {
  const sections = { optimizer, schedule, training, adapter, "data.maxLength": data.maxLength };
  const flat: Record<string, string | number | boolean> = {};
  const add = (key: string, value: unknown) => {
    if (value === undefined || value === null) return;
    if (typeof value === "object" && !Array.isArray(value))
      for (const [name, inside] of Object.entries(value)) add(`${key}.${name}`, inside);
    else flat[key] = ["string", "number", "boolean"].includes(typeof value) ? (value as string) : JSON.stringify(value);
  };
  for (const [key, value] of Object.entries(sections)) add(key, value);
  return flat;
}

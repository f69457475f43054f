import type { EnergyEstimate } from "../energy.ts";
import type { Hardware } from "../hardware.ts";
import type { Confusion } from "../report/extras.ts";
import type { ConfigValue } from "../tracker.ts";

/** A number of a model on a data set, as the hub's model-index has it. */
export interface CardResult {
  /** Such as "text-classification", with a name in words or without. */
  task: { type: string; name?: string };
  /** type: its id on the hub, or a short name. */
  dataset: { type: string; name: string; config?: string; split?: string; revision?: string };
  /** type: such as "accuracy", by which the hub sorts. */
  metric: { type: string; name?: string; value: number };
  /** Where the true value lies with a probability of `confidence`. */
  interval?: { low: number; high: number; confidence: number };
}

/** Data that a model was trained on. */
export interface CardData {
  /** In words, such as "State of the Union speeches". */
  name: string;
  /** Its id on the hub, where it has one. */
  hubId?: string;
  license?: string;
  /** How many, and of what: { speeches: 233, tokens: 2 000 000 } */
  counts?: Readonly<Record<string, number>>;
  /** Of the files, so that one can tell whether one has the same. */
  sha256?: string;
}

/** All that a model card says. */
export interface ModelCard {
  /** Of the model. */
  name: string;
  /** What the model does, in a sentence or two. */
  summary: string;
  /** As the hub names it, such as "apache-2.0". @default none said */
  license?: string;
  /** Codes of ISO 639-1, such as "en". */
  languages?: readonly string[];
  /** Ids on the hub, or paths. @default none: trained from nothing */
  baseModels?: readonly string[];
  baseModelRelation?: "finetune" | "adapter" | "merge" | "quantized";
  tags?: readonly string[];
  /** As the hub names tasks, such as "text-generation". */
  pipelineTag?: string;
  /** Which library opens it. @default "transformers" */
  libraryName?: "transformers" | "peft";
  /** What was done, in words, such as "LoRA fine-tuning of chat data". */
  method?: string;
  data?: readonly CardData[];
  /** How it was trained, by name. */
  config?: Readonly<Record<string, ConfigValue>>;
  results?: readonly CardResult[];
  /** How often each class was taken for each other one, on the data of the results. */
  confusion?: Confusion;
  parameters?: { all: number; trained: number };
  steps?: number;
  /** Of training, in all sessions. */
  seconds?: number;
  hardware?: Hardware;
  energy?: EnergyEstimate;
  /** What it must not be used for, and what it cannot do: a sentence each. */
  limits?: readonly string[];
}

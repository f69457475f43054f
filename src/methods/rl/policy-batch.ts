/** What the batches of reinforcement learning are: prompts first, then what was written after them. */
import { batchesOf, type Source } from "../../data/index.ts";
import type { Tensor } from "../../tensor/index.ts";
import type { CompletionTensors } from "./padded-completions.ts";
import type { Prompt } from "./prompts.ts";

/** Prompts before anything is written. */
export interface PromptBatch {
  /** Number of the rollout, of which there may be several in a step. */
  rollout: number;
  /** Updates that were made with this rollout already. */
  update: number;
  prompts: readonly Prompt[];
}

/** What is known of completions that are not learned from. */
export interface MeasuredBatch {
  measured: Readonly<Record<string, Tensor<"f32">>>;
  /** Completions. */
  count: Tensor<"f32">;
}

export type PolicyBatch = PromptBatch | MeasuredBatch | CompletionTensors;

/** How prompts come into steps. */
export interface PromptBatchOptions {
  /** Prompts of a batch. */
  batchSize: number;
  /** Batches of a step. */
  accumulation: number;
  /** Steps with each rollout. */
  updates: number;
  seed: number;
}

/** Batches of prompts, each as often as there are updates with it. */
export function promptBatches(
  prompts: readonly Prompt[],
  { batchSize, accumulation, updates, seed }: PromptBatchOptions,
): Source<PolicyBatch> {
  const source = batchesOf(prompts, { batchSize, seed, collate: (each) => each });
  return {
    async batch(index) {
      const step = Math.floor(index / accumulation);
      const rollout = Math.floor(step / updates) * accumulation + (index % accumulation);
      return { rollout, update: step % updates, prompts: await source.batch(rollout) };
    },
  };
}

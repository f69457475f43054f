/** Rollouts: completions that the model writes for a step, with what they are worth. */
import { join } from "node:path";
import { exists, readJson, writeJson } from "../../files/index.ts";
import { Generator } from "../../generate/index.ts";
import type { CausalLM } from "../../models/index.ts";
import { tensor } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { StepContext } from "../../train/index.ts";
import { spreadOf } from "./advantages.ts";
import { type Completion, mixed, writeCompletions } from "./completions.ts";
import {
  type CompletionTensors,
  completionTensors,
  type HostCompletions,
  padCompletions,
} from "./padded-completions.ts";
import type { MeasuredBatch, PromptBatch } from "./policy-batch.ts";
import type { Prompt } from "./prompts.ts";
import type { WeightedReward } from "./reward.ts";
import { type RewardedTexts, rewardsOf } from "./rewards.ts";

/** How completions are written. */
export interface RolloutSettings {
  /** Completions of each prompt. */
  groupSize: number;
  maxNewTokens: number;
  temperature: number;
  /** Steps with each rollout. */
  updates: number;
  /** Most completions that are written at the same time. */
  sequences: number;
}

/** What a method makes of rewarded completions. */
export interface RolloutWork {
  /** Adds to `extras` and `metrics` what the loss needs. rewards: one for each row. */
  finish(host: HostCompletions, rewards: readonly number[], signal?: AbortSignal): Promise<void>;
  /** What the method remembers from rollout to rollout, as JSON. @default nothing */
  memory?: { state: unknown };
}

/** What rollouts are made with. */
export interface RolloutParts {
  model: CausalLM;
  tokenizer: Tokenizer;
  settings: RolloutSettings;
  rewards: readonly WeightedReward[];
  padId: number;
  seed: number;
  /** Batches of a step. */
  accumulation: number;
  work: RolloutWork;
}

const FILE = "rollouts.json";

/**
 * Makes the rollouts of training by the weights of the moment, and keeps each for the updates that are made with it. A
 * rollout is a function of the weights, its number and the seed, and those that are still needed are saved with a
 * checkpoint: a run that was cut goes on as it would have.
 */
export class Rollouts {
  private readonly parts: RolloutParts;
  private generator: Promise<Generator> | undefined;
  private kept = new Map<number, HostCompletions>();

  constructor(parts: RolloutParts) {
    this.parts = parts;
  }

  /** The completions of a batch: new ones in the first of its updates. @throws DataError of a reward that fails */
  async of({ rollout, update, prompts }: PromptBatch, { signal }: StepContext): Promise<CompletionTensors> {
    const { settings, accumulation } = this.parts;
    const present = update === 0 ? undefined : this.kept.get(rollout);
    if (present) return completionTensors(present);
    const host = await this.make(prompts, rollout, signal);
    const first = rollout - (rollout % accumulation); // of the step; those of steps before are over
    for (const number of this.kept.keys()) if (number < first) this.kept.delete(number);
    if (settings.updates > 1) this.kept.set(rollout, host);
    return completionTensors(host);
  }

  private async make(prompts: readonly Prompt[], rollout: number, signal?: AbortSignal): Promise<HostCompletions> {
    const { settings, padId, seed, work } = this.parts;
    const { groupSize, maxNewTokens, temperature } = settings;
    const completions = await this.write(prompts, { groupSize, temperature, seed: mixed(seed, rollout), signal });
    const rewarded = await this.rewarded(completions);
    const host = padCompletions(completions, { padId, maxNewTokens });
    Object.assign(host.metrics, metricsOf(completions, rewarded));
    await work.finish(host, rewarded.totals, signal);
    return host;
  }

  /** What the likeliest completion of each prompt is worth. */
  async measure(prompts: readonly Prompt[]): Promise<MeasuredBatch> {
    const completions = await this.write(prompts, { groupSize: 1, temperature: 0, seed: 0 });
    const metrics = Object.entries(metricsOf(completions, await this.rewarded(completions)));
    return {
      measured: Object.fromEntries(metrics.map(([name, value]) => [name, tensor(value)])),
      count: tensor(prompts.length),
    };
  }

  private async write(
    prompts: readonly Prompt[],
    options: { groupSize: number; temperature: number; seed: number; signal?: AbortSignal },
  ): Promise<Completion[]> {
    const { tokenizer, settings } = this.parts;
    const { maxNewTokens } = settings;
    this.generator ??= this.openGenerator();
    return writeCompletions(prompts, { generator: await this.generator, tokenizer, maxNewTokens, ...options });
  }

  private async openGenerator(): Promise<Generator> {
    const { model, settings } = this.parts;
    const generator = new Generator(model, { maxSequences: settings.sequences });
    await generator.prepare(settings.sequences); // no text has another graph than in a run that was cut
    return generator;
  }

  private rewarded(completions: readonly Completion[]): Promise<RewardedTexts> {
    const texts = completions.map(({ prompt, text }) => ({
      ...{ prompt: prompt.text, completion: text, row: prompt.row, place: prompt.place },
    }));
    return rewardsOf(this.parts.rewards, texts);
  }

  /** Writes what a run goes on with into a checkpoint's folder. */
  async save(folder: string): Promise<void> {
    const { memory } = this.parts.work;
    await writeJson(join(folder, FILE), { rollouts: [...this.kept], ...(memory && { memory: memory.state }) });
  }

  /** Reads what `save` wrote. */
  async load(folder: string): Promise<void> {
    const path = join(folder, FILE);
    const { rollouts, memory } = (await exists(path)) ? await readJson(path) : { rollouts: [], memory: undefined };
    this.kept = new Map(rollouts as [number, HostCompletions][]);
    const { work } = this.parts;
    if (work.memory && memory !== undefined) work.memory.state = memory;
  }

  async dispose(): Promise<void> {
    (await this.generator)?.dispose();
  }
}

/** What is measured of completions. */
function metricsOf(completions: readonly Completion[], { totals, parts }: RewardedTexts): Record<string, number> {
  const metrics: Record<string, number> = {};
  const note = (name: string, values: readonly number[]) => {
    const { mean, deviation } = spreadOf(values);
    metrics[name] = mean;
    metrics[`${name}Std`] = deviation;
  };
  note("reward", totals);
  for (const [name, values] of parts) note(`reward/${name}`, values);
  metrics.completionLength = spreadOf(completions.map(({ ids }) => ids.length)).mean;
  metrics.truncatedShare = spreadOf(completions.map(({ isTruncated }) => Number(isTruncated))).mean;
  return metrics;
}

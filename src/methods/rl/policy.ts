/** What methods of reinforcement learning have in common: prompts, rollouts, and an objective of them. */
import { z } from "zod";
import { OptionError } from "../../base/index.ts";
import type { Source } from "../../data/index.ts";
import type { CausalLM, RunOptions } from "../../models/index.ts";
import { neg } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import { type Objective, type ObjectiveResult, supervised } from "../../train/index.ts";
import type { MethodConfig, MethodContext, PreparedMethod } from "../method.ts";
import { adapted } from "../parts/adapters.ts";
import { padIdOf, sampler } from "../parts/causal.ts";
import { type OpenedData, openData } from "../parts/datasets.ts";
import { openModel, openTokenizer, requireVocabulary } from "../parts/models.ts";
import type { CompletionTensors } from "./padded-completions.ts";
import { ReferencePolicy } from "./policies.ts";
import { type PolicyBatch, promptBatches } from "./policy-batch.ts";
import { type Prompt, readPrompts } from "./prompts.ts";
import type { WeightedReward } from "./reward.ts";
import { openRewards, rewardsSetting } from "./rewards.ts";
import { Rollouts, type RolloutWork } from "./rollouts.ts";

const count = z.int().min(1);

/** Settings of rollouts, which stand beside a method's name. */
export const rolloutSettings = {
  rewards: rewardsSetting,
  maxNewTokens: count.default(256).describe("Most tokens of a completion."),
  temperature: z
    .number()
    .positive()
    .default(1)
    .describe("Completions are drawn with it, and it is theirs that is learned."),
  updates: count.default(1).describe("Steps with each rollout."),
  sequences: count
    .max(4096)
    .default(64)
    .describe("Most completions that are written at the same time: memory of their caches."),
};

type Shape = typeof rolloutSettings & { groupSize: z.ZodDefault<z.ZodInt> };
/** The config of a method of reinforcement learning. */
export type PolicyConfig = MethodConfig<Shape>;

/** What a method's work is made with. */
export interface PolicyParts {
  model: CausalLM;
  reference: ReferencePolicy;
}

/** What a method does with rollouts. */
export interface PolicyWork extends RolloutWork {
  /** The loss of rewarded completions. */
  loss(batch: CompletionTensors, run: RunOptions): ObjectiveResult;
  /** Adds what it trains besides the model. @default nothing */
  extend?(objective: Objective<PolicyBatch>): Objective<PolicyBatch>;
  dispose(): void;
}

const BATCH_SIZE = 8;

/**
 * Opens model, data and rewards, for an objective that writes completions before each step and learns from them.
 * @throws OptionError for settings that do not go with rollouts; as `openModel`, `openRewards`, `readPrompts`
 */
export async function preparePolicy(
  config: PolicyConfig,
  context: MethodContext,
  workOf: (parts: PolicyParts) => PolicyWork,
): Promise<PreparedMethod<PolicyBatch>> {
  requirePolicyConfig(config);
  const rewards = await openRewards(config.method.rewards);
  const model = await openModel(config, { task: "causal-lm" }, context);
  const tokenizer = await openTokenizer(config);
  requireVocabulary(tokenizer, model);
  requireContext(model, config);
  const opened = await openData(config.data, context);
  const prompts = await promptsOf(config, opened, tokenizer, context);
  return preparedOf({ config, context, model, tokenizer, opened, ...prompts, rewards, workOf });
}

/** The prompts that are learned from, and those that are measured on. */
async function promptsOf(
  { data }: PolicyConfig,
  { train, validation, badRows }: OpenedData,
  tokenizer: Tokenizer,
  context: MethodContext,
): Promise<{ prompts: Prompt[]; validation: Prompt[] | undefined }> {
  const read = { tokenizer, maxLength: data.maxLength, badRows, context };
  const prompts = await readPrompts(train, { ...read, dataset: data.train });
  const measured = validation && (await readPrompts(validation, { ...read, dataset: data.validation ?? data.train }));
  return { prompts, validation: measured };
}

interface PreparedParts {
  config: PolicyConfig;
  context: MethodContext;
  model: CausalLM;
  tokenizer: Tokenizer;
  opened: OpenedData;
  prompts: Prompt[];
  validation: Prompt[] | undefined;
  rewards: WeightedReward[];
  workOf: (parts: PolicyParts) => PolicyWork;
}

async function preparedOf(parts: PreparedParts): Promise<PreparedMethod<PolicyBatch>> {
  const { config, context, model, tokenizer, opened, prompts, validation, rewards, workOf } = parts;
  const { method: settings, training } = config;
  const { batchSize = BATCH_SIZE, accumulation, seed } = training;
  const silent = { ...context, onWarning: () => {} };
  const reference = new ReferencePolicy(() => openModel(config, { task: "causal-lm" }, silent), settings.temperature);
  const work = workOf({ model, reference });
  const padId = padIdOf(tokenizer);
  const rollouts = new Rollouts({ model, tokenizer, settings, rewards, padId, seed, accumulation, work });
  return {
    model,
    tokenizer,
    objective: await objectiveOf(config, { model, tokenizer, work, rollouts, reference }),
    trainData: promptBatches(prompts, { batchSize, accumulation, updates: settings.updates, seed }),
    batchesPerEpoch: Math.ceil(prompts.length / batchSize) * settings.updates,
    validationData: validation && measuredBatches(validation, rollouts, batchSize * settings.groupSize),
    facts: factsOf(prompts, validation),
    fingerprint: { data: (await opened.train.fingerprint()) ?? "none" },
    preview: async (count) => previewOf(prompts.slice(0, count)),
    sample: sampler(model, tokenizer, { isChat: tokenizer.chatTemplate !== undefined }),
    async close() {
      await rollouts.dispose();
      reference.dispose();
      work.dispose();
      await opened.close();
    },
  };
}

interface ObjectiveParts extends PolicyParts {
  tokenizer: Tokenizer;
  work: PolicyWork;
  rollouts: Rollouts;
}

async function objectiveOf(config: PolicyConfig, parts: ObjectiveParts): Promise<Objective<PolicyBatch>> {
  const { model, tokenizer, work, rollouts, reference } = parts;
  const learned = await adapted<PolicyBatch>(config, { model, tokenizer }, (options, adapter) => {
    reference.adapter = adapter;
    return {
      ...(supervised(model, options) as unknown as Objective<PolicyBatch>),
      unit: "tokens",
      count: (batch) => ("inputIds" in batch ? sizeOf(batch.inputIds.shape) : 0),
      prepare: async (batch, step) => ("prompts" in batch ? rollouts.of(batch, step) : batch),
      loss: (batch, run) => lossOf(batch, run, work),
    };
  });
  const objective = work.extend?.(learned) ?? learned;
  return {
    ...objective,
    async save(folder) {
      await objective.save(folder);
      await rollouts.save(folder);
    },
    async load(folder) {
      await objective.load(folder);
      await rollouts.load(folder);
    },
    saveResult: (folder) => (learned.saveResult ?? learned.save)(folder),
  };
}

const sizeOf = (shape: readonly unknown[]) => shape.reduce((total: number, size) => total * Number(size), 1);

/** Of completions that are learned from the method's; of measured ones the less, the more they are worth. */
function lossOf(batch: PolicyBatch, run: RunOptions, work: PolicyWork): ObjectiveResult {
  if ("measured" in batch) return { loss: neg(batch.measured.reward), weight: batch.count, metrics: batch.measured };
  if ("prompts" in batch)
    throw new OptionError({
      where: "rollouts",
      expected: "a batch with completions",
      received: "prompts alone",
      fix: "have the objective prepare it first",
    });
  const { metrics, ...result } = work.loss(batch, run);
  return { ...result, metrics: { ...batch.metrics, ...metrics } };
}

function measuredBatches(prompts: readonly Prompt[], rollouts: Rollouts, batchSize: number): Source<PolicyBatch> {
  const count = Math.ceil(prompts.length / batchSize);
  return {
    count,
    batch: (index) => rollouts.measure(prompts.slice(index * batchSize, (index + 1) * batchSize)),
  };
}

const factsOf = (prompts: readonly Prompt[], validation: readonly Prompt[] | undefined) => ({
  prompts: prompts.length,
  "longest prompt": Math.max(...prompts.map(({ ids }) => ids.length)),
  ...(validation && { "validation prompts": validation.length }),
});

const previewOf = (prompts: readonly Prompt[]): string =>
  prompts
    .map(({ text, row }, i) => {
      const columns = Object.entries(row).filter(([, value]) => value !== text);
      return `--- prompt ${i + 1} ---\n${text}\n${columns.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join("\n")}`;
    })
    .join("\n");

const unsuited = {
  adapter: "a LoRA, IA3 or bottleneck adapter, or none: rollouts behind a prompt or prefix are not followed",
  overfit: "batches of all prompts: what is learned is written anew in each step",
  packing: "a row for each completion",
  cut: "longer prompts to be left out: half a question has another answer",
} as const;

/** @throws OptionError for settings that do not go with rollouts */
function requirePolicyConfig({ adapter, training, data }: PolicyConfig): void {
  const refuse = (field: string, expected: string, received: string, fix: string) => {
    throw new OptionError({ where: `config, ${field}`, expected, received, fix });
  };
  if (adapter && ["prompt", "p-tuning", "prefix"].includes(adapter.type))
    refuse("adapter.type", unsuited.adapter, adapter.type, "write type: lora");
  if (training.overfitBatches !== undefined)
    refuse("training.overfitBatches", unsuited.overfit, String(training.overfitBatches), "leave it out");
  if (data.packing) refuse("data.packing", unsuited.packing, "true", "leave it out");
  if (data.onTooLong === "cut") refuse("data.onTooLong", unsuited.cut, "cut", "write onTooLong: skip, or leave it out");
}

/** @throws OptionError where a completion would not fit behind the longest prompt */
function requireContext({ config: { maxPositionEmbeddings } }: CausalLM, { method, data }: PolicyConfig): void {
  if (data.maxLength + method.maxNewTokens <= maxPositionEmbeddings) return;
  throw new OptionError({
    where: "config, data.maxLength and method.maxNewTokens",
    expected: `at most ${maxPositionEmbeddings} tokens together, the model's context`,
    received: `${data.maxLength} and ${method.maxNewTokens}`,
    fix: "lower one of them",
  });
}

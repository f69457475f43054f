/** Proximal policy optimization of language models. */
import { z } from "zod";
import { reshape, type Tensor } from "../tensor/index.ts";
import { defineMethod } from "./method.ts";
import { generalisedAdvantages, whitened } from "./rl/advantages.ts";
import { nextCoefficient } from "./rl/kl-control.ts";
import { maskedMean } from "./rl/masked.ts";
import { type CompletionTensors, type HostCompletions, tokenStatistics } from "./rl/padded-completions.ts";
import { TokenForward } from "./rl/policies.ts";
import { type PolicyConfig, type PolicyParts, type PolicyWork, preparePolicy, rolloutSettings } from "./rl/policy.ts";
import { ppoLoss } from "./rl/ppo-loss.ts";
import { ValueHead } from "./rl/value-head.ts";

const share = z.number().min(0).max(1);
const positive = z.number().positive();

const settings = {
  ...rolloutSettings,
  updates: z.int().min(1).default(4).describe("Steps with each rollout."),
  groupSize: z.int().min(1).default(1).describe("Completions of each prompt."),
  klCoefficient: z
    .number()
    .min(0)
    .default(0.05)
    .describe("What a nat of divergence from the first model costs a token."),
  klTarget: positive
    .optional()
    .describe("Nats of a completion that klCoefficient is moved towards. Default: it stays."),
  klHorizon: positive.default(10000).describe("Completions in which it is moved by the error of the divergence."),
  gamma: share.default(1).describe("What a reward a token later is worth."),
  lambda: share.default(0.95).describe("How far ahead rewards count in place of values."),
  clip: positive.max(1).default(0.2).describe("How far from 1 ratios of probabilities count."),
  valueClip: positive.default(0.2).describe("How far values move in a rollout."),
  valueCoefficient: z.number().min(0).default(0.1).describe("Weight of the error of the values."),
  entropyCoefficient: z.number().min(0).default(0).describe("Weight of the bonus for entropy."),
};

type PpoSettings = z.output<z.ZodObject<typeof settings>>;

/**
 * PPO: a language model writes completions, and learns which of their tokens led to more reward than a value head
 * expected. Schulman et al. 2017, arXiv:1707.06347; of language models Ziegler et al. 2019, arXiv:1909.08593, and
 * Stiennon et al. 2020, arXiv:2009.01325. The head reads the states of the model itself, and is not a part of the
 * result.
 */
export const ppo = defineMethod({
  name: "ppo",
  summary: "PPO: a language model learns what rewards say, with a value head that tells what to expect.",
  settings,
  defaults: {
    optimizer: { learningRate: 1e-6 },
    training: { batchSize: 32 },
    data: { onTooLong: "skip", maxLength: 512 },
    evaluation: { monitor: "reward" },
  },
  template: `# PPO: a language model learns what rewards say, with a value head that tells what to expect.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: ppo
  rewards:                    # each is measured; their sum by weights counts
    - model: ./reward-model   # a sequence classifier with one label
    # - ./rewards.mjs         # export default (prompt, completion, row) => 1
  maxNewTokens: 256
  temperature: 1
  updates: 4                  # steps with each rollout
  klCoefficient: 0.05         # what divergence from the first model costs
  # klTarget: 6               # nats of a completion that klCoefficient is moved towards
  gamma: 1
  lambda: 0.95
  # entropyCoefficient: 0.01
model: HuggingFaceTB/SmolLM2-135M-Instruct   # a folder, a repository, a run's model or a .gguf file
data:
  train: prompts.jsonl        # rows with a prompt (or question, messages)
  validationShare: 0.05       # or validation: other.jsonl; measured without draws
  maxLength: 512              # tokens of a prompt; longer ones are left out
adapter:
  type: lora
  rank: 16
optimizer:
  learningRate: 1.0e-5
training:
  steps: 400
  batchSize: 32               # prompts
  # accumulation: 4           # batches of a step
`,
  prepare: (config, context) =>
    preparePolicy(config as unknown as PolicyConfig, context, (parts) => new PpoWork(config.method, parts)),
});

/** What PPO does with rollouts. */
class PpoWork implements PolicyWork {
  readonly memory: { state: number };
  private readonly settings: PpoSettings;
  private readonly parts: PolicyParts;
  private readonly head: ValueHead;
  private readonly forward: TokenForward;

  constructor(settings: PpoSettings, parts: PolicyParts) {
    this.settings = settings;
    this.parts = parts;
    this.memory = { state: settings.klCoefficient };
    this.head = new ValueHead(parts.model.config);
    this.forward = new TokenForward((batch) => {
      const { logprobs, values } = this.statistics(batch, {});
      return { logprobs, values };
    });
  }

  private statistics(batch: CompletionTensors, run: Parameters<PolicyWork["loss"]>[1]) {
    const { temperature } = this.settings;
    const { states, ...numbers } = tokenStatistics(this.parts.model, batch, { ...run, temperature });
    return { ...numbers, values: this.head.forward(states, batch.places.shape) };
  }

  finish: PolicyWork["finish"] = async (host, rewards, signal) => {
    const { klCoefficient, klTarget: target, klHorizon: horizon } = this.settings;
    const { logprobs, values } = await this.forward.run(host, signal);
    const reference = klCoefficient > 0 ? await this.parts.reference.logprobs(host, signal) : logprobs;
    const divergences = logprobs.map((logprob, i) => host.mask[i] * (logprob - reference[i]));
    const coefficient = this.memory.state;
    host.extras = { oldLogprobs: logprobs, oldValues: values, ...this.worth(host, { rewards, values, divergences }) };
    const kl = divergences.reduce((a, b) => a + b, 0) / host.rows;
    Object.assign(host.metrics, { kl, klCoefficient: coefficient });
    if (target === undefined) return;
    this.memory.state = nextCoefficient(coefficient, kl, { target, horizon, count: host.rows });
  };

  /** Advantages and returns of tokens: each pays for its divergence, and the last has the reward. [N, C] each */
  private worth(
    { rows, length, mask }: HostCompletions,
    { rewards, values, divergences }: { rewards: readonly number[]; values: number[]; divergences: number[] },
  ): { advantages: number[]; returns: number[] } {
    const advantages = new Array<number>(rows * length).fill(0);
    const returns = advantages.slice();
    for (let row = 0; row < rows; row++) {
      const start = row * length;
      const end = start + mask.slice(start, start + length).reduce((a, b) => a + b, 0);
      const tokens = divergences.slice(start, end).map((divergence) => -this.memory.state * divergence);
      tokens[tokens.length - 1] += rewards[row];
      const result = generalisedAdvantages(tokens, values.slice(start, end), this.settings);
      advantages.splice(start, tokens.length, ...result.advantages);
      returns.splice(start, tokens.length, ...result.returns);
    }
    return { advantages: whitened(advantages, mask), returns };
  }

  loss: PolicyWork["loss"] = (batch, run) => {
    const { mask, extras } = batch;
    const shaped = (name: string): Tensor<"f32"> => reshape(extras[name], mask.shape);
    const statistics = this.statistics(batch, run);
    const result = ppoLoss(
      {
        ...statistics,
        ...{ oldLogprobs: shaped("oldLogprobs"), oldValues: shaped("oldValues") },
        ...{ advantages: shaped("advantages"), returns: shaped("returns"), mask },
      },
      this.settings,
    );
    return { ...result, metrics: { ...result.metrics, entropy: maskedMean(statistics.entropies, mask) } };
  };

  extend: NonNullable<PolicyWork["extend"]> = (objective) => this.head.extend(objective);

  dispose(): void {
    this.forward.dispose();
    this.head.dispose();
  }
}

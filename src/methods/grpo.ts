/** Group relative policy optimization with verifiable rewards. */
import { z } from "zod";
import { reshape, stopGradient } from "../tensor/index.ts";
import { defineMethod } from "./method.ts";
import { groupAdvantages, unanimousShare } from "./rl/advantages.ts";
import { grpoLoss } from "./rl/grpo-loss.ts";
import { maskedMean } from "./rl/masked.ts";
import { tokenStatistics } from "./rl/padded-completions.ts";
import { TokenForward } from "./rl/policies.ts";
import { type PolicyConfig, type PolicyParts, type PolicyWork, preparePolicy, rolloutSettings } from "./rl/policy.ts";

const share = z.number().positive().max(1);

const settings = {
  ...rolloutSettings,
  groupSize: z.int().min(2).default(8).describe("Completions of each prompt, which are compared with one another."),
  beta: z.number().min(0).default(0.04).describe("Weight of the divergence from the model before training; 0: none."),
  clipLow: share.default(0.2).describe("How far below 1 ratios of probabilities count."),
  clipHigh: z.number().positive().default(0.2).describe("How far above 1; DAPO has 0.28."),
  aggregation: z
    .enum(["sequence-mean", "token-mean", "constant"])
    .default("sequence-mean")
    .describe("Losses of tokens: mean of each completion first, mean of all (DAPO), or over maxNewTokens (Dr. GRPO)."),
  scaleRewards: z.boolean().default(true).describe("Advantages over the deviation of their group; false in Dr. GRPO."),
};

type GrpoSettings = z.output<z.ZodObject<typeof settings>>;

/**
 * GRPO: a language model writes several completions of each prompt, and learns from those that are worth more than the
 * others of their group. Shao et al. 2024, arXiv:2402.03300, with the clipping of DAPO (arXiv:2503.14476) and the means
 * of Dr. GRPO (arXiv:2503.20783) by settings.
 */
export const grpo = defineMethod({
  name: "grpo",
  summary: "GRPO: a language model learns what rewards say, by comparing completions of a prompt.",
  settings,
  defaults: {
    optimizer: { learningRate: 1e-6 },
    training: { batchSize: 8 },
    data: { onTooLong: "skip", maxLength: 512 },
    evaluation: { monitor: "reward" },
  },
  template: `# GRPO: a language model learns what rewards say, by comparing completions of a prompt.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: grpo
  rewards:                    # each is measured; their sum by weights counts
    - exact-match             # the final answer is that of the column "answer"
    - name: format
      pattern: "<think>.*</think>"
      weight: 0.2
    # - ./rewards.mjs         # export default (prompt, completion, row) => 1
    # - model: ./reward-model # a sequence classifier with one label
  groupSize: 8                # completions of each prompt
  maxNewTokens: 256
  temperature: 1
  beta: 0.04                  # divergence from the model before training; 0: none
  # updates: 1                # steps with each rollout
  # clipHigh: 0.28            # DAPO, with aggregation: token-mean
  # scaleRewards: false       # Dr. GRPO, with aggregation: constant
model: HuggingFaceTB/SmolLM2-135M-Instruct   # a folder, a repository, a run's model or a .gguf file
data:
  train: prompts.jsonl        # rows with a prompt (or question, messages) and what rewards look at, such as answer
  validationShare: 0.05       # or validation: other.jsonl; measured without draws
  maxLength: 512              # tokens of a prompt; longer ones are left out
adapter:
  type: lora
  rank: 16
optimizer:
  learningRate: 1.0e-5
training:
  steps: 500
  batchSize: 8                # prompts
  # accumulation: 4           # batches of a step
`,
  prepare: (config, context) =>
    preparePolicy(config as unknown as PolicyConfig, context, (parts) => new GrpoWork(config.method, parts)),
});

/** What GRPO does with rollouts. */
class GrpoWork implements PolicyWork {
  private readonly settings: GrpoSettings;
  private readonly parts: PolicyParts;
  private readonly forward: TokenForward;

  constructor(settings: GrpoSettings, parts: PolicyParts) {
    this.settings = settings;
    this.parts = parts;
    const { temperature } = settings;
    this.forward = new TokenForward((batch) => {
      const { logprobs } = tokenStatistics(parts.model, batch, { temperature });
      return { logprobs };
    });
  }

  finish: PolicyWork["finish"] = async (host, rewards, signal) => {
    const { groupSize, scaleRewards: isScaled, beta, updates } = this.settings;
    host.metrics.unanimousShare = unanimousShare(rewards, groupSize);
    host.extras.advantages = groupAdvantages(rewards, { groupSize, isScaled });
    // in the only update they are those of the model as it is
    if (updates > 1) host.extras.oldLogprobs = (await this.forward.run(host, signal)).logprobs;
    if (beta > 0) host.extras.referenceLogprobs = await this.parts.reference.logprobs(host, signal);
  };

  loss: PolicyWork["loss"] = (batch, run) => {
    const { temperature } = this.settings;
    const { logprobs, entropies } = tokenStatistics(this.parts.model, batch, { ...run, temperature });
    const { mask, extras } = batch;
    const shaped = (name: string) => (extras[name] ? reshape(extras[name], mask.shape) : undefined);
    const result = grpoLoss(
      {
        logprobs,
        oldLogprobs: shaped("oldLogprobs") ?? stopGradient(logprobs),
        referenceLogprobs: shaped("referenceLogprobs"),
        advantages: extras.advantages,
        mask,
      },
      this.settings,
    );
    return { ...result, metrics: { ...result.metrics, entropy: maskedMean(entropies, mask) } };
  };

  dispose(): void {
    this.forward.dispose();
  }
}

/** Models of rewards. */
import { z } from "zod";
import { reward } from "../train/index.ts";
import { defineMethod } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { padIdOf } from "./parts/causal.ts";
import { withTrainedHead } from "./parts/class-choice.ts";
import { openModel, openTokenizer, requireVocabulary } from "./parts/models.ts";
import { rewardBatches } from "./parts/preference-batches.ts";
import { openPreferences } from "./parts/preference-examples.ts";
import { previewPreferences } from "./parts/preference-preview.ts";
import { hasHead } from "./parts/stored-head.ts";

const settings = {
  centering: z
    .number()
    .min(0)
    .default(0)
    .describe("How much the squared sum of the rewards of a pair counts, so that they are around 0. trl's is 0.01."),
};

/**
 * A model of rewards: a classifier of one class learns to give the better of two answers the higher number. Rows are
 * preferences, with a `margin` where some are better by more. Ouyang et al. 2022, arXiv:2203.02155, section 3.5.
 */
export const rewardMethod = defineMethod({
  name: "reward",
  summary: "Reward model: a classifier of one class learns to give the better of two answers the higher number.",
  settings,
  defaults: { optimizer: { learningRate: 1e-5 }, training: { batchSize: 8 } },
  template: `# Reward model: a classifier of one class learns to give the better of two answers the higher number.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: reward
  centering: 0.01             # holds rewards around 0; 0: any
model: google-bert/bert-base-uncased   # a text encoder: a folder, a repository or a run's model
data:
  train: pairs.jsonl          # rows with prompt, chosen and rejected, and a margin perhaps
  validationShare: 0.05       # or validation: other.jsonl
  maxLength: 512              # tokens; of longer texts the beginning of the prompt is cut
optimizer:
  learningRate: 1.0e-5
training:
  epochs: 1
  batchSize: 8
evaluation:
  monitor: accuracy           # the share of pairs in the right order
`,
  async prepare(config, context) {
    const model = await openModel(config, { task: "sequence-classification", labels: ["reward"] }, context);
    const isNew = !(await hasHead(config, "ForSequenceClassification"));
    const tokenizer = await openTokenizer(config);
    requireVocabulary(tokenizer, model);
    const { train, validation, facts, fingerprint } = await openPreferences({ config, tokenizer, context });
    const { batchSize = 8, seed } = config.training;
    const { maxLength, groupByLength } = config.data;
    const batches = { batchSize, maxLength, groupByLength, seed, padId: padIdOf(tokenizer) };
    const { centering } = config.method;
    const trained = rewardBatches(train, { ...batches, isShuffled: true });
    return {
      model,
      tokenizer,
      objective: await adapted(withTrainedHead(config, model, isNew), { model, tokenizer }, (options) =>
        reward(model, { ...options, centering }),
      ),
      trainData: trained.source,
      batchesPerEpoch: trained.batchesPerEpoch,
      validationData: validation && rewardBatches(validation, { ...batches, isShuffled: false }).source,
      facts,
      fingerprint,
      preview: (count) => previewPreferences(train.slice(0, count), tokenizer),
      close: async () => {},
    };
  },
});

/** Learning from preferences. */
import { join } from "node:path";
import { z } from "zod";
import { OptionError } from "../base/index.ts";
import type { CausalLM } from "../models/index.ts";
import {
  hasReference,
  kto,
  type Objective,
  preference,
  type ReferenceModel,
  type SupervisedOptions,
} from "../train/index.ts";
import { defineMethod, type MethodConfig } from "./method.ts";
import { adapted } from "./parts/adapters.ts";
import { padIdOf, sampler } from "./parts/causal.ts";
import { openModel, openTokenizer, requireVocabulary } from "./parts/models.ts";
import { withReference } from "./parts/precomputed-reference.ts";
import { pairBatches, ratedBatches } from "./parts/preference-batches.ts";
import { openPreferences, type PreferenceExample } from "./parts/preference-examples.ts";
import { previewPreferences } from "./parts/preference-preview.ts";
import { openReference, referenceKind } from "./parts/reference.ts";

const settings = {
  loss: z
    .enum(["sigmoid", "ipo", "hinge", "robust", "orpo", "simpo", "cpo", "kto"])
    .default("sigmoid")
    .describe("sigmoid is DPO; orpo, simpo and cpo need no reference; kto learns from rated completions, no pairs."),
  beta: z
    .number()
    .positive()
    .optional()
    .describe("How near to the reference the model stays: nearer for a larger one. Default: 0.1, of simpo 2."),
  labelSmoothing: z
    .number()
    .min(0)
    .lt(0.5)
    .optional()
    .describe("Share of the pairs that is taken to be the wrong way round: sigmoid, robust, simpo, cpo. Default: 0."),
  margin: z.number().optional().describe("How much better the chosen completion is to be: simpo. Default: 0.5."),
  nllWeight: z
    .number()
    .min(0)
    .optional()
    .describe("How much the likelihood of what is chosen counts besides. Not of orpo and kto. Default: 0, of cpo 1."),
  desirableWeight: z.number().min(0).optional().describe("Of wanted completions: kto. Default: 1."),
  undesirableWeight: z.number().min(0).optional().describe("Of unwanted completions: kto. Default: 1."),
  reference: z
    .enum(["adapter-off", "copy", "precomputed", "none"])
    .optional()
    .describe("The model before training, or none. Default: adapter-off with a new adapter, otherwise precomputed."),
  lossChunk: z
    .int()
    .min(1)
    .optional()
    .describe(
      "Logits of at most so many tokens of the vocabulary at a time: less memory, more time. 1024 is a good one.",
    ),
};

type Config = MethodConfig<typeof settings>;

/**
 * Preference optimisation: a language model learns to prefer completions to others, without a model of rewards and
 * without sampling. DPO, Rafailov et al. 2023, arXiv:2305.18290, and what came after it.
 */
export const preferenceMethod = defineMethod({
  name: "preference",
  summary:
    "Preference optimisation (DPO, IPO, ORPO, SimPO, CPO, KTO): a language model learns which answers are better.",
  settings,
  defaults: { optimizer: { learningRate: 1e-6 }, training: { batchSize: 4 } },
  template: `# Preference optimisation: a language model learns which answers are better.
# kindling train this-file.yaml            trains; kindling train this-file.yaml --dry-run shows the plan
method:
  name: preference
  loss: sigmoid               # DPO; also ipo, hinge, robust, orpo, simpo, cpo, and kto for rated answers
  beta: 0.1                   # how near to the reference the model stays
  # reference: precomputed    # adapter-off, copy, none; by default the adapter's base, or numbers computed once
  # lossChunk: 1024           # less memory where the vocabulary is large
model: HuggingFaceTB/SmolLM2-135M-Instruct   # a folder, a repository, a run's model or a .gguf file
data:
  train: pairs.jsonl          # rows with prompt, chosen and rejected; for kto prompt, completion and label
  validationShare: 0.05       # or validation: other.jsonl
  maxLength: 1024             # tokens; of longer texts the beginning of the prompt is cut
adapter:
  type: lora
  rank: 16
  alpha: 32
optimizer:
  learningRate: 5.0e-5        # of a whole model 1.0e-6
training:
  epochs: 1
  batchSize: 4
  # accumulation: 4           # batches of a step
evaluation:
  monitor: validationLoss     # or rewards/accuracies
`,
  async prepare(config, context) {
    requireSettings(config);
    const model = await openModel(config, { task: "causal-lm" }, context);
    const tokenizer = await openTokenizer(config);
    requireVocabulary(tokenizer, model);
    const isRated = config.method.loss === "kto";
    const { train, validation, facts, fingerprint } = await openPreferences(
      { config, tokenizer, context },
      { isRated },
    );
    const { batchSize = 4, seed } = config.training;
    const { maxLength, groupByLength } = config.data;
    const batches = { batchSize, maxLength, groupByLength, seed, padId: padIdOf(tokenizer) };

    const { lossChunk } = config.method;
    const kind = needsReference(config) ? referenceKind(config, config.method.reference) : "none";
    const reference = await openReference(model, config, { kind, lossChunk, context });
    const asked = async (name: string, examples: PreferenceExample[]) => {
      if (kind !== "precomputed") return examples;
      const path = join(context.folder, `reference-${name}.json`);
      return withReference(model, examples, { ...batches, path, lossChunk, context });
    };
    const examples = async () => ({
      train: await asked("train", train),
      validation: validation && (await asked("validation", validation)),
    });
    // a new adapter may change what the model says, as a prefix does; one that is trained on belongs to the reference
    const before = config.adapter?.from ? undefined : await examples();
    const objective = await adapted<never>(config, { model, tokenizer }, (options, applied) =>
      objectiveOf(model, config, options, reference.within(applied)),
    );
    const { train: learned, validation: measured } = before ?? (await examples());

    const source = (rows: PreferenceExample[], isShuffled: boolean) =>
      (isRated ? ratedBatches : pairBatches)(rows, { ...batches, isShuffled });
    const { source: trainData, batchesPerEpoch } = source(learned, true);
    return {
      model,
      tokenizer,
      objective: reference.withState(objective),
      trainData,
      batchesPerEpoch,
      validationData: measured && source(measured, false).source,
      facts,
      fingerprint,
      preview: (count) => previewPreferences(train.slice(0, count), tokenizer),
      sample: sampler(model, tokenizer, { isChat: true }),
      close: async () => reference.dispose(),
    };
  },
});

const needsReference = ({ method: { loss } }: Config): boolean => loss === "kto" || hasReference(loss);

/** The objective of a config, whatever its batches are. */
function objectiveOf(
  model: CausalLM,
  { method: { name: _, loss, ...numbers } }: Config,
  options: SupervisedOptions,
  reference: ReferenceModel | undefined,
): Objective<never> {
  const { desirableWeight, undesirableWeight, ...ofPairs } = numbers;
  if (loss !== "kto") return preference(model, { ...options, ...ofPairs, loss, reference }) as Objective<never>;
  const { beta, lossChunk } = ofPairs;
  return kto(model, { ...options, beta, lossChunk, desirableWeight, undesirableWeight, reference }) as Objective<never>;
}

/** @throws OptionError for settings that the loss would pass over */
function requireSettings({ method }: Config): void {
  const { loss, labelSmoothing, margin, nllWeight, desirableWeight, undesirableWeight, reference } = method;
  const isRated = loss === "kto";
  const strange = isRated
    ? { labelSmoothing, margin, nllWeight, ...(reference === "none" && { reference }) }
    : { desirableWeight, undesirableWeight, ...(!hasReference(loss) && { reference }) };
  const name = Object.entries(strange).find(([, value]) => value !== undefined)?.[0];
  if (name === undefined) return;
  throw new OptionError({
    where: `config, method.${name}`,
    expected: isRated ? "a setting of kto" : `a setting of ${loss}`,
    received: `${name}: ${strange[name as keyof typeof strange]}`,
    fix: "leave it out, or choose another loss",
  });
}

import { OptionError } from "../base/index.ts";
import type { CausalLM } from "../models/index.ts";
import { AdamW } from "../optim/index.ts";
import { type Profile, tensor } from "../tensor/index.ts";
import { languageModel } from "./objectives/language-model.ts";
import { compileTrainStep } from "./step.ts";

/** What is run to be measured. */
export interface ProfileTrainingOptions {
  /** Sequences per step. @default 4 */
  batchSize?: number;
  /** Tokens per sequence. @default the model's longest */
  contextLength?: number;
  /** Steps that are measured, after one that is not counted. @default 3 */
  steps?: number;
}

/** Measures training steps (forward, backward, clipping, AdamW) on tokens that mean nothing. The weights change. */
export async function profileTraining(
  model: CausalLM,
  { batchSize = 4, contextLength = model.config.maxPositionEmbeddings, steps = 3 }: ProfileTrainingOptions = {},
): Promise<{ profile: Profile; wallMs: number }> {
  const { vocabSize, maxPositionEmbeddings } = model.config;
  const isFine =
    [batchSize, contextLength, steps].every((n) => Number.isInteger(n) && n >= 1) &&
    contextLength <= maxPositionEmbeddings;
  if (!isFine) {
    throw new OptionError({
      where: "profile",
      expected: `whole numbers of at least 1, and a context of at most ${maxPositionEmbeddings}`,
      received: `batch ${batchSize}, context ${contextLength}, steps ${steps}`,
      fix: "change these",
    });
  }
  const step = compileTrainStep(languageModel(model), new AdamW(model.namedParameters()), {
    clipNorm: 1,
    profile: true,
  });
  const ids = Int32Array.from({ length: batchSize * contextLength }, (_, i) => (i * i) % vocabSize);
  const inputs = tensor(ids, { shape: [batchSize, contextLength] });
  let wallMs = 0;
  for (let i = 0; i <= steps; i++) {
    const started = performance.now();
    const { loss } = await step({ inputIds: inputs, shiftLabels: inputs }, 1e-4, tensor(i, { dtype: "i32" }));
    await loss.item();
    if (i > 0) wallMs += performance.now() - started;
  }
  const profile = (await step.profile()).lastRuns(steps, steps + 1);
  step.dispose();
  return { profile, wallMs };
}

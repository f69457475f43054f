/** Light fine-tuning, where a config asks for it. */
import { OptionError } from "../../base/index.ts";
import type { PretrainedModel } from "../../models/index.ts";
import { type AdapterOptions, type AppliedAdapter, applyAdapter, newAdapter, readAdapter } from "../../peft/index.ts";
import { randomKey } from "../../tensor/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { Objective, SupervisedOptions } from "../../train/index.ts";
import { adapterTraining } from "../adapter-training.ts";
import type { SharedConfig } from "../config/schema.ts";
import { trainedParameters } from "./models.ts";

/** peft's names of the kinds of adapters. */
const kinds = {
  lora: "LORA",
  ia3: "IA3",
  bottleneck: "BOTTLENECK",
  prompt: "PROMPT_TUNING",
  "p-tuning": "P_TUNING",
  prefix: "PREFIX_TUNING",
} as const satisfies Record<NonNullable<SharedConfig["adapter"]>["type"], string>;

/** Kinds that may become part of the weights. */
const mergeable: ReadonlySet<string> = new Set(["lora", "ia3"]);

/** Another stream of random numbers than that of the model's own weights. */
const ADAPTER_KEY = 0x61646170; // "adap"

/**
 * The objective of a config: of the whole model but for what is frozen, or of an adapter beside it, which is begun anew
 * or read. Such an adapter's folder is the result, or with `merge` the model with it in its weights.
 * @param make the objective of a model, for what of it is trained, and the adapter that it has then
 */
export async function adapted<B>(
  config: SharedConfig,
  { model, tokenizer }: { model: PretrainedModel; tokenizer?: Tokenizer },
  make: (options: SupervisedOptions, applied?: AppliedAdapter) => Objective<B>,
): Promise<Objective<B>> {
  if (!config.adapter) return make({ tokenizer, trained: trainedParameters(model, config) });
  const { type, from, merge, ...options } = config.adapter;
  if (merge && !mergeable.has(type))
    throw new OptionError({
      where: "config, adapter.merge",
      expected: `an adapter that is a change of weights: ${[...mergeable].join(" or ")}`,
      received: type,
      fix: "leave merge out: the adapter's folder is the result",
    });
  const targets = type === "lora" && !("targetModules" in options) ? { targetModules: "all-linear" } : {};
  const key = randomKey(config.training.seed).fold(ADAPTER_KEY);
  const adapter = from
    ? await readAdapter(from)
    : await newAdapter(model, { type: kinds[type], ...targets, ...options } as AdapterOptions, key);
  const applied = applyAdapter(model, adapter);
  const objective = adapterTraining(applied, make({ tokenizer }, applied));
  return {
    ...objective,
    async save(folder) {
      await objective.save(folder);
      await tokenizer?.save(folder);
    },
    ...(merge && {
      async saveResult(folder: string) {
        await applied.merge();
        const whole = make({ tokenizer }, applied);
        await (whole.saveResult ?? whole.save)(folder);
        applied.unmerge();
      },
    }),
  };
}

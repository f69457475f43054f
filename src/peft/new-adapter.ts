/** Adapters as at the beginning of training. */
import type { PretrainedModel } from "../models/index.ts";
import { EmbeddingTable, linearInit, normalInit, type StateTensor } from "../nn/index.ts";
import { full, type RandomKey, type Tensor } from "../tensor/index.ts";
import type { Adapter, LoraPart } from "./adapter.ts";
import { savedWeights } from "./fit-adapter.ts";
import { type LoraConfig, loraConfig } from "./lora-config.ts";
import { lengthsOf } from "./lora-layer.ts";
import { type Target, targetsOf } from "./targets.ts";

/**
 * A new adapter for a model, which changes nothing yet: A is random and B zero, as peft begins.
 * @param options those that are not given are peft's defaults
 * @throws OptionError for wrong options; DataError when the model has no such layers
 *
 * @example
 * // const adapter = await newAdapter(model, { rank: 16, alpha: 32, targetModules: "all-linear" }, randomKey(0));
 */
export async function newAdapter(
  model: PretrainedModel,
  options: Partial<LoraConfig>,
  key: RandomKey,
): Promise<Adapter> {
  const config = loraConfig({ baseModel: model.source?.name ?? null, ...options });
  const targets = targetsOf(model, config);
  const layers = new Map<string, Partial<Record<LoraPart, StateTensor>>>();
  for (const [i, target] of targets.entries()) {
    const parts: Partial<Record<LoraPart, StateTensor>> = {};
    for (const [part, value] of firstValues(target, config, key.fold(i))) parts[part] = await stateOf(value);
    layers.set(target.path, parts);
  }
  const replaced = new Map<string, StateTensor>();
  for (const [name, parameter] of savedWeights(model, config, targets)) replaced.set(name, await stateOf(parameter));
  return { name: "new adapter", config, layers, replaced };
}

function firstValues(
  { layer, rank }: Target,
  { useDora, loraBias }: LoraConfig,
  key: RandomKey,
): [LoraPart, Tensor<"f32">][] {
  if (layer instanceof EmbeddingTable)
    return [
      ["a", full([rank, layer.numEmbeddings], 0)],
      ["b", normalInit(1)(key, [layer.embeddingDim, rank])],
    ];
  const values: [LoraPart, Tensor<"f32">][] = [
    ["a", linearInit(key, [rank, layer.inFeatures])],
    ["b", full([layer.outFeatures, rank], 0)],
  ];
  if (loraBias) values.push(["bias", full([layer.outFeatures], 0)]);
  if (useDora) values.push(["magnitude", lengthsOf(layer.matrix())]);
  return values;
}

const stateOf = async (value: Tensor<"f32">): Promise<StateTensor> => ({
  dtype: "f32",
  shape: value.shape as readonly number[],
  data: await value.read(),
});

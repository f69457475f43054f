/** Adapters as at the beginning of training. */
import type { PretrainedModel } from "../models/index.ts";
import {
  constantInit,
  EmbeddingTable,
  type Initializer,
  linearInit,
  normalInit,
  Projection,
  type StateTensor,
  truncatedNormalInit,
} from "../nn/index.ts";
import { full, ones, type RandomKey, type Tensor } from "../tensor/index.ts";
import type { Adapter, LayerPart } from "./adapter.ts";
import { type AdapterOptions, configFromOptions, isPrompt, type LayerConfig } from "./adapter-config.ts";
import { promptShape, requireCausal } from "./applied-prompt.ts";
import type { BottleneckConfig } from "./bottleneck-config.ts";
import { bottleneckShapes, placesOf } from "./bottleneck-places.ts";
import { savedWeights, shapesOf } from "./fit-adapter.ts";
import type { Target } from "./fitted-layer.ts";
import type { LoraConfig } from "./lora-config.ts";
import { lengthsOf } from "./lora-layer.ts";
import type { PromptConfig } from "./prompt-config.ts";
import { targetsOf } from "./targets.ts";

/**
 * A new adapter for a model, as peft begins it. One of layers changes nothing yet: of LoRA A is random and B zero, and
 * the factors of IA3 are 1. States before a text are random, normal of deviation 1.
 * @param options those that are not given are peft's defaults; `type` says which kind of adapter, and is "LORA" where
 *   there is none
 * @throws OptionError for wrong options; DataError when the model has no such layers, or is no language model
 *
 * @example
 * // const adapter = await newAdapter(model, { rank: 16, alpha: 32, targetModules: "all-linear" }, randomKey(0));
 * // const prompt = await newAdapter(model, { type: "PROMPT_TUNING", numVirtualTokens: 8 }, randomKey(0));
 */
export async function newAdapter(
  model: PretrainedModel,
  options: Partial<LoraConfig>,
  key: RandomKey,
): Promise<Adapter<LoraConfig>>;
export async function newAdapter(model: PretrainedModel, options: AdapterOptions, key: RandomKey): Promise<Adapter>;
export async function newAdapter(model: PretrainedModel, options: AdapterOptions, key: RandomKey): Promise<Adapter> {
  const config = configFromOptions({ baseModel: model.source?.name ?? null, ...options });
  const name = "new adapter";
  if (isPrompt(config))
    return { name, layers: new Map(), replaced: new Map(), ...(await newPrompt(model, config, key)) };
  if (config.type === "BOTTLENECK") return newBottlenecks(model, config, key);
  const targets = targetsOf(model, config);
  const layers = new Map<string, Partial<Record<LayerPart, StateTensor>>>();
  for (const [i, target] of targets.entries()) {
    const parts: Partial<Record<LayerPart, StateTensor>> = {};
    for (const [part, shape] of shapesOf(target, config))
      parts[part] = await stateOf(firstValue(part, shape, target, key.fold(i)));
    layers.set(target.path, parts);
  }
  const replaced = new Map<string, StateTensor>();
  for (const [weight, parameter] of savedWeights(model, config as LayerConfig, targets))
    replaced.set(weight, await stateOf(parameter));
  return { name, config, layers, replaced };
}

async function newBottlenecks(model: PretrainedModel, options: BottleneckConfig, key: RandomKey): Promise<Adapter> {
  const { hiddenSize } = model.config as { hiddenSize?: number };
  const config = {
    ...options,
    modelType: model.family.modelType,
    modelClass: model.architecture,
    hiddenSize: hiddenSize ?? null,
  };
  const layers = new Map<string, Partial<Record<LayerPart, StateTensor>>>();
  for (const [i, place] of placesOf(model, config).entries()) {
    const [downKey, upKey] = key.fold(i).split(2);
    const parts: Partial<Record<LayerPart, StateTensor>> = {};
    for (const [part, shape] of bottleneckShapes(place)) {
      const [down, up] = bottleneckInits[config.initWeights];
      if (part.endsWith("Bias")) parts[part] = await stateOf(full(shape, 0));
      else parts[part] = await stateOf(part === "down" ? down(downKey, shape) : up(upKey, shape));
    }
    layers.set(place.path, parts);
  }
  return { name: "new adapter", config, layers, replaced: new Map() };
}

const small = truncatedNormalInit({ standardDeviation: 0.01, low: -0.02, high: 0.02 });
/** First weights below and above the bottleneck, as Python's adapters has them. */
const bottleneckInits: Readonly<Record<BottleneckConfig["initWeights"], readonly [Initializer, Initializer]>> = {
  bert: [normalInit(0.02), normalInit(0.02)],
  houlsby: [small, small],
  mam_adapter: [linearInit, constantInit(0)],
};

async function newPrompt(model: PretrainedModel, config: PromptConfig, key: RandomKey) {
  const causal = requireCausal(model);
  const shape = promptShape(causal, config);
  const { numLayers, numKeyHeads, headDim } = causal.cacheShape;
  const isPrefix = config.type === "PREFIX_TUNING";
  const sizes = {
    tokenDim: isPrefix ? numKeyHeads * headDim : causal.config.hiddenSize,
    numLayers,
    numAttentionHeads: numKeyHeads,
  };
  return { config: { ...config, ...sizes }, prompt: await stateOf(normalInit(1)(key, shape)) };
}

/** What a tensor of a layer's adapter begins with. Of A and B of a table A is zero, as in peft. */
function firstValue(part: LayerPart, shape: readonly number[], { layer }: Target, key: RandomKey): Tensor<"f32"> {
  const isTable = layer instanceof EmbeddingTable;
  if (part === "factors") return ones(shape);
  if (part === "magnitude" && layer instanceof Projection) return lengthsOf(layer.matrix());
  if (part === "a" && !isTable) return linearInit(key, shape);
  return part === "b" && isTable ? normalInit(1)(key, shape) : full(shape, 0);
}

const stateOf = async (value: Tensor<"f32">): Promise<StateTensor> => ({
  dtype: "f32",
  shape: value.shape as readonly number[],
  data: await value.read(),
});

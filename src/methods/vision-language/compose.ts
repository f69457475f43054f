/** A LLaVA put together of a tower for pictures and a language model. */
import { z } from "zod";
import { OptionError } from "../../base/index.ts";
import {
  type CausalLM,
  CLIPModel,
  CLIPVisionModelWithProjection,
  fromConfig,
  fromPretrained,
  LlavaForConditionalGeneration,
  type LlavaOptions,
  type PretrainedModel,
} from "../../models/index.ts";
import type { Module } from "../../nn/index.ts";
import { type RandomKey, randomKey } from "../../tensor/index.ts";
import { Tokenizer } from "../../tokenizers/index.ts";
import { model as sharedModel } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { IMAGE, withImageToken } from "./template.ts";

const place = z.string().min(1);
const layer = z.int();

const composedModel = z.strictObject({
  vision: place.describe("A CLIP model, whose tower for pictures is taken."),
  language: place.describe("The language model."),
  projector: z
    .strictObject({
      activation: z.enum(["gelu", "relu", "silu"]).optional().describe("Between its two layers. Default: gelu."),
      bias: z.boolean().optional().describe("Default: true."),
      featureLayer: z
        .union([layer, z.array(layer).min(1)])
        .optional()
        .describe("Which states of the tower it reads: -1 is the last layer's. Default: -2."),
      featureSelect: z
        .enum(["default", "full"])
        .optional()
        .describe("full: the class token too. Default: the patches alone."),
    })
    .prefault({})
    .describe("Two new layers that bring the tower's states to the width of the language model."),
});

/** What a model is put together of. */
export type ComposedModel = z.output<typeof composedModel>;

/** The model of a config: one that there is, or a tower and a language model with a projector between them. */
export const picturedModel = z
  .union([...sharedModel.options, composedModel])
  .describe("A model that reads pictures in a text, or { vision, language } of which a LLaVA is put together.");

/** A model that was put together, and what belongs to it. */
export interface Composed {
  model: LlavaForConditionalGeneration;
  tokenizer: Tokenizer;
  /** The model whose tower was taken: its folder says how pictures are. */
  vision: PretrainedModel;
}

/** Other streams of random numbers than those of the models' own weights. */
const PROJECTOR_KEY = 0x70726f6a; // "proj"

/**
 * Puts a LLaVA together: its projector is new, and its tokenizer has a token for pictures, the last one, of which the
 * language model's tables have a row. Liu et al. 2023, arXiv:2304.08485, section 4.1; of two layers as in
 * arXiv:2310.03744.
 * @throws OptionError for another tower than CLIP's; DataError for models that cannot be opened
 */
export async function compose(
  { vision: visionPlace, language: languagePlace, projector }: ComposedModel,
  { tokenizer: tokenizerPlace = languagePlace, seed }: { tokenizer?: string; seed: number },
  { onWarning }: MethodContext,
): Promise<Composed> {
  const key = randomKey(seed);
  const vision = await fromPretrained(visionPlace, { key, onWarning });
  const tower = towerOf(vision, visionPlace);
  const language = await fromPretrained(languagePlace, { task: "causal-lm", key, onWarning });
  requirePlace(language, languagePlace);
  const tokenizer = await withImageToken(await Tokenizer.open(tokenizerPlace));
  const imageTokenId = tokenizer.tokenToId(IMAGE) as number;
  const text = await withVocabulary(language, tokenizer.vocabSize, key);
  const { activation, bias, featureLayer, featureSelect } = projector;
  const options: LlavaOptions = {
    imageTokenId,
    vision: tower.config,
    languageModel: () => text,
    ...(activation !== undefined && { projectorActivation: activation }),
    ...(bias !== undefined && { projectorBias: bias }),
    ...(featureLayer !== undefined && { visionFeatureLayer: featureLayer }),
    ...(featureSelect !== undefined && { visionFeatureSelectStrategy: featureSelect }),
  };
  const model = new LlavaForConditionalGeneration(options, key.fold(PROJECTOR_KEY));
  await copyWeights(tower.module, model.visionTower);
  model.generationConfig = language.generationConfig;
  return { model, tokenizer, vision };
}

/** The tower of a model for pictures. @throws OptionError for a model without CLIP's */
function towerOf(
  model: PretrainedModel,
  name: string,
): { module: Module; config: NonNullable<LlavaOptions["vision"]> } {
  if (model instanceof CLIPModel) return { module: model.visionModel, config: model.config.vision };
  if (model instanceof CLIPVisionModelWithProjection) return { module: model.visionModel, config: model.config };
  throw new OptionError({
    where: "config, model.vision",
    expected: "a CLIP model, the tower that LLaVA reads pictures with",
    received: `${name}, a ${model.modelType}`,
    fix: "name one, as openai/clip-vit-large-patch14-336",
  });
}

/**
 * In files of LLaVA the text model's layers are `language_model.model.*`: where a family calls them otherwise,
 * transformers does not find them; and it leaves a bound of the logits out.
 * @throws OptionError for such a family, as GPT-2 and Gemma 2
 */
function requirePlace(language: CausalLM, name: string): void {
  const isFound = [...language.namedState().keys()].every((key) => /^(model|lm_head)\./.test(key));
  if (isFound && language.outputLayer?.softCap === undefined) return;
  throw new OptionError({
    where: "config, model.language",
    expected: "a language model of which transformers opens a LLaVA, as Llama, Qwen, Gemma 3 or Phi-3",
    received: `${name}, a ${language.modelType}`,
    fix: "name one of them",
  });
}

/** Gives a module the numbers of another of the same kind. */
async function copyWeights(from: Module, to: Module): Promise<void> {
  const weights = from.namedState();
  for (const [name, variable] of to.namedState()) {
    const numbers = await weights.get(name)?.read();
    if (numbers) variable.set(numbers as never);
  }
}

/**
 * A language model with so many rows in its tables of tokens; it itself where it has as many. New rows are the mean of
 * the others, as in LLaVA's own code.
 */
async function withVocabulary(model: CausalLM, vocabSize: number, key: RandomKey): Promise<CausalLM> {
  if (model.config.vocabSize >= vocabSize) return model;
  const json = { ...model.family.configToJson(model), model_type: model.modelType, vocab_size: vocabSize };
  const larger = fromConfig(json, { task: "causal-lm", key });
  const weights = model.namedState();
  for (const [name, variable] of larger.namedState()) {
    const source = weights.get(name);
    if (!source) continue;
    const numbers = (await source.read()) as Float32Array;
    const [rows] = source.shape;
    const isTable = rows === model.config.vocabSize && variable.shape[0] === vocabSize;
    variable.set((isTable ? withMeanRows(numbers, rows, vocabSize) : numbers) as never);
  }
  larger.generationConfig = model.generationConfig;
  return larger;
}

function withMeanRows(numbers: Float32Array, rows: number, count: number): Float32Array {
  const width = numbers.length / rows;
  const mean = new Float64Array(width);
  for (const [i, value] of numbers.entries()) mean[i % width] += value / rows;
  const larger = new Float32Array(count * width);
  larger.set(numbers);
  for (let row = rows; row < count; row++) larger.set(mean, row * width);
  return larger;
}

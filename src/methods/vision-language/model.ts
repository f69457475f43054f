/** The model of a config that reads pictures in a text, and which of it each stage trains. */
import { join } from "node:path";
import { OptionError } from "../../base/index.ts";
import { isFile, writeJson } from "../../files/index.ts";
import { type ImageTextModel, LlavaForConditionalGeneration, type PretrainedModel } from "../../models/index.ts";
import { ImageProcessor } from "../../processors/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { SharedConfig } from "../config/schema.ts";
import type { MethodContext } from "../method.ts";
import { openModel, openTokenizer, requireVocabulary } from "../parts/models.ts";
import { hasProcessor, type ImageSettings, type PictureForm, pictureForm } from "../parts/picture-form.ts";
import { type ComposedModel, compose } from "./compose.ts";
import { type PictureFormat, pictureFormat, withImageToken } from "./template.ts";

/** A model with what turns texts and pictures into its inputs. */
export interface PicturedModel {
  model: ImageTextModel;
  tokenizer: Tokenizer;
  form: PictureForm;
  pictured: PictureFormat;
  /** Writes the files of the processor beside the model. */
  saveProcessor(folder: string): Promise<void>;
}

/** What of the config a model is opened by. */
type ModelSections = Omit<SharedConfig, "model"> & { model: SharedConfig["model"] | ComposedModel };

/**
 * Opens the model of a config, or puts it together.
 * @throws OptionError for a model without a token for pictures; DataError for models that cannot be opened
 */
export async function openPictured(
  config: ModelSections,
  image: ImageSettings,
  context: MethodContext,
): Promise<PicturedModel> {
  const { model: wanted, training } = config;
  if (typeof wanted === "object" && "vision" in wanted) {
    const { tokenizer: place } = config;
    if (typeof place === "object")
      throw new OptionError({
        where: "config, tokenizer",
        expected: "that of the language model, or a place of another",
        received: "one that is to be trained",
        fix: "leave it out",
      });
    const { model, tokenizer, vision } = await compose(wanted, { tokenizer: place, seed: training.seed }, context);
    return pictured(model, tokenizer, { image, vision });
  }
  const single = { ...config, model: wanted };
  const model = await openModel(single, { task: "image-text-to-text" }, context);
  const tokenizer = await openTokenizer(single);
  requireVocabulary(tokenizer, model.languageModel);
  if (tokenizer.idToToken(model.imageTokenId) === null)
    throw new OptionError({
      where: "config, tokenizer",
      expected: `a token for pictures, ${model.imageTokenId}, as the model has it`,
      received: `${tokenizer.vocabSize} tokens without it`,
      fix: "use the model's own tokenizer",
    });
  return pictured(model, await withImageToken(tokenizer, model.imageTokenId), { image, vision: model });
}

async function pictured(
  model: ImageTextModel,
  tokenizer: Tokenizer,
  { image, vision }: { image: ImageSettings; vision: PretrainedModel },
): Promise<PicturedModel> {
  const format = await pictureFormat(tokenizer, model.imageTokenId);
  if (!format)
    throw new OptionError({
      where: "chat template",
      expected: "one that can be given messages with pictures",
      received: "one that fails with them",
      fix: "use another tokenizer, or one without a template: LLaVA's is taken then",
    });
  const form = await pictureForm(vision, image);
  requireSize(model, form);
  const { source } = vision;
  const stored = image === undefined && source && !isFile(source) && (await hasProcessor(source)) ? source : undefined;
  const saveProcessor = async (folder: string) => {
    await form.save(folder);
    // what stands beside a model that was loaded goes along with it
    if (model.source !== undefined || !(model instanceof LlavaForConditionalGeneration)) return;
    if (stored) await writeJson(join(folder, "preprocessor_config.json"), (await ImageProcessor.open(stored)).toJson());
    await writeJson(join(folder, "processor_config.json"), {
      processor_class: "LlavaProcessor",
      image_token: tokenizer.idToToken(model.imageTokenId),
      num_additional_image_tokens: 1,
      patch_size: model.config.vision.patchSize,
      vision_feature_select_strategy: model.config.visionFeatureSelectStrategy,
    });
  };
  return { model, tokenizer, form, pictured: format, saveProcessor };
}

/** @throws OptionError for pictures of another size than the tower has places for */
function requireSize(model: ImageTextModel, { size }: PictureForm): void {
  if (!(model instanceof LlavaForConditionalGeneration) || !size) return;
  const { imageSize: side } = model.config.vision;
  if (size.width === side && size.height === side) return;
  throw new OptionError({
    where: "config, method.image",
    expected: `pictures of ${side} x ${side} pixels, as the tower reads them`,
    received: `${size.width} x ${size.height}`,
    fix: "leave it out, or correct the size",
  });
}

/** What each family calls its parts. */
const PROJECTOR = /^(multi_modal_projector|visual\.merger)\./;
const VISION = /^(vision_tower|visual)\./;

/** What is trained: the projector alone, or the language model with it. The tower for pictures stays as it is. */
export type Stage = "projector" | "full";

/** Names of parameters that a stage leaves as they are. Liu et al. 2023, arXiv:2304.08485, section 4.2. */
export function frozenIn(stage: Stage, model: ImageTextModel): string[] {
  const names = [...model.namedParameters().keys()];
  return names.filter((name) => !PROJECTOR.test(name) && (stage === "projector" || VISION.test(name)));
}

/**
 * The adapter of a config for the language model: beside it the projector is trained whole, and the tower has none.
 * @throws OptionError for an adapter where the projector alone is trained, and for one that would be all that is saved
 *   of a model that was put together
 */
export function adapterOf(
  { adapter, model: wanted }: Pick<ModelSections, "adapter" | "model">,
  stage: Stage,
): SharedConfig["adapter"] {
  if (!adapter) return undefined;
  if (stage === "projector")
    throw new OptionError({
      where: "config, adapter",
      expected: "none: stage projector trains the projector alone",
      received: adapter.type,
      fix: "leave it out, or use stage full",
    });
  if (typeof wanted === "object" && "vision" in wanted && !adapter.merge)
    throw new OptionError({
      where: "config, adapter.merge",
      expected: "true: an adapter alone says nothing of a model that was put together",
      received: "false",
      fix: "merge it, or begin with stage projector and name its result as the model",
    });
  const isOfLayers = adapter.type === "lora" || adapter.type === "ia3";
  if (!isOfLayers || adapter.from !== undefined) return adapter;
  return {
    excludeModules: "(.*\\.)?(vision_tower|multi_modal_projector|visual)\\..*",
    modulesToSave: ["multi_modal_projector", "merger"],
    ...adapter,
  } as SharedConfig["adapter"];
}

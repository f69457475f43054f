/**
 * LLaVA: the patches that a CLIP tower makes of an image, brought to the width of a text model by two linear layers,
 * stand in its text as if they were tokens. Liu et al. 2023, arXiv:2304.08485 and arXiv:2310.03744. Any family of
 * decoders can be the text model.
 */
import { DataError } from "../../base/index.ts";
import { type Activation, activations, Linear, Module, type Projection } from "../../nn/index.ts";
import { concat, type RandomKey, slice, type Tensor, withScope } from "../../tensor/index.ts";
import { activation, choice, type Fields, flag, fromJson, makeConfig, requireField, size, toJson } from "../config.ts";
import type { CausalLM } from "../decoders/causal-lm.ts";
import { decoderFamilies } from "../decoders/families.ts";
import { LlamaForCausalLM } from "../decoders/llama.ts";
import { createModel, FREQUENCIES, findFamily, POSITION_IDS, untiedWords } from "../family.ts";
import { imageTextParts } from "../formats/onnx-parts/image-text.ts";
import { type OnnxPart, type OnnxPartOptions, onnxPictures } from "../formats/onnx-parts/part.ts";
import type { Json } from "../labels.ts";
import type { ConfigFile, Family, RunOptions } from "../model.ts";
import { type ClipVisionConfig, clipVision, VisionTower } from "../vision/clip-towers.ts";
import {
  type EmbeddedText,
  fillPlaces,
  type ImageTextInputs,
  ImageTextModel,
  type ImageTextOutput,
  type Places,
  type VisualFeatures,
  type Visuals,
} from "./vision-language.ts";

interface ProjectorConfig {
  imageTokenId: number;
  projectorActivation: Activation;
  projectorBias: boolean;
  /**
   * Which states of the tower are used, concatenated where they are several: 0 is what goes into its first layer, -1
   * what comes out of its last.
   */
  visionFeatureLayer: number | readonly number[];
  /** "default" leaves out the class token. */
  visionFeatureSelectStrategy: "default" | "full";
}

/**
 * CLIP's tower, which of its states are used, and the layers that bring them to the text model's width. Mirrors
 * transformers' LlavaConfig; the defaults are those of LLaVA 1.5. arXiv:2310.03744, section 3.
 */
export interface LlavaConfig extends ProjectorConfig {
  vision: ClipVisionConfig;
}

const layerField = {
  key: "vision_feature_layer",
  default: -2 as number | readonly number[],
  expected: "a layer's number, or a list of them",
  isFine: (value: unknown) => [value].flat().length > 0 && [value].flat().every((layer) => Number.isSafeInteger(layer)),
};

const projectorFields: Fields<ProjectorConfig> = {
  imageTokenId: size("image_token_index", 32000),
  projectorActivation: activation("projector_hidden_act", "gelu"),
  projectorBias: flag("multimodal_projector_bias", true),
  visionFeatureLayer: layerField,
  visionFeatureSelectStrategy: choice("vision_feature_select_strategy", ["default", "full"], "default"),
};

/** CLIP's tower; where a config has none, it is that of LLaVA 1.5. */
const towerFields: Fields<ClipVisionConfig> = {
  ...clipVision,
  hiddenSize: size("hidden_size", 1024),
  intermediateSize: size("intermediate_size", 4096),
  numLayers: size("num_hidden_layers", 24),
  numHeads: size("num_attention_heads", 16),
  patchSize: size("patch_size", 14),
  imageSize: size("image_size", 336),
  projectionSize: size("projection_dim", 768),
};

/** A config, all of which is optional. */
export interface LlavaOptions extends Partial<ProjectorConfig> {
  /** Of the tower for pictures. @default that of LLaVA 1.5 */
  vision?: Partial<ClipVisionConfig>;
  /** Makes the text model, of any family. @default Llama */
  languageModel?: (key: RandomKey) => CausalLM;
}

/** Two linear layers with an activation between; Dv is the tower's width, n the number of its states that are used. */
class Projector extends Module {
  readonly linear1: Projection; // [D, n Dv]
  readonly linear2: Projection; // [D, D]
  private readonly activation: Activation;

  constructor(
    { projectorActivation, projectorBias: bias }: LlavaConfig,
    inFeatures: number,
    outFeatures: number,
    key: RandomKey,
  ) {
    super();
    const [firstKey, secondKey] = key.split(2);
    this.linear1 = new Linear({ inFeatures, outFeatures, bias }, firstKey);
    this.linear2 = new Linear({ inFeatures: outFeatures, outFeatures, bias }, secondKey);
    this.activation = projectorActivation;
  }

  /** features: [N, P, n Dv] -> [N, P, D] */
  forward(features: Tensor<"f32">): Tensor<"f32"> {
    return this.linear2.forward(activations[this.activation](this.linear1.forward(features)));
  }
}

/**
 * LLaVA with its language-modelling head: i32 [B, T] and images [N, 3, H, W] -> logits [B, T, V]. Liu et al. 2023,
 * arXiv:2304.08485.
 */
export class LlavaForConditionalGeneration extends ImageTextModel {
  readonly languageModel: CausalLM;
  readonly visionTower: VisionTower;
  readonly multiModalProjector: Projector;
  readonly config: LlavaConfig;
  readonly family = llava;
  protected override readonly checkpointKeys = { visionTower: "vision_tower.vision_model" };
  private readonly layers: readonly number[];

  /** @throws OptionError when the config contradicts itself */
  constructor(options: LlavaOptions, key: RandomKey) {
    super();
    const { languageModel: makeText = (textKey) => new LlamaForCausalLM({}, textKey), vision = {}, ...rest } = options;
    const config = {
      ...makeConfig("LlavaConfig", projectorFields, rest),
      vision: makeConfig("LlavaConfig, vision", towerFields, vision),
    };
    const { visionFeatureLayer } = config;
    const { hiddenSize, numHeads, numLayers } = config.vision;
    const [textKey, imageKey] = key.split(2);
    const [towerKey, projectorKey] = imageKey.split(2);
    const layers = [visionFeatureLayer].flat().map((layer) => (layer < 0 ? layer + numLayers + 1 : layer));
    requireField("LlavaConfig", hiddenSize % numHeads === 0, "hiddenSize to be a multiple of numHeads", [
      hiddenSize,
      numHeads,
    ]);
    const isThere = layers.every((layer) => layer >= 0 && layer <= numLayers);
    requireField("LlavaConfig", isThere, `visionFeatureLayer among those of ${numLayers} layers`, visionFeatureLayer);
    this.config = config;
    this.languageModel = makeText(textKey);
    this.visionTower = new VisionTower(config.vision, { isSiglip: false }, towerKey);
    const { hiddenSize: textSize } = this.languageModel.config;
    this.multiModalProjector = new Projector(config, layers.length * hiddenSize, textSize, projectorKey);
    this.layers = layers;
  }

  onnxParts(options: OnnxPartOptions): OnnxPart[] {
    const pictures = { pixel_values: onnxPictures(this.config.vision, options) };
    return imageTextParts(this, { pictures, positionAxes: [] });
  }

  /** pixelValues: [N, 3, H, W] -> [N, P, D] */
  imageFeatures(inputs: { pixelValues: Tensor<"f32"> } & RunOptions): Tensor<"f32"> {
    const { hiddenStates } = withScope("vision_tower", () => this.visionTower.encode(inputs));
    const start = this.config.visionFeatureSelectStrategy === "default" ? 1 : 0;
    const chosen = this.layers.map((layer) => slice(hiddenStates[layer], { axis: 1, start })); // [N, P, Dv] each
    return withScope("projector", () =>
      this.multiModalProjector.forward(chosen.length === 1 ? chosen[0] : concat(chosen, -1)),
    );
  }

  get imageTokenId(): number {
    return this.config.imageTokenId;
  }

  visualsOf({ pixelValues }: ImageTextInputs): Visuals[] {
    return pixelValues ? [{ kind: "image", pixelValues }] : [];
  }

  /** inputIds: i32 [B, T] -> embeddings [B, T, D] */
  embedFeatures({ inputIds }: Pick<ImageTextInputs, "inputIds">, [images]: readonly VisualFeatures[]): EmbeddedText {
    const embeddings = this.languageModel.embed(inputIds);
    if (!images) return { embeddings };
    return { embeddings: fillPlaces(embeddings, inputIds, this.config.imageTokenId, images.features) };
  }

  placesOf({ pixelValues }: ImageTextInputs): Places[] {
    const { imageTokenId: token, vision, visionFeatureSelectStrategy } = this.config;
    const patches = Math.floor(vision.imageSize / vision.patchSize) ** 2;
    const count = pixelValues?.size(0) ?? 0;
    return count === 0
      ? []
      : [{ token, count: count * (visionFeatureSelectStrategy === "full" ? patches + 1 : patches) }];
  }

  /** inputIds: i32 [B, T], pixelValues: [N, 3, H, W] -> logits [B, T, V] */
  forward({ attentionMask, key, ...inputs }: ImageTextInputs & RunOptions): ImageTextOutput {
    const { embeddings } = this.embed({ ...inputs, key: key?.fold(0) });
    const { logits } = withScope("language_model", () =>
      this.languageModel.forward({
        inputIds: inputs.inputIds,
        inputsEmbeds: embeddings,
        attentionMask,
        key: key?.fold(1),
      }),
    );
    return { logits };
  }
}

/** The name of a tensor as the published files have it. */
function publishedName(name: string): string {
  const shortName = name.replace(/^model\.(?=(language_model|vision_tower|multi_modal_projector)\.)/, "");
  if (shortName.startsWith("lm_head.")) return `language_model.${shortName}`;
  if (shortName !== name && shortName.startsWith("language_model."))
    return shortName.replace("language_model.", "language_model.model.");
  return shortName.replace(/^vision_tower\.(?!vision_model\.)/, "vision_tower.vision_model.");
}

/** The name of a tensor, or of its layer, among the modules of transformers 5. */
function moduleName(name: string): string {
  const text = name.replace(/^language_model\.(model|lm_head)(?=\.|$)/, (_, part: string) =>
    part === "model" ? "model.language_model" : "lm_head",
  );
  if (text !== name) return text;
  return name
    .replace(/^vision_tower\.vision_model\./, "vision_tower.")
    .replace(/^(?=(vision_tower|multi_modal_projector)\.)/, "model.");
}

const textFamily = (path: string, text: unknown): Family =>
  findFamily(`${path}, text_config`, decoderFamilies, textConfig(text));
/** text_config, which is Llama's where it does not say whose. */
const textConfig = (text: unknown): Json => ({ model_type: "llama", ...(text as Json | undefined) });

/** CLIP's config of a tower. @throws DataError for a tower of another kind */
function towerFromJson(path: string, json: Json | undefined): Partial<ClipVisionConfig> {
  if (!json) return {};
  const { model_type: kind = "clip_vision_model" } = json;
  if (kind !== "clip_vision_model")
    throw new DataError({
      where: `${path}, vision_config`,
      expected: "clip_vision_model",
      received: String(kind),
      fix: "use a model with a CLIP tower",
    });
  return makeConfig("vision_config", clipVision, fromJson(`${path}, vision_config`, json, clipVision));
}

/** How LLaVA is stored: model_type llava, with a text model of any family of decoders. */
export const llava: Family = {
  modelType: "llava",
  classes: { LlavaForConditionalGeneration },
  configFromJson: (path, json): LlavaOptions => {
    const text = textConfig(json.text_config);
    const family = textFamily(path, text);
    const [architecture] = Object.keys(family.classes);
    const textJson = json.tie_word_embeddings === true ? { ...text, tie_word_embeddings: true } : text;
    return {
      ...fromJson(path, json, projectorFields),
      vision: towerFromJson(path, json.vision_config as Json | undefined),
      languageModel: (key) => createModel(family, architecture, `${path}, text_config`, textJson, key) as CausalLM,
    };
  },
  configKeys: (json) => {
    const text = textFamily("config", json.text_config).configKeys as ConfigFile; // decoders have one form
    return {
      fields: projectorFields,
      aliases: { image_token_id: "image_token_index" },
      parts: { text_config: text, vision_config: { fields: clipVision } },
    };
  },
  configToJson: (model) => {
    const { languageModel, config } = model as LlavaForConditionalGeneration;
    return {
      ...toJson(config, projectorFields),
      tie_word_embeddings: languageModel.config.tieWordEmbeddings,
      text_config: { model_type: languageModel.modelType, ...languageModel.family.configToJson(languageModel) },
      vision_config: { model_type: "clip_vision_model", ...toJson(config.vision, clipVision) },
    };
  },
  tensorName: publishedName,
  moduleName,
  ignored: new RegExp(`${POSITION_IDS.source}|${FREQUENCIES.source}`),
  tied: (model) => {
    const { languageModel } = model as LlavaForConditionalGeneration;
    const tied = Object.entries(languageModel.family.tied?.(languageModel) ?? {});
    return Object.fromEntries(tied.map(([name, source]) => [`language_model.${name}`, `language_model.${source}`]));
  },
  untie: (json) => untiedWords({ ...json, text_config: untiedWords((json.text_config ?? {}) as Json) }),
};

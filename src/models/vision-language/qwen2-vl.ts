/**
 * Qwen2-VL: images of any size and videos as patches with positions in two directions, four of which become one token
 * of the text; the text model's positions have time, height and width. Wang et al. 2024, arXiv:2409.12191.
 */
import { DataError } from "../../base/index.ts";
import { type RopeParameters, RotaryEmbedding } from "../../nn/index.ts";
import {
  add,
  broadcastTo,
  cast,
  concat,
  cumsum,
  equal,
  logicalAnd,
  logicalNot,
  max,
  maximum,
  type RandomKey,
  reshape,
  slice,
  split,
  sub,
  sum,
  type Tensor,
  unsqueeze,
  where,
  withScope,
} from "../../tensor/index.ts";
import {
  count,
  type Fields,
  fromJson,
  makeConfig,
  positive,
  requireField,
  size,
  toJson,
  tokenId,
  tokenIds,
} from "../config.ts";
import { DecoderForCausalLM } from "../decoders/decoder.ts";
import { decoderFamily, traitsOf } from "../decoders/family.ts";
import { type QwenConfig, qwen2 } from "../decoders/llama-relatives.ts";
import { FREQUENCIES, untiedWords } from "../family.ts";
import { imageTextParts } from "../formats/onnx-parts/image-text.ts";
import { IMAGE_SIZE, type OnnxInputs, type OnnxPart, type OnnxPartOptions } from "../formats/onnx-parts/part.ts";
import type { Json } from "../labels.ts";
import type { Family, RunOptions } from "../model.ts";
import { type Qwen2VLVisionConfig, qwen2VLVisionFields, VisionTransformer } from "./qwen2-vl-vision.ts";
import { tokenPlaces } from "./vision-grid.ts";
import {
  type EmbeddedText,
  fillPlaces,
  type ImageTextInputs,
  ImageTextModel,
  type ImageTextOutput,
  type Places,
  placeNumbers,
  type VisualFeatures,
  type Visuals,
} from "./vision-language.ts";

interface TokenConfig {
  imageTokenId: number;
  videoTokenId: number;
  visionStartTokenId: number;
  visionEndTokenId: number;
}

/** A config, all of which is optional. */
export interface Qwen2VLOptions extends Partial<TokenConfig> {
  text?: Partial<QwenConfig>;
  /** @default hiddenSize of the text model */
  vision?: Partial<Qwen2VLVisionConfig>;
}

/**
 * Qwen2's sizes, those of the vision model, and the tokens that stand for images and videos. Mirrors transformers'
 * Qwen2VLConfig; the defaults of its text are those of Qwen2-VL 72B. arXiv:2409.12191, table 1.
 */
export interface Qwen2VLConfig extends TokenConfig {
  text: QwenConfig;
  vision: Qwen2VLVisionConfig;
}

const tokenFields: Fields<TokenConfig> = {
  imageTokenId: count("image_token_id", 151655),
  videoTokenId: count("video_token_id", 151656),
  visionStartTokenId: count("vision_start_token_id", 151652),
  visionEndTokenId: count("vision_end_token_id", 151653),
};

/** Rotary positions of three parts, each for some of the frequencies: time, height, width. Section 2.1 of the paper. */
class MultimodalRotaryEmbedding extends RotaryEmbedding {
  private readonly sections: readonly number[];

  constructor(headDim: number, maxPositionEmbeddings: number, rope: RopeParameters, sections: readonly number[]) {
    super(headDim, maxPositionEmbeddings, rope);
    this.sections = sections;
    const total = sections.reduce((a, b) => a + b, 0);
    requireField("Qwen2VLConfig", total === headDim / 2, `mrope_section to sum to ${headDim / 2}`, sections);
  }

  /** i32 [3, B, T], or [..., T] where the three are alike -> [B, T, 1, Dh / 2] each */
  override angles(positions: Tensor<"i32">): { cos: Tensor<"f32">; sin: Tensor<"f32"> } {
    const { cos, sin } = super.angles(positions);
    return positions.rank < 3 ? { cos, sin } : { cos: this.choose(cos), sin: this.choose(sin) };
  }

  /** Of each section of frequencies those of its part: [3, B, T, 1, R] -> [B, T, 1, R] */
  private choose(x: Tensor<"f32">): Tensor<"f32"> {
    const parts = split(x, [...this.sections], -1);
    const chosen = parts.map((part, i) =>
      reshape(slice(part, { axis: 0, start: i % 3, end: (i % 3) + 1 }), part.shape.slice(1)),
    );
    return concat(chosen, -1);
  }
}

const DEFAULT_SECTIONS = [16, 24, 24];
type MultimodalRope = RopeParameters & { mrope_section?: readonly number[] };

/** The text model: Qwen2 with positions in time, height and width. */
class Qwen2VLTextForCausalLM extends DecoderForCausalLM<QwenConfig> {
  constructor(options: Partial<QwenConfig>, key: RandomKey) {
    super(textFamily, options, key);
  }
}

const textFamily = decoderFamily<QwenConfig>({
  ...qwen2.description,
  modelType: "qwen2_vl_text",
  classes: { Qwen2VLTextForCausalLM },
  fields: {
    ...qwen2.description.fields,
    hiddenSize: size("hidden_size", 8192),
    intermediateSize: size("intermediate_size", 29568),
    vocabSize: size("vocab_size", 152064),
    numLayers: size("num_hidden_layers", 80),
    numHeads: size("num_attention_heads", 64),
    numKeyHeads: size("num_key_value_heads", 8),
    maxWindowLayers: count("max_window_layers", 80),
    bosTokenId: tokenId("bos_token_id", 151643),
    eosTokenId: tokenIds("eos_token_id", 151645),
    rmsNormEpsilon: positive("rms_norm_eps", 1e-5),
  },
  derivesKeyHeads: false,
  // "mrope" says only that there are sections
  rope: { theta: 1_000_000, oldTypes: { mrope: "default" }, ownKeys: ["mrope_section"] },
  traits: (config) => {
    const { mrope_section: sections = DEFAULT_SECTIONS, ...rope } = config.rope as MultimodalRope;
    const rotary = new MultimodalRotaryEmbedding(config.headDim, config.maxPositionEmbeddings, rope, sections);
    return { ...traitsOf(qwen2.description, { ...config, rope }), rotary: [rotary] };
  },
});

/** Logits, and where the tokens were placed if there were images or videos among them. */
export interface Qwen2VLOutput extends ImageTextOutput {
  /** i32 [3, B, T]: time, height, width; 0 at padding */
  positionIds?: Tensor<"i32">;
  /** What positions of further tokens have more than their places: i32 [B, 1] */
  ropeDeltas?: Tensor<"i32">;
}

/**
 * Qwen2-VL with its language-modelling head: i32 [B, T], and images and videos as patches, -> logits [B, T, V]. Wang et
 * al. 2024, arXiv:2409.12191.
 */
export class Qwen2VLForConditionalGeneration extends ImageTextModel<Qwen2VLOutput> {
  readonly languageModel: DecoderForCausalLM<QwenConfig>;
  readonly visual: VisionTransformer;
  readonly config: Qwen2VLConfig;
  readonly family = qwen2Vl;
  protected override readonly checkpointKeys = { languageModel: "" };

  /** @throws OptionError when the config contradicts itself */
  constructor({ text = {}, vision: visionOptions, ...tokens }: Qwen2VLOptions, key: RandomKey) {
    super();
    const where = "Qwen2VLConfig";
    const [textKey, visionKey] = key.split(2);
    this.languageModel = new Qwen2VLTextForCausalLM(text, textKey);
    const { hiddenSize } = this.languageModel.config;
    const vision = makeConfig(`${where}, vision`, qwen2VLVisionFields, { hiddenSize, ...visionOptions });
    requireField(where, hiddenSize === vision.hiddenSize, "the vision model's hiddenSize to be the text model's", [
      vision.hiddenSize,
      hiddenSize,
    ]);
    requireField(where, (vision.embedDim / vision.numHeads) % 4 === 0, "embedDim / numHeads to be a multiple of 4", [
      vision.embedDim,
      vision.numHeads,
    ]);
    this.config = { ...makeConfig(where, tokenFields, tokens), text: this.languageModel.config, vision };
    this.visual = new VisionTransformer(vision, visionKey);
  }

  onnxParts({ imageSize = [IMAGE_SIZE, IMAGE_SIZE] }: OnnxPartOptions): OnnxPart[] {
    const { patchSize, temporalPatchSize, inChannels } = this.config.vision;
    // the patches of one picture of this size, or of several smaller ones
    const count = imageSize.map((side) => Math.floor(side / patchSize)).reduce((a, b) => a * b, 1);
    const pictures: OnnxInputs = {
      pixel_values: { dtype: "f32", shape: [count, inChannels * temporalPatchSize * patchSize ** 2] },
      image_grid_thw: { dtype: "i64", shape: ["num_images", 3] },
    };
    return imageTextParts(this, { pictures, positionAxes: [3] });
  }

  get imageTokenId(): number {
    return this.config.imageTokenId;
  }

  /** pixelValues: [L, C time patch patch], imageGridThw: i32 [images, 3] -> [L / m², D] */
  imageFeatures({
    pixelValues,
    imageGridThw,
  }: Pick<ImageTextInputs, "imageGridThw"> & { pixelValues: Tensor<"f32"> }): Tensor<"f32"> {
    return withScope("visual", () => this.visual.forward(pixelValues, imageGridThw as Tensor<"i32">));
  }

  /**
   * inputIds: i32 [B, T] -> embeddings [B, T, D], and where there are images positions i32 [3, B, T] and offset i32
   * [B, 1]
   */
  embedFeatures(
    inputs: Pick<ImageTextInputs, "inputIds" | "attentionMask">,
    visuals: readonly VisualFeatures[],
  ): EmbeddedText {
    const { inputIds } = inputs;
    let embeddings = this.languageModel.embed(inputIds);
    for (const { kind, features } of visuals)
      embeddings = fillPlaces(embeddings, inputIds, this.tokenOf(kind), features);
    if (visuals.length === 0) return { embeddings };
    const { positions, offset } = this.positions(inputs, visuals);
    return { embeddings, positions, offset };
  }

  private tokenOf(kind: Visuals["kind"]): number {
    return kind === "image" ? this.config.imageTokenId : this.config.videoTokenId;
  }

  /** @throws DataError when grids are missing */
  visualsOf({ pixelValues, imageGridThw, pixelValuesVideos, videoGridThw }: ImageTextInputs): Visuals[] {
    const kinds = [
      { kind: "image", pixelValues, grids: imageGridThw },
      { kind: "video", pixelValues: pixelValuesVideos, grids: videoGridThw },
    ] as const;
    return kinds.flatMap(({ kind, pixelValues: pixels, grids }) => {
      if (!pixels) return [];
      if (grids) return [{ kind, pixelValues: pixels, grids }];
      const fix = "give what the model's processor makes";
      throw new DataError({
        where: this.architecture,
        expected: "a grid for each image: imageGridThw, videoGridThw",
        received: "none",
        fix,
      });
    });
  }

  /**
   * Text goes on by 1 in all three parts. The tokens of an image have the part before it as their time, and their row
   * and column besides; the text after it goes on behind its longer side. Section 2.1 of the paper, figure 3.
   */
  private positions(
    { inputIds, attentionMask }: Pick<ImageTextInputs, "inputIds" | "attentionMask">,
    visuals: readonly VisualFeatures[],
  ): { positions: Tensor<"i32">; offset: Tensor<"i32"> } {
    const [batch, length] = inputIds.shape;
    const { spatialMergeSize } = this.config.vision;
    const isReal = attentionMask ?? equal(inputIds, inputIds);
    let isText = isReal;
    let advance = cast(isReal, "i32"); // [B, T]
    let offsets: Tensor<"i32"> | undefined; // [3, B, T]
    for (const { kind, grids } of visuals) {
      const isPlace = equal(inputIds, this.tokenOf(kind));
      const numbers = reshape(maximum(placeNumbers(isPlace), 0), [-1]);
      const places = tokenPlaces(numbers, grids as Tensor<"i32">, spatialMergeSize);
      const imageOffsets = where(isPlace, reshape(places.offsets, [3, batch, length]), 0) as Tensor<"i32">;
      offsets = offsets ? add(offsets, imageOffsets) : imageOffsets;
      advance = where(isPlace, reshape(places.advance, [batch, length]), advance) as Tensor<"i32">;
      isText = logicalAnd(isText, logicalNot(isPlace));
    }
    const before = broadcastTo(unsqueeze(sub(cumsum(advance, { axis: 1 }), advance), 0), [3, batch, length]);
    const positions = where(isReal, offsets ? add(before, offsets) : before, 0) as Tensor<"i32">;
    const count = sum(cast(isReal, "i32"), { axes: 1, keepDims: true }); // [B, 1]
    const last = reshape(max(positions, { axes: [0, 2] }), [batch, 1]);
    return { positions, offset: sub(add(last, 1), count) };
  }

  placesOf(inputs: ImageTextInputs): Places[] {
    const merged = this.config.vision.spatialMergeSize ** 2;
    return this.visualsOf(inputs).map(({ kind, pixelValues }) => ({
      token: this.tokenOf(kind),
      count: pixelValues.size(0) / merged,
    }));
  }

  /**
   * inputIds: i32 [B, T], pixelValues: [L, C time patch patch] -> logits [B, T, V], and where there are images
   * positionIds i32 [3, B, T] and ropeDeltas i32 [B, 1]
   */
  forward({ attentionMask, key, ...inputs }: ImageTextInputs & RunOptions): Qwen2VLOutput {
    const { embeddings: inputsEmbeds, positions: positionIds, offset } = this.embed({ ...inputs, attentionMask });
    const { logits } = withScope("language_model", () =>
      this.languageModel.forward({ inputIds: inputs.inputIds, inputsEmbeds, positionIds, attentionMask, key }),
    );
    return { logits, ...(positionIds && { positionIds, ropeDeltas: offset }) };
  }
}

/** The text model's part of config.json: text_config, or what stands at the top of published files. */
function textFromJson(path: string, json: Json): Partial<QwenConfig> {
  const text = { tie_word_embeddings: json.tie_word_embeddings, ...((json.text_config as Json | undefined) ?? json) };
  return textFamily.configFromJson(path, text);
}

/** How Qwen2-VL is stored: model_type qwen2_vl. */
export const qwen2Vl: Family = {
  modelType: "qwen2_vl",
  classes: { Qwen2VLForConditionalGeneration },
  configFromJson: (path, json): Qwen2VLOptions => {
    const text = textFromJson(path, json);
    const vision = fromJson(`${path}, vision_config`, (json.vision_config ?? {}) as Json, qwen2VLVisionFields);
    return { ...fromJson(path, json, tokenFields), text, vision };
  },
  configKeys: {
    ...textFamily.configKeys,
    fields: { ...textFamily.description.fields, ...tokenFields },
    parts: {
      text_config: textFamily.configKeys,
      vision_config: {
        fields: qwen2VLVisionFields,
        aliases: { num_attention_heads: "num_heads", num_hidden_layers: "depth" },
        supported: { rope_theta: [10000] },
      },
    },
  },
  // as the published files have it, which older versions of transformers read too
  configToJson: (model) => {
    const { text, vision, ...tokens } = (model as Qwen2VLForConditionalGeneration).config;
    const {
      rope_parameters: rope,
      head_dim: _,
      layer_types: types,
      ...rest
    } = toJson(text, textFamily.description.fields);
    const { rope_theta, mrope_section = DEFAULT_SECTIONS } = rope as MultimodalRope;
    const scaling = { rope_theta, rope_scaling: { type: "mrope", mrope_section } };
    return {
      ...rest,
      ...(types ? { layer_types: types } : {}),
      ...toJson(tokens, tokenFields),
      ...scaling,
      vision_config: toJson(vision, qwen2VLVisionFields),
    };
  },
  tensorName: (name) => name.replace(/^model\.language_model\./, "model.").replace(/^model\.visual\./, "visual."),
  moduleName: (name) => name.replace(/^model\./, "model.language_model.").replace(/^visual\./, "model.visual."),
  ignored: FREQUENCIES,
  tied: (model): Readonly<Record<string, string>> =>
    (model as Qwen2VLForConditionalGeneration).config.text.tieWordEmbeddings
      ? { "lm_head.weight": "model.embed_tokens.weight" }
      : {},
  untie: (json) =>
    untiedWords({ ...json, ...(json.text_config ? { text_config: untiedWords(json.text_config as Json) } : {}) }),
};

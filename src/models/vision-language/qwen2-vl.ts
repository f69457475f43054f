/**
 * Qwen2-VL: images of any size and videos as patches with positions in two directions, four of which become one token
 * of the text; the text model's positions have time, height and width. Wang et al. 2024, arXiv:2409.12191.
 */
import { DataError } from "../../base/index.ts";
import {
  type Activation,
  LayerNorm,
  Linear,
  Module,
  normalInit,
  Parameter,
  type Projection,
  type RopeParameters,
  RotaryEmbedding,
  TransformerLayer,
} from "../../nn/index.ts";
import {
  add,
  broadcastTo,
  cast,
  concat,
  cumsum,
  equal,
  gelu,
  logicalAnd,
  logicalNot,
  matmul,
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
  activation,
  count,
  type Fields,
  fromJson,
  makeConfig,
  number,
  positive,
  requireField,
  size,
  toJson,
  tokenId,
  tokenIds,
} from "../config.ts";
import { DecoderForCausalLM } from "../decoders/decoder.ts";
import { type DecoderFamily, decoderConfig, decoderKeys } from "../decoders/family.ts";
import { type QwenConfig, qwen2Family } from "../decoders/llama.ts";
import { ropeFromJson } from "../decoders/rope.ts";
import { type Family, FREQUENCIES, untiedWords } from "../family.ts";
import type { Json } from "../labels.ts";
import type { RunOptions } from "../model.ts";
import { patchPlaces, tokenPlaces } from "./vision-grid.ts";
import {
  type EmbeddedText,
  fillPlaces,
  type ImageTextInputs,
  ImageTextModel,
  type ImageTextOutput,
  type Places,
  placeNumbers,
} from "./vision-language.ts";

export interface Qwen2VLVisionConfig {
  depth: number;
  embedDim: number;
  /** Width of the text model. */
  hiddenSize: number;
  activation: Activation;
  mlpRatio: number;
  numHeads: number;
  inChannels: number;
  patchSize: number;
  /** So many rows and columns of patches become one token. */
  spatialMergeSize: number;
  /** Frames in a patch; an image is repeated. */
  temporalPatchSize: number;
  initializerRange: number;
}

interface TokenConfig {
  imageTokenId: number;
  videoTokenId: number;
  visionStartTokenId: number;
  visionEndTokenId: number;
}

export interface Qwen2VLConfig extends TokenConfig {
  text: QwenConfig;
  vision: Qwen2VLVisionConfig;
}

const visionFields: Fields<Qwen2VLVisionConfig> = {
  depth: size("depth", 32),
  embedDim: size("embed_dim", 1280),
  hiddenSize: size("hidden_size", 3584),
  activation: activation("hidden_act", "quick_gelu"),
  mlpRatio: positive("mlp_ratio", 4),
  numHeads: size("num_heads", 16),
  inChannels: size("in_channels", 3),
  patchSize: size("patch_size", 14),
  spatialMergeSize: size("spatial_merge_size", 2),
  temporalPatchSize: size("temporal_patch_size", 2),
  initializerRange: number("initializer_range", 0.02),
};
const tokenFields: Fields<TokenConfig> = {
  imageTokenId: count("image_token_id", 151655),
  videoTokenId: count("video_token_id", 151656),
  visionStartTokenId: count("vision_start_token_id", 151652),
  visionEndTokenId: count("vision_end_token_id", 151653),
};

const VISION_EPSILON = 1e-6;
const VISION_THETA = 10000;

const layerKeys = {
  attention: "attn",
  "attention.qkv": "qkv",
  "attention.output": "proj",
  attentionNorm: "norm1",
  up: "mlp.fc1",
  down: "mlp.fc2",
  feedForwardNorm: "norm2",
};

class PatchMerger extends Module {
  readonly lnQ: LayerNorm; // [E]
  readonly first: Projection; // [m² E, m² E]
  readonly second: Projection; // [D, m² E]
  protected override readonly checkpointKeys = { first: "mlp.0", second: "mlp.2" };

  constructor({ embedDim, hiddenSize, spatialMergeSize }: Qwen2VLVisionConfig, key: RandomKey) {
    super();
    const [firstKey, secondKey] = key.split(2);
    const width = embedDim * spatialMergeSize ** 2;
    this.lnQ = new LayerNorm({ width: embedDim, epsilon: VISION_EPSILON }, key);
    this.first = new Linear({ inFeatures: width, outFeatures: width }, firstKey);
    this.second = new Linear({ inFeatures: width, outFeatures: hiddenSize }, secondKey);
  }

  /** patches: [1, L, E] -> [L / m², D] */
  forward(patches: Tensor<"f32">): Tensor<"f32"> {
    const width = this.first.inFeatures;
    return this.second.forward(gelu(this.first.forward(reshape(this.lnQ.forward(patches), [-1, width]))));
  }
}

class PatchEmbedding extends Module {
  readonly weight: Parameter; // [E, C, time, patch, patch]
  protected override readonly checkpointKeys = { weight: "proj.weight" };

  constructor(
    { embedDim, inChannels, temporalPatchSize, patchSize, initializerRange }: Qwen2VLVisionConfig,
    key: RandomKey,
  ) {
    super();
    const shape = [embedDim, inChannels, temporalPatchSize, patchSize, patchSize];
    this.weight = new Parameter(shape, normalInit(initializerRange)(key, shape));
  }

  /** pixels: [L, C time patch patch] -> [L, E]. A convolution whose windows do not overlap is a product. */
  forward(pixels: Tensor<"f32">): Tensor<"f32"> {
    return matmul(pixels, reshape(this.weight.value, [this.weight.shape[0], -1]), { transposeB: true });
  }
}

class VisionTransformer extends Module {
  readonly patchEmbed: PatchEmbedding;
  readonly blocks: TransformerLayer[];
  readonly merger: PatchMerger;
  private readonly config: Qwen2VLVisionConfig;

  constructor(config: Qwen2VLVisionConfig, key: RandomKey) {
    super();
    const { embedDim: hiddenSize, mlpRatio, initializerRange, depth, numHeads, activation } = config;
    const [patchKey, blockKey, mergerKey] = key.split(3);
    const layer = {
      hiddenSize,
      numHeads,
      activation,
      intermediateSize: Math.trunc(hiddenSize * mlpRatio),
      epsilon: VISION_EPSILON,
    };
    const make = (part: RandomKey) =>
      new TransformerLayer(
        { ...layer, normPlacement: "pre", isFusedQkv: true, init: normalInit(initializerRange), keys: layerKeys },
        part,
      );
    this.patchEmbed = new PatchEmbedding(config, patchKey);
    this.blocks = blockKey.split(depth).map(make);
    this.merger = new PatchMerger(config, mergerKey);
    this.config = config;
  }

  /** pixels: [L, C time patch patch], grids: i32 [N, 3] -> [L / m², D] */
  forward(pixels: Tensor<"f32">, grids: Tensor<"i32">): Tensor<"f32"> {
    const { embedDim, numHeads, spatialMergeSize } = this.config;
    const length = pixels.shape[0] as number;
    const { rows, columns, isSeen } = patchPlaces(grids, length, spatialMergeSize);
    // half of a head for each direction
    const rotary = new RotaryEmbedding(embedDim / numHeads / 2, length, { rope_theta: VISION_THETA });
    const [ofRows, ofColumns] = [rows, columns].map((places) => rotary.angles(places)); // [L, 1, Dh / 4]
    const angles = { cos: concat([ofRows.cos, ofColumns.cos], -1), sin: concat([ofRows.sin, ofColumns.sin], -1) };
    const mask = reshape(isSeen, [1, 1, length, length]);
    let x = unsqueeze(this.patchEmbed.forward(pixels), 0); // [1, L, E]
    for (const [i, block] of this.blocks.entries())
      x = withScope(`blocks.${i}`, () => block.forward(x, { angles, mask }));
    return withScope("merger", () => this.merger.forward(x));
  }
}

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

const textFamily: DecoderFamily<QwenConfig> = {
  ...qwen2Family,
  fields: {
    ...qwen2Family.fields,
    hiddenSize: size("hidden_size", 8192),
    intermediateSize: size("intermediate_size", 29568),
    vocabSize: size("vocab_size", 152064),
    numLayers: size("num_hidden_layers", 80),
    numHeads: size("num_attention_heads", 64),
    numKeyHeads: size("num_key_value_heads", 8),
    maxWindowLayers: size("max_window_layers", 80),
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
    return { ...qwen2Family.traits({ ...config, rope }), rotary: [rotary] };
  },
};

export interface Qwen2VLOutput extends ImageTextOutput {
  /** i32 [3, B, T]: time, height, width; 0 at padding */
  positionIds?: Tensor<"i32">;
  /** What positions of further tokens have more than their places: i32 [B, 1] */
  ropeDeltas?: Tensor<"i32">;
}

/** Qwen2-VL with its language-modelling head. */
export class Qwen2VLForConditionalGeneration extends ImageTextModel<Qwen2VLOutput> {
  readonly languageModel: DecoderForCausalLM<QwenConfig>;
  readonly visual: VisionTransformer;
  readonly config: Qwen2VLConfig;
  readonly modelType = "qwen2_vl";
  readonly architecture = "Qwen2VLForConditionalGeneration";
  protected override readonly checkpointKeys = { languageModel: "" };

  /** @throws OptionError when the config contradicts itself */
  constructor(config: Qwen2VLConfig, key: RandomKey) {
    super();
    const { text, vision } = config;
    const where = "Qwen2VLConfig";
    requireField(where, text.hiddenSize === vision.hiddenSize, "the vision model's hiddenSize to be the text model's", [
      vision.hiddenSize,
      text.hiddenSize,
    ]);
    requireField(where, (vision.embedDim / vision.numHeads) % 4 === 0, "embedDim / numHeads to be a multiple of 4", [
      vision.embedDim,
      vision.numHeads,
    ]);
    const [textKey, visionKey] = key.split(2);
    const { modelType, architecture } = qwen2Family;
    this.config = config;
    this.languageModel = new DecoderForCausalLM(
      { modelType, architecture, config: text, traits: textFamily.traits(text) },
      textKey,
    );
    this.visual = new VisionTransformer(vision, visionKey);
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

  embed(inputs: ImageTextInputs & RunOptions): EmbeddedText {
    const { inputIds } = inputs;
    let embeddings = this.languageModel.embed(inputIds);
    const found = this.visuals(inputs);
    for (const { token, pixels, grids } of found) {
      const features = this.imageFeatures({ pixelValues: pixels, imageGridThw: grids }); // [places, D]
      embeddings = fillPlaces(embeddings, inputIds, token, features);
    }
    if (found.length === 0) return { embeddings };
    const { positions, offset } = this.positions(inputs);
    return { embeddings, positions, offset };
  }

  /** Images and videos, with the token whose places they take. @throws DataError when their grids are missing */
  private visuals({ pixelValues, imageGridThw, pixelValuesVideos, videoGridThw }: ImageTextInputs) {
    const { imageTokenId, videoTokenId } = this.config;
    const kinds = [
      { token: imageTokenId, pixels: pixelValues, grids: imageGridThw },
      { token: videoTokenId, pixels: pixelValuesVideos, grids: videoGridThw },
    ];
    return kinds.flatMap(({ token, pixels, grids }) => {
      if (!pixels) return [];
      if (grids) return [{ token, pixels, grids }];
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
  private positions(inputs: ImageTextInputs): { positions: Tensor<"i32">; offset: Tensor<"i32"> } {
    const { inputIds, attentionMask } = inputs;
    const [batch, length] = inputIds.shape as [number, number];
    const { spatialMergeSize } = this.config.vision;
    const isReal = attentionMask ?? equal(inputIds, inputIds);
    let isText = isReal;
    let advance = cast(isReal, "i32"); // [B, T]
    let offsets: Tensor<"i32"> | undefined; // [3, B, T]
    for (const { token, grids } of this.visuals(inputs)) {
      const isPlace = equal(inputIds, token);
      const numbers = reshape(maximum(placeNumbers(isPlace), 0), [-1]);
      const places = tokenPlaces(numbers, grids, spatialMergeSize);
      const own = where(isPlace, reshape(places.offsets, [3, batch, length]), 0) as Tensor<"i32">;
      offsets = offsets ? add(offsets, own) : own;
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
    return this.visuals(inputs).map(({ token, pixels }) => ({ token, count: (pixels.shape[0] as number) / merged }));
  }

  forward({ attentionMask, key, ...inputs }: ImageTextInputs & RunOptions): Qwen2VLOutput {
    const { embeddings, positions, offset } = this.embed({ ...inputs, attentionMask });
    const options = { embeddings, positions, attentionMask, key };
    const logits = withScope("language_model", () => this.languageModel.forward(inputs.inputIds, options));
    return { logits, ...(positions && { positionIds: positions, ropeDeltas: offset }) };
  }
}

/** The text model's part of config.json: text_config, or what stands at the top of published files. */
function textConfig(path: string, json: Json): QwenConfig {
  const text = (json.text_config as Json | undefined) ?? json;
  const given = {
    tie_word_embeddings: json.tie_word_embeddings,
    ...text,
    rope_parameters: ropeFromJson(text, textFamily.rope),
  };
  return decoderConfig(textFamily, fromJson(path, given as Json, textFamily.fields));
}

export const qwen2Vl: Family = {
  modelType: "qwen2_vl",
  tasks: { Qwen2VLForConditionalGeneration: "image-text-to-text" },
  create: (_, path, json, key) => {
    const text = textConfig(path, json);
    const visionJson = { hidden_size: text.hiddenSize, ...(json.vision_config as Json) };
    const vision = makeConfig(
      "vision_config",
      visionFields,
      fromJson(`${path}, vision_config`, visionJson, visionFields),
    );
    const tokens = makeConfig("Qwen2VLConfig", tokenFields, fromJson(path, json, tokenFields));
    return new Qwen2VLForConditionalGeneration({ ...tokens, text, vision }, key);
  },
  configKeys: {
    ...decoderKeys(textFamily),
    fields: { ...textFamily.fields, ...tokenFields },
    parts: {
      text_config: decoderKeys(textFamily),
      vision_config: {
        fields: visionFields,
        aliases: { num_attention_heads: "num_heads", num_hidden_layers: "depth" },
        supported: { rope_theta: [10000] },
      },
    },
  },
  // as the published files have it, which older versions of transformers read too
  configToJson: (model) => {
    const { text, vision, ...tokens } = (model as Qwen2VLForConditionalGeneration).config;
    const { rope_parameters: rope, head_dim: _, layer_types: types, ...rest } = toJson(text, textFamily.fields);
    const { rope_theta, mrope_section = DEFAULT_SECTIONS } = rope as MultimodalRope;
    const scaling = { rope_theta, rope_scaling: { type: "mrope", mrope_section } };
    return {
      ...rest,
      ...(types ? { layer_types: types } : {}),
      ...toJson(tokens, tokenFields),
      ...scaling,
      vision_config: toJson(vision, visionFields),
    };
  },
  tensorName: (name) => name.replace(/^model\.language_model\./, "model.").replace(/^model\.visual\./, "visual."),
  ignored: FREQUENCIES,
  tied: (model): Readonly<Record<string, string>> =>
    (model as Qwen2VLForConditionalGeneration).config.text.tieWordEmbeddings
      ? { "lm_head.weight": "model.embed_tokens.weight" }
      : {},
  untie: (json) =>
    untiedWords({ ...json, ...(json.text_config ? { text_config: untiedWords(json.text_config as Json) } : {}) }),
};

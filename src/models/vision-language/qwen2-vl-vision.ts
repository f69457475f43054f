import {
  type Activation,
  LayerNorm,
  Linear,
  Module,
  normalInit,
  Parameter,
  type Projection,
  RotaryEmbedding,
  TransformerLayer,
} from "../../nn/index.ts";
import {
  concat,
  gelu,
  matmul,
  type RandomKey,
  reshape,
  type Tensor,
  unsqueeze,
  withScope,
} from "../../tensor/index.ts";
import { activation, type Fields, number, positive, size, writtenWhole } from "../config.ts";
import { patchPlaces } from "./vision-grid.ts";

/**
 * The sizes of Qwen2-VL's vision model, E = embedDim wide. Mirrors transformers' Qwen2VLVisionConfig; the defaults are
 * those of Qwen2-VL 7B. arXiv:2409.12191, section 2.1.
 */
export interface Qwen2VLVisionConfig {
  /** Layers. */
  depth: number;
  embedDim: number;
  /** Width of the text model. */
  hiddenSize: number;
  activation: Activation;
  /** How much wider the feed-forward layers are inside. */
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

/** The fields of vision_config. */
export const qwen2VLVisionFields: Fields<Qwen2VLVisionConfig> = {
  depth: size("depth", 32),
  embedDim: size("embed_dim", 1280),
  hiddenSize: size("hidden_size", 3584),
  activation: activation("hidden_act", "quick_gelu"),
  mlpRatio: writtenWhole(positive("mlp_ratio", 4)),
  numHeads: size("num_heads", 16),
  inChannels: size("in_channels", 3),
  patchSize: size("patch_size", 14),
  spatialMergeSize: size("spatial_merge_size", 2),
  temporalPatchSize: size("temporal_patch_size", 2),
  initializerRange: number("initializer_range", 0.02),
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

/** m x m neighbouring patches, side by side, through two linear layers become one token of the text. */
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

/** Projects patches that the processor has cut. */
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

/** A Transformer over the patches of images of any size, each of which sees those of its own frame. */
export class VisionTransformer extends Module {
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

  /** pixels: [L, C time patch patch], grids: i32 [N, 3] of time, height and width in patches -> [L / m², D] */
  forward(pixels: Tensor<"f32">, grids: Tensor<"i32">): Tensor<"f32"> {
    const { embedDim, numHeads, spatialMergeSize } = this.config;
    const [length] = pixels.shape;
    const { rows, columns, isSeen } = patchPlaces(grids, length, spatialMergeSize);
    // half of a head for each direction; unscaled, it takes any length
    const anyLength = Number.POSITIVE_INFINITY;
    const rotary = new RotaryEmbedding(embedDim / numHeads / 2, anyLength, { rope_theta: VISION_THETA });
    const [ofRows, ofColumns] = [rows, columns].map((places) => rotary.angles(places)); // [L, 1, Dh / 4]
    const angles = { cos: concat([ofRows.cos, ofColumns.cos], -1), sin: concat([ofRows.sin, ofColumns.sin], -1) };
    const mask = reshape(isSeen, [1, 1, length, length]);
    let x = unsqueeze(this.patchEmbed.forward(pixels), 0); // [1, L, E]
    for (const [i, block] of this.blocks.entries())
      x = withScope(`blocks.${i}`, () => block.forward(x, { angles, mask }));
    return withScope("merger", () => this.merger.forward(x));
  }
}

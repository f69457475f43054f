/**
 * SegFormer: a Transformer in stages of falling resolution, whose decoder is a few linear layers. Xie et al. 2021,
 * arXiv:2105.15203.
 */
import {
  type Activation,
  AttentionBlock,
  activations,
  BatchNorm2d,
  Conv2d,
  depthRates,
  dropout,
  dropPath,
  LayerNorm,
  Linear,
  Module,
  normalInit,
  type Projection,
} from "../../nn/index.ts";
import { add, concat, interpolate, mean, type RandomKey, relu, type Tensor, withScope } from "../../tensor/index.ts";
import {
  activation,
  type Fields,
  flag,
  list,
  number,
  positive,
  probability,
  requireField,
  size,
  writtenWhole,
} from "../config.ts";
import type { LabelConfig } from "../labels.ts";
import type { RunOptions } from "../model.ts";
import { PooledHead } from "./convnext.ts";
import {
  ImageClassifier,
  ImageEncoder,
  type ImageHead,
  type ImageInputs,
  ImageModel,
  type ImageOutput,
  imageFamily,
  SemanticSegmenter,
  toMap,
  toTokens,
} from "./image.ts";

/**
 * The stages of SegFormer's encoder, and its decoder. Mirrors transformers' SegformerConfig; the defaults are those of
 * MiT-b0. arXiv:2105.15203, table 6.
 */
export interface SegformerConfig extends LabelConfig {
  numChannels: number;
  /** Layers of each stage. */
  depths: readonly number[];
  /** Keys and values are made of maps so many times smaller. */
  srRatios: readonly number[];
  /** Channels of each stage. */
  hiddenSizes: readonly number[];
  /** Side of the windows that each stage's places are made of. */
  patchSizes: readonly number[];
  /** How many times smaller each stage's map is than the one before it. */
  strides: readonly number[];
  numHeads: readonly number[];
  /** How much wider feed-forward layers are inside. */
  mlpRatios: readonly number[];
  activation: Activation;
  hiddenDropout: number;
  attentionDropout: number;
  classifierDropout: number;
  /** Of the last layer; the others are left out less often. */
  dropPathRate: number;
  initializerRange: number;
  /** Channels to which the segmentation head brings all stages. */
  decoderHiddenSize: number;
  /** The last stage's result is a map, and not a list of places. */
  reshapeLastStage: boolean;
}

const sizes = (key: string, fallback: number[]) => list(size(key, 1), fallback);
const fields: Fields<Omit<SegformerConfig, keyof LabelConfig>> = {
  numChannels: size("num_channels", 3),
  depths: sizes("depths", [2, 2, 2, 2]),
  srRatios: sizes("sr_ratios", [8, 4, 2, 1]),
  hiddenSizes: sizes("hidden_sizes", [32, 64, 160, 256]),
  patchSizes: sizes("patch_sizes", [7, 3, 3, 3]),
  strides: sizes("strides", [4, 2, 2, 2]),
  numHeads: sizes("num_attention_heads", [1, 2, 5, 8]),
  mlpRatios: list(writtenWhole(positive("mlp_ratios", 1)), [4, 4, 4, 4]),
  activation: activation("hidden_act", "gelu"),
  hiddenDropout: probability("hidden_dropout_prob", 0),
  attentionDropout: probability("attention_probs_dropout_prob", 0),
  classifierDropout: probability("classifier_dropout_prob", 0.1),
  dropPathRate: probability("drop_path_rate", 0.1),
  initializerRange: number("initializer_range", 0.02),
  decoderHiddenSize: size("decoder_hidden_size", 256),
  reshapeLastStage: flag("reshape_last_stage", true),
};

/** Of all layer norms, whatever layer_norm_eps says. */
const EPSILON = 1e-5;
const attentionKeys = { query: "self.query", key: "self.key", value: "self.value", output: "output.dense" };

type Grid = readonly [number, number];

/**
 * Attention whose keys and values come from a map that a strided convolution has made smaller. arXiv:2105.15203,
 * section 3.1.
 */
class Attention extends AttentionBlock {
  readonly sr?: Conv2d; // [C, C, ratio, ratio]
  readonly layerNorm?: LayerNorm;
  protected override readonly checkpointKeys = { ...attentionKeys, sr: "self.sr", layerNorm: "self.layer_norm" };

  constructor(config: SegformerConfig, stage: number, key: RandomKey) {
    const width = config.hiddenSizes[stage];
    const ratio = config.srRatios[stage];
    const init = normalInit(config.initializerRange);
    super(
      { ...config, hiddenSize: width, numHeads: config.numHeads[stage], intermediateSize: 1, epsilon: EPSILON, init },
      attentionKeys,
      key,
    );
    if (ratio === 1) return;
    this.sr = new Conv2d(
      { inChannels: width, outChannels: width, kernelSize: ratio, stride: ratio, init },
      key.fold(1),
    );
    this.layerNorm = new LayerNorm({ width, epsilon: EPSILON }, key);
  }

  /** x: [B, h w, C] -> the same */
  attend(x: Tensor<"f32">, grid: Grid, key: RandomKey | undefined): Tensor<"f32"> {
    const source =
      this.sr && this.layerNorm ? this.layerNorm.forward(toTokens(this.sr.forward(toMap(x, grid)))) : undefined;
    return this.forward(x, { source, key });
  }
}

/** Two linear layers with a depthwise convolution between. */
class MixFeedForward extends Module {
  readonly dense1: Projection; // [F, C]
  readonly dwconv: Conv2d; // [F, 1, 3, 3]
  readonly dense2: Projection; // [C, F]
  protected override readonly checkpointKeys = { dense1: "dense1", dwconv: "dwconv.dwconv", dense2: "dense2" };
  private readonly activation: Activation;

  constructor(config: SegformerConfig, stage: number, key: RandomKey) {
    super();
    const [upKey, convKey, downKey] = key.split(3);
    const width = config.hiddenSizes[stage];
    const wide = Math.floor(width * config.mlpRatios[stage]);
    const init = normalInit(config.initializerRange);
    this.dense1 = new Linear({ inFeatures: width, outFeatures: wide, init }, upKey);
    this.dwconv = new Conv2d(
      { inChannels: wide, outChannels: wide, kernelSize: 3, padding: 1, groups: wide, init },
      convKey,
    );
    this.dense2 = new Linear({ inFeatures: wide, outFeatures: width, init }, downKey);
    this.activation = config.activation;
  }

  /** x: [B, h w, C] -> the same, F channels inside */
  forward(x: Tensor<"f32">, grid: Grid): Tensor<"f32"> {
    const mixed = toTokens(this.dwconv.forward(toMap(this.dense1.forward(x), grid))); // [B, h w, F]
    return this.dense2.forward(activations[this.activation](mixed));
  }
}

/** One layer: attention, then the feed-forward part, each on the norm of its input and added to it. */
class Block extends Module {
  readonly layerNorm1: LayerNorm;
  readonly attention: Attention;
  readonly layerNorm2: LayerNorm;
  readonly mlp: MixFeedForward;
  private readonly dropout: number;
  private readonly dropPath: number;

  constructor(config: SegformerConfig, { stage, dropPath }: { stage: number; dropPath: number }, key: RandomKey) {
    super();
    const [attentionKey, mlpKey] = key.split(2);
    const width = config.hiddenSizes[stage];
    this.layerNorm1 = new LayerNorm({ width, epsilon: EPSILON }, key);
    this.attention = new Attention(config, stage, attentionKey);
    this.layerNorm2 = new LayerNorm({ width, epsilon: EPSILON }, key);
    this.mlp = new MixFeedForward(config, stage, mlpKey);
    this.dropout = config.hiddenDropout;
    this.dropPath = dropPath;
  }

  /** x: [B, h w, C] -> the same */
  forward(x: Tensor<"f32">, grid: Grid, key: RandomKey | undefined): Tensor<"f32"> {
    const attended = dropout(
      this.attention.attend(this.layerNorm1.forward(x), grid, key?.fold(0)),
      this.dropout,
      key?.fold(1),
    );
    const middle = add(x, dropPath(attended, this.dropPath, key?.fold(3)));
    const mixed = dropout(this.mlp.forward(this.layerNorm2.forward(middle), grid), this.dropout, key?.fold(2));
    return add(middle, dropPath(mixed, this.dropPath, key?.fold(4)));
  }
}

/** Overlapping patches: a strided convolution, and a norm. */
class OverlapPatches extends Module {
  readonly proj: Conv2d;
  readonly layerNorm: LayerNorm;

  constructor(config: SegformerConfig, stage: number, key: RandomKey) {
    super();
    const { numChannels, hiddenSizes, patchSizes, strides, initializerRange } = config;
    const [inChannels, outChannels] = [stage === 0 ? numChannels : hiddenSizes[stage - 1], hiddenSizes[stage]];
    const window = { kernelSize: patchSizes[stage], stride: strides[stage], padding: patchSizes[stage] >> 1 };
    this.proj = new Conv2d({ inChannels, outChannels, ...window, init: normalInit(initializerRange) }, key);
    this.layerNorm = new LayerNorm({ width: outChannels, epsilon: EPSILON }, key);
  }

  /** x: [B, C, h, w] -> tokens [B, h' w', C'], smaller by the stride, and their grid [h', w'] */
  forward(x: Tensor<"f32">): { tokens: Tensor<"f32">; grid: Grid } {
    const map = this.proj.forward(x);
    return { tokens: this.layerNorm.forward(toTokens(map)), grid: [map.size(2), map.size(3)] };
  }
}

class Stages extends Module {
  readonly patchEmbeddings: OverlapPatches[];
  readonly layerNorm: LayerNorm[];
  /** Blocks of each stage; the checkpoint numbers both. */
  readonly block: Stage[];

  constructor(config: SegformerConfig, key: RandomKey) {
    super();
    const [patchKey, blockKey] = key.split(2);
    const count = config.depths.length;
    const rates = depthRates(config.dropPathRate, config.depths);
    this.patchEmbeddings = patchKey.split(count).map((part, i) => new OverlapPatches(config, i, part));
    this.block = blockKey
      .split(count)
      .map(
        (part, i) =>
          new Stage(
            part.split(config.depths[i]).map((one, j) => new Block(config, { stage: i, dropPath: rates[i][j] }, one)),
          ),
      );
    this.layerNorm = config.hiddenSizes.map((width) => new LayerNorm({ width, epsilon: EPSILON }, key));
  }
}

class Stage extends Module {
  readonly blocks: Block[];
  protected override readonly checkpointKeys = { blocks: "" };

  constructor(blocks: Block[]) {
    super();
    this.blocks = blocks;
  }
}

class SegformerEncoder extends ImageEncoder {
  readonly encoder: Stages;
  private readonly reshapeLastStage: boolean;

  constructor(config: SegformerConfig, key: RandomKey) {
    super();
    this.encoder = new Stages(config, key);
    this.reshapeLastStage = config.reshapeLastStage;
  }

  /**
   * pixelValues: [B, 3, H, W] -> the last stage's map [B, C, h, w]; hiddenStates: the maps of all stages; poolerOutput
   * [B, C]
   */
  encode({ pixelValues, key }: ImageInputs & RunOptions): ImageOutput {
    const { patchEmbeddings, block, layerNorm } = this.encoder;
    const hiddenStates: Tensor<"f32">[] = [];
    let last = pixelValues;
    for (const [i, stage] of block.entries()) {
      const { tokens, grid } = withScope(`patch_embeddings.${i}`, () =>
        patchEmbeddings[i].forward(hiddenStates[i - 1] ?? pixelValues),
      );
      const run = (x: Tensor<"f32">, b: Block, j: number) =>
        withScope(`block.${i}.${j}`, () => b.forward(x, grid, key?.fold(100 * i + j)));
      last = layerNorm[i].forward(stage.blocks.reduce(run, tokens));
      hiddenStates.push(toMap(last, grid));
    }
    const poolerOutput = mean(last, { axes: 1 });
    return {
      lastHiddenState: this.reshapeLastStage ? hiddenStates[block.length - 1] : last,
      poolerOutput,
      hiddenStates,
    };
  }
}

class StageProjection extends Module {
  readonly proj: Projection;

  constructor(inputs: number, outputs: number, range: number, key: RandomKey) {
    super();
    this.proj = new Linear({ inFeatures: inputs, outFeatures: outputs, init: normalInit(range) }, key);
  }
}

/** Brings all stages to one size and width, and classifies each place: [B, N, h, w] of the first stage. */
class DecodeHead extends Module implements ImageHead {
  readonly linearC: StageProjection[];
  readonly linearFuse: Conv2d; // [D, D stages, 1, 1]
  readonly batchNorm: BatchNorm2d;
  readonly classifier: Conv2d; // [N, D, 1, 1]
  protected override readonly checkpointKeys = {
    linearC: "decode_head.linear_c",
    linearFuse: "decode_head.linear_fuse",
    batchNorm: "decode_head.batch_norm",
    classifier: "decode_head.classifier",
  };
  private readonly dropout: number;

  constructor(config: SegformerConfig, key: RandomKey) {
    super();
    const [linearKey, fuseKey, classifierKey] = key.split(3);
    const { hiddenSizes, decoderHiddenSize: width, labels, initializerRange, classifierDropout } = config;
    const init = normalInit(initializerRange);
    this.linearC = linearKey
      .split(hiddenSizes.length)
      .map((part, i) => new StageProjection(hiddenSizes[i], width, initializerRange, part));
    this.linearFuse = new Conv2d(
      { inChannels: width * hiddenSizes.length, outChannels: width, kernelSize: 1, bias: false, init },
      fuseKey,
    );
    this.batchNorm = new BatchNorm2d({ channels: width }, fuseKey);
    this.classifier = new Conv2d({ inChannels: width, outChannels: labels.length, kernelSize: 1, init }, classifierKey);
    this.dropout = classifierDropout;
  }

  /** hiddenStates: maps [B, C, h, w] of all stages -> logits [B, N, h, w] of the first one's size */
  forward({ hiddenStates }: ImageOutput, options: RunOptions): Tensor<"f32"> {
    const size = hiddenStates[0].shape.slice(2) as [number, number];
    const maps = hiddenStates.map((map, i) => {
      const grid = map.shape.slice(2) as [number, number];
      const projected = toMap(this.linearC[i].proj.forward(toTokens(map)), grid); // [B, D, h, w]
      return grid[0] === size[0] && grid[1] === size[1]
        ? projected
        : interpolate(projected, { size, mode: "bilinear" });
    });
    const fused = relu(this.batchNorm.forward(this.linearFuse.forward(concat(maps.reverse(), 1)), options));
    return this.classifier.forward(dropout(fused, this.dropout, options.key?.fold(999)));
  }
}

/** SegFormer that classifies pictures: [B, 3, H, W] -> logits [B, N]. arXiv:2105.15203. */
export class SegformerForImageClassification extends ImageClassifier<SegformerConfig> {
  constructor(options: Partial<SegformerConfig>, key: RandomKey) {
    super(segformer, options, key);
  }
}

/** SegFormer that classifies each place of a picture: [B, 3, H, W] -> logits [B, N, H / 4, W / 4]. arXiv:2105.15203. */
export class SegformerForSemanticSegmentation extends SemanticSegmenter<SegformerConfig> {
  constructor(options: Partial<SegformerConfig>, key: RandomKey) {
    super(segformer, options, (config, headKey) => new DecodeHead(config, headKey), key);
  }
}

/** SegFormer without a head: [B, 3, H, W] -> the last stage's map [B, C, h, w]. arXiv:2105.15203. */
export class SegformerModel extends ImageModel<SegformerConfig> {
  constructor(options: Partial<SegformerConfig>, key: RandomKey) {
    super(segformer, options, key);
  }
}

/** How SegFormer is stored: model_type segformer. */
export const segformer = imageFamily<SegformerConfig>({
  modelType: "segformer",
  classes: { SegformerForImageClassification, SegformerForSemanticSegmentation, SegformerModel },
  configName: "SegformerConfig",
  prefix: "segformer",
  fields,
  derived: ({ depths }) => ({ num_encoder_blocks: depths.length }),
  supported: { semantic_loss_ignore_index: [255] },
  check: ({ depths, hiddenSizes, numHeads, ...rest }) => {
    const lists = [hiddenSizes, numHeads, rest.srRatios, rest.patchSizes, rest.strides, rest.mlpRatios];
    requireField(
      "SegformerConfig",
      lists.every(({ length }) => length === depths.length),
      `${depths.length} entries in every list`,
      lists,
    );
    requireField(
      "SegformerConfig",
      hiddenSizes.every((width, i) => width % numHeads[i] === 0),
      "hiddenSizes to be multiples of numHeads",
      [hiddenSizes, numHeads],
    );
  },
  encoder: (config, key) => new SegformerEncoder(config, key),
  classifier: ({ hiddenSizes, labels, initializerRange }, key) =>
    new PooledHead(hiddenSizes[hiddenSizes.length - 1], labels.length, initializerRange, key),
});

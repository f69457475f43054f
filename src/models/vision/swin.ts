/**
 * Swin: attention within windows, which move by half their width from layer to layer. Liu et al. 2021,
 * arXiv:2103.14030.
 */
import {
  type Activation,
  activations,
  depthRates,
  dropout,
  dropPath,
  LayerNorm,
  Linear,
  Module,
  mergeHeads,
  normalInit,
  type Parameter,
  type Projection,
  splitHeads,
} from "../../nn/index.ts";
import {
  add,
  broadcastTo,
  concat,
  gather,
  mean,
  pad,
  type RandomKey,
  reshape,
  roll,
  scaledDotProductAttention,
  slice,
  type Tensor,
  transpose,
  withScope,
} from "../../tensor/index.ts";
import { activation, type Fields, flag, list, number, positive, probability, requireField, size } from "../config.ts";
import type { LabelConfig } from "../labels.ts";
import type { RunOptions } from "../model.ts";
import { PooledHead } from "./convnext.ts";
import {
  ImageClassifier,
  ImageEncoder,
  type ImageInputs,
  ImageModel,
  type ImageOutput,
  imageFamily,
  PatchEmbeddings,
  sideField,
  sides,
  stretchPositions,
  token,
} from "./image.ts";
import { biasRows, shiftMask } from "./swin-windows.ts";

/**
 * The stages and windows of Swin. Mirrors transformers' SwinConfig; the defaults are those of Swin tiny.
 * arXiv:2103.14030, section 3.3.
 */
export interface SwinConfig extends LabelConfig {
  imageSize: number | readonly number[];
  patchSize: number;
  numChannels: number;
  /** Channels of the first stage; each further one has twice as many. */
  embedDim: number;
  /** Layers of each stage. */
  depths: readonly number[];
  numHeads: readonly number[];
  /** w, the side of a window in places. */
  windowSize: number;
  mlpRatio: number;
  qkvBias: boolean;
  hiddenDropout: number;
  attentionDropout: number;
  /** Of the last layer's attention; the others are left out less often. */
  dropPathRate: number;
  activation: Activation;
  /** Learned positions are added to the patches. */
  useAbsoluteEmbeddings: boolean;
  initializerRange: number;
  layerNormEpsilon: number;
}

const fields: Fields<Omit<SwinConfig, keyof LabelConfig>> = {
  imageSize: sideField("image_size", 224),
  patchSize: size("patch_size", 4),
  numChannels: size("num_channels", 3),
  embedDim: size("embed_dim", 96),
  depths: list(size("depths", 1), [2, 2, 6, 2]),
  numHeads: list(size("num_heads", 1), [3, 6, 12, 24]),
  windowSize: size("window_size", 7),
  mlpRatio: positive("mlp_ratio", 4),
  qkvBias: flag("qkv_bias", true),
  hiddenDropout: probability("hidden_dropout_prob", 0),
  attentionDropout: probability("attention_probs_dropout_prob", 0),
  dropPathRate: probability("drop_path_rate", 0.1),
  activation: activation("hidden_act", "gelu"),
  useAbsoluteEmbeddings: flag("use_absolute_embeddings", false),
  initializerRange: number("initializer_range", 0.02),
  layerNormEpsilon: positive("layer_norm_eps", 1e-5),
};

/** Of the norms of embeddings and of merged patches. */
const EPSILON = 1e-5;
type Grid = readonly [number, number];
interface Place {
  width: number;
  heads: number;
  /** How often each layer's attention is left out. */
  dropPath: readonly number[];
}

/** Attention within windows of w x w places, with a learned bias for each offset. arXiv:2103.14030, section 3.2. */
class WindowAttention extends Module {
  readonly query: Projection; //  [C, C]
  readonly key: Projection; //    [C, C]
  readonly value: Projection; //  [C, C]
  readonly relativePositionBiasTable: Parameter; // [(2 w - 1)², H]
  readonly output: Projection; // [C, C]
  protected override readonly checkpointKeys = {
    query: "self.query",
    key: "self.key",
    value: "self.value",
    relativePositionBiasTable: "self.relative_position_bias_table",
    output: "output.dense",
  };
  private readonly heads: number;
  private readonly dropout: number;

  constructor(
    { qkvBias: bias, initializerRange, windowSize, attentionDropout }: SwinConfig,
    { width, heads }: Place,
    key: RandomKey,
  ) {
    super();
    const [qKey, kKey, vKey, oKey, tableKey] = key.split(5);
    const into = { inFeatures: width, outFeatures: width, init: normalInit(initializerRange) };
    this.query = new Linear({ ...into, bias }, qKey);
    this.key = new Linear({ ...into, bias }, kKey);
    this.value = new Linear({ ...into, bias }, vKey);
    this.relativePositionBiasTable = token([(2 * windowSize - 1) ** 2, heads], 0, tableKey);
    this.output = new Linear(into, oKey);
    this.heads = heads;
    this.dropout = attentionDropout;
  }

  /** x: [B windows, w², C] -> the same; mask: [windows, 1, w², w²] */
  forward(
    x: Tensor<"f32">,
    batch: Tensor["shape"][number],
    window: number,
    mask: Tensor<"f32"> | undefined,
    key: RandomKey | undefined,
  ): Tensor<"f32"> {
    const cells = window * window;
    // [B windows, H, w², Dh]
    const [q, k, v] = [this.query, this.key, this.value].map((layer) => splitHeads(layer.forward(x), this.heads));
    const rows = gather(this.relativePositionBiasTable.value, biasRows(window)); // [w², w², H]
    const bias = reshape(transpose(rows, [2, 0, 1]), [1, this.heads, cells, cells]);
    const drop = (p: Tensor<"f32">) => dropout(p, this.dropout, key);
    const onProbabilities = key && this.dropout > 0 ? (drop as never) : undefined;
    if (!mask) return this.output.forward(mergeHeads(scaledDotProductAttention(q, k, v, { bias, onProbabilities })));
    // the mask differs from window to window: [B windows, H, w², w²]
    const windowBias = add(bias, mask); // [windows, H, w², w²]
    const all = reshape(broadcastTo(windowBias, [batch, ...windowBias.shape]), [-1, ...windowBias.shape.slice(1)]);
    return this.output.forward(mergeHeads(scaledDotProductAttention(q, k, v, { bias: all, onProbabilities })));
  }
}

/** One layer: attention, then the feed-forward part; in every second layer the windows are shifted. */
class Block extends Module {
  readonly layernormBefore: LayerNorm;
  readonly attention: WindowAttention;
  readonly layernormAfter: LayerNorm;
  readonly up: Projection; //   [F, C]
  readonly down: Projection; // [C, F]
  protected override readonly checkpointKeys = { up: "intermediate.dense", down: "output.dense" };
  private readonly config: SwinConfig;
  private readonly isShifted: boolean;
  private readonly dropPath: number;

  constructor(config: SwinConfig, place: Place, index: number, key: RandomKey) {
    super();
    const [attentionKey, upKey, downKey] = key.split(3);
    const { layerNormEpsilon: epsilon, mlpRatio, initializerRange } = config;
    const { width } = place;
    const wide = Math.floor(mlpRatio * width);
    const init = normalInit(initializerRange);
    this.layernormBefore = new LayerNorm({ width, epsilon }, key);
    this.attention = new WindowAttention(config, place, attentionKey);
    this.layernormAfter = new LayerNorm({ width, epsilon }, key);
    this.up = new Linear({ inFeatures: width, outFeatures: wide, init }, upKey);
    this.down = new Linear({ inFeatures: wide, outFeatures: width, init }, downKey);
    this.config = config;
    this.isShifted = index % 2 === 1;
    this.dropPath = place.dropPath[index];
  }

  /** x: [B, h w, C] -> the same */
  forward(x: Tensor<"f32">, grid: Grid, key: RandomKey | undefined): Tensor<"f32"> {
    const { activation, hiddenDropout } = this.config;
    const attended = this.attend(this.layernormBefore.forward(x), grid, key?.fold(0));
    const middle = add(x, dropPath(attended, this.dropPath, key?.fold(2)));
    const mlpOutput = this.down.forward(activations[activation](this.up.forward(this.layernormAfter.forward(middle))));
    return add(middle, dropout(mlpOutput, hiddenDropout, key?.fold(1)));
  }

  /** x: [B, h w, C] -> the same: pads, shifts, cuts into windows, attends, and back */
  private attend(x: Tensor<"f32">, [height, columns]: Grid, key: RandomKey | undefined): Tensor<"f32"> {
    const [batch, , width] = x.shape;
    const smallest = Math.min(height, columns);
    const window = Math.min(this.config.windowSize, smallest);
    requireField(
      "Swin",
      window === this.config.windowSize,
      `a map of at least ${this.config.windowSize} places to each side`,
      [height, columns],
    );
    const shift = this.isShifted && smallest > window ? window >> 1 : 0;
    const [down, across] = [Math.ceil(height / window), Math.ceil(columns / window)];
    const full: Grid = [down * window, across * window];
    const padded = pad(reshape(x, [batch, height, columns, width]), [
      [0, full[0] - height],
      [0, full[1] - columns],
      [0, 0],
    ]);
    const moved = shift > 0 ? roll(padded, [-shift, -shift], [1, 2]) : padded;
    const cut = transpose(reshape(moved, [batch, down, window, across, window, width]), [0, 1, 3, 2, 4, 5]);
    const windows = reshape(cut, [-1, window * window, width]); // [B windows, w², C]
    const mask = shift > 0 ? shiftMask(full, window, shift) : undefined;
    const attended = withScope("attention", () => this.attention.forward(windows, batch, window, mask, key));
    const joined = reshape(
      transpose(reshape(attended, [batch, down, across, window, window, width]), [0, 1, 3, 2, 4, 5]),
      [batch, ...full, width],
    );
    const back = shift > 0 ? roll(joined, [shift, shift], [1, 2]) : joined;
    const inner = slice(slice(back, { axis: 1, end: height }), { axis: 2, end: columns }); // [B, h, w, C]
    return reshape(inner, [batch, height * columns, width]);
  }
}

/** Joins each two by two places into one of twice the width. */
class PatchMerging extends Module {
  readonly reduction: Projection; // [2 C, 4 C]
  readonly norm: LayerNorm; // [4 C]

  constructor(width: number, range: number, key: RandomKey) {
    super();
    this.reduction = new Linear(
      { inFeatures: 4 * width, outFeatures: 2 * width, bias: false, init: normalInit(range) },
      key,
    );
    this.norm = new LayerNorm({ width: 4 * width, epsilon: EPSILON }, key);
  }

  /** x: [B, h w, C] -> [B, h w / 4, 2 C], with odd h and w made even by zeros */
  forward(x: Tensor<"f32">, [height, columns]: Grid): Tensor<"f32"> {
    const [batch] = x.shape;
    const width = x.size(2);
    const map = pad(reshape(x, [batch, height, columns, width]), [
      [0, height % 2],
      [0, columns % 2],
      [0, 0],
    ]);
    const part = (down: number, across: number) =>
      slice(slice(map, { axis: 1, start: down, step: 2 }), { axis: 2, start: across, step: 2 });
    const joined = concat([part(0, 0), part(1, 0), part(0, 1), part(1, 1)], -1); // [B, h / 2, w / 2, 4 C]
    return this.reduction.forward(this.norm.forward(reshape(joined, [batch, -1, 4 * width])));
  }
}

class Stage extends Module {
  readonly blocks: Block[];
  readonly downsample?: PatchMerging;

  constructor(config: SwinConfig, index: number, key: RandomKey) {
    super();
    const [blockKey, mergeKey] = key.split(2);
    const { embedDim, numHeads, depths, dropPathRate } = config;
    const place = {
      width: embedDim * 2 ** index,
      heads: numHeads[index],
      dropPath: depthRates(dropPathRate, depths)[index],
    };
    this.blocks = blockKey.split(depths[index]).map((part, i) => new Block(config, place, i, part));
    if (index < depths.length - 1) this.downsample = new PatchMerging(place.width, config.initializerRange, mergeKey);
  }
}

class Embeddings extends Module {
  readonly patchEmbeddings: PatchEmbeddings;
  readonly norm: LayerNorm;
  readonly positionEmbeddings?: Parameter; // [1, patches, C]
  private readonly config: SwinConfig;

  constructor(config: SwinConfig, key: RandomKey) {
    super();
    const { embedDim: width, imageSize, patchSize, useAbsoluteEmbeddings, initializerRange } = config;
    const [height, columns] = sides(imageSize).map((side) => Math.floor(side / patchSize));
    this.patchEmbeddings = new PatchEmbeddings({ ...config, width }, key);
    this.norm = new LayerNorm({ width, epsilon: EPSILON }, key);
    if (useAbsoluteEmbeddings) this.positionEmbeddings = token([1, height * columns, width], initializerRange, key);
    this.config = config;
  }

  /** pixelValues: [B, 3, H, W] -> x [B, h w, C], and its grid [h, w] */
  forward({ pixelValues, interpolatePosEncoding, key }: ImageInputs & RunOptions): { x: Tensor<"f32">; grid: Grid } {
    const { patchSize, imageSize, hiddenDropout } = this.config;
    const [height, columns] = [pixelValues.size(2), pixelValues.size(3)];
    const missing = (side: number) => (patchSize - (side % patchSize)) % patchSize;
    const padded = pad(pixelValues, [
      [0, missing(height)],
      [0, missing(columns)],
    ]);
    const { patches, grid } = this.patchEmbeddings.forward(padded);
    const nativeGrid = sides(imageSize).map((side) => Math.floor(side / patchSize)) as [number, number];
    const positions = this.positionEmbeddings?.value;
    const placed = positions && (interpolatePosEncoding ? stretchPositions(positions, nativeGrid, grid) : positions);
    const normal = this.norm.forward(patches); // [B, h w, C]
    return { x: dropout(placed ? add(normal, placed) : normal, hiddenDropout, key?.fold(999)), grid };
  }
}

class SwinEncoder extends ImageEncoder {
  readonly embeddings: Embeddings;
  readonly layers: Stage[];
  readonly layernorm: LayerNorm;
  protected override readonly checkpointKeys = { layers: "encoder.layers" };

  constructor(config: SwinConfig, key: RandomKey) {
    super();
    const [embeddingKey, stageKey] = key.split(2);
    const { depths, embedDim, layerNormEpsilon: epsilon } = config;
    this.embeddings = new Embeddings(config, embeddingKey);
    this.layers = stageKey.split(depths.length).map((part, i) => new Stage(config, i, part));
    this.layernorm = new LayerNorm({ width: embedDim * 2 ** (depths.length - 1), epsilon }, stageKey);
  }

  /** pixelValues: [B, 3, H, W] -> [B, h w, C]; poolerOutput: the mean over all places, [B, C] */
  encode(inputs: ImageInputs & RunOptions): ImageOutput {
    const { x: embedded, grid: first } = withScope("embeddings", () => this.embeddings.forward(inputs));
    const hiddenStates = [embedded];
    let grid: Grid = first;
    for (const [i, { blocks, downsample }] of this.layers.entries()) {
      const run = (x: Tensor<"f32">, block: Block, j: number) =>
        withScope(`layers.${i}.blocks.${j}`, () => block.forward(x, grid, inputs.key?.fold(100 * i + j)));
      const stageOutput = blocks.reduce(run, hiddenStates[i]);
      hiddenStates.push(downsample ? downsample.forward(stageOutput, grid) : stageOutput);
      if (downsample) grid = [Math.ceil(grid[0] / 2), Math.ceil(grid[1] / 2)];
    }
    const lastHiddenState = this.layernorm.forward(hiddenStates[this.layers.length]);
    return { lastHiddenState, poolerOutput: mean(lastHiddenState, { axes: 1 }), hiddenStates };
  }
}

/** Swin that classifies pictures: [B, 3, H, W] -> logits [B, N]. arXiv:2103.14030. */
export class SwinForImageClassification extends ImageClassifier<SwinConfig> {
  constructor(options: Partial<SwinConfig>, key: RandomKey) {
    super(swin, options, key);
  }
}

/** Swin without a head: [B, 3, H, W] -> states [B, h w, C], and their mean [B, C]. arXiv:2103.14030. */
export class SwinModel extends ImageModel<SwinConfig> {
  constructor(options: Partial<SwinConfig>, key: RandomKey) {
    super(swin, options, key);
  }
}

/** How Swin is stored: model_type swin. */
export const swin = imageFamily<SwinConfig>({
  modelType: "swin",
  classes: { SwinForImageClassification, SwinModel },
  configName: "SwinConfig",
  prefix: "swin",
  fields,
  aliases: { num_attention_heads: "num_heads" },
  ignored: /attention\.(self|relative_position_bias)\.relative_position_index/,
  check: ({ depths, numHeads, embedDim }) => {
    requireField("SwinConfig", depths.length === numHeads.length, "numHeads for each stage of depths", [
      depths,
      numHeads,
    ]);
    requireField(
      "SwinConfig",
      numHeads.every((heads, i) => (embedDim * 2 ** i) % heads === 0),
      "widths to be multiples of numHeads",
      [embedDim, numHeads],
    );
  },
  encoder: (config, key) => new SwinEncoder(config, key),
  classifier: ({ embedDim, depths, labels, initializerRange }, key) =>
    new PooledHead(embedDim * 2 ** (depths.length - 1), labels.length, initializerRange, key),
});

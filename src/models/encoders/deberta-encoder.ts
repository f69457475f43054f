/**
 * DeBERTa v2 and v3: attention whose scores also compare content with relative positions. He et al. 2020,
 * arXiv:2006.03654; 2021, arXiv:2111.09543.
 */
import {
  activations,
  constantInit,
  dropout,
  Embedding,
  type EmbeddingTable,
  LayerNorm,
  Linear,
  Module,
  normalInit,
  Parameter,
  type Projection,
  ResidualLayer,
  residualSum,
} from "../../nn/index.ts";
import {
  add,
  arange,
  cast,
  conv,
  logicalAnd,
  mul,
  type RandomKey,
  reshape,
  type Tensor,
  transpose,
  unsqueeze,
  withScope,
  zeros,
} from "../../tensor/index.ts";
import { ofLayer } from "../attention-scores.ts";
import type { RunOptions } from "../model.ts";
import { type DebertaConfig, type LayerInputs, positionRows, SelfAttention, spanOf } from "./deberta-attention.ts";
import type { EncoderInputs, EncoderOutput } from "./encoder.ts";
import { TextEncoder } from "./encoder.ts";

/** One layer, post-normalised: attention, then the feed-forward part. */
class Layer extends ResidualLayer {
  readonly attention: SelfAttention;
  readonly attentionOutput: Projection; // [D, D]
  readonly attentionNorm: LayerNorm;
  readonly up: Projection; //   [F, D]
  readonly down: Projection; // [D, F]
  readonly outputNorm: LayerNorm;
  protected override readonly checkpointKeys = {
    attention: "attention.self",
    attentionAdapters: "attention.output",
    attentionOutput: "attention.output.dense",
    attentionNorm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    outputAdapters: "output",
    outputNorm: "output.LayerNorm",
  };
  private readonly config: DebertaConfig;

  constructor(config: DebertaConfig, key: RandomKey) {
    super();
    const [attentionKey, outputKey, upKey, downKey, normKey] = key.split(5);
    const { hiddenSize, intermediateSize, initializerRange, layerNormEpsilon: epsilon } = config;
    const init = normalInit(initializerRange);
    this.attention = new SelfAttention(config, attentionKey);
    this.attentionOutput = new Linear({ inFeatures: hiddenSize, outFeatures: hiddenSize, init }, outputKey);
    this.attentionNorm = new LayerNorm({ width: hiddenSize, epsilon }, normKey);
    this.up = new Linear({ inFeatures: hiddenSize, outFeatures: intermediateSize, init }, upKey);
    this.down = new Linear({ inFeatures: intermediateSize, outFeatures: hiddenSize, init }, downKey);
    this.outputNorm = new LayerNorm({ width: hiddenSize, epsilon }, normKey);
    this.config = config;
  }

  /** x: [B, T, D] -> [B, T, D] */
  forward(x: Tensor<"f32">, inputs: LayerInputs): Tensor<"f32"> {
    const { hiddenDropout, activation } = this.config;
    const drop = (y: Tensor<"f32">, part: number) => dropout(y, hiddenDropout, inputs.key?.fold(part));
    const attended = withScope("attention", () => this.attentionOutput.forward(this.attention.forward(x, inputs)));
    const middle = this.attentionNorm.forward(
      residualSum(x, drop(attended, 1), this.attentionAdapters, this.attentionNorm),
    );
    const mlpOutput = withScope("mlp", () => this.down.forward(activations[activation](this.up.forward(middle))));
    return this.outputNorm.forward(residualSum(middle, drop(mlpOutput, 2), this.outputAdapters, this.outputNorm));
  }
}

/** A convolution over the embeddings, added to what the first layer gives. */
class Convolution extends Module {
  readonly weight: Parameter; // [D, D / groups, size]
  readonly bias: Parameter; //   [D]
  readonly layerNorm: LayerNorm;
  protected override readonly checkpointKeys = { weight: "conv.weight", bias: "conv.bias", layerNorm: "LayerNorm" };
  private readonly config: DebertaConfig;

  constructor(config: DebertaConfig, key: RandomKey) {
    super();
    const { hiddenSize, convolutionSize, convolutionGroups, initializerRange, layerNormEpsilon: epsilon } = config;
    const shape = [hiddenSize, hiddenSize / convolutionGroups, convolutionSize];
    this.weight = new Parameter(shape, normalInit(initializerRange)(key, shape));
    this.bias = new Parameter([hiddenSize], constantInit(0)(key, [hiddenSize]));
    this.layerNorm = new LayerNorm({ width: hiddenSize, epsilon }, key);
    this.config = config;
  }

  /** embedded, x: [B, T, D]; mask: [B, T, 1] of 0 and 1 -> [B, T, D] */
  forward(
    embedded: Tensor<"f32">,
    x: Tensor<"f32">,
    mask: Tensor<"f32"> | undefined,
    key: RandomKey | undefined,
  ): Tensor<"f32"> {
    const { convolutionSize, convolutionGroups: groups, convolutionActivation, hiddenDropout } = this.config;
    const padding = Math.floor((convolutionSize - 1) / 2);
    const features = transpose(
      conv(transpose(embedded, [0, 2, 1]), this.weight.value, this.bias.value, { padding, groups }),
      [0, 2, 1],
    );
    const visible = (y: Tensor<"f32">) => (mask ? mul(y, mask) : y);
    return visible(
      this.layerNorm.forward(
        add(x, activations[convolutionActivation](dropout(visible(features), hiddenDropout, key))),
      ),
    );
  }
}

/** The layers, the table of relative positions that they share, and the convolution beside the first. */
class Encoder extends Module {
  readonly layer: Layer[];
  readonly relEmbeddings?: EmbeddingTable; // [2 span, D]
  readonly layerNorm?: LayerNorm;
  readonly conv?: Convolution;
  protected override readonly checkpointKeys = { layerNorm: "LayerNorm" };

  constructor(config: DebertaConfig, key: RandomKey) {
    super();
    const [layerKey, tableKey, convKey] = key.split(3);
    const {
      numLayers,
      hiddenSize,
      initializerRange,
      relativeAttention,
      normalizesPositions,
      convolutionSize,
      layerNormEpsilon: epsilon,
    } = config;
    this.layer = layerKey.split(numLayers).map((part) => new Layer(config, part));
    const table = { numEmbeddings: 2 * spanOf(config), embeddingDim: hiddenSize, init: normalInit(initializerRange) };
    if (relativeAttention) this.relEmbeddings = new Embedding(table, tableKey);
    if (normalizesPositions) this.layerNorm = new LayerNorm({ width: hiddenSize, epsilon }, tableKey);
    if (convolutionSize > 0) this.conv = new Convolution(config, convKey);
  }
}

/** Words, and positions and segments where the config has them, normalised; brought to the layers' width last. */
class Embeddings extends Module {
  readonly wordEmbeddings: EmbeddingTable; //       [V, E]
  readonly positionEmbeddings?: EmbeddingTable; //  [P, E]
  readonly tokenTypeEmbeddings?: EmbeddingTable; // [types, E]
  readonly embedProj?: Projection; //              [D, E]
  readonly layerNorm: LayerNorm;
  protected override readonly checkpointKeys = { layerNorm: "LayerNorm" };

  constructor(config: DebertaConfig, key: RandomKey) {
    super();
    const {
      vocabSize,
      hiddenSize,
      embeddingSize,
      maxPositionEmbeddings,
      typeVocabSize,
      padTokenId,
      initializerRange,
      positionBiasedInput,
    } = config;
    const [wordKey, positionKey, typeKey, projectKey] = key.split(4);
    const embeddingDim = embeddingSize ?? hiddenSize;
    const init = normalInit(initializerRange);
    this.wordEmbeddings = new Embedding(
      { numEmbeddings: vocabSize, embeddingDim, paddingIndex: padTokenId, init },
      wordKey,
    );
    if (positionBiasedInput)
      this.positionEmbeddings = new Embedding(
        { numEmbeddings: maxPositionEmbeddings, embeddingDim, init },
        positionKey,
      );
    if (typeVocabSize > 0)
      this.tokenTypeEmbeddings = new Embedding({ numEmbeddings: typeVocabSize, embeddingDim, init }, typeKey);
    if (embeddingDim !== hiddenSize)
      this.embedProj = new Linear({ inFeatures: embeddingDim, outFeatures: hiddenSize, bias: false, init }, projectKey);
    this.layerNorm = new LayerNorm({ width: hiddenSize, epsilon: config.layerNormEpsilon }, key);
  }

  /** inputIds: i32 [B, T], mask: [B, T, 1] of 0 and 1 -> [B, T, D], without dropout */
  forward({ inputIds, tokenTypeIds }: EncoderInputs, mask: Tensor<"f32"> | undefined): Tensor<"f32"> {
    let x = this.wordEmbeddings.forward(inputIds);
    if (this.positionEmbeddings) x = add(x, this.positionEmbeddings.forward(arange(inputIds.shape[1])));
    if (this.tokenTypeEmbeddings) x = add(x, this.tokenTypeEmbeddings.forward(tokenTypeIds ?? zeros([1, 1], "i32")));
    const normal = this.layerNorm.forward(this.embedProj?.forward(x) ?? x);
    return mask ? mul(normal, mask) : normal;
  }
}

/** DeBERTa without a head. */
export class DebertaEncoder extends TextEncoder {
  readonly embeddings: Embeddings;
  readonly encoder: Encoder;
  private readonly config: DebertaConfig;

  constructor(config: DebertaConfig, key: RandomKey) {
    super();
    const [embeddingKey, encoderKey] = key.split(2);
    this.embeddings = new Embeddings(config, embeddingKey);
    this.encoder = new Encoder(config, encoderKey);
    this.config = config;
  }

  get wordEmbeddings() {
    return this.embeddings.wordEmbeddings;
  }

  encode({ key, onAttentionScores, ...inputs }: EncoderInputs & RunOptions): EncoderOutput {
    const { attentionMask, inputIds } = inputs;
    const { relEmbeddings, layerNorm, conv: convolution, layer: layers } = this.encoder;
    const { hiddenDropout } = this.config;
    const [batch, length] = inputIds.shape;
    const column = attentionMask && unsqueeze(cast(attentionMask, "f32"), 2); // [B, T, 1]
    const mask =
      attentionMask &&
      logicalAnd(reshape(attentionMask, [batch, 1, length, 1]), reshape(attentionMask, [batch, 1, 1, length]));
    const embedded = withScope("embeddings", () =>
      dropout(this.embeddings.forward(inputs, column), hiddenDropout, key?.fold(999)),
    );
    const table = relEmbeddings && (layerNorm?.forward(relEmbeddings.rows()) ?? relEmbeddings.rows());
    const rows = table && positionRows(length, this.config);
    const hiddenStates = [embedded]; // [B, T, D]
    for (const [i, layer] of layers.entries()) {
      const layerKey = key?.fold(i);
      const positions = table && rows && { table: dropout(table, hiddenDropout, layerKey?.fold(3)), rows };
      const options = { mask, positions, key: layerKey, onScores: ofLayer(onAttentionScores, i) };
      const layerOutput = withScope(`layer.${i}`, () => layer.forward(hiddenStates[i], options));
      hiddenStates.push(
        i === 0 && convolution
          ? withScope("conv", () => convolution.forward(embedded, layerOutput, column, layerKey?.fold(4)))
          : layerOutput,
      );
    }
    return { lastHiddenState: hiddenStates[layers.length], hiddenStates };
  }
}

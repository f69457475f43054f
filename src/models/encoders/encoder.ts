import { OptionError } from "../../base/index.ts";
import {
  type Activation,
  dropout,
  Embedding,
  type EmbeddingTable,
  LayerNorm,
  type LayerNormConfig,
  Module,
  normalInit,
} from "../../nn/index.ts";
import { add, arange, type RandomKey, reshape, type Tensor, zeros } from "../../tensor/index.ts";
import type { SeesAttentionScores } from "../attention-scores.ts";
import type { LabelConfig } from "../labels.ts";
import type { RunOptions } from "../model.ts";

/** What every encoder's config has. */
export interface TextEncoderConfig extends LabelConfig {
  vocabSize: number;
  hiddenSize: number;
  numLayers: number;
  numHeads: number;
  intermediateSize: number;
  activation: Activation;
  maxPositionEmbeddings: number;
  /** Kinds of segments. @default none */
  typeVocabSize?: number;
  attentionDropout: number;
  padTokenId: number | null;
  tieWordEmbeddings: boolean;
  /** Standard deviation of initial weights. */
  initializerRange: number;
}

/** What the config of an encoder with BERT's layers has: post-normalised, with dropout on each branch. */
export interface EncoderConfig extends TextEncoderConfig {
  layerNormEpsilon: number;
  hiddenDropout: number;
  /** Dropout in front of a classifier. @default hiddenDropout */
  classifierDropout: number | null;
}

/** A batch of texts, or of pairs of texts, as a tokenizer makes it. */
export interface EncoderInputs {
  /** i32 [B, T] */
  inputIds: Tensor<"i32">;
  /** bool [B, T], false for padding. @default all true */
  attentionMask?: Tensor<"bool">;
  /** Which of two texts a token belongs to, i32 [B, T]. @default 0 */
  tokenTypeIds?: Tensor<"i32">;
  /** Sees the attention scores of each layer, [B, H, T, T]. @default they are not computed */
  onAttentionScores?: SeesAttentionScores;
}

/** What an encoder makes of a batch of texts: a state for each token, after every layer. */
export interface EncoderOutput {
  /** [B, T, D] */
  lastHiddenState: Tensor<"f32">;
  /** What the pooler makes of the first token, where there is one. [B, D] */
  poolerOutput?: Tensor<"f32">;
  /** The embeddings, then the output of each layer: [B, T, D] each. */
  hiddenStates: Tensor<"f32">[];
}

/** The part of an encoder below its head. */
export abstract class TextEncoder extends Module {
  /** inputIds: i32 [B, T] -> hidden states [B, T, D], and the pooled one [B, D] where the encoder has a pooler */
  abstract encode(inputs: EncoderInputs & RunOptions): EncoderOutput;
  /** The table of word embeddings, which the masked-language-model head may share. [V, E] */
  abstract get wordEmbeddings(): EmbeddingTable;
}

/** bool [B, 1, 1, T]: the keys that all queries may see. */
export const keyMask = (mask: Tensor<"bool"> | undefined): Tensor<"bool"> | undefined =>
  mask && reshape(mask, [mask.shape[0], 1, 1, mask.shape[1]]);

/** The tables of embeddings that a text encoder adds up, E = width wide, and the norm and dropout behind them. */
export interface TextEmbeddingsConfig extends Required<Omit<LayerNormConfig, "width">> {
  vocabSize: number;
  width: number;
  /** Learned positions. @default none */
  maxPositionEmbeddings?: number;
  /** Kinds of segments. @default none */
  typeVocabSize?: number;
  /** The position of the first token; positions before it stand for padding. @default 0 */
  firstPosition?: number;
  padTokenId: number | null;
  dropout: number;
  initializerRange: number;
}

/**
 * Embeddings of words, positions and segments, added and normalised. Devlin et al. 2018, arXiv:1810.04805, figure 2.
 */
export class TextEmbeddings extends Module {
  readonly wordEmbeddings: EmbeddingTable; //       [V, E]
  readonly positionEmbeddings?: EmbeddingTable; //  [P, E]
  readonly tokenTypeEmbeddings?: EmbeddingTable; // [2, E]
  readonly layerNorm: LayerNorm;
  protected override readonly checkpointKeys = { layerNorm: "LayerNorm" };
  private readonly config: TextEmbeddingsConfig;

  constructor(config: TextEmbeddingsConfig, key: RandomKey) {
    super();
    const {
      vocabSize,
      width,
      maxPositionEmbeddings,
      typeVocabSize,
      padTokenId,
      epsilon,
      initializerRange,
      firstPosition = 0,
    } = config;
    const [wordKey, positionKey, typeKey, normKey] = key.split(4);
    const table = (rows: number, part: RandomKey, paddingIndex?: number | null) =>
      new Embedding(
        { numEmbeddings: rows, embeddingDim: width, init: normalInit(initializerRange), paddingIndex },
        part,
      );
    this.config = config;
    this.wordEmbeddings = table(vocabSize, wordKey, padTokenId);
    if (maxPositionEmbeddings)
      this.positionEmbeddings = table(maxPositionEmbeddings, positionKey, firstPosition > 0 ? padTokenId : undefined);
    if (typeVocabSize) this.tokenTypeEmbeddings = table(typeVocabSize, typeKey);
    this.layerNorm = new LayerNorm({ width, epsilon }, normKey);
  }

  /** inputIds: i32 [B, T] -> [B, T, E]. @throws OptionError when the text is longer than there are positions */
  forward({
    inputIds,
    tokenTypeIds,
    positions,
    key,
  }: EncoderInputs & RunOptions & { positions?: Tensor<"i32"> }): Tensor<"f32"> {
    const { positionEmbeddings, tokenTypeEmbeddings } = this;
    const { maxPositionEmbeddings = Number.POSITIVE_INFINITY, firstPosition = 0, dropout: probability } = this.config;
    const length = inputIds.shape[1];
    if (typeof length === "number" && length + firstPosition > maxPositionEmbeddings) {
      throw new OptionError({
        where: "inputIds",
        expected: `at most ${maxPositionEmbeddings - firstPosition} tokens`,
        received: `${length}`,
        fix: "truncate the text, or use a model with a longer context",
      });
    }
    let x = this.wordEmbeddings.forward(inputIds); // [B, T, E]
    if (positionEmbeddings) x = add(x, positionEmbeddings.forward(positions ?? arange(length)));
    if (tokenTypeEmbeddings) x = add(x, tokenTypeEmbeddings.forward(tokenTypeIds ?? zeros([1, 1], "i32")));
    return dropout(this.layerNorm.forward(x), probability, key);
  }
}

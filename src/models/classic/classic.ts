/**
 * The classic models, to be built and trained: a perceptron of several layers, LeNet, a recurrent language model, the
 * Transformer of 2017.
 */
import {
  type Activation,
  activations,
  addSinusoidalPositions,
  Conv2d,
  dropout,
  Embedding,
  type EmbeddingTable,
  Linear,
  Module,
  normalInit,
  type Projection,
  Recurrent,
  type RecurrentConfig,
  type RecurrentInputs,
  type RecurrentState,
  Transformer,
  type TransformerConfig,
} from "../../nn/index.ts";
import { averagePool, mul, type RandomKey, reshape, type Tensor, tanh } from "../../tensor/index.ts";
import { classLoss, type NextTokenLabels, nextTokenLoss } from "../losses.ts";
import type { Trainable } from "../model.ts";

/** The widths of a perceptron's layers, and what is between them: relu and no dropout by default. */
export interface MlpConfig {
  /** Widths of the input, the hidden layers and the output. */
  sizes: readonly number[];
  /** @default "relu" */
  activation?: Activation;
  /** After each hidden layer. @default 0 */
  dropout?: number;
}

/** Linear layers with an activation between. Rumelhart et al. 1986. */
export class Mlp extends Module {
  readonly layers: Projection[];
  private readonly config: MlpConfig;

  constructor(config: MlpConfig, key: RandomKey) {
    super();
    const { sizes } = config;
    this.layers = key
      .split(sizes.length - 1)
      .map((part, i) => new Linear({ inFeatures: sizes[i], outFeatures: sizes[i + 1] }, part));
    this.config = config;
  }

  /** x: [..., sizes[0]] -> [..., last of sizes] */
  forward(x: Tensor<"f32">, { key }: { key?: RandomKey } = {}): Tensor<"f32"> {
    const { activation = "relu", dropout: probability = 0 } = this.config;
    return this.layers.reduce((y, layer, i) => {
      const hidden = layer.forward(y);
      return i < this.layers.length - 1 ? dropout(activations[activation](hidden), probability, key?.fold(i)) : hidden;
    }, x);
  }
}

/**
 * What LeNet reads, square images of C channels, and how many classes it tells apart. The defaults are those of MNIST.
 */
export interface LeNetConfig {
  /** @default 1 */
  numChannels?: number;
  /** Side of the square images. @default 28 */
  imageSize?: number;
  /** @default 10 */
  numClasses?: number;
}

/**
 * LeNet-5: two convolutions with pooling, three linear layers. LeCun et al. 1998, "Gradient-based learning applied to
 * document recognition".
 */
export class LeNet extends Module {
  readonly conv1: Conv2d; // [6, C, 5, 5]
  readonly conv2: Conv2d; // [16, 6, 5, 5]
  readonly classifier: Mlp;

  constructor({ numChannels = 1, imageSize = 28, numClasses = 10 }: LeNetConfig, key: RandomKey) {
    super();
    const [key1, key2, headKey] = key.split(3);
    this.conv1 = new Conv2d({ inChannels: numChannels, outChannels: 6, kernelSize: 5, padding: 2 }, key1);
    this.conv2 = new Conv2d({ inChannels: 6, outChannels: 16, kernelSize: 5 }, key2);
    const side = Math.floor((Math.floor(imageSize / 2) - 4) / 2);
    this.classifier = new Mlp({ sizes: [16 * side * side, 120, 84, numClasses], activation: "tanh" }, headKey);
  }

  /** images: [B, C, H, W] -> logits [B, N] */
  forward(images: Tensor<"f32">): Tensor<"f32"> {
    const pooled = (x: Tensor<"f32">) => averagePool(tanh(x), { kernelSize: 2 });
    const maps = pooled(this.conv2.forward(pooled(this.conv1.forward(images)))); // [B, 16, h, w]
    return this.classifier.forward(reshape(maps, [images.shape[0], -1]));
  }
}

/** The vocabulary and the embeddings of a recurrent language model; the rest is its recurrent layers' (`Recurrent`). */
export interface RecurrentLMConfig extends Omit<RecurrentConfig, "inputSize" | "isBidirectional"> {
  vocabSize: number;
  /** @default hiddenSize */
  embeddingSize?: number;
}

/** Texts, and what their recurrent layers take besides: the state to begin with, and the length of each text. */
export interface RecurrentLMInputs extends RecurrentInputs {
  /** i32 [B, T] */
  inputIds: Tensor<"i32">;
}

/** A language model of recurrent layers. Mikolov et al. 2010; Zaremba et al. 2014, arXiv:1409.2329. */
export class RecurrentLanguageModel extends Module implements Trainable<RecurrentLMInputs & NextTokenLabels> {
  readonly embedding: EmbeddingTable; // [V, E]
  readonly recurrent: Recurrent;
  readonly head: Projection; // [V, H]

  constructor({ vocabSize, embeddingSize, ...config }: RecurrentLMConfig, key: RandomKey) {
    super();
    const [embeddingKey, recurrentKey, headKey] = key.split(3);
    const inputSize = embeddingSize ?? config.hiddenSize;
    this.embedding = new Embedding({ numEmbeddings: vocabSize, embeddingDim: inputSize }, embeddingKey);
    this.recurrent = new Recurrent({ ...config, inputSize }, recurrentKey);
    this.head = new Linear({ inFeatures: config.projSize ?? config.hiddenSize, outFeatures: vocabSize }, headKey);
  }

  /** inputIds: i32 [B, T] -> logits of the next tokens [B, T, V], and the state to go on from */
  forward({ inputIds, initial, lengths, key }: RecurrentLMInputs): { logits: Tensor<"f32">; state: RecurrentState } {
    const { output, state } = this.recurrent.forward(this.embedding.forward(inputIds), { initial, lengths, key });
    return { logits: this.head.forward(output), state };
  }

  /**
   * Mean cross-entropy of the next tokens, in nats. labels or shiftLabels: i32 [B, T]; -100 does not count. -> []
   * @throws OptionError for labels and shiftLabels, or none of them
   */
  loss({ labels, shiftLabels, ...inputs }: RecurrentLMInputs & NextTokenLabels): Tensor<"f32"> {
    const { logits } = this.forward(inputs);
    return nextTokenLoss("RecurrentLanguageModel", logits, { labels, shiftLabels } as NextTokenLabels);
  }
}

/**
 * The vocabulary of both languages together; the rest is the sizes of `Transformer`, by default those of the base model
 * of 2017.
 */
export interface TransformerTranslatorConfig extends TransformerConfig {
  vocabSize: number;
}

/**
 * A batch of sentences and of their translations so far, and what `Transformer` takes besides: masks of padding, and
 * the key of dropout.
 */
export interface TranslatorInputs extends NonNullable<Parameters<Transformer["forward"]>[2]> {
  /** The text to translate, i32 [B, S] */
  inputIds: Tensor<"i32">;
  /** What is written of the translation, i32 [B, T] */
  decoderInputIds: Tensor<"i32">;
}

/**
 * The Transformer of 2017 on words: one table for both sides and the output, sinusoidal positions. Vaswani et al. 2017,
 * section 3.4.
 */
export class TransformerTranslator extends Module implements Trainable<TranslatorInputs & { labels: Tensor<"i32"> }> {
  readonly embedding: EmbeddingTable; // [V, D]
  readonly transformer: Transformer;
  private readonly width: number;

  constructor({ vocabSize, ...config }: TransformerTranslatorConfig, key: RandomKey) {
    super();
    const [embeddingKey, transformerKey] = key.split(2);
    this.width = config.hiddenSize ?? 512;
    this.embedding = new Embedding(
      { numEmbeddings: vocabSize, embeddingDim: this.width, init: normalInit(this.width ** -0.5) },
      embeddingKey,
    );
    this.transformer = new Transformer(config, transformerKey);
  }

  /** inputIds: i32 [B, S], decoderInputIds: i32 [B, T] -> logits of the next words [B, T, V] */
  forward({ inputIds, decoderInputIds, ...inputs }: TranslatorInputs): { logits: Tensor<"f32"> } {
    const embed = (ids: Tensor<"i32">) =>
      addSinusoidalPositions(mul(this.embedding.forward(ids), Math.sqrt(this.width)));
    const states = this.transformer.forward(embed(inputIds), embed(decoderInputIds), inputs); // [B, T, D]
    return { logits: this.embedding.project(states) };
  }

  /** Mean cross-entropy of the labels, i32 [B, T]; -100 does not count. */
  loss({ labels, ...inputs }: TranslatorInputs & { labels: Tensor<"i32"> }): Tensor<"f32"> {
    return classLoss(this.forward(inputs).logits, labels);
  }
}

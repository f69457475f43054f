/**
 * The heads of encoders: from hidden states to the logits of a task, and the losses that transformers defines for them.
 */
import {
  type Activation,
  activations,
  constantInit,
  dropout,
  type EmbeddingTable,
  LayerNorm,
  Linear,
  Module,
  normalInit,
  Parameter,
  type Projection,
} from "../../nn/index.ts";
import { add, type RandomKey, reshape, slice, type Tensor } from "../../tensor/index.ts";
import type { RunOptions } from "../model.ts";
import type { EncoderConfig, EncoderInputs, EncoderOutput } from "./encoder.ts";

/** From what an encoder gives to logits. */
export interface Head extends Module {
  /** lastHiddenState [B, T, D], or poolerOutput [B, D] -> logits [B, N], [B, T, N] or [B, T, V], by the head */
  forward(output: EncoderOutput, inputs: EncoderInputs & RunOptions): Tensor<"f32">;
}

/** The hidden state of the first token: [B, T, D] -> [B, D] */
export function firstToken(x: Tensor<"f32">): Tensor<"f32"> {
  const [batch, , width] = x.shape;
  return reshape(slice(x, { axis: 1, end: 1 }), [batch, width]);
}

/** The sizes of a masked-language-model head, and the names of its parts in checkpoints. */
export interface MaskedLMHeadConfig {
  hiddenSize: number;
  /** Width of the embeddings. */
  embeddingSize: number;
  vocabSize: number;
  activation: Activation;
  epsilon: number;
  initializerRange: number;
  /** Whether logits are products with the word embeddings. */
  isTied: boolean;
  /** Checkpoint keys of dense, norm, decoder and bias. */
  keys: Readonly<Record<string, string>>;
}

/** decoder(norm(activation(dense x))) + bias, the decoder being the word embeddings where they are tied. */
export class MaskedLMHead extends Module implements Head {
  readonly dense: Projection; //   [E, D]
  readonly norm: LayerNorm; // [E]
  readonly decoder?: Projection; // [V, E]
  readonly bias?: Parameter; // [V]
  private readonly activation: Activation;
  private readonly words: EmbeddingTable; // the encoder's, which lists it first
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;

  constructor(
    { hiddenSize, embeddingSize, vocabSize, activation, epsilon, initializerRange, isTied, keys }: MaskedLMHeadConfig,
    words: EmbeddingTable,
    key: RandomKey,
  ) {
    super();
    const [denseKey, normKey, decoderKey] = key.split(3);
    const init = normalInit(initializerRange);
    this.checkpointKeys = keys;
    this.dense = new Linear({ inFeatures: hiddenSize, outFeatures: embeddingSize, init }, denseKey);
    this.norm = new LayerNorm({ width: embeddingSize, epsilon }, normKey);
    if (!isTied) this.decoder = new Linear({ inFeatures: embeddingSize, outFeatures: vocabSize, init }, decoderKey);
    const isDecoders = !isTied && keys.bias === `${keys.decoder}.bias`;
    if (!isDecoders) this.bias = new Parameter([vocabSize], constantInit(0)(normKey, [vocabSize]));
    this.activation = activation;
    this.words = words;
  }

  /** lastHiddenState [B, T, D] -> [B, T, V] */
  forward({ lastHiddenState }: EncoderOutput): Tensor<"f32"> {
    const x = this.norm.forward(activations[this.activation](this.dense.forward(lastHiddenState)));
    return this.decoder ? this.decoder.forward(x) : add(this.words.project(x), (this.bias as Parameter).value);
  }
}

type ClassifierConfig = Pick<EncoderConfig, "hiddenSize" | "hiddenDropout" | "classifierDropout" | "initializerRange">;

/** dropout, then a linear layer, on the pooled state, or on that of every token. */
export class LinearHead extends Module implements Head {
  readonly classifier: Projection; // [N, D]
  private readonly of: "pooled" | "tokens";
  private readonly dropout: number;
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;

  /** @param of what is classified; @param name the checkpoint's name of the layer */
  constructor(config: ClassifierConfig & { outputs: number; of: "pooled" | "tokens"; name?: string }, key: RandomKey) {
    super();
    const { hiddenSize, outputs, of, name = "classifier", hiddenDropout, classifierDropout, initializerRange } = config;
    this.checkpointKeys = { classifier: name };
    this.classifier = new Linear(
      { inFeatures: hiddenSize, outFeatures: outputs, init: normalInit(initializerRange) },
      key,
    );
    this.of = of;
    this.dropout = classifierDropout ?? hiddenDropout;
  }

  /** lastHiddenState [B, T, D] -> [B, T, N], or poolerOutput [B, D] -> [B, N] */
  forward({ lastHiddenState, poolerOutput }: EncoderOutput, { key }: RunOptions): Tensor<"f32"> {
    const x = this.of === "tokens" ? lastHiddenState : (poolerOutput as Tensor<"f32">);
    return this.classifier.forward(dropout(x, this.dropout, key?.fold(1000)));
  }
}

/** The first token's state through a dense layer with an activation, then to the classes. */
export class FirstTokenHead extends Module implements Head {
  readonly dense: Projection; //   [D, D]
  readonly outProj: Projection; // [N, D]
  private readonly activation: Activation;
  private readonly config: { before: number; after: number };
  protected override readonly checkpointKeys: Readonly<Record<string, string>>;

  /**
   * @param keys the checkpoint's names of dense and outProj; @param dropsFirst whether there is dropout in front of
   * dense too
   */
  constructor(
    config: ClassifierConfig & {
      outputs: number;
      activation: Activation;
      keys: { dense: string; outProj: string };
      dropsFirst: boolean;
    },
    key: RandomKey,
  ) {
    super();
    const { hiddenSize, outputs, activation, keys, dropsFirst, hiddenDropout, classifierDropout, initializerRange } =
      config;
    const [denseKey, outKey] = key.split(2);
    const init = normalInit(initializerRange);
    const probability = classifierDropout ?? hiddenDropout;
    this.checkpointKeys = keys;
    this.dense = new Linear({ inFeatures: hiddenSize, outFeatures: hiddenSize, init }, denseKey);
    this.outProj = new Linear({ inFeatures: hiddenSize, outFeatures: outputs, init }, outKey);
    this.activation = activation;
    this.config = { before: dropsFirst ? probability : 0, after: probability };
  }

  /** lastHiddenState [B, T, D] -> [B, N] */
  forward({ lastHiddenState }: EncoderOutput, { key }: RunOptions): Tensor<"f32"> {
    const { before, after } = this.config;
    const x = this.dense.forward(dropout(firstToken(lastHiddenState), before, key?.fold(1000)));
    return this.outProj.forward(dropout(activations[this.activation](x), after, key?.fold(1001)));
  }
}

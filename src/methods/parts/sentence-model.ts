/** Models of sentence embeddings that are trained: an encoder, its pooling, and the layers behind it. */
import type { EncoderModel, RunOptions } from "../../models/index.ts";
import { Linear, type ModelBuffer, Module, type Parameter } from "../../nn/index.ts";
import type { DenseModule, PoolingModule, SentenceModule } from "../../pipelines/index.ts";
import {
  concat,
  l2Normalize,
  matmul,
  max,
  randomKey,
  relu,
  reshape,
  sigmoid,
  slice,
  type Tensor,
  tanh,
  tensor,
  where,
} from "../../tensor/index.ts";
import { type EncodedText, type TextForm, type TextInputs, textInputs } from "./encoded-texts.ts";

/** A batch of texts, and how the states of each are summed up. */
export interface SentenceInputs extends TextInputs {
  /** Weights of the tokens for each sum that a vector has. f32 [B, sums, T]; absent where there is none */
  weights?: Tensor<"f32">;
  /** Which tokens the largest state is taken of. bool [B, T]; absent where it is not asked for */
  counted?: Tensor<"bool">;
}

const activations: Record<DenseModule["activation"], (x: Tensor<"f32">) => Tensor<"f32">> = {
  Identity: (x) => x,
  Tanh: tanh,
  Sigmoid: sigmoid,
  ReLU: relu,
};

/** A linear layer behind the pooling. */
class DenseLayer extends Module {
  readonly linear: Linear; // [F, D]
  readonly place: string;
  private readonly activation: DenseModule["activation"];

  constructor({ place, activation, inFeatures, outFeatures, weight, bias }: DenseModule) {
    super();
    this.place = place;
    this.activation = activation;
    this.linear = new Linear({ inFeatures, outFeatures, bias: bias !== undefined }, randomKey(0));
    this.linear.weight.set(Float32Array.from(weight));
    if (bias) this.linear.bias?.set(Float32Array.from(bias));
  }

  /** x: [B, D] -> [B, F] */
  forward(x: Tensor<"f32">): Tensor<"f32"> {
    return activations[this.activation](this.linear.forward(x));
  }
}

/** Below every state. */
const LOWEST = -1e30;

/** From texts to vectors, as the modules of sentence-transformers say. Reimers and Gurevych 2019, arXiv:1908.10084. */
export class SentenceModel extends Module {
  readonly encoder: EncoderModel;
  readonly dense: readonly DenseLayer[];
  protected override readonly checkpointKeys = { encoder: "" };
  private readonly steps: readonly SentenceModule[];
  private readonly pooling: PoolingModule;

  constructor(encoder: EncoderModel, modules: readonly SentenceModule[]) {
    super();
    this.encoder = encoder;
    this.steps = modules.filter(({ kind }) => kind === "vector");
    this.pooling = modules.find(({ kind }) => kind === "pooling") as PoolingModule;
    this.dense = modules.flatMap((each) => (each.kind === "vector" && each.dense ? [new DenseLayer(each.dense)] : []));
  }

  /** Width of the vectors. */
  get width(): number {
    const { hiddenSize } = this.encoder.config;
    return this.dense.at(-1)?.linear.outFeatures ?? hiddenSize * this.pooling.parts.length;
  }

  /** The parameters of the layers behind the pooling, by name. */
  denseState(): Map<string, Parameter | ModelBuffer> {
    return new Map(this.dense.flatMap((layer, i) => [...layer.namedState(`dense.${i}.`)]));
  }

  /** The texts of a batch. @param skipped tokens at the start of each that are a prompt's. @default 0 */
  inputsOf(texts: readonly EncodedText[], form: TextForm, skipped = 0): SentenceInputs {
    const inputs = textInputs(texts, form);
    const { parts, includePrompt } = this.pooling;
    const width = Number(inputs.inputIds.shape[1]);
    const first = includePrompt ? 0 : skipped;
    const sums = parts.filter((part) => part !== "max");
    const weights = new Float32Array(texts.length * sums.length * width);
    const counted = new Uint8Array(texts.length * width);
    for (const [row, { ids }] of texts.entries()) {
      const counts = Array.from(ids, (_, i) => i >= first);
      counted.set(counts.map(Number), row * width);
      for (const [i, sum] of sums.entries()) weights.set(sum(counts), (row * sums.length + i) * width);
    }
    return {
      ...inputs,
      ...(sums.length > 0 && { weights: tensor(weights, { shape: [texts.length, sums.length, width] }) }),
      ...(parts.includes("max") && { counted: tensor(counted, { dtype: "bool", shape: [texts.length, width] }) }),
    };
  }

  /** Vectors of texts: [B, D] */
  embed({ weights, counted, ...inputs }: SentenceInputs, run: RunOptions): Tensor<"f32"> {
    const { lastHiddenState } = this.encoder.forward({ ...inputs, ...run }); // [B, T, D]
    let vectors = this.pooled(lastHiddenState, { weights, counted }); // [B, parts D]
    let next = 0;
    for (const step of this.steps)
      vectors = "dense" in step && step.dense ? this.dense[next++].forward(vectors) : l2Normalize(vectors);
    return vectors;
  }

  private pooled(states: Tensor<"f32">, { weights, counted }: Pick<SentenceInputs, "weights" | "counted">) {
    const [rows, , width] = states.shape;
    const { parts } = this.pooling;
    const sums = weights && matmul(weights, states); // [B, sums, D]
    if (sums && !counted) return reshape(sums, [rows, parts.length * Number(width)]);
    const isCounted = counted && reshape(counted, [...counted.shape, 1]); // [B, T, 1]
    const largest = isCounted && max(where(isCounted, states, LOWEST), { axes: 1 }); // [B, D]
    let next = 0;
    const vectors = parts.map((part) => {
      if (part === "max") return largest as Tensor<"f32">;
      const at = next++;
      return reshape(slice(sums as Tensor<"f32">, { axis: 1, start: at, end: at + 1 }), [rows, width]);
    });
    return vectors.length === 1 ? vectors[0] : concat(vectors, 1);
  }
}

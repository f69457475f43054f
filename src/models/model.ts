import { Module } from "../nn/index.ts";
import type { RandomKey, Tensor } from "../tensor/index.ts";
import type { Family } from "./family.ts";
import type { OnnxPart, OnnxPartOptions } from "./formats/onnx-parts/part.ts";

/** What a model is for: the auto-classes of transformers. */
export type Task =
  | "feature-extraction"
  | "causal-lm"
  | "masked-lm"
  | "replaced-token-detection"
  | "sequence-classification"
  | "token-classification"
  | "question-answering"
  | "seq2seq-lm"
  | "speech-seq2seq"
  | "image-classification"
  | "object-detection"
  | "semantic-segmentation"
  | "zero-shot-image-classification"
  | "image-to-text"
  | "image-text-to-text";

/** What every config of a model with labels has. */
export interface LabelConfig {
  /** Names of the classes, by number. */
  labels: readonly string[];
  /** How labels are told from one another. @default by their number and dtype, as transformers does */
  problemType: "regression" | "single_label_classification" | "multi_label_classification" | null;
}

/** A model of a family in Hugging Face layout: parameters under the names of its checkpoints, and a config. */
export abstract class PretrainedModel extends Module {
  abstract readonly config: object;
  /** How the model is stored: its config.json, and the names of its weights. */
  abstract readonly family: Family;
  abstract readonly task: Task;
  /**
   * generation_config.json, or what an older config.json says of generation: the keys are those of the file. Read by
   * generators.
   */
  generationConfig: Readonly<Record<string, unknown>> = {};
  /** The folder or file that the model was loaded from, which has its tokenizer and its model card too. */
  source?: string;

  /** model_type of config.json. */
  get modelType(): string {
    return this.family.modelType;
  }

  /** The class of transformers with these weights: `architectures` of config.json. */
  get architecture(): string {
    const [name = this.constructor.name] =
      Object.entries(this.family.classes).find(([, ModelClass]) => this instanceof ModelClass) ?? [];
    return name;
  }

  /** The ONNX files of the model, their inputs, and what they compute. */
  abstract onnxParts(options: OnnxPartOptions): OnnxPart[];
}

/** What every forward takes besides its data. */
export interface RunOptions {
  /** Random key of this step; given, dropout is on. */
  key?: RandomKey;
  /** Batch norms use the statistics of the batch, and move their own. @default false */
  isTraining?: boolean;
}

/** A model whose forward takes named tensors and gives named tensors, under transformers' names in camelCase. */
export abstract class TaskModel<Inputs extends object, Outputs extends object> extends PretrainedModel {
  abstract forward(inputs: Inputs & RunOptions): Outputs;
}

/**
 * What has a loss: models with a head, and modules of your own. `Inputs` are those of `forward` and the labels. Base
 * models have none.
 */
export interface Trainable<Inputs extends object> extends Module {
  /** Of models in Hugging Face layout the loss that transformers computes, in nats or squared units. [] */
  loss(inputs: Inputs & RunOptions): Tensor<"f32">;
}

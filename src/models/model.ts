import type { Folder, StoredFile } from "../files/index.ts";
import { Module } from "../nn/index.ts";
import type { RandomKey, Tensor } from "../tensor/index.ts";
import type { FieldSpec } from "./config.ts";
import type { OnnxPart, OnnxPartOptions } from "./formats/onnx-parts/part.ts";
import type { Json } from "./labels.ts";
import type { RopeRules } from "./rope-review.ts";

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

/** What a family reads of config.json, or of an object in it. */
export interface ConfigKeys {
  fields: Readonly<Record<string, FieldSpec>>;
  /** Other names of keys; they count where a file has both. */
  aliases?: Readonly<Record<string, string>>;
  /**
   * Keys of which other values would change the result: those that are supported, the first of which is the default.
   */
  supported?: Readonly<Record<string, readonly unknown[]>>;
  /**
   * Keys that matter in training alone and are not followed: the values that change nothing there either, the first of
   * which is the default.
   */
  training?: Readonly<Record<string, readonly unknown[]>>;
  /** Where there are rotary parameters. @default nowhere */
  rope?: RopeRules;
}

/** What a family reads of a whole config.json: its top, and the objects in it by their keys. */
export type ConfigFile = ConfigKeys & { parts?: Readonly<Record<string, ConfigKeys>> };

/** A class of models: made of a config, whose absent fields have defaults, with weights as at the start of training. */
export interface ModelClass {
  readonly task: Task;
  new (config: never, key: RandomKey): PretrainedModel;
}

/** How models are stored: the classes there are, their config.json, and the names of their weights. */
export interface Family {
  /** model_type of config.json. */
  readonly modelType: string;
  /**
   * The classes, by the names that `architectures` of config.json has. The last is the default of a config.json that
   * names none.
   */
  readonly classes: Readonly<Record<string, ModelClass>>;
  /** What checkpoints of models with a head put before the names of the base model, such as "bert". @default nothing */
  readonly prefix?: string;
  /** Whether a config.json is of this family. @default its model_type is the family's */
  matches?(json: Json): boolean;
  /** Brings config.json of another program into the form of transformers. @default as it is */
  translate?(json: Json): Json;
  /**
   * The config that a class is made of, from a config.json. @throws DataError naming the key, for a value that it
   * cannot be
   */
  configFromJson(path: string, json: Json, architecture: string): object;
  /** The config.json of a model, without architectures, model_type and dtype, which are the same for every family. */
  configToJson(model: PretrainedModel): Json;
  /** What is read of config.json, for one whose objects may be of several kinds by what it says. */
  readonly configKeys: ConfigFile | ((json: Json) => ConfigFile);
  /** The name that a stored tensor has here, where some files have others. @default the same */
  tensorName?(name: string, model: PretrainedModel): string;
  /**
   * The name that a weight, or a layer, has among the modules of transformers, where files have another: adapters call
   * it so. `tensorName` brings it back. @default the same
   */
  moduleName?(name: string): string;
  /** Stored tensors that are no weights, and that transformers passes over without a word. @default none */
  readonly ignored?: RegExp | ((model: PretrainedModel) => RegExp | undefined);
  /** Weights that a checkpoint may lack without a word; they keep their initial values. @default none */
  readonly mayLack?: RegExp;
  /** Names that a checkpoint may repeat a weight under, and the weight's own name. @default none */
  tied?(model: PretrainedModel): Readonly<Record<string, string>>;
  /**
   * The config.json of the same model with a weight for each name, for files where their numbers differ. @default there
   * is no such model
   */
  untie?(json: Json): Json;
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
  source?: Folder | StoredFile;

  /** model_type of config.json. */
  get modelType(): string {
    return this.family.modelType;
  }

  /**
   * The class of transformers with these weights: `architectures` of config.json. Where one class of the family extends
   * another, that which is nearest to the model's.
   */
  get architecture(): string {
    const classes = Object.entries(this.family.classes).filter(([, ModelClass]) => this instanceof ModelClass);
    const extend = (Derived: ModelClass, Base: ModelClass) => Derived.prototype instanceof Base;
    const nearest = classes.find(([, ModelClass]) => !classes.some(([, other]) => extend(other, ModelClass)));
    return nearest?.[0] ?? this.constructor.name;
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
  /** From the named tensors of a batch to named tensors; each class says the shapes. With `key`, dropout is on. */
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

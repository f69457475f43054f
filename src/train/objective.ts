import type { HostArray } from "../base/index.ts";
import type { RunOptions } from "../models/index.ts";
import type { Parameter } from "../nn/index.ts";
import type { Tensor, Variable } from "../tensor/index.ts";

/** What an objective makes of a batch. */
export interface ObjectiveResult {
  /** What falls. [] */
  loss: Tensor<"f32">;
  /**
   * How many things the loss is the mean of, such as tokens that have a label: what batches count that are accumulated,
   * or measured together. [] @default 1, all batches count the same
   */
  weight?: Tensor<"f32">;
  /** What else is measured, each []: part of events and of metrics.jsonl. @default nothing */
  metrics?: Readonly<Record<string, Tensor<"f32">>>;
}

/** Numbers of a tensor that was read. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: HostArray;
}

type Metrics = Readonly<Record<string, number>>;

/** Measures what is no mean over batches, such as F1: fed with the outputs of all batches of the validation data. */
export interface Scorer<B> {
  /** What of the model has to be seen, with the labels: traced beside the loss, without dropout. */
  outputs(batch: B): Readonly<Record<string, Tensor>>;
  /** Takes the numbers of a batch. */
  add(outputs: Readonly<Record<string, HostTensor>>): void;
  /**
   * The metrics of all batches since the last result, by name; of texts that the model writes for it, they come when
   * these are written.
   */
  result(options?: { signal?: AbortSignal }): Metrics | Promise<Metrics>;
}

/** Where training is when a batch is prepared. */
export interface StepContext {
  /** Steps done. */
  step: number;
  /** Aborts when training is to end at once. */
  signal?: AbortSignal;
}

/** A method of training: what is trained, and by which loss. `B` is what a batch is. */
export interface Objective<B> {
  /** The parameters that change, by name: a whole model, or a part. */
  readonly trained: ReadonlyMap<string, Parameter>;
  /** All variables that the loss depends on, by name: those that are trained, others, and buffers. */
  readonly state: ReadonlyMap<string, Variable>;
  /** What throughput counts: "tokens", "examples". */
  readonly unit: string;
  /** How many of them a batch has. */
  count(batch: B): number;
  /**
   * The loss of a batch: called once for each combination of shapes, to be traced. In training `run` has a key, which
   * turns dropout on, and `isTraining`; in evaluation neither.
   */
  loss(batch: B, run: RunOptions): ObjectiveResult;
  /**
   * Works on a batch with the model as it is now, before each training step: texts that the model writes, what a
   * teacher says. The same for the same weights and step, so that runs resume. @default the batch as it is
   */
  prepare?(batch: B, context: StepContext): Promise<B>;
  /** Metrics of the whole validation data. @default none but means of those of `loss` */
  scorer?(): Scorer<B>;
  /** Writes what was learned into a folder, for others and for `load`. */
  save(folder: string): Promise<void>;
  /** Writes the result of training, where that is another than what checkpoints have. @default as `save` */
  saveResult?(folder: string): Promise<void>;
  /** Reads what `save` wrote. Changes nothing unless everything fits. */
  load(folder: string): Promise<void>;
}

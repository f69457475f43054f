import type { RunOptions } from "../models/index.ts";
import type { Parameter } from "../nn/index.ts";
import type { Tensor, Variable } from "../tensor/index.ts";

/** What an objective makes of a batch. */
export interface ObjectiveResult {
  /** What falls. [] */
  loss: Tensor<"f32">;
  /** What else is measured, each []: part of events and of metrics.jsonl. @default nothing */
  metrics?: Readonly<Record<string, Tensor<"f32">>>;
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
  /** Writes what was learned into a folder, for others and for `load`. */
  save(folder: string): Promise<void>;
  /** Reads what `save` wrote. Changes nothing unless everything fits. */
  load(folder: string): Promise<void>;
}

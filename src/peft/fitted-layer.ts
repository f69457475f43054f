/** Layers of a model, with what an adapter has for them. */
import type { EmbeddingTable, Projection, StateTensor } from "../nn/index.ts";

/** A layer that an adapter changes. */
export interface Target {
  path: string;
  /** Without the adapter that it may have now. */
  layer: Projection | EmbeddingTable;
}

/** A layer of a model with its part of a LoRA adapter. */
export interface FittedLora extends Target {
  rank: number;
  /** Factor of the update. */
  scaling: number;
  /** [rank, inFeatures]; of a table [rank, V] */
  a: StateTensor;
  /** [outFeatures, rank]; of a table [D, rank] */
  b: StateTensor;
  /** Of B. [outFeatures] */
  bias?: StateTensor;
  /** Of DoRA: the lengths of the rows. [outFeatures] */
  magnitude?: StateTensor;
}

/** A layer of a model with its factors of an IA3 adapter. */
export interface FittedIa3 extends Target {
  /** [outFeatures, 1], or of the input [1, inFeatures] */
  factors: StateTensor;
}

/** A layer of a model with its part of an adapter. */
export type FittedLayer = FittedLora | FittedIa3;

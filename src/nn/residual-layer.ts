/** Layers with two residual branches, into whose sums an adapter may be put. */
import { add, type Tensor } from "../tensor/index.ts";
import type { Norm } from "./layers.ts";
import { Module } from "./module.ts";

/** What is computed where a branch is added to its residual. */
export abstract class ResidualAdapter extends Module {
  /**
   * The sum of a residual and its branch, with what the adapter adds: [B, T, D] twice -> [B, T, D].
   * @param norm of the layer, which the sum goes through afterwards
   */
  abstract sum(residual: Tensor<"f32">, branch: Tensor<"f32">, norm?: Norm): Tensor<"f32">;
}

/** A Transformer layer: attention and feed-forward part, each added to its input. */
export abstract class ResidualLayer extends Module {
  /** At the sum of the attention. */
  attentionAdapters?: ResidualAdapter;
  /** At the sum of the feed-forward part. */
  outputAdapters?: ResidualAdapter;

  /** The checkpoint name of what is put at a sum. */
  nameOf(place: "attentionAdapters" | "outputAdapters"): string {
    const otherwise = { attentionAdapters: "attention_adapters", outputAdapters: "output_adapters" };
    return this.checkpointKeys?.[place] ?? otherwise[place];
  }
}

/** The sum of a residual and its branch, by the adapter that is there, if one is: [B, T, D] twice -> [B, T, D] */
export const residualSum = (
  residual: Tensor<"f32">,
  branch: Tensor<"f32">,
  adapter?: ResidualAdapter,
  norm?: Norm,
): Tensor<"f32"> => adapter?.sum(residual, branch, norm) ?? add(residual, branch);

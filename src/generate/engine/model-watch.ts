import type { Module } from "../../nn/index.ts";
import { ModelStructure } from "../model-structure.ts";

/** Sees when a model is not what it was: other weights, or other layers. */
export class ModelWatch {
  private readonly model: Module;
  private readonly structure: ModelStructure;
  private weights: readonly { readonly version: number }[];
  private version: number;
  private isExchanged = false;

  constructor(model: Module) {
    this.model = model;
    this.structure = new ModelStructure(model);
    this.weights = [...model.namedState().values()];
    this.version = this.sum();
  }

  /** Whether it has other weights than when this was asked last, or at the beginning. */
  hasOtherWeights(): boolean {
    const before = this.version;
    this.version = this.sum();
    return before !== this.version;
  }

  /** Whether it has other layers than at the beginning, or when they were taken. */
  hasOtherLayers(): boolean {
    this.isExchanged ||= this.structure.hasChanged();
    return this.isExchanged;
  }

  takeLayers(): void {
    this.isExchanged = false;
    this.weights = [...this.model.namedState().values()];
    this.version = this.sum();
  }

  private sum(): number {
    let sum = 0;
    for (const { version } of this.weights) sum += version;
    return sum;
  }
}

import type { Module } from "../../nn/index.ts";
import { ModelStructure, sumOfVersions } from "../model-structure.ts";

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
    this.version = sumOfVersions(this.weights);
  }

  /** Whether it has other weights than when this was asked last, or at the beginning. */
  hasOtherWeights(): boolean {
    const before = this.version;
    this.version = sumOfVersions(this.weights);
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
    this.version = sumOfVersions(this.weights);
  }
}

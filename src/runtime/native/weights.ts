import type { HostArray } from "../../base/index.ts";
import type { ConstantData } from "../protocol.ts";
import type { OrtLibrary } from "./library.ts";
import { PrepackedWeights } from "./session.ts";
import { NativeValue } from "./value.ts";

/** Constants that several sessions use: they are in memory once, and once more as the kernels want them. */
export interface SharedWeights {
  values: Map<HostArray, NativeValue>;
  prepacked: PrepackedWeights;
  users: number;
}

/** The constants of a device's sessions, in sets that are used together. */
export class WeightSets {
  private readonly ort: OrtLibrary;
  private readonly sets = new Map<HostArray, SharedWeights>();

  constructor(ort: OrtLibrary) {
    this.ort = ort;
  }

  /** The tensors of a model's constants; models that have one in common belong to one set. */
  share(constants: readonly ConstantData[]): SharedWeights {
    const known = constants.map(({ data }) => this.sets.get(data)).find((weights) => weights !== undefined);
    const weights = known ?? { values: new Map(), prepacked: new PrepackedWeights(this.ort), users: 0 };
    weights.users++;
    for (const { type, shape, data } of constants) {
      if (weights.values.has(data)) continue;
      weights.values.set(data, NativeValue.over(this.ort, type, shape, data));
      this.sets.set(data, weights);
    }
    return weights;
  }

  /** Gives up one use of a set; the last one frees it. */
  leave(weights: SharedWeights): void {
    if (--weights.users > 0) return;
    weights.prepacked.dispose();
    for (const [data, value] of weights.values) {
      value.dispose();
      if (this.sets.get(data) === weights) this.sets.delete(data);
    }
  }
}

import { OptionError } from "../base/index.ts";
import type { CacheDType, LayerCache } from "../nn/index.ts";
import { lengthenVariables, type Tensor, Variable } from "../tensor/index.ts";

export interface KeyValueCacheOptions {
  numLayers: number;
  /** Heads of keys and values, and their width. */
  numKeyHeads: number;
  headDim: number;
  /** Most positions that there may ever be. */
  maxLength: number;
  /**
   * What keys and values are kept in. f16 takes half the memory; greedy texts may differ where two tokens are nearly as
   * likely. @default "f32"
   */
  cacheDtype?: CacheDType;
  /** Positions that there is room for at first. @default 256 */
  initialRoom?: number;
  /** Texts side by side. @default 1 */
  batch?: number;
}

const arrays = { f32: Float32Array, f16: Uint16Array } as const;

/**
 * Keys and values of the positions seen so far, for all layers, on the device. The room doubles when a text needs more,
 * so that memory follows the text and not the longest context of the model; graphs are compiled for a room of any size.
 * Doubling copies what is there once, which over a text is less than one copy of a position for each token.
 */
export class KeyValueCache {
  readonly maxLength: number;
  private readonly variables: { k: Variable<CacheDType>; v: Variable<CacheDType> }[];

  /** @throws OptionError for a dtype that is none of a cache, or no room */
  constructor({
    numLayers,
    numKeyHeads,
    headDim,
    maxLength,
    cacheDtype = "f32",
    initialRoom = 256,
    batch = 1,
  }: KeyValueCacheOptions) {
    const require = (isFine: boolean, where: string, expected: string, received: unknown) => {
      if (!isFine)
        throw new OptionError({
          where,
          expected,
          received: String(received),
          fix: "choose such a value, or leave it out",
        });
    };
    require(cacheDtype in arrays, "cacheDtype", Object.keys(arrays).join(" or "), cacheDtype);
    require(Number.isInteger(initialRoom) && initialRoom > 0, "initialRoom", "a number of tokens above 0", initialRoom);
    this.maxLength = maxLength;
    const shape = [batch, numKeyHeads, Math.min(initialRoom, maxLength), headDim];
    const count = shape.reduce((a, b) => a * b, 1);
    const variable = (name: string) =>
      new Variable<CacheDType>(
        { name, dtype: cacheDtype, shape, symbolicSizes: [null, null, "S", null] },
        new arrays[cacheDtype](count),
      );
    this.variables = Array.from({ length: numLayers }, (_, i) => ({
      k: variable(`cache.${i}.k`),
      v: variable(`cache.${i}.v`),
    }));
  }

  /** Positions that there is room for now. */
  get room(): number {
    return this.variables[0].k.shape[2];
  }

  /** The caches of the layers, in a function being traced. */
  get layers(): LayerCache[] {
    return this.variables.map(({ k, v }) => ({ k: k.value, v: v.value }));
  }

  /** Puts the caches with new positions in the place of the old, in a function being traced. */
  assign(layers: readonly { k: Tensor<CacheDType>; v: Tensor<CacheDType> }[]): void {
    layers.forEach(({ k, v }, i) => {
      this.variables[i].k.assign(k);
      this.variables[i].v.assign(v);
    });
  }

  /** Makes room for so many positions; what is there stays. @throws RuntimeError when the memory is not there */
  async reserve(length: number): Promise<void> {
    let room = this.room;
    if (length <= room) return;
    while (room < length) room *= 2;
    const all = this.variables.flatMap(({ k, v }) => [k, v]) as unknown as Variable[];
    await lengthenVariables(all, 2, Math.min(room, this.maxLength));
  }

  dispose(): void {
    for (const { k, v } of this.variables) {
      k.dispose();
      v.dispose();
    }
  }
}

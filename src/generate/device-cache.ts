import { type HostArrays, OptionError } from "../base/index.ts";
import {
  type CacheDType,
  type CacheShape,
  cachedHeadDim,
  type LayerScales,
  type LayerState,
  RoomCache,
} from "../nn/index.ts";
import {
  arange,
  type CompiledFunction,
  compile,
  equal,
  gather,
  lengthenVariables,
  reshape,
  type Tensor,
  tensor,
  Variable,
  where,
} from "../tensor/index.ts";
import { doubled } from "./doubled.ts";

export interface DeviceCacheOptions {
  /** Most positions that there may ever be. */
  maxLength: number;
  /**
   * What keys and values are kept in. f16 takes half the memory; greedy texts may differ where two tokens are nearly as
   * likely. int8 takes a quarter, in steps of a size that each channel has (see `CacheScales`), and greedy texts differ
   * sooner; on the CPU in Node alone, and not of models with an encoder. @default "f32"
   */
  cacheDtype?: CacheDTypeName;
  /** Positions that there is room for at first. @default 256 */
  initialRoom?: number;
  /** Texts side by side. @default 1 */
  rows?: number;
  /** Of a cache in int8. */
  scales?: ChannelScales;
}

/** What a step of each channel of an int8 cache stands for. */
export interface ChannelScales {
  /** Of a layer, for a function being traced. */
  of(layer: number): LayerScales;
  /** Makes them those of the model as it is now. To be called before a text begins. */
  update(): Promise<void>;
}

/** What keys and values can be kept in. */
export type CacheDTypeName = keyof typeof cacheDtypes;

/** Where the texts of a run are, for a function being traced. */
export interface CachePlaces {
  /** Positions filled after the run, minus 1, of each row: i32 [R] */
  lengths: Tensor<"i32">;
  /** The largest number of positions filled after the run: i32 [1] */
  total: Tensor<"i32">;
  /** Of which row each continues the text, i32 [R]; null for its own. */
  parents: Tensor<"i32"> | null;
}

/** The dtypes of tensors, by the names that users give. */
const cacheDtypes = { f32: "f32", f16: "f16", int8: "i8" } as const;
const arrays = { f32: Float32Array, f16: Uint16Array, i8: Int8Array } as const;

/** The dtype of a cache's tensors, and an array for so many of its numbers. */
export function cacheNumbers(name: CacheDTypeName, count: number): { dtype: CacheDType; data: HostArrays[CacheDType] } {
  const dtype = cacheDtypes[name];
  return { dtype, data: new arrays[dtype](count) };
}

/**
 * The options of a cache with their defaults.
 * @param names the dtypes that there are. @default all
 * @throws OptionError for another dtype, or no room
 */
export function requireCacheOptions(
  { cacheDtype = "f32", initialRoom = 256 }: Pick<DeviceCacheOptions, "cacheDtype" | "initialRoom">,
  names: readonly CacheDTypeName[] = ["f32", "f16", "int8"],
): { cacheDtype: CacheDTypeName; initialRoom: number } {
  const require = (isFine: boolean, where: string, expected: string, received: unknown) => {
    if (isFine) return;
    throw new OptionError({ where, expected, received: String(received), fix: "choose such a value, or leave it out" });
  };
  require(names.includes(cacheDtype), "cacheDtype", names.join(" or "), cacheDtype);
  require(Number.isInteger(initialRoom) && initialRoom > 0, "initialRoom", "a number of tokens above 0", initialRoom);
  return { cacheDtype, initialRoom };
}

/**
 * Keys and values of the positions seen so far, for all layers and for several texts, on the device. The room doubles
 * when a text needs more, so that memory follows the text and not the longest context of the model; graphs are
 * compiled for a room of any size. Doubling copies what is there once, which over a text is less than one copy of a
 * position for each token.
 */
export class DeviceCache {
  readonly rows: number;
  readonly maxLength: number;
  private readonly variables: { k: Variable<CacheDType>; v: Variable<CacheDType> }[];
  private readonly scales: ChannelScales | undefined;
  private copyRow: CompiledFunction<[Tensor<"i32">], Tensor<"i32">> | undefined;

  /** @throws OptionError for a dtype that is none of a cache, or no room */
  constructor({ numLayers, numKeyHeads, headDim }: CacheShape, options: DeviceCacheOptions) {
    const { maxLength, rows = 1 } = options;
    const { cacheDtype, initialRoom } = requireCacheOptions(options);
    this.rows = rows;
    this.maxLength = maxLength;
    this.scales = options.scales;
    const shape = [rows, numKeyHeads, Math.min(initialRoom, maxLength), cachedHeadDim(headDim)];
    const count = shape.reduce((a, b) => a * b, 1);
    const variable = (name: string) => {
      const { dtype, data } = cacheNumbers(cacheDtype, count);
      return new Variable<CacheDType>({ name, dtype, shape, symbolicSizes: [null, null, "S", null] }, data);
    };
    this.variables = Array.from({ length: numLayers }, (_, i) => ({
      k: variable(`cache.${i}.k`),
      v: variable(`cache.${i}.v`),
    }));
  }

  /** Positions that there is room for now. */
  get room(): number {
    return this.variables[0].k.shape[2];
  }

  /** The cache for a run, in a function being traced; `close` keeps what the run adds to it. */
  open({ lengths, total, parents }: CachePlaces): RoomCache {
    const continued = (x: Tensor<CacheDType>) => (parents ? gather(x, parents, 0) : x);
    const layers = this.variables.map(({ k, v }, i) => ({
      k: continued(k.value),
      v: continued(v.value),
      scales: this.scales?.of(i),
    }));
    return new RoomCache(layers, { lengths, total });
  }

  close(cache: RoomCache): void {
    cache.layers.forEach(({ k, v }: LayerState, i) => {
      this.variables[i].k.assign(k);
      this.variables[i].v.assign(v);
    });
  }

  /** Makes room for so many positions; what is there stays. @throws RuntimeError when the memory is not there */
  async reserve(length: number): Promise<void> {
    if (length <= this.room) return;
    const all = this.variables.flatMap(({ k, v }) => [k, v]) as unknown as Variable[];
    await lengthenVariables(all, 2, doubled(this.room, length, this.maxLength));
  }

  /** Takes the text of a cache with one row, of the same model, as that of one of the rows here. */
  async copyInto(row: number, source: DeviceCache): Promise<void> {
    await this.reserve(source.room);
    await source.reserve(this.room);
    this.copyRow ??= compile((target: Tensor<"i32">) => {
      const isTarget = equal(reshape(arange(this.rows), [this.rows, 1, 1, 1]), target);
      this.variables.forEach((mine, layer) => {
        for (const part of ["k", "v"] as const)
          mine[part].assign(where(isTarget, source.variables[layer][part].value, mine[part].value));
      });
      return target;
    });
    (await this.copyRow(tensor(row, { dtype: "i32" }))).dispose();
  }

  dispose(): void {
    this.copyRow?.dispose();
    for (const { k, v } of this.variables) {
      k.dispose();
      v.dispose();
    }
  }
}

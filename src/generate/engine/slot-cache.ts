import { nextTurn } from "../../base/index.ts";
import { type CacheDType, type CacheShape, cachedHeadDim, type LayerState, RoomCache } from "../../nn/index.ts";
import {
  type CopiedBox,
  copyBoxes,
  type Device,
  resizeVariables,
  type Tensor,
  Variable,
  VariableRows,
} from "../../tensor/index.ts";
import { type ChannelScales, cacheNumbers, type DeviceCacheOptions, requireCacheOptions } from "../device-cache.ts";
import { doubled } from "../doubled.ts";

/** Sizes of a `SlotCache`. */
export interface SlotCacheOptions extends Omit<DeviceCacheOptions, "rows"> {
  device: Device;
  /** Most slots that there may ever be. */
  maxSlots: number;
}

/** Numbers that are copied without a pause: some milliseconds. */
const NUMBERS_AT_ONCE = 2 ** 21;

/** Keys and values of a layer. */
interface LayerVariables {
  k: Variable<CacheDType>;
  v: Variable<CacheDType>;
}

/** Some positions of a text in the cache. */
export interface Stretch {
  slot: number;
  start: number;
}

/**
 * Keys and values of several texts, each in a slot: [slots, K, room, Dh] for each layer. A run works on some slots
 * beside one another, in their memory. The memory of positions that are not filled is not taken from the system, so
 * that what texts need is what they fill. For devices that share memory.
 */
export class SlotCache {
  readonly maxLength: number;
  readonly maxSlots: number;
  /** For runs of one text, which several new tokens may go into. */
  readonly one: SlotWindow;
  /** For runs of any number of texts with one new token each. */
  readonly several: SlotWindow;
  private readonly device: Device;
  private readonly layers: LayerVariables[];
  private readonly initialRoom: number;

  /** @throws OptionError for a dtype that is none of a cache, or no room */
  constructor({ numLayers, numKeyHeads, headDim }: CacheShape, options: SlotCacheOptions) {
    const { cacheDtype, initialRoom } = requireCacheOptions(options);
    this.maxLength = options.maxLength;
    this.maxSlots = options.maxSlots;
    this.device = options.device;
    this.initialRoom = Math.min(initialRoom, options.maxLength);
    const shape = [0, numKeyHeads, 0, cachedHeadDim(headDim)];
    const { dtype, data } = cacheNumbers(cacheDtype, 0);
    const variable = (name: string) => new Variable<CacheDType>({ name, dtype, shape }, data);
    this.layers = Array.from({ length: numLayers }, (_, i) => ({
      k: variable(`cache.${i}.k`),
      v: variable(`cache.${i}.v`),
    }));
    this.one = new SlotWindow(this.layers, 1, options.scales);
    this.several = new SlotWindow(this.layers, "R", options.scales);
  }

  private get variables(): Variable[] {
    return this.layers.flatMap(({ k, v }) => [k, v]) as unknown as Variable[];
  }

  /** Slots that there are now. */
  get slots(): number {
    return this.layers[0].k.shape[0];
  }

  /** Positions that each slot has room for now. */
  get room(): number {
    return this.layers[0].k.shape[2];
  }

  /**
   * What there would be with so many slots and positions in use: both double.
   * @param isNew nothing is there yet. @default false
   */
  sizeFor(slots: number, length: number, isNew = false): { slots: number; room: number } {
    return {
      slots: doubled(isNew ? 0 : this.slots, slots, this.maxSlots),
      room: doubled(Math.max(isNew ? 0 : this.room, this.initialRoom), length, this.maxLength),
    };
  }

  /**
   * Makes room; what is there stays.
   * @param filled positions of each slot that are filled
   * @throws RuntimeError when the memory is not there
   */
  async reserve(slots: number, length: number, filled: readonly number[]): Promise<void> {
    const size = this.sizeFor(slots, length);
    if (size.slots === this.slots && size.room === this.room) return;
    const [, heads, , width] = this.layers[0].k.shape;
    const kept = filled.flatMap((count, slot) =>
      count === 0 ? [] : [{ start: [slot, 0, 0, 0], size: [1, heads, count, width] as number[] }],
    );
    await resizeVariables(this.variables, [size.slots, heads, size.room, width], { kept, device: this.device });
  }

  /** Gives all memory back: nothing that is there stays. */
  async clear(): Promise<void> {
    const [, heads, , width] = this.layers[0].k.shape;
    await resizeVariables(this.variables, [0, heads, 0, width], { kept: [], device: this.device });
  }

  /** Copies so many positions of one slot into another. */
  async copy(from: Stretch, to: Stretch, count: number): Promise<void> {
    const boxes = this.variables.map((variable) => this.boxOf({ variable, ...from }, { variable, ...to }, count));
    await this.copyInTurns(boxes);
  }

  /** Copies positions into blocks of another cache of the same model, or out of them. */
  async exchange(other: SlotCache, from: Stretch, to: Stretch, count: number, isOut: boolean): Promise<void> {
    const [sources, targets] = isOut ? [this.variables, other.variables] : [other.variables, this.variables];
    await this.copyInTurns(
      sources.map((variable, i) => this.boxOf({ variable, ...from }, { variable: targets[i], ...to }, count)),
    );
  }

  /** Copies a few megabytes at once: what else the program has to do comes in between. */
  private async copyInTurns(boxes: readonly CopiedBox[]): Promise<void> {
    if (boxes.length === 0) return;
    const numbers = boxes[0].size.reduce((a, b) => a * b, 1);
    const atOnce = Math.max(1, Math.floor(NUMBERS_AT_ONCE / numbers));
    for (let i = 0; i < boxes.length; i += atOnce) {
      await copyBoxes(boxes.slice(i, i + atOnce), this.device);
      await nextTurn();
    }
  }

  private boxOf(
    from: Stretch & { variable: Variable },
    to: Stretch & { variable: Variable },
    count: number,
  ): CopiedBox {
    const [, heads, , width] = this.layers[0].k.shape;
    return {
      from: from.variable,
      to: to.variable,
      fromStart: [from.slot, 0, from.start, 0],
      toStart: [to.slot, 0, to.start, 0],
      size: [1, heads, count, width],
    };
  }

  /** Has runs of a window work on these slots from now on. */
  show(window: SlotWindow, start: number, count: number): void {
    window.show(start, count, this.device);
  }

  dispose(): void {
    for (const variable of this.variables) variable.dispose();
  }
}

/** Some slots beside one another, as a function being traced sees them. */
export class SlotWindow {
  private readonly layers: { k: VariableRows<CacheDType>; v: VariableRows<CacheDType> }[];
  private shown: { buffer: object; start: number; count: number } | undefined;
  private readonly first: Variable<CacheDType>;
  private readonly scales: ChannelScales | undefined;

  /** @param count number of slots, or a name where it differs @param scales of a cache in int8 */
  constructor(layers: readonly LayerVariables[], count: number | string, scales?: ChannelScales) {
    const rows = (of: Variable<CacheDType>) =>
      new VariableRows(of, { name: of.name, count, symbolicSizes: [null, "S", null] });
    this.layers = layers.map(({ k, v }) => ({ k: rows(k), v: rows(v) }));
    this.first = layers[0].k;
    this.scales = scales;
  }

  show(start: number, count: number, device: Device): void {
    const { buffer } = this.first;
    const { shown } = this;
    if (shown?.buffer === buffer && shown.start === start && shown.count === count) return;
    for (const { k, v } of this.layers) {
      k.show(start, count, device);
      v.show(start, count, device);
    }
    this.shown = { buffer, start, count };
  }

  /** lengths: i32 [R] and total: i32 [1], see RoomCache */
  open(lengths: Tensor<"i32">, total: Tensor<"i32">): RoomCache {
    return new RoomCache(
      this.layers.map(({ k, v }, i) => ({ k: k.value, v: v.value, scales: this.scales?.of(i) })),
      { lengths, total },
    );
  }

  /** Keeps what a run adds to the cache. */
  close(cache: RoomCache): void {
    cache.layers.forEach(({ k, v }: LayerState, i) => {
      this.layers[i].k.assign(k);
      this.layers[i].v.assign(v);
    });
  }
}

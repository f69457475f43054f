import { nextTurn } from "../../base/index.ts";
import type { KeysAndValues } from "../../nn/index.ts";
import {
  copyBoxes,
  type Device,
  resizeVariables,
  type Tensor,
  tensor,
  Variable,
  VariableRows,
} from "../../tensor/index.ts";
import { doubled } from "../doubled.ts";
import type { EncodedSource } from "../encoded-source.ts";

/** Keys and values of a layer, for cross attention. */
interface LayerSources {
  k: Variable<"f32">;
  v: Variable<"f32">;
}

/**
 * What encoders gave for several texts, each in a slot: [slots, S, H Dh] for each layer, where S is the longest source.
 * For devices that share memory.
 */
export class SourceCache {
  private readonly device: Device;
  /** Made when the first source says what they are like. */
  private layers: LayerSources[] = [];
  private rows: { k: VariableRows<"f32">; v: VariableRows<"f32"> }[] = [];
  /** Whose keys and values are in each slot. */
  private readonly sources: (EncodedSource | undefined)[] = [];

  constructor(device: Device) {
    this.device = device;
  }

  private get variables(): Variable[] {
    return this.layers.flatMap(({ k, v }) => [k, v]) as unknown as Variable[];
  }

  private get size(): { slots: number; room: number } {
    const [slots = 0, room = 0] = this.layers[0]?.k.shape ?? [];
    return { slots, room };
  }

  /** Puts a source into a slot, unless it is there. */
  async put(slot: number, source: EncodedSource): Promise<void> {
    if (this.sources[slot] === source) return;
    this.makeLayers(source);
    await this.reserve(slot + 1, source.length);
    this.sources[slot] = undefined; // until it is there
    for (const [i, { k, v }] of source.keysAndValues.entries()) {
      const size = [1, source.length, k.size(2)];
      const place = { fromStart: [0, 0, 0], toStart: [slot, 0, 0], size };
      const to = this.layers[i] as unknown as { k: Variable; v: Variable };
      await copyBoxes(
        [
          { from: k as Tensor, to: to.k, ...place },
          { from: v as Tensor, to: to.v, ...place },
        ],
        this.device,
      );
      await nextTurn(); // what else the program has to do
    }
    this.sources[slot] = source;
  }

  /** Gives all memory back: what follows takes no time for the places of longer sources. */
  async clear(): Promise<void> {
    this.sources.length = 0;
    if (this.size.slots === 0) return;
    await resizeVariables(this.variables, [0, 0, this.layers[0].k.shape[2]], { kept: [], device: this.device });
  }

  /** Has runs work on these slots, and says which of their places count: bool [R, S] */
  show(start: number, count: number): Tensor<"bool"> {
    for (const { k, v } of this.rows) {
      k.show(start, count, this.device);
      v.show(start, count, this.device);
    }
    const { room } = this.size;
    const mask = new Uint8Array(count * room);
    for (let row = 0; row < count; row++) {
      const { countedLength = 1 } = this.sources[start + row] ?? {}; // of the others nobody asks
      mask.fill(1, row * room, row * room + countedLength);
    }
    return tensor(mask, { dtype: "bool", shape: [count, room] });
  }

  /** Makes room for slots before a run, which need not have a source. */
  async reserve(slots: number, length: number): Promise<void> {
    const { size } = this;
    if (slots <= size.slots && length <= size.room) return;
    const [, , width] = this.layers[0].k.shape;
    const kept = this.sources.flatMap((source, slot) =>
      source && slot < size.slots ? [{ start: [slot, 0, 0], size: [1, source.length, width] }] : [],
    );
    const shape = [doubled(size.slots, slots), Math.max(size.room, length), width];
    await resizeVariables(this.variables, shape, { kept, device: this.device });
  }

  private makeLayers({ keysAndValues }: EncodedSource): void {
    if (this.layers.length > 0) return;
    const variable = (name: string, like: Tensor<"f32">) =>
      new Variable({ name, dtype: "f32", shape: [0, 0, like.size(2)] }, new Float32Array());
    const rows = (of: Variable<"f32">) =>
      new VariableRows(of, { name: of.name, count: "R", symbolicSizes: ["E", null] });
    this.layers = keysAndValues.map(({ k, v }, i) => ({
      k: variable(`source.${i}.k`, k),
      v: variable(`source.${i}.v`, v),
    }));
    this.rows = this.layers.map(({ k, v }) => ({ k: rows(k), v: rows(v) }));
  }

  /** In a function being traced: those of the slots that are shown. */
  get keysAndValues(): KeysAndValues[] {
    return this.rows.map(({ k, v }) => ({ k: k.value, v: v.value }));
  }

  dispose(): void {
    for (const variable of this.variables) variable.dispose();
  }
}

/** Several adapters of one model, of which each row of a run has one or none. */
import { DataError, nextTurn, type OnWarning, OptionError } from "../base/index.ts";
import type { PretrainedModel, TextPrefix } from "../models/index.ts";
import { EmbeddingTable, type Module, mapModules, Projection } from "../nn/index.ts";
import { arange, cast, type Device, div, equal, floor, reshape, type Tensor } from "../tensor/index.ts";
import { type Adapter, widened } from "./adapter.ts";
import { isPrompt } from "./adapter-config.ts";
import { prefixOf } from "./applied-prompt.ts";
import { type FittedAdapter, fitAdapter } from "./fit-adapter.ts";
import type { FittedLora } from "./fitted-layer.ts";
import type { LoraConfig } from "./lora-config.ts";
import { AdapterStack, PooledProjection, type StackNumbers, type TracedAdapters } from "./pooled-layer.ts";
import type { PromptConfig } from "./prompt-config.ts";

/** How many adapters there is room for, and how large they may be. */
export interface AdapterPoolOptions {
  /** Adapters that runs may have at the same time. */
  maxAdapters: number;
  /** Largest rank of an adapter. */
  maxRank: number;
}

/** An adapter that a pool knows. */
export interface PooledAdapter {
  /** Another for each that the pool was ever given: what is cached of one is not taken for that of another. */
  readonly id: number;
  readonly name: string;
  readonly adapter: Adapter;
  /** Of its layers, by their paths. */
  readonly layers: ReadonlyMap<string, FittedLora>;
  /** Learned states before its texts: of prompt and prefix tuning, which change no layers. */
  readonly prefix?: TextPrefix;
}

/**
 * Adapters of a model for runs of several rows, each with its own adapter or none (Chen et al. 2023, "Punica",
 * arXiv:2310.18547; Sheng et al. 2023, "S-LoRA", arXiv:2311.03285). The pool puts itself around the model's linear
 * layers, which compute as before but in functions that are traced by `withShown` and `withRows`. It knows any number
 * of adapters, and has room for some; who needs one acquires it, and those that nobody has give way, the longest unused
 * first. Adapters that are states before texts change no layers: who runs their texts traces with their `prefix`.
 */
export class AdapterPool {
  readonly options: AdapterPoolOptions;
  private readonly model: PretrainedModel;
  private readonly projections = new Map<string, PooledProjection>();
  private readonly scope: { traced: TracedAdapters | undefined } = { traced: undefined };
  private readonly adapters = new Set<PooledAdapter>();
  private readonly slots: (PooledAdapter | undefined)[];
  private readonly holders = new Map<PooledAdapter, number>();
  private readonly lastUses = new Map<PooledAdapter, number>();
  private uses = 0;
  private ids = 0;
  private rank = 0;
  private layouts = 0;
  private shown: { slot: number; change: number } | undefined;
  private changeCount = 0;
  /** Changes of what is in the slots, one after another. */
  private changes: Promise<unknown> = Promise.resolve();

  constructor(model: PretrainedModel, options: AdapterPoolOptions) {
    this.model = model;
    this.options = options;
    this.slots = new Array(options.maxAdapters).fill(undefined);
    mapModules(model, (path, module) => {
      if (!(module instanceof Projection)) return undefined;
      const pooled = new PooledProjection(module, this.scope);
      this.projections.set(path, pooled);
      return pooled;
    });
  }

  /** Grows when functions that were traced with adapters are to be traced anew. */
  get layout(): number {
    return this.layouts;
  }

  /**
   * Makes an adapter known.
   * @throws OptionError for a rank above `maxRank`; DataError for DoRA, embeddings, and weights that take the place of
   *   the model's, which are no update of a row; and what `applyAdapter` throws
   */
  async add(name: string, adapter: Adapter, onWarning?: OnWarning): Promise<PooledAdapter> {
    if (isPrompt(adapter.config)) {
      const prefix = prefixOf(this.model, adapter as Adapter<PromptConfig>, onWarning);
      const pooled: PooledAdapter = { id: ++this.ids, name, adapter, layers: new Map(), prefix };
      this.adapters.add(pooled);
      return pooled;
    }
    const fitted = fitAdapter(this.model, requireLora(adapter), onWarning);
    await requireUpdates(this.model, fitted);
    const { maxRank } = this.options;
    const ofLora = fitted.layers as readonly FittedLora[];
    const rank = Math.max(...ofLora.map((layer) => layer.rank));
    if (rank > maxRank)
      throw new OptionError({
        where: `adapter ${name}`,
        expected: `a rank of at most ${maxRank}, the generator's maxAdapterRank`,
        received: String(rank),
        fix: "give the generator a larger maxAdapterRank",
      });
    const layers = new Map(ofLora.map((layer) => [layer.path, layer]));
    const pooled: PooledAdapter = { id: ++this.ids, name, adapter, layers };
    await this.change(async () => {
      await this.makeRoom(pooled, rank);
      this.adapters.add(pooled);
    });
    return pooled;
  }

  /** Forgets an adapter. Nobody may have it. */
  async remove(adapter: PooledAdapter): Promise<void> {
    await this.change(async () => {
      this.adapters.delete(adapter);
      this.lastUses.delete(adapter);
      const slot = this.slots.indexOf(adapter);
      if (slot >= 0) this.slots[slot] = undefined;
      adapter.prefix?.dispose();
    });
  }

  /** Whether an adapter is one of these now. */
  has(adapter: PooledAdapter): boolean {
    return this.adapters.has(adapter);
  }

  /** Whether there is room for all of these at the same time. */
  holds(adapters: Iterable<PooledAdapter | undefined>): boolean {
    const distinct = new Set(adapters);
    distinct.delete(undefined);
    return distinct.size <= this.options.maxAdapters;
  }

  /** Has an adapter in a slot until it is released. Others may be acquired as `holds` allows. */
  async acquire(adapter: PooledAdapter): Promise<void> {
    this.holders.set(adapter, (this.holders.get(adapter) ?? 0) + 1);
    this.lastUses.set(adapter, ++this.uses);
    await this.change(async () => {
      if (this.slots.includes(adapter)) return;
      const slot = this.freeSlot();
      const before = this.slots[slot];
      this.slots[slot] = adapter;
      for (const path of new Set([...(before?.layers.keys() ?? []), ...adapter.layers.keys()])) {
        const { stack } = this.projectionAt(path).adapters;
        stack?.set(this.numbersOf(path, this.rank));
        await nextTurn(); // what else the program has to do
      }
      this.changeCount++;
    });
  }

  /** Ends a use of an adapter; its place may go to another then. */
  release(adapter: PooledAdapter): void {
    const count = (this.holders.get(adapter) ?? 0) - 1;
    if (count > 0) this.holders.set(adapter, count);
    else this.holders.delete(adapter);
  }

  /** The slot of an adapter that is acquired; -1 for none. */
  slotOf(adapter: PooledAdapter | undefined): number {
    return adapter ? this.slots.indexOf(adapter) : -1;
  }

  /** Has functions that were traced by `withShown` compute with this adapter from now on. */
  show(adapter: PooledAdapter, device: Device): void {
    const slot = this.slotOf(adapter);
    if (this.shown?.slot === slot && this.shown.change === this.changeCount) return;
    for (const { adapters } of this.projections.values()) adapters.stack?.show(slot, device);
    this.shown = { slot, change: this.changeCount };
  }

  /** Traces a function that computes with the adapter that is shown. For devices that share memory. */
  withShown<T>(trace: () => T): T {
    return this.within({ kind: "shown" }, trace);
  }

  /** Traces a function that computes with an adapter for each row. slots: i32 [R], -1 for none */
  withRows<T>(slots: Tensor<"i32">, trace: () => T): T {
    const { rank, options } = this;
    const owners = cast(floor(div(cast(arange(options.maxAdapters * rank), "f32"), rank)), "i32"); // [N r]
    const mask = cast(equal(reshape(slots, [slots.shape[0], 1]), reshape(owners, [1, -1])), "f32");
    return this.within({ kind: "rows", mask }, trace);
  }

  /** Tracing is synchronous: nothing else sees what the layers look at meanwhile. */
  private within<T>(traced: TracedAdapters, trace: () => T): T {
    this.scope.traced = traced;
    try {
      return trace();
    } finally {
      this.scope.traced = undefined;
    }
  }

  private change(make: () => Promise<void>): Promise<void> {
    const next = this.changes.then(make);
    this.changes = next.catch(() => {});
    return next;
  }

  private projectionAt(path: string): PooledProjection {
    return this.projections.get(path) as PooledProjection;
  }

  private freeSlot(): number {
    const lastUse = (slot: PooledAdapter | undefined) => (slot ? (this.lastUses.get(slot) ?? 0) : -1);
    const free = this.slots.flatMap((adapter, i) => (adapter && this.holders.has(adapter) ? [] : [i]));
    return free.reduce((oldest, i) => (lastUse(this.slots[i]) < lastUse(this.slots[oldest]) ? i : oldest));
  }

  /** Stacks of its rank at least for all layers that an adapter changes. */
  private async makeRoom(next: PooledAdapter, rank: number): Promise<void> {
    const isHigher = rank > this.rank;
    const paths = new Set([...this.adapters, next].flatMap(({ layers }) => [...layers.keys()]));
    const lacking = [...paths].filter((path) => isHigher || !this.projectionAt(path).adapters.stack);
    if (lacking.length === 0) return;
    const highest = Math.max(rank, this.rank);
    const stacks = new Map<string, AdapterStack>();
    for (const path of lacking) {
      stacks.set(path, new AdapterStack(highest, this.numbersOf(path, highest)));
      await nextTurn();
    }
    for (const [path, stack] of stacks) {
      const { adapters } = this.projectionAt(path);
      adapters.stack?.dispose();
      adapters.stack = stack;
    }
    this.rank = highest;
    this.layouts++;
    this.changeCount++;
  }

  /** A and B of the adapters in the slots, for one layer, with zeros where an adapter has fewer rows, or none. */
  private numbersOf(path: string, rank: number): StackNumbers {
    const { inFeatures, outFeatures } = this.projectionAt(path);
    const a = new Float32Array(this.slots.length * rank * inFeatures);
    const b = new Float32Array(this.slots.length * rank * outFeatures);
    for (const [slot, adapter] of this.slots.entries()) {
      const layer = adapter?.layers.get(path);
      if (!layer) continue;
      a.set(widened(layer.a), slot * rank * inFeatures);
      const numbers = widened(layer.b); // [F, r]
      for (let row = 0; row < layer.rank; row++)
        for (let column = 0; column < outFeatures; column++)
          b[(slot * rank + row) * outFeatures + column] = layer.scaling * numbers[column * layer.rank + row];
    }
    return { a: { width: inFeatures, numbers: a }, b: { width: outFeatures, numbers: b } };
  }

  /** Takes itself out of the model. */
  dispose(): void {
    const bases = new Map<Module, Module>([...this.projections.values()].map((pooled) => [pooled, pooled.base]));
    mapModules(this.model, (_, module) => bases.get(module));
    for (const { adapters } of this.projections.values()) adapters.stack?.dispose();
    for (const { prefix } of this.adapters) prefix?.dispose();
  }
}

const APPLY_ALONE = "apply the adapter to the model, alone (applyAdapter)";

/** @throws DataError for an adapter of layers of another kind than LoRA */
function requireLora(adapter: Adapter): Adapter<LoraConfig> {
  if (adapter.config.type === "LORA") return adapter as Adapter<LoraConfig>;
  throw new DataError({
    where: `${adapter.name}, peft_type`,
    expected: '"LORA" or states before texts, where rows of one run have different adapters',
    received: adapter.config.type,
    fix: APPLY_ALONE,
  });
}

/** @throws DataError for an adapter that is more than updates of linear layers */
async function requireUpdates(model: PretrainedModel, { adapter, layers, replaced }: FittedAdapter): Promise<void> {
  const refuse = (key: string, received: string): never => {
    throw new DataError({
      where: `${adapter.name}, ${key}`,
      expected: "updates of linear layers alone, where rows of one run have different adapters",
      received,
      fix: APPLY_ALONE,
    });
  };
  const config = adapter.config as LoraConfig;
  if (config.useDora) refuse("use_dora", "true");
  if (config.loraBias) refuse("lora_bias", "true");
  const table = layers.find(({ layer }) => layer instanceof EmbeddingTable);
  if (table) refuse("target_modules", `${table.path}, an embedding`);
  const parameters = model.namedParameters();
  for (const [key, tensor] of replaced) {
    // peft writes the model's own head beside an adapter of it
    const present = await parameters.get(key)?.read();
    const numbers = widened(tensor);
    if (!present || present.some((value, i) => value !== numbers[i])) refuse(`tensor ${key}`, "a weight of the model");
  }
}

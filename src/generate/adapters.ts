/** The adapters that a generator writes with, by their names. */
import { listedNames, nearest, type OnWarning, OptionError } from "../base/index.ts";
import type { Folder } from "../files/index.ts";
import type { PretrainedModel } from "../models/index.ts";
import { type Adapter, AdapterPool, type PooledAdapter, readAdapter } from "../peft/index.ts";

/** An adapter that a generator has. */
export interface LoadedAdapter {
  readonly name: string;
  /** Where it was read from; of one that was not read, what it says. */
  readonly source: string;
  /** Its largest rank; 0 of prompt and prefix tuning. */
  readonly rank: number;
}

/** How an adapter is loaded. */
export interface LoadAdapterOptions {
  /** Hears of an adapter that was made for another model. @default console.warn */
  onWarning?: OnWarning;
}

interface Entry {
  pooled: PooledAdapter;
  /** Texts that have it, from when they were asked for to their end. */
  texts: number;
  /** Called when the last of them has ended. */
  onFree: (() => void) | undefined;
}

/**
 * Adapters by their names. Any number may be loaded; texts with `maxAdapters` of them are written at the same time, and
 * those with others wait. They are loaded and unloaded while texts are written, which goes on meanwhile.
 */
export class GeneratorAdapters {
  /** @internal undefined where the generator has room for none */
  readonly pool: AdapterPool | undefined;
  private readonly entries = new Map<string, Entry>();
  /** Names that are being loaded. */
  private readonly coming = new Set<string>();

  /** @internal */
  constructor(model: PretrainedModel, maxAdapters: number, maxRank: number) {
    if (maxAdapters > 0) this.pool = new AdapterPool(model, { maxAdapters, maxRank });
  }

  /** What is loaded, in the order of loading. */
  get list(): LoadedAdapter[] {
    return [...this.entries.values()].map(({ pooled: { name, adapter, layers } }) => ({
      name,
      source: adapter.name,
      rank: Math.max(0, ...[...layers.values()].map(({ rank }) => rank)),
    }));
  }

  /** Whether an adapter of this name is loaded. */
  has(name: string): boolean {
    return this.entries.has(name);
  }

  /**
   * Makes an adapter known by a name, for texts that ask for it from now on.
   * @param source peft's folder, by its path or as files in memory, or what was read of one
   * @throws OptionError for a name that is taken, a rank above `maxAdapterRank`, and a generator without `maxAdapters`;
   *   DataError, CheckpointError and ShapeError for an adapter that is not one of the model, and for what cannot be
   *   another for each row: DoRA, embeddings, modules that are saved whole
   */
  async load(name: string, source: string | Folder | Adapter, { onWarning }: LoadAdapterOptions = {}): Promise<void> {
    const { pool } = this;
    if (!pool)
      throw wrong("a generator with room for adapters", "one without", "make it with { maxAdapters: 4 }, for example");
    if (name === "" || this.entries.has(name) || this.coming.has(name))
      throw wrong("a name that no adapter has", JSON.stringify(name), "choose another, or unload that one first");
    this.coming.add(name);
    try {
      const adapter = typeof source === "object" && "layers" in source ? source : await readAdapter(source);
      const pooled = await pool.add(name, adapter, onWarning);
      this.entries.set(name, { pooled, texts: 0, onFree: undefined });
    } finally {
      this.coming.delete(name);
    }
  }

  /**
   * Forgets an adapter: new texts cannot have it, and those that have it are written to their end, for which this
   * waits.
   * @throws OptionError for a name that none has
   */
  async unload(name: string): Promise<void> {
    const entry = this.entryOf(name);
    this.entries.delete(name);
    if (entry.texts > 0) await new Promise<void>((resolve) => Object.assign(entry, { onFree: resolve }));
    await this.pool?.remove(entry.pooled);
  }

  /** Has an adapter for a text, to whose end `end` is called. @throws OptionError for a name that none has @internal */
  begin(name: string): { adapter: PooledAdapter; end: () => void } {
    const entry = this.entryOf(name);
    entry.texts++;
    const end = () => {
      if (--entry.texts === 0) entry.onFree?.();
    };
    return { adapter: entry.pooled, end };
  }

  /** The adapter of a name. @throws OptionError for a name that none has @internal */
  require(name: string): PooledAdapter {
    return this.entryOf(name).pooled;
  }

  private entryOf(name: string): Entry {
    const entry = this.entries.get(name);
    if (entry) return entry;
    const names = [...this.entries.keys()];
    const near = nearest(name, names);
    const expected = names.length > 0 ? `one of ${listedNames(name, names)}` : "none: no adapter is loaded";
    const fix = near ? `did you mean "${near}"?` : "load it first: generator.adapters.load";
    throw new OptionError({ where: "adapter", expected, received: JSON.stringify(name), fix });
  }
}

const wrong = (expected: string, received: string, fix: string): OptionError =>
  new OptionError({ where: "adapters.load", expected, received, fix });

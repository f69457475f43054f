import type { CausalLM } from "../../models/index.ts";
import type { AdapterPool, PooledAdapter } from "../../peft/index.ts";
import type { Device, Tensor } from "../../tensor/index.ts";
import { positionsOf } from "../causal-decoder.ts";
import { i32 } from "../decoder-runner.ts";
import { rowsOf } from "../decoder-step.ts";
import type { DeviceCacheOptions } from "../device-cache.ts";
import { ModelWatch } from "./model-watch.ts";
import { PrefixIndex } from "./prefix-index.ts";
import { PromptMemory, sharedLength } from "./prompt-memory.ts";
import { type ProposalRuns, type SequenceRunner, StaleContext } from "./runner.ts";
import { commonSignal, type Sequence } from "./sequence.ts";
import { SlotCache } from "./slot-cache.ts";
import { SlotSteps } from "./slot-steps.ts";

/** How much a `CausalSlots` keeps. */
export interface CausalSlotsOptions extends Pick<DeviceCacheOptions, "cacheDtype" | "initialRoom" | "scales"> {
  device: Device;
  contextLength: number;
  /** Most texts at the same time. */
  maxSequences: number;
  /** Most positions of all texts together that there is room for. @default no limit */
  cacheTokens?: number;
  /** Adapters that sequences may have. @default none */
  adapters?: AdapterPool;
  /** Tokens of beginnings that are kept when their slots are needed by other texts. @default 0 */
  prefixTokens?: number;
}

/** What is in a slot. */
interface Slot {
  holder: Sequence | undefined;
  /** Tokens whose keys are there, when nobody holds it. */
  ids: readonly number[];
  /** They are of a text beyond the model's `cacheLimit`. */
  isBeyondLimit: boolean;
  /** They are of a text that was written with it. */
  adapter: PooledAdapter | undefined;
  /** In the order of uses. */
  lastUse: number;
}

/** Tokens of a block of kept beginnings. */
const BLOCK_TOKENS = 32;

/**
 * Runs a language model over a cache of slots: those of a run lie beside one another, and the keys and values of what
 * it reads are written in place.
 */
export class CausalSlots implements SequenceRunner {
  readonly proposals: ProposalRuns = {
    most: (sequence) => this.mostProposed(sequence),
    verify: (sequence, proposed) => this.verify(sequence, proposed),
  };
  private readonly model: CausalLM;
  private readonly options: CausalSlotsOptions;
  /** Keys and values of the slots. */
  private readonly cache: SlotCache;
  private readonly slots: Slot[];
  private readonly memory = new PromptMemory();
  private readonly watch: ModelWatch;
  private readonly prefixes: PrefixIndex;
  /** Of a slot for each block. */
  private readonly blocks: SlotCache | undefined;
  private readonly steps: SlotSteps;
  private uses = 0;
  /** Those that have read something in the slots that they have. */
  private readonly begun = new WeakSet<Sequence>();

  constructor(model: CausalLM, options: CausalSlotsOptions) {
    const { contextLength, maxSequences, prefixTokens = 0, device } = options;
    this.model = model;
    this.options = options;
    this.cache = new SlotCache(model.cacheShape, { ...options, maxLength: contextLength, maxSlots: maxSequences });
    this.slots = Array.from({ length: maxSequences }, () => ({
      holder: undefined,
      ids: [],
      isBeyondLimit: false,
      adapter: undefined,
      lastUse: 0,
    }));
    this.watch = new ModelWatch(model);
    const blocks = Math.floor(prefixTokens / BLOCK_TOKENS);
    this.prefixes = new PrefixIndex(blocks, BLOCK_TOKENS);
    if (blocks > 0) {
      const sizes = { maxLength: BLOCK_TOKENS, initialRoom: BLOCK_TOKENS, maxSlots: blocks, device };
      this.blocks = new SlotCache(model.cacheShape, { ...sizes, cacheDtype: options.cacheDtype });
    }
    this.steps = new SlotSteps(model, this.cache, options);
  }

  async prepare(texts: number): Promise<void> {
    await this.options.scales?.update();
    await this.steps.prepare(texts);
  }

  noticeWeights(): boolean {
    if (!this.watch.hasOtherWeights()) return false;
    this.forget();
    return true;
  }

  hasOtherLayers(): boolean {
    return this.watch.hasOtherLayers();
  }

  takeLayers(): void {
    this.watch.takeLayers();
    this.forget();
    this.steps.retrace();
  }

  /** Called when nothing is waited for any more before a run. @throws StaleContext */
  private requireSameWeights(): void {
    if (this.noticeWeights()) throw new StaleContext();
  }

  private forget(): void {
    this.memory.clear();
    this.prefixes.clear();
    for (const slot of this.slots) slot.ids = [];
  }

  fits(sequences: readonly Sequence[]): boolean {
    const { cacheTokens = Number.POSITIVE_INFINITY, adapters } = this.options;
    if (adapters && !adapters.holds(sequences.map(({ adapter }) => adapter))) return false;
    const longest = Math.max(...sequences.map(({ context }) => context.length + 1));
    const length = Math.min(longest, this.options.contextLength);
    // where nobody has a slot the cache can begin anew
    const { slots, room } = this.cache.sizeFor(sequences.length, length, this.isFree);
    return slots * room <= cacheTokens;
  }

  /** Whether nobody has a slot. */
  private get isFree(): boolean {
    return this.slots.every(({ holder }) => !holder);
  }

  async enter(sequence: Sequence): Promise<void> {
    const { adapter } = sequence;
    if (adapter) await this.options.adapters?.acquire(adapter);
    try {
      await this.takeSlot(sequence);
    } catch (cause) {
      if (adapter) this.options.adapters?.release(adapter);
      throw cause;
    }
  }

  private async takeSlot(sequence: Sequence): Promise<void> {
    const { context, adapter } = sequence;
    await this.keepWithinLimit(context.length + 1);
    const most = this.usableBy(sequence);
    const shared = this.slots.map((slot) => Math.min(most, this.sharedBy(slot, sequence)));
    const free = this.slots.flatMap((slot, i) => (slot.holder ? [] : [i]));
    // the slot with the longest beginning in common; among others the first that is empty, or was used longest ago
    const [to] = free.sort(
      (a, b) =>
        shared[b] - shared[a] ||
        Number(this.slots[a].ids.length > 0) - Number(this.slots[b].ids.length > 0) ||
        this.slots[a].lastUse - this.slots[b].lastUse ||
        a - b,
    );
    await this.reserve(to + 1, Math.min(context.length + 1, this.options.contextLength));
    const slot = this.slots[to];
    if (slot.ids.length > shared[to]) {
      if (!sequence.embedded) this.prefixes.match(context, adapter?.id); // used now: others go before these
      await this.keepBeginning(slot, to);
    }
    Object.assign(slot, { holder: sequence, ids: [], lastUse: ++this.uses });
    sequence.slot = to;
    sequence.filled = sequence.shared = shared[to];
  }

  /**
   * Tokens of a context that need not be read where they are there: not its last, unless the logits after it are known.
   */
  private usableBy({ context, embedded, adapter }: Sequence): number {
    if (embedded) return 0;
    return this.memory.find(context, adapter) ? context.length : context.length - 1;
  }

  /** Copies what other slots or blocks have of a context that nothing was read of yet. */
  private async share(sequence: Sequence): Promise<void> {
    const { context, embedded, filled, isBeyondLimit, adapter } = sequence;
    const to = sequence.slot as number;
    const most = this.usableBy(sequence);
    const shared = this.slots.map((slot, i) => (i === to ? filled : Math.min(most, this.sharedBy(slot, sequence))));
    const longest = Math.max(...shared);
    const blocks = embedded || isBeyondLimit ? [] : this.prefixes.match(context, adapter?.id);
    const inBlocks = Math.min(most, blocks.length * BLOCK_TOKENS);
    if (inBlocks > longest) await this.copyBlocks(blocks, to, inBlocks);
    else if (longest > filled)
      await this.cache.copy({ slot: shared.indexOf(longest), start: 0 }, { slot: to, start: 0 }, longest);
    sequence.filled = sequence.shared = Math.max(longest, inBlocks);
  }

  /** Lets the cache begin anew where it has grown so that it would be too large with a text of that length. */
  private async keepWithinLimit(length: number): Promise<void> {
    const { cacheTokens = Number.POSITIVE_INFINITY, contextLength } = this.options;
    if (!this.isFree) return;
    const { slots, room } = this.cache.sizeFor(1, Math.min(length, contextLength));
    if (slots * room <= cacheTokens) return;
    this.forget();
    await this.cache.clear();
  }

  private async reserve(slots: number, length: number): Promise<void> {
    const filled = this.slots.slice(0, this.cache.slots).map(({ holder, ids }) => holder?.filled ?? ids.length);
    await this.cache.reserve(slots, length, filled);
  }

  /** How many positions of a slot a sequence can use. */
  private sharedBy({ holder, ids, isBeyondLimit, adapter }: Slot, sequence: Sequence): number {
    if (holder?.embedded) return 0;
    if ((holder ? holder.adapter : adapter) !== sequence.adapter) return 0;
    const isOther = (holder ? holder.isBeyondLimit : isBeyondLimit) !== sequence.isBeyondLimit;
    if (isOther) return 0;
    return holder
      ? sharedLength(holder.context, holder.filled, sequence.context)
      : sharedLength(ids, ids.length, sequence.context);
  }

  /** Copies what a slot has into blocks, before another text takes its place. */
  private async keepBeginning({ ids, isBeyondLimit, adapter }: Slot, slot: number): Promise<void> {
    const { blocks, cache } = this;
    if (!blocks || isBeyondLimit) return;
    const added = this.prefixes.insert(ids, adapter?.id);
    if (added.length > 0) {
      const highest = Math.max(...added.map(({ place }) => place));
      await blocks.reserve(highest + 1, BLOCK_TOKENS, new Array(blocks.slots).fill(BLOCK_TOKENS));
    }
    for (const { start, place } of added)
      await cache.exchange(blocks, { slot, start }, { slot: place, start: 0 }, BLOCK_TOKENS, true);
  }

  private async copyBlocks(places: readonly number[], slot: number, count: number): Promise<void> {
    for (const [i, place] of places.entries()) {
      const start = i * BLOCK_TOKENS;
      const length = Math.min(BLOCK_TOKENS, count - start);
      if (length <= 0) break;
      await this.cache.exchange(this.blocks as SlotCache, { slot: place, start: 0 }, { slot, start }, length, false);
    }
  }

  async read(sequence: Sequence, count: number): Promise<Float32Array | undefined> {
    await this.options.scales?.update();
    if (!this.begun.has(sequence)) {
      this.begun.add(sequence);
      await this.share(sequence);
    }
    const { context, embedded, signal, adapter } = sequence;
    if (sequence.left === 0) {
      const known = this.memory.find(context, adapter);
      if (known) return known;
      sequence.filled--; // others were read meanwhile
    }
    const { filled: start } = sequence;
    const to = this.endOfPiece(sequence, Math.min(start + Math.max(1, count), context.length));
    const ids = context.slice(start, to);
    await this.reserve((sequence.slot as number) + 1, to);
    this.cache.show(this.cache.one, sequence.slot as number, 1);
    const images = start === 0 ? embedded : undefined;
    const positions = images?.positions ?? positionsOf([start + (embedded?.offset ?? 0)], ids.length);
    const looked = { positions, embeddings: images?.embeddings ?? null };
    const changesLayers = adapter !== undefined && !adapter.prefix;
    const steps = this.steps.of(changesLayers);
    const ofImages = positions.rank === 3 ? steps.embeddedInThree : steps.embedded;
    const ofText = this.steps.behind(adapter, start) ?? this.steps.ofOne(steps, ids.length);
    const step = (images ? ofImages : ofText).withSignal(signal);
    this.requireSameWeights();
    if (changesLayers) this.options.adapters?.show(adapter, this.options.device);
    const logits = await step(i32(ids, [1, ids.length]), looked, i32([to - 1], [1]), i32([to], [1]), null);
    const numbers = await logits.take();
    sequence.filled = to;
    if (to < context.length) return undefined;
    if (!embedded && !sequence.hasBegun) this.memory.keep(context, numbers, adapter);
    return numbers;
  }

  private mostProposed({ context }: Sequence): number {
    const { cacheTokens } = this.options;
    return cacheTokens === undefined || cacheTokens === Number.POSITIVE_INFINITY
      ? Number.POSITIVE_INFINITY
      : this.cache.room - context.length; // no room is made for what may not be accepted
  }

  private async verify(sequence: Sequence, proposed: readonly number[]): Promise<Float32Array[]> {
    const { context, filled: start, embedded, signal, slot, adapter } = sequence;
    const ids = [context[start], ...proposed];
    const to = start + ids.length;
    await this.reserve((slot as number) + 1, to);
    this.cache.show(this.cache.one, slot as number, 1);
    const looked = { positions: positionsOf([start + (embedded?.offset ?? 0)], ids.length), embeddings: null };
    this.requireSameWeights();
    const step = this.steps.of(adapter !== undefined).proposed.withSignal(signal);
    if (adapter) this.options.adapters?.show(adapter, this.options.device);
    const logits = await step(i32(ids, [1, ids.length]), looked, i32([to - 1], [1]), i32([to], [1]), null);
    const numbers = rowsOf(await logits.take(), ids.length);
    sequence.filled = start + 1;
    return numbers;
  }

  /** The first piece of a text beyond the model's `cacheLimit` reaches beyond it too. */
  private endOfPiece({ filled, isBeyondLimit }: Sequence, end: number): number {
    const { cacheLimit = 0 } = this.model;
    return isBeyondLimit && filled <= cacheLimit ? Math.max(end, cacheLimit + 1) : end;
  }

  async advance(sequences: readonly Sequence[]): Promise<Float32Array[]> {
    if (sequences.length === 1) return [(await this.read(sequences[0], 1)) as Float32Array];
    await this.options.scales?.update();
    await this.bringTogether(sequences);
    const places = sequences.map(({ slot }) => slot as number);
    const [first, last] = [Math.min(...places), Math.max(...places)];
    const rows = this.slots.slice(first, last + 1).map((slot) => this.nextOf(slot, sequences));
    const total = Math.max(...rows.map(({ place }) => place)) + 1;
    await this.reserve(last + 1, total);
    this.cache.show(this.cache.several, first, rows.length);
    const ids = rows.map(({ id }) => id);
    const filled = rows.map(({ place }) => place);
    const positions = rows.map(({ place, offset }) => place + offset);
    // those that are states before texts have been read
    const hasAdapters = sequences.some(({ adapter }) => adapter && !adapter.prefix);
    const adapters = hasAdapters ? this.adapterSlots(sequences, first, rows.length) : null;
    const step = this.steps.of(hasAdapters).several.withSignal(commonSignal(sequences));
    this.requireSameWeights();
    const logits = await step(
      i32(ids, [rows.length, 1]),
      { positions: i32(positions, [rows.length, 1]), embeddings: null },
      i32(filled, [rows.length]),
      i32([total], [1]),
      adapters,
    );
    const numbers = rowsOf(await logits.take(), rows.length);
    for (const sequence of sequences) sequence.filled++;
    return places.map((place) => numbers[place - first]);
  }

  /** Where the adapter of each row of a run is; null where all have one, which is shown. */
  private adapterSlots(sequences: readonly Sequence[], first: number, rows: number): Tensor<"i32"> | null {
    const { adapters, device } = this.options;
    const [{ adapter: common }] = sequences;
    if (common && sequences.every(({ adapter }) => adapter === common)) {
      adapters?.show(common, device);
      return null;
    }
    if (!adapters) return null;
    const slots = new Array<number>(rows).fill(-1);
    for (const { slot, adapter } of sequences) slots[(slot as number) - first] = adapters.slotOf(adapter);
    return i32(slots, [rows]);
  }

  /** The token that a slot reads: of one whose turn it is not, something in a place that is not filled. */
  private nextOf(slot: Slot, sequences: readonly Sequence[]): { id: number; place: number; offset: number } {
    const { holder } = slot;
    const most = this.options.contextLength - 1;
    if (holder && sequences.includes(holder))
      return { id: holder.context[holder.filled], place: holder.filled, offset: holder.embedded?.offset ?? 0 };
    if (holder) holder.filled = Math.min(holder.filled, most);
    else if (slot.ids.length > most) slot.ids = slot.ids.slice(0, most);
    return { id: 0, place: holder?.filled ?? slot.ids.length, offset: 0 };
  }

  /** Moves texts into free slots between those of a run, so that no rows are run in vain. */
  private async bringTogether(sequences: readonly Sequence[]): Promise<void> {
    for (;;) {
      const places = sequences.map(({ slot }) => slot as number).sort((a, b) => a - b);
      const [first, last] = [places[0], places[places.length - 1]];
      const hole = this.slots.findIndex((slot, i) => i > first && i < last && !slot.holder);
      if (hole < 0) return;
      const from = last;
      const sequence = this.slots[from].holder as Sequence;
      await this.keepBeginning(this.slots[hole], hole);
      await this.cache.copy({ slot: from, start: 0 }, { slot: hole, start: 0 }, sequence.filled);
      this.slots[hole] = { ...this.slots[from] };
      sequence.slot = hole;
      this.slots[from] = { holder: undefined, ids: [], isBeyondLimit: false, adapter: undefined, lastUse: 0 };
    }
  }

  leave(sequence: Sequence): void {
    const slot = this.slots[sequence.slot as number];
    const isGone = sequence.embedded !== undefined; // its ids may stand for other images next time
    slot.holder = undefined;
    slot.ids = isGone ? [] : sequence.context.slice(0, sequence.filled);
    slot.isBeyondLimit = sequence.isBeyondLimit;
    slot.adapter = sequence.adapter;
    if (sequence.adapter) this.options.adapters?.release(sequence.adapter);
    sequence.slot = undefined;
    this.begun.delete(sequence);
  }

  dispose(): void {
    this.steps.dispose();
    this.cache.dispose();
    this.blocks?.dispose();
  }
}

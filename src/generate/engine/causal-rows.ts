import type { CausalLM } from "../../models/index.ts";
import type { AdapterPool } from "../../peft/index.ts";
import { CachedText, type CausalContext, causalDecoder, positionsOf } from "../cached-text.ts";
import { DecoderRunner, i32 } from "../decoder-runner.ts";
import type { DeviceCacheOptions } from "../device-cache.ts";
import { ModelWatch } from "./model-watch.ts";
import type { SequenceRunner } from "./runner.ts";
import { commonSignal, type Sequence } from "./sequence.ts";

/** Sizes of a `CausalRows`. */
export interface CausalRowsOptions extends Pick<DeviceCacheOptions, "cacheDtype" | "initialRoom"> {
  contextLength: number;
  /** Most texts at the same time. */
  maxSequences: number;
  /** Tokens of a prompt that are run at once. */
  prefillTokens: number;
  /** Adapters that sequences may have. @default none */
  adapters?: AdapterPool;
}

/**
 * Runs a language model where caches cannot be in the memory of others: GPUs, pages, onnxruntime-node. A text begins,
 * and is written as long as it is alone, in a cache of one row; several have one with a row for each, to which they are
 * copied. Prompts are read whole, one after another.
 */
export class CausalRows implements SequenceRunner {
  private readonly model: CausalLM;
  private readonly options: CausalRowsOptions;
  private readonly watch: ModelWatch;
  private readonly single: DecoderRunner<CausalContext>;
  private readonly first: CachedText;
  /** Whose text goes on in the cache of one row. */
  private alone: Sequence | undefined;
  private several: DecoderRunner<CausalContext> | undefined;
  private readonly holders: (Sequence | undefined)[] = [];

  constructor(model: CausalLM, options: CausalRowsOptions) {
    this.model = model;
    this.options = options;
    this.watch = new ModelWatch(model);
    this.single = this.runnerOf(1);
    this.first = new CachedText(model, this.single, options.prefillTokens, options.adapters);
  }

  private runnerOf(rows: number): DecoderRunner<CausalContext> {
    const { contextLength: maxLength, cacheDtype, initialRoom } = this.options;
    return new DecoderRunner(causalDecoder(this.model, this.options.adapters), {
      maxLength,
      cacheDtype,
      initialRoom,
      rows,
    });
  }

  /** What the weights are it sees itself when it reads. */
  noticeWeights(): boolean {
    return this.watch.hasOtherWeights();
  }

  hasOtherLayers(): boolean {
    return this.watch.hasOtherLayers();
  }

  takeLayers(): void {
    this.watch.takeLayers();
    this.first.takeExchanged();
    this.single.retrace();
    this.several?.retrace();
  }

  fits(sequences: readonly Sequence[]): boolean {
    return this.options.adapters?.holds(sequences.map(({ adapter }) => adapter)) ?? true;
  }

  async enter(sequence: Sequence): Promise<void> {
    if (sequence.adapter) await this.options.adapters?.acquire(sequence.adapter);
    let slot = 0;
    while (this.holders[slot]) slot++;
    this.holders[slot] = sequence;
    sequence.slot = slot;
    sequence.filled = 0;
  }

  async read(sequence: Sequence): Promise<Float32Array> {
    if (this.alone !== sequence) await this.makeSingleFree();
    const { context, embedded, signal, adapter } = sequence;
    this.alone = sequence;
    const logits = await this.first.feed({ ids: context, embedded, adapter }, signal);
    sequence.filled = context.length;
    return logits;
  }

  async advance(sequences: readonly Sequence[]): Promise<Float32Array[]> {
    const logits = new Map<Sequence, Float32Array>();
    // by other weights, or beyond the model's limit, it is another text to the model
    const going = sequences.filter((sequence) => sequence.embedded || sequence.filled > 0);
    for (const sequence of sequences) if (!going.includes(sequence)) logits.set(sequence, await this.read(sequence));
    const after =
      going.length === 1 && going[0] === this.alone ? await this.goOnAlone(going[0]) : await this.goOnTogether(going);
    for (const [i, sequence] of going.entries()) {
      sequence.filled++;
      logits.set(sequence, after[i]);
    }
    return sequences.map((sequence) => logits.get(sequence) as Float32Array);
  }

  private async goOnAlone(sequence: Sequence): Promise<Float32Array[]> {
    const { context, filled, embedded, signal } = sequence;
    const positions = positionsOf([filled + (embedded?.offset ?? 0)], 1);
    const looked = { positions, embeddings: null, ...this.adaptersOf([sequence]) };
    const logits = await this.single.run({ tokens: [[context[filled]]], starts: [filled], context: looked, signal });
    this.first.ids.push(context[filled]);
    return logits;
  }

  /** What the context says of the adapters of rows, where some have one. */
  private adaptersOf(rows: readonly (Sequence | undefined)[]): Pick<CausalContext, "adapters"> {
    const { adapters } = this.options;
    if (!adapters || rows.every((row) => !row?.adapter)) return {};
    return {
      adapters: i32(
        rows.map((row) => adapters.slotOf(row?.adapter)),
        [rows.length],
      ),
    };
  }

  private async goOnTogether(sequences: readonly Sequence[]): Promise<Float32Array[]> {
    if (sequences.length === 0) return [];
    await this.makeSingleFree();
    const runner = await this.rowsFor(Math.max(...sequences.map(({ slot }) => slot as number)) + 1);
    const lengths = Array.from({ length: runner.rows }, (_, row) => this.holders[row]?.filled ?? 0);
    // a row that is full needs a position of the model all the same
    const places = lengths.map(
      (length, row) => Math.min(length, this.options.contextLength - 1) + (this.holders[row]?.embedded?.offset ?? 0),
    );
    const isRun = (row: number) => sequences.includes(this.holders[row] as Sequence);
    const adapters = this.adaptersOf(lengths.map((_, row) => (isRun(row) ? this.holders[row] : undefined)));
    return runner.runOne(
      sequences.map(({ slot, context, filled }) => ({ row: slot as number, id: context[filled] })),
      lengths,
      { positions: positionsOf(places, 1), embeddings: null, ...adapters },
      commonSignal(sequences),
    );
  }

  /** Lets another text begin in the cache of one row: the one that goes on there gets a row among several. */
  private async makeSingleFree(): Promise<void> {
    const { alone } = this;
    this.alone = undefined;
    if (alone?.slot === undefined || alone.filled === 0) return;
    const { slot } = alone;
    const { rows = 0 } = this.several ?? {};
    if (slot >= rows) await this.grow(slot + 1, alone);
    await this.several?.cache.copyInto(slot, this.single.cache);
    if (alone.embedded) this.first.forget();
  }

  private async rowsFor(rows: number): Promise<DecoderRunner<CausalContext>> {
    if ((this.several?.rows ?? 0) < rows) await this.grow(rows);
    return this.several as DecoderRunner<CausalContext>;
  }

  /** More rows: the texts that are in the present ones are read again. */
  private async grow(rows: number, except?: Sequence): Promise<void> {
    let size = 2;
    while (size < rows) size *= 2;
    const readBy = ({ context, filled, embedded, adapter }: Sequence) => ({
      ids: context.slice(0, filled),
      embedded,
      adapter,
    });
    const kept = except && readBy(except);
    const others = this.holders.filter((held) => held !== undefined && held !== except && held.filled > 0);
    this.several?.dispose();
    this.several = this.runnerOf(Math.min(size, this.options.maxSequences));
    for (const held of others as Sequence[]) {
      await this.first.feed(readBy(held));
      await this.several.cache.copyInto(held.slot as number, this.single.cache);
    }
    if (kept && others.length > 0) await this.first.feed(kept);
  }

  leave(sequence: Sequence): void {
    if (this.alone === sequence) {
      this.alone = undefined;
      if (sequence.embedded) this.first.forget(); // its ids may stand for other images next time
    }
    if (sequence.adapter) this.options.adapters?.release(sequence.adapter);
    this.holders[sequence.slot as number] = undefined;
    sequence.slot = undefined;
  }

  dispose(): void {
    this.single.dispose();
    this.several?.dispose();
  }
}

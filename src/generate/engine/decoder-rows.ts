import { DecoderRunner } from "../decoder-runner.ts";
import type { CachedDecoder } from "../decoder-step.ts";
import type { DeviceCacheOptions } from "../device-cache.ts";
import { doubled } from "../doubled.ts";
import { ModelWatch } from "./model-watch.ts";
import { type SequenceRunner, StaleContext } from "./runner.ts";
import { commonSignal, type Sequence } from "./sequence.ts";

/** Sizes of a `DecoderRows`. */
export interface DecoderRowsOptions extends Pick<DeviceCacheOptions, "cacheDtype" | "initialRoom" | "scales"> {
  /** Most tokens of a text. */
  maxLength: number;
  /** Most texts at the same time. */
  maxSequences: number;
}

/**
 * Runs a decoder where caches cannot be in the memory of others: GPUs, pages, onnxruntime-node. A text begins, and is
 * written as long as it is alone, in a cache of one row; several have one with a row for each, to which they are
 * copied. What texts begin with is read whole, one after another.
 */
export abstract class DecoderRows<Context> implements SequenceRunner {
  /** The cache of one row. */
  protected readonly single: DecoderRunner<Context>;
  private readonly decoder: CachedDecoder<Context>;
  private readonly options: DecoderRowsOptions;
  private readonly watch: ModelWatch;
  /** Whose text goes on in the cache of one row. */
  private alone: Sequence | undefined;
  private several: DecoderRunner<Context> | undefined;
  private readonly holders: (Sequence | undefined)[] = [];

  constructor(decoder: CachedDecoder<Context>, options: DecoderRowsOptions) {
    this.decoder = decoder;
    this.options = options;
    this.watch = new ModelWatch(decoder.model);
    this.single = this.runnerOf(1);
  }

  /**
   * Reads the first tokens of a context into the cache of one row, and gives the logits after the last.
   * @param signal ends the run
   */
  protected abstract begin(sequence: Sequence, length: number, signal?: AbortSignal): Promise<Float32Array>;

  /** What the next token of a text looks at that is alone. */
  protected abstract contextOf(sequence: Sequence): Context;

  /**
   * What the next tokens of all rows look at. @param holders whose they are; undefined for rows that nobody asks for
   * @param lengths positions that are filled in each, less than `maxLength`
   */
  protected abstract contextOfRows(
    holders: readonly (Sequence | undefined)[],
    lengths: readonly number[],
  ): Context | Promise<Context>;

  /** Called when a text that was in the cache of one row goes from there: so much of its context stays behind. */
  protected abstract keep(sequence: Sequence): void;

  /** Forgets what was read: it is of other weights. */
  protected abstract forget(): void;

  private runnerOf(rows: number): DecoderRunner<Context> {
    return new DecoderRunner(this.decoder, { ...this.options, rows });
  }

  noticeWeights(): boolean {
    if (!this.watch.hasOtherWeights()) return false;
    this.forget();
    return true;
  }

  /** Called when nothing is waited for any more before a run. @throws StaleContext */
  protected requireSameWeights(): void {
    if (this.noticeWeights()) throw new StaleContext();
  }

  hasOtherLayers(): boolean {
    return this.watch.hasOtherLayers();
  }

  takeLayers(): void {
    this.watch.takeLayers();
    this.forget();
    this.single.retrace();
    this.several?.retrace();
  }

  fits(_: readonly Sequence[]): boolean {
    return true;
  }

  async enter(sequence: Sequence): Promise<void> {
    let slot = 0;
    while (this.holders[slot]) slot++;
    this.holders[slot] = sequence;
    sequence.slot = slot;
    sequence.filled = 0;
  }

  async read(sequence: Sequence): Promise<Float32Array> {
    if (this.alone !== sequence) await this.makeSingleFree();
    this.alone = undefined; // what is there is of nobody while the run may fail
    const { length } = sequence.context;
    const logits = await this.begin(sequence, length, sequence.signal);
    this.alone = sequence;
    sequence.filled = length;
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
    const { context, filled, signal } = sequence;
    this.requireSameWeights();
    const tokens = [[context[filled]]];
    return this.single.run({ tokens, starts: [filled], context: this.contextOf(sequence), signal });
  }

  private async goOnTogether(sequences: readonly Sequence[]): Promise<Float32Array[]> {
    if (sequences.length === 0) return [];
    await this.makeSingleFree();
    const runner = await this.rowsFor(Math.max(...sequences.map(({ slot }) => slot as number)) + 1);
    const holders = Array.from({ length: runner.rows }, (_, row) => this.holders[row]);
    const lengths = holders.map((holder) => holder?.filled ?? 0);
    // a row that is full needs a position of the model all the same
    const places = lengths.map((length) => Math.min(length, this.options.maxLength - 1));
    const context = await this.contextOfRows(holders, places);
    this.requireSameWeights();
    return runner.runOne(
      sequences.map(({ slot, context: ids, filled }) => ({ row: slot as number, id: ids[filled] })),
      lengths,
      context,
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
    this.keep(alone);
  }

  private async rowsFor(rows: number): Promise<DecoderRunner<Context>> {
    if ((this.several?.rows ?? 0) < rows) await this.grow(rows);
    return this.several as DecoderRunner<Context>;
  }

  /** More rows: the texts that are in the present ones are read again. */
  private async grow(rows: number, except?: Sequence): Promise<void> {
    const others = this.holders.filter((held) => held !== undefined && held !== except && held.filled > 0);
    this.several?.dispose();
    this.several = this.runnerOf(doubled(2, rows, this.options.maxSequences));
    for (const held of others as Sequence[]) {
      await this.begin(held, held.filled);
      await this.several.cache.copyInto(held.slot as number, this.single.cache);
      this.keep(held);
    }
    if (except && others.length > 0) await this.begin(except, except.filled);
  }

  leave(sequence: Sequence): void {
    if (this.alone === sequence) {
      this.alone = undefined;
      this.keep(sequence);
    }
    this.holders[sequence.slot as number] = undefined;
    sequence.slot = undefined;
    sequence.source?.forget();
  }

  dispose(): void {
    for (const holder of this.holders) holder?.source?.forget();
    this.single.dispose();
    this.several?.dispose();
  }
}

import type { EncoderDecoder } from "../../models/index.ts";
import { type CompiledFunction, compile, type Device, type Tensor } from "../../tensor/index.ts";
import { i32 } from "../decoder-runner.ts";
import { lastLogits, rowsOf } from "../decoder-step.ts";
import { type EncodedSource, type SourceContext, sourceDecoder } from "../encoded-source.ts";
import type { DecoderRowsOptions } from "./decoder-rows.ts";
import { ModelWatch } from "./model-watch.ts";
import { type SequenceRunner, StaleContext } from "./runner.ts";
import { commonSignal, type Sequence } from "./sequence.ts";
import { SlotCache } from "./slot-cache.ts";
import { SourceCache } from "./source-cache.ts";

/** ids [R, T]; lengths [R] and total [1], see RoomCache; what is looked at: a source, or which places of several. */
type Step<Context> = CompiledFunction<
  [ids: Tensor<"i32">, lengths: Tensor<"i32">, total: Tensor<"i32">, context: Context],
  Tensor<"f32">
>;

/**
 * Runs an encoder-decoder over a cache of slots. One text looks at what the encoder gave for it; that of several, of
 * any lengths, is put into slots beside one another, where what is behind the shorter ones is hidden.
 */
export class SourceSlots implements SequenceRunner {
  private readonly model: EncoderDecoder;
  private readonly device: Device;
  /** Keys and values of the texts. */
  private readonly cache: SlotCache;
  /** Those of their sources, where several are run. */
  private readonly sources: SourceCache;
  private readonly holders: (Sequence | undefined)[];
  private readonly watch: ModelWatch;
  private steps: { one: Step<SourceContext>; several: Step<Tensor<"bool">> };

  constructor(model: EncoderDecoder, { device, ...options }: DecoderRowsOptions & { device: Device }) {
    const { maxSequences } = options;
    this.model = model;
    this.device = device;
    this.cache = new SlotCache(model.cacheShape, { ...options, device, maxSlots: maxSequences });
    this.sources = new SourceCache(device);
    this.holders = new Array(maxSequences).fill(undefined);
    this.watch = new ModelWatch(model);
    this.steps = this.compileSteps();
  }

  private compileSteps(): SourceSlots["steps"] {
    const { cache, sources, device } = this;
    const decoder = sourceDecoder(this.model);
    const stepOver = <Context>(
      window: SlotCache["one"],
      contextOf: (context: Context) => SourceContext,
      symbolicSizes?: (string | null)[][],
    ) => {
      const step = (ids: Tensor<"i32">, lengths: Tensor<"i32">, total: Tensor<"i32">, context: Context) => {
        const open = window.open(lengths, total);
        const logits = lastLogits(decoder, ids, open, contextOf(context));
        window.close(open);
        return logits;
      };
      // a run writes its own positions, and those before them stay as they were, also when it fails or is ended;
      // and who gets the logits picks a token before the next run
      const settings = { keepsPartialState: true, reusesResults: true, device, symbolicSizes };
      return compile(step as never, settings) as Step<Context>;
    };
    return {
      one: stepOver(cache.one, (context: SourceContext) => context),
      several: stepOver(cache.several, (mask: Tensor<"bool">) => ({ keysAndValues: sources.keysAndValues, mask }), [
        ["R", null],
        ["R"],
        [null],
        ["R", "E"],
      ]),
    };
  }

  noticeWeights(): boolean {
    return this.watch.hasOtherWeights();
  }

  hasOtherLayers(): boolean {
    return this.watch.hasOtherLayers();
  }

  takeLayers(): void {
    this.watch.takeLayers();
    this.disposeSteps();
    this.steps = this.compileSteps();
  }

  /** Called when nothing is waited for any more before a run. @throws StaleContext */
  private requireSameWeights(): void {
    if (this.noticeWeights()) throw new StaleContext();
  }

  fits(): boolean {
    return true;
  }

  async enter(sequence: Sequence): Promise<void> {
    if (this.holders.every((holder) => !holder)) await this.sources.clear();
    const slot = this.holders.indexOf(undefined);
    this.holders[slot] = sequence;
    sequence.slot = slot;
    sequence.filled = 0;
  }

  private async reserve(slots: number, length: number): Promise<void> {
    const filled = this.holders.slice(0, this.cache.slots).map((holder) => holder?.filled ?? 0);
    await this.cache.reserve(slots, length, filled);
  }

  async read(sequence: Sequence, count: number): Promise<Float32Array | undefined> {
    const { context, filled, signal, source } = sequence;
    const encoded = (await source?.read(signal)) as EncodedSource;
    const slot = sequence.slot as number;
    const to = filled + count;
    await this.reserve(slot + 1, to);
    this.cache.show(this.cache.one, slot, 1);
    this.requireSameWeights();
    const step = this.steps.one.withSignal(signal);
    const ids = i32(context.slice(filled, to), [1, count]);
    const logits = await step(ids, i32([to - 1], [1]), i32([to], [1]), encoded.context as never);
    const numbers = await logits.take();
    sequence.filled = to;
    return to < context.length ? undefined : numbers;
  }

  async advance(sequences: readonly Sequence[]): Promise<Float32Array[]> {
    if (sequences.length === 1) return [(await this.read(sequences[0], 1)) as Float32Array];
    await this.bringTogether(sequences);
    const places = sequences.map(({ slot }) => slot as number);
    const [first, last] = [Math.min(...places), Math.max(...places)];
    for (const { slot, source } of sequences) await this.sources.put(slot as number, source?.encoded as EncodedSource);
    await this.sources.reserve(last + 1, 0);
    const rows = Array.from({ length: last - first + 1 }, (_, row) => this.nextOf(first + row, sequences));
    const total = Math.max(...rows.map(({ place }) => place)) + 1;
    await this.reserve(last + 1, total);
    this.cache.show(this.cache.several, first, rows.length);
    const mask = this.sources.show(first, rows.length);
    this.requireSameWeights();
    const ids = rows.map(({ id }) => id);
    const lengths = rows.map(({ place }) => place);
    const step = this.steps.several.withSignal(commonSignal(sequences));
    const logits = await step(i32(ids, [rows.length, 1]), i32(lengths, [rows.length]), i32([total], [1]), mask);
    const numbers = rowsOf(await logits.take(), rows.length);
    for (const sequence of sequences) sequence.filled++;
    return places.map((place) => numbers[place - first]);
  }

  /** The token that a slot reads: of one whose turn it is not, something in a place that is not filled. */
  private nextOf(slot: number, sequences: readonly Sequence[]): { id: number; place: number } {
    const holder = this.holders[slot];
    if (!holder) return { id: 0, place: 0 };
    const { context, filled } = holder;
    if (sequences.includes(holder)) return { id: context[filled], place: filled };
    holder.filled = Math.min(filled, this.cache.maxLength - 1);
    return { id: 0, place: holder.filled };
  }

  /** Moves the texts of a run into free slots between them, so that no rows are run in vain. */
  private async bringTogether(sequences: readonly Sequence[]): Promise<void> {
    for (;;) {
      const places = sequences.map(({ slot }) => slot as number).sort((a, b) => a - b);
      const from = places[places.length - 1];
      const to = this.holders.findIndex((holder, slot) => !holder && slot > places[0] && slot < from);
      if (to < 0) return;
      const sequence = this.holders[from] as Sequence;
      await this.cache.copy({ slot: from, start: 0 }, { slot: to, start: 0 }, sequence.filled);
      [this.holders[to], this.holders[from]] = [sequence, undefined];
      sequence.slot = to;
    }
  }

  leave(sequence: Sequence): void {
    this.holders[sequence.slot as number] = undefined;
    sequence.slot = undefined;
    sequence.source?.forget();
  }

  private disposeSteps(): void {
    this.steps.one.dispose();
    this.steps.several.dispose();
  }

  dispose(): void {
    for (const holder of this.holders) holder?.source?.forget();
    this.disposeSteps();
    this.cache.dispose();
    this.sources.dispose();
  }
}

import { type CompiledFunction, compile, type SymbolicSizes, type Tensor, tensor } from "../tensor/index.ts";
import { type CachedDecoder, lastLogits, rowsOf } from "./decoder-step.ts";
import { DeviceCache, type DeviceCacheOptions } from "./device-cache.ts";

/** ids [R, T]; lengths [R] and total [1], see RoomCache; parents [R]; and what the decoder looks at. */
type StepInputs<Context> = [
  ids: Tensor<"i32">,
  context: Context,
  lengths: Tensor<"i32">,
  total: Tensor<"i32">,
  parents: Tensor<"i32"> | null,
];
type Step<Context> = CompiledFunction<StepInputs<Context>, Tensor<"f32">>;

/** New tokens of all rows. */
export interface RowsToRun<Context> {
  /** As many for each row. Several for several rows only where all of them begin. */
  tokens: readonly (readonly number[])[];
  /** Positions that are filled before them, of each row. */
  starts: readonly number[];
  context: Context;
  /**
   * By one graph for any number of tokens T, rather than one for each number: where sizes of the context's tensors
   * differ with it. @default a graph for each
   */
  anyLength?: SymbolicSizes;
  /** Of which row each row is the continuation. @default its own */
  parents?: readonly number[];
  /** Ends the run. */
  signal?: AbortSignal;
}

/**
 * Runs a decoder over a cache of one or several rows. What a run that fails has written is written again by the next.
 */
export class DecoderRunner<Context> {
  readonly rows: number;
  readonly cache: DeviceCache;
  private readonly decoder: CachedDecoder<Context>;
  private layout: number | undefined;
  /** By the names of the sizes that may differ. */
  private readonly steps = new Map<string, Step<Context>>();

  constructor(decoder: CachedDecoder<Context>, options: DeviceCacheOptions) {
    this.cache = new DeviceCache(decoder.cacheShape, options);
    this.rows = this.cache.rows;
    this.decoder = decoder;
    this.layout = decoder.layout?.();
  }

  /** Before each run. What is in the cache stays good. */
  private noticeLayout(): void {
    const layout = this.decoder.layout?.();
    if (layout === this.layout) return;
    this.layout = layout;
    this.retrace();
  }

  private stepOf(anyLength: SymbolicSizes | undefined): Step<Context> {
    const key = JSON.stringify(anyLength ?? null);
    const present = this.steps.get(key);
    if (present) return present;
    const { decoder } = this;
    const step = (...[ids, context, lengths, total, parents]: StepInputs<Context>): Tensor<"f32"> => {
      const cache = this.cache.open({ lengths, total, parents });
      const after = lastLogits(decoder, ids, cache, context);
      this.cache.close(cache);
      return after;
    };
    // a run writes its own positions, and those before them stay as they were, also when it fails or is ended
    const settings = { keepsPartialState: true, ...(anyLength && { symbolicSizes: [[null, "T"], ...anyLength] }) };
    const compiled = compile(step as never, settings) as Step<Context>;
    this.steps.set(key, compiled);
    return compiled;
  }

  /** Has the decoder traced anew: parts of its model were exchanged. What is in the cache is not good any more. */
  retrace(): void {
    this.disposeSteps();
  }

  /** Runs new tokens, and gives the logits after the last of each row, f32 [V]. */
  async run({ tokens, starts, context, anyLength, parents, signal }: RowsToRun<Context>): Promise<Float32Array[]> {
    const { rows } = this;
    const count = tokens[0].length;
    const ends = starts.map((start) => start + count);
    const total = Math.max(...ends);
    await this.cache.reserve(total);
    this.noticeLayout();
    const step = this.stepOf(anyLength).withSignal(signal) as (
      ...inputs: StepInputs<Context>
    ) => Promise<Tensor<"f32">>;
    const logits = await step(
      i32(tokens.flat(), [rows, count]),
      context,
      i32(
        ends.map((end) => end - 1),
        [rows],
      ),
      i32([total], [1]),
      parents ? i32(parents, [rows]) : null,
    );
    const numbers = await logits.read();
    logits.dispose();
    return rowsOf(numbers, rows);
  }

  /**
   * Runs one more token of some rows, and gives the logits after each; the others run one too, which nothing comes of.
   * @param lengths positions that are filled in each row
   */
  async runOne(
    tokens: readonly { row: number; id: number }[],
    lengths: readonly number[],
    context: Context,
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    const ids = lengths.map(() => [0]);
    for (const { row, id } of tokens) ids[row] = [id];
    // a row that is full has its last place written again: nobody asks for what comes after
    const starts = lengths.map((length) => Math.min(length, this.cache.maxLength - 1));
    const logits = await this.run({ tokens: ids, starts, context, signal });
    return tokens.map(({ row }) => logits[row]);
  }

  private disposeSteps(): void {
    for (const step of this.steps.values()) step.dispose();
    this.steps.clear();
  }

  dispose(): void {
    this.disposeSteps();
    this.cache.dispose();
  }
}

export const i32 = (values: readonly number[], shape: readonly number[]): Tensor<"i32"> =>
  tensor(Int32Array.from(values), { shape });

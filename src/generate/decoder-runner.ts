import { type CompiledFunction, type CompileFunctionOptions, compile, type Tensor, tensor } from "../tensor/index.ts";
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
   * By one graph for any number of tokens, rather than one for each number: the first tensor of the context has a
   * column for each token then, and the others have the same sizes each time. @default false
   */
  isAnyLength?: boolean;
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
  private steps: { exactLength: Step<Context>; anyLength: Step<Context> };

  constructor(decoder: CachedDecoder<Context>, options: DeviceCacheOptions) {
    this.cache = new DeviceCache(decoder.cacheShape, options);
    this.rows = this.cache.rows;
    this.decoder = decoder;
    this.layout = decoder.layout?.();
    this.steps = this.compileSteps();
  }

  /** Before each run. What is in the cache stays good. */
  private noticeLayout(): void {
    const layout = this.decoder.layout?.();
    if (layout === this.layout) return;
    this.layout = layout;
    this.retrace();
  }

  private compileSteps(): { exactLength: Step<Context>; anyLength: Step<Context> } {
    const { decoder } = this;
    const step = (...[ids, context, lengths, total, parents]: StepInputs<Context>): Tensor<"f32"> => {
      const cache = this.cache.open({ lengths, total, parents });
      const after = lastLogits(decoder, ids, cache, context);
      this.cache.close(cache);
      return after;
    };
    // a run writes its own positions, and those before them stay as they were, also when it fails or is ended
    const keepsPartialState = true;
    const compiled = (options: CompileFunctionOptions) =>
      compile(step as never, { keepsPartialState, ...options }) as Step<Context>;
    const byToken = [null, "T"];
    return { exactLength: compiled({}), anyLength: compiled({ symbolicSizes: [byToken, byToken] }) };
  }

  /** Has the decoder traced anew: parts of its model were exchanged. What is in the cache is not good any more. */
  retrace(): void {
    this.disposeSteps();
    this.steps = this.compileSteps();
  }

  /** Runs new tokens, and gives the logits after the last of each row, f32 [V]. */
  async run({
    tokens,
    starts,
    context,
    isAnyLength = false,
    parents,
    signal,
  }: RowsToRun<Context>): Promise<Float32Array[]> {
    const { rows } = this;
    const count = tokens[0].length;
    const ends = starts.map((start) => start + count);
    const total = Math.max(...ends);
    await this.cache.reserve(total);
    this.noticeLayout();
    const { anyLength, exactLength } = this.steps;
    const step = (isAnyLength ? anyLength : exactLength).withSignal(signal) as (
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
    this.steps.exactLength.dispose();
    this.steps.anyLength.dispose();
  }

  dispose(): void {
    this.disposeSteps();
    this.cache.dispose();
  }
}

export const i32 = (values: readonly number[], shape: readonly number[]): Tensor<"i32"> =>
  tensor(Int32Array.from(values), { shape });

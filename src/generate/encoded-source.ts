import type { DType } from "../base/index.ts";
import type { EncoderDecoder } from "../models/index.ts";
import type { KeysAndValues } from "../nn/index.ts";
import { broadcastTo, type CompiledFunction, compile, concat, ones, type Tensor, zeros } from "../tensor/index.ts";
import type { DecoderRunner } from "./decoder-runner.ts";
import type { CachedDecoder } from "./decoder-step.ts";
import type { RowToken, TextRows } from "./write-texts.ts";

/** What a decoder looks at: keys and values of each layer, [R, S, H Dh], and which count, bool [R, S]; null for all. */
export interface SourceContext {
  keysAndValues: KeysAndValues[];
  mask: Tensor<"bool"> | null;
}

/** What an encoder has read, for several texts of it; to be disposed of. */
export class EncodedSource {
  /** For each layer of the decoder. */
  readonly keysAndValues: KeysAndValues[];
  /** bool [1, S], false for padding; null where all counts. */
  readonly mask: Tensor<"bool"> | null;
  /** The tokens that were read; undefined for what is no text. */
  readonly inputIds: readonly number[] | undefined;

  constructor(keysAndValues: KeysAndValues[], mask: Tensor<"bool"> | null, inputIds?: readonly number[]) {
    this.keysAndValues = keysAndValues;
    this.mask = mask;
    this.inputIds = inputIds;
  }

  get context(): SourceContext {
    return { keysAndValues: this.keysAndValues, mask: this.mask };
  }

  /** Frees the keys and values on the device; no text can be written of this source afterwards. */
  dispose(): void {
    for (const { k, v } of this.keysAndValues) {
      k.dispose();
      v.dispose();
    }
  }
}

/** The decoder of an encoder-decoder over a cache. One source serves all rows, or each row has its own. */
export const sourceDecoder = (model: EncoderDecoder): CachedDecoder<SourceContext> => ({
  model,
  cacheShape: model.cacheShape,
  hidden: (ids, cache, { keysAndValues, mask }) => {
    const [rows] = ids.shape;
    const spread = <T extends Tensor>(x: T) =>
      (x.shape[0] === rows ? x : broadcastTo(x, [rows, ...x.shape.slice(1)])) as T;
    return model.decode(ids, {
      cache,
      encoderMask: mask ? spread(mask) : undefined,
      encoderKeysAndValues: keysAndValues.map(({ k, v }) => ({ k: spread(k), v: spread(v) })),
    });
  },
  logits: (states) => model.logits(states),
});

/**
 * Sources of one row, of any lengths, as one with a row for each: the shorter ones are filled up with what is hidden.
 */
function stackSources(sources: readonly SourceContext[]): SourceContext {
  const lengths = sources.map(({ keysAndValues: [{ k }] }) => k.size(1));
  const longest = Math.max(...lengths);
  const filled = <D extends DType>(x: Tensor<D>): Tensor<D> => {
    const missing = longest - x.size(1);
    return missing === 0 ? x : concat([x, zeros<D>([1, missing, ...x.shape.slice(2)], x.dtype)], 1);
  };
  const isWhole = sources.every(({ mask }, i) => mask === null && lengths[i] === longest);
  const masks = sources.map(({ mask }, i) => filled(mask ?? ones([1, lengths[i]], "bool")));
  const layers = sources[0].keysAndValues.map((_, layer) => {
    const all = (part: "k" | "v") =>
      concat(
        sources.map(({ keysAndValues }) => filled(keysAndValues[layer][part])),
        0,
      );
    return { k: all("k"), v: all("v") };
  });
  return { keysAndValues: layers, mask: isWhole ? null : concat(masks, 0) };
}

/**
 * The texts of one call, each of its source. With one text the cache of `first` is its cache; with several it is where
 * each text begins, and `runner` has a row for each.
 */
export class SourceTexts implements TextRows {
  private readonly sources: readonly EncodedSource[];
  private readonly texts: readonly { start: readonly number[] }[];
  private readonly first: DecoderRunner<SourceContext>;
  private readonly runner: DecoderRunner<SourceContext>;
  private readonly signal: AbortSignal | undefined;
  /** Positions that are filled in each row. */
  private readonly lengths: number[];
  /** The sources as rows of one. */
  private all: SourceContext | undefined;
  private readonly stack: CompiledFunction<[readonly SourceContext[]], SourceContext>;

  /** @param texts the tokens that each begins with */
  constructor(
    sources: readonly EncodedSource[],
    texts: readonly { start: readonly number[] }[],
    [first, runner]: readonly [DecoderRunner<SourceContext>, DecoderRunner<SourceContext>],
    signal: AbortSignal | undefined,
  ) {
    this.sources = sources;
    this.texts = texts;
    this.first = first;
    this.runner = runner;
    this.signal = signal;
    this.lengths = sources.map(() => 0);
    this.stack = compile(stackSources as never) as typeof this.stack;
  }

  async begin(row: number): Promise<Float32Array> {
    const { first, runner, signal } = this;
    const { start: ids } = this.texts[row];
    const [logits] = await first.run({ tokens: [ids], starts: [0], context: this.sources[row].context, signal });
    if (runner !== first) await runner.cache.copyInto(row, first.cache);
    this.lengths[row] = ids.length;
    return logits;
  }

  async advance(tokens: readonly RowToken[]): Promise<Float32Array[]> {
    const logits = await this.runner.runOne(tokens, this.lengths, await this.context(), this.signal);
    for (const { row } of tokens) this.lengths[row]++;
    return logits;
  }

  private async context(): Promise<SourceContext> {
    const { sources } = this;
    if (sources.length === 1) return sources[0].context;
    this.all ??= await this.stack(sources.map(({ context }) => context) as never);
    return this.all;
  }

  dispose(): void {
    for (const { k, v } of this.all?.keysAndValues ?? []) {
      k.dispose();
      v.dispose();
    }
    this.all?.mask?.dispose();
    this.stack.dispose();
  }
}

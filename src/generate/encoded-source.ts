import type { DType } from "../base/index.ts";
import type { EncoderDecoder } from "../models/index.ts";
import type { KeysAndValues } from "../nn/index.ts";
import { broadcastTo, concat, ones, type Tensor, zeros } from "../tensor/index.ts";
import type { CachedDecoder } from "./decoder-step.ts";

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

  /** Places that the encoder gave, padding among them: S. */
  get length(): number {
    return this.keysAndValues[0].k.size(1);
  }

  /** How many of the first places count. */
  get countedLength(): number {
    return this.inputIds?.length ?? this.length;
  }

  /** Frees the keys and values on the device; no text can be written of this source afterwards. */
  dispose(): void {
    for (const { k, v } of this.keysAndValues) {
      k.dispose();
      v.dispose();
    }
  }
}

/**
 * What one text is written of: the encoder reads it when the text begins, unless it was read before. What the encoder
 * gave is kept as long as the text has a place in the cache.
 */
export class SequenceSource {
  /** What reading it costs, in tokens of a prompt. */
  readonly tokens: number;
  private readonly run: (signal: AbortSignal | undefined) => Promise<EncodedSource>;
  private readonly lent: EncodedSource | undefined;
  private current: EncodedSource | undefined;

  /** @param lent what was read before, which others dispose of */
  constructor(
    tokens: number,
    run: (signal: AbortSignal | undefined) => Promise<EncodedSource>,
    lent: EncodedSource | undefined,
  ) {
    this.tokens = tokens;
    this.run = run;
    this.lent = lent;
  }

  /** What the encoder gave; undefined before it was run. */
  get encoded(): EncodedSource | undefined {
    return this.lent ?? this.current;
  }

  /** Runs the encoder, unless it was. */
  async read(signal: AbortSignal | undefined): Promise<EncodedSource> {
    if (this.lent) return this.lent;
    this.current ??= await this.run(signal);
    return this.current;
  }

  /** Frees what the encoder gave; it is read again when it is needed again. */
  forget(): void {
    this.current?.dispose();
    this.current = undefined;
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
export function stackSources(sources: readonly SourceContext[]): SourceContext {
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

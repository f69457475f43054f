import type { CacheShape, KeyValueCache, Module } from "../nn/index.ts";
import { flip, reshape, slice, type Tensor } from "../tensor/index.ts";

/** A decoder as it runs over a cache; `Context` is what it looks at besides the tokens. */
export interface CachedDecoder<Context> {
  readonly model: Module;
  readonly cacheShape: CacheShape;
  /** ids: i32 [R, T] of R texts -> states [R, T, D] */
  hidden(ids: Tensor<"i32">, cache: KeyValueCache, context: Context): Tensor<"f32">;
  /** Traces a run in what its context says of the layers. @default as it is */
  within?<T>(context: Context, trace: () => T): T;
  /** Another number when runs are to be traced anew. @default never */
  layout?(): number;
  /** states: [R, D] -> [R, V] */
  logits(states: Tensor<"f32">): Tensor<"f32">;
}

/** The logits after the last of some new tokens, over a cache that is open. ids: i32 [R, T] -> [R, V] */
export function lastLogits<Context>(
  decoder: CachedDecoder<Context>,
  ids: Tensor<"i32">,
  cache: KeyValueCache,
  context: Context,
): Tensor<"f32"> {
  return within(decoder, context, () => {
    const states = decoder.hidden(ids, cache, context);
    const last = slice(flip(states, [1]), { axis: 1, start: 0, end: 1 }); // [R, 1, D]
    return decoder.logits(reshape(last, [last.shape[0], last.shape[2]]));
  });
}

/** The logits after each new token of one text, over a cache that is open. ids: i32 [1, T] -> [T, V] */
export function allLogits<Context>(
  decoder: CachedDecoder<Context>,
  ids: Tensor<"i32">,
  cache: KeyValueCache,
  context: Context,
): Tensor<"f32"> {
  return within(decoder, context, () => {
    const states = decoder.hidden(ids, cache, context);
    return decoder.logits(reshape(states, [states.shape[1], states.shape[2]]));
  });
}

function within<Context, T>(decoder: CachedDecoder<Context>, context: Context, trace: () => T): T {
  return decoder.within ? decoder.within(context, trace) : trace();
}

/** The rows of logits that were read together, [R, V]. */
export function rowsOf(numbers: Float32Array, rows: number): Float32Array[] {
  if (rows === 1) return [numbers];
  const width = numbers.length / rows;
  return Array.from({ length: rows }, (_, row) => numbers.subarray(row * width, (row + 1) * width));
}

import type { CausalLM, TextPrefix } from "../models/index.ts";
import type { AdapterPool } from "../peft/index.ts";
import type { SymbolicSizes, Tensor } from "../tensor/index.ts";
import { i32 } from "./decoder-runner.ts";
import type { CachedDecoder } from "./decoder-step.ts";

/** A prompt of which some tokens stand for images: what is in their place. */
export interface EmbeddedPrompt {
  /** What all tokens are to the first layer, [1, T, D]. */
  embeddings: Tensor<"f32">;
  /** Positions in time, height and width, i32 [3, 1, T]. @default 0, 1, ... */
  positions?: Tensor<"i32">;
  /** What is added to the positions of the tokens that follow. @default 0 */
  offset?: number;
}

/**
 * positions: i32 [R, T] or [3, R, T]; embeddings: [R, T, D], or null where the tokens have their own; adapters: the
 * slot of each row's, i32 [R], where some have one.
 */
export interface CausalContext {
  positions: Tensor<"i32">;
  embeddings: Tensor<"f32"> | null;
  adapters?: Tensor<"i32">;
}

/** The sizes of the context of a text's tokens that are others for another number of them: positions [1, T]. */
export const textSizes: SymbolicSizes = [[null, "T"]];

/** The same of an embedded prompt: positions [1, T] or [3, 1, T], by their rank, and embeddings [1, T, D]. */
export const embeddedSizes = (rank: number): SymbolicSizes => [
  [...new Array<null>(rank - 1).fill(null), "T"],
  [null, "T", null],
];

/**
 * A language model over a cache, with adapters of a pool where the context names some.
 * @param prefix what the first positions of a text stand for. @default what the model has
 */
export const causalDecoder = (
  model: CausalLM,
  pool?: AdapterPool,
  prefix?: TextPrefix,
): CachedDecoder<CausalContext> => ({
  model,
  cacheShape: model.cacheShape,
  hidden: (ids, cache, { positions, embeddings }) => {
    const options = { positions, embeddings: embeddings ?? undefined, cache };
    return (prefix ?? model.textPrefix)?.cached(model, ids, options) ?? model.hidden(ids, options);
  },
  layout: () => pool?.layout ?? 0,
  within: ({ adapters }, trace) => (adapters && pool ? pool.withRows(adapters, trace) : trace()),
  logits: (states) => model.logits(states),
});

/** The positions of new tokens of some texts: i32 [R, T] */
export const positionsOf = (starts: readonly number[], count: number): Tensor<"i32"> =>
  i32(
    starts.flatMap((start) => Array.from({ length: count }, (_, i) => start + i)),
    [starts.length, count],
  );

import type { CausalLM } from "../models/index.ts";
import type { AdapterPool, PooledAdapter } from "../peft/index.ts";
import type { Tensor } from "../tensor/index.ts";
import { type DecoderRunner, i32 } from "./decoder-runner.ts";
import type { CachedDecoder } from "./decoder-step.ts";
import { sharedLength } from "./engine/prompt-memory.ts";
import { sumOfVersions } from "./model-structure.ts";

/** A prompt of which some tokens stand for images: what is in their place. */
export interface EmbeddedPrompt {
  /** What all tokens are to the first layer, [1, T, D]. */
  embeddings: Tensor<"f32">;
  /** Positions in time, height and width, i32 [3, 1, T]. @default 0, 1, ... */
  positions?: Tensor<"i32">;
  /** What is added to the positions of the tokens that follow. @default 0 */
  offset?: number;
}

/** What a prompt is, and its images. */
export interface CausalPrompt {
  ids: readonly number[];
  embedded?: EmbeddedPrompt;
  adapter?: PooledAdapter;
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

/** A language model over a cache, with adapters of a pool where the context names some. */
export const causalDecoder = (model: CausalLM, pool?: AdapterPool): CachedDecoder<CausalContext> => ({
  model,
  cacheShape: model.cacheShape,
  hidden: (ids, cache, { positions, embeddings }) =>
    model.hidden(ids, { positions, embeddings: embeddings ?? undefined, cache }),
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

/**
 * A text over a cache of one row: what it shares with the text before is not run again, unless the weights have
 * changed.
 */
export class CachedText {
  private readonly model: CausalLM;
  /** Ids whose keys and values are in the cache. */
  ids: number[] = [];
  private readonly runner: DecoderRunner<CausalContext>;
  private readonly prefillTokens: number;
  private readonly pool: AdapterPool | undefined;
  /** With which adapter the ids were read. */
  private adapter: PooledAdapter | undefined;
  private weights: readonly { readonly version: number }[];
  /** Of which weights the keys and values are, see `sumOfVersions`. */
  private version = 0;
  /**
   * The prompt that was run last, and the logits after it: asked again, it gives the same numbers to the bit, and at
   * once.
   */
  private last: { prompt: readonly number[]; logits: Float32Array } | undefined;

  /**
   * @param runner of one row, which the caller disposes of
   * @param prefillTokens tokens of a text that are run at once
   * @param pool of the adapters that texts may have
   */
  constructor(model: CausalLM, runner: DecoderRunner<CausalContext>, prefillTokens: number, pool?: AdapterPool) {
    this.model = model;
    this.prefillTokens = prefillTokens;
    this.weights = [...model.namedState().values()];
    this.runner = runner;
    this.pool = pool;
  }

  /** Forgets what was run: by layers or parameters that are not the model's any more. */
  takeExchanged(): void {
    this.ids = [];
    this.last = undefined;
    this.weights = [...this.model.namedState().values()];
  }

  /** Runs a whole text, piece by piece, and gives the logits after its last token. */
  async feed({ ids, embedded, adapter }: CausalPrompt, signal?: AbortSignal): Promise<Float32Array> {
    signal?.throwIfAborted();
    if (adapter !== this.adapter) {
      this.forget();
      this.last = undefined;
      this.adapter = adapter;
    }
    if (embedded) return this.feedEmbedded(ids, embedded, signal);
    const known = this.knownLogits(ids);
    if (known) return known;
    this.ids.length = this.sharedWith(ids);
    this.version = sumOfVersions(this.weights);
    let logits: Float32Array = new Float32Array();
    for (const [start, end] of this.piecesOf(this.ids.length, ids.length)) {
      const piece = ids.slice(start, end);
      const context = { positions: positionsOf([start], piece.length), embeddings: null, ...this.adapters };
      const isAnyLength = piece.length > 1;
      [logits] = await this.runner.run({ tokens: [piece], starts: [start], context, isAnyLength, signal });
      this.ids.push(...piece);
    }
    this.last = { prompt: [...ids], logits: logits.slice() };
    return logits;
  }

  private async feedEmbedded(
    ids: readonly number[],
    { embeddings, positions = positionsOf([0], ids.length) }: EmbeddedPrompt,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    this.ids = [];
    const context = { positions, embeddings, ...this.adapters };
    const [logits] = await this.runner.run({ tokens: [ids], starts: [0], context, signal });
    this.ids = [...ids];
    return logits;
  }

  private get adapters(): Pick<CausalContext, "adapters"> {
    const { adapter, pool } = this;
    return adapter && pool ? { adapters: i32([pool.slotOf(adapter)], [1]) } : {};
  }

  /** Forgets the text: its ids may stand for other images next time. */
  forget(): void {
    this.ids = [];
  }

  /** The logits after a prompt that is the last one again. */
  private knownLogits(prompt: readonly number[]): Float32Array | undefined {
    const isSame = (ids: readonly number[] | undefined) => prompt.every((id, i) => id === ids?.[i]);
    const isKnown =
      this.last?.prompt.length === prompt.length &&
      isSame(this.last.prompt) &&
      isSame(this.ids) &&
      this.fits(prompt.length);
    if (!isKnown) return undefined;
    this.ids.length = prompt.length;
    return this.last?.logits.slice();
  }

  /** How many tokens at the beginning of a prompt need not be run again; the last one always is, for its logits. */
  private sharedWith(prompt: readonly number[]): number {
    if (!this.fits(prompt.length)) return 0;
    return Math.min(prompt.length - 1, sharedLength(this.ids, this.ids.length, prompt));
  }

  /**
   * From where to where a prompt is run at once. The first piece of a text beyond the model's `cacheLimit` reaches
   * beyond it too.
   */
  private piecesOf(start: number, end: number): [number, number][] {
    const { cacheLimit = Number.POSITIVE_INFINITY } = this.model;
    const pieces: [number, number][] = [];
    for (let from = start; from < end; from = pieces[pieces.length - 1][1]) {
      const least = end > cacheLimit ? cacheLimit + 1 : 0;
      pieces.push([from, Math.min(end, Math.max(from + this.prefillTokens, least))]);
    }
    return pieces;
  }

  /** Whether the keys that are there may be used in a text of such a length. */
  private fits(length: number): boolean {
    const { cacheLimit = Number.POSITIVE_INFINITY } = this.model;
    return this.version === sumOfVersions(this.weights) && length > cacheLimit === this.ids.length > cacheLimit;
  }
}

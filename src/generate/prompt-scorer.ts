import type { CausalLM } from "../models/index.ts";
import {
  type CompiledFunction,
  cast,
  compile,
  greaterEqual,
  logSumExp,
  reshape,
  sub,
  sum,
  type Tensor,
  takeAlong,
} from "../tensor/index.ts";
import { causalDecoder, positionsOf } from "./causal-decoder.ts";
import { i32 } from "./decoder-runner.ts";
import { rowsOf } from "./decoder-step.ts";
import { DeviceCache, type DeviceCacheOptions } from "./device-cache.ts";
import { ModelWatch } from "./engine/model-watch.ts";
import { LogprobReader, type ScoredToken } from "./log-probabilities.ts";
import { Turns } from "./turns.ts";

/** How much is told of each token, and what ends it. */
export interface ScoreOptions {
  /** How many of the likeliest tokens are told at each place. @default 0 */
  topLogprobs?: number;
  /** Ends the run under way before its next operator (by onnxruntime-node and in pages, at its end). */
  signal?: AbortSignal;
}

/** Sizes of a `PromptScorer`. */
export interface PromptScorerOptions extends Omit<DeviceCacheOptions, "rows"> {
  /** Most tokens that are run at once. */
  prefillTokens: number;
}

/** Most logits that are there at once: some ten megabytes. */
const MAX_LOGITS = 2 ** 23;

/** ids and those that follow them, i32 [1, T]; positions [1, T]; length [1] and total [1], see RoomCache. */
type Inputs = [
  ids: Tensor<"i32">,
  next: Tensor<"i32">,
  positions: Tensor<"i32">,
  lengths: Tensor<"i32">,
  total: Tensor<"i32">,
];
/** logprobs [T] of the tokens that follow, and their ranks [T]; logits [T, V], where they are wanted. */
interface Outputs {
  logprobs: Tensor<"f32">;
  ranks: Tensor<"f32">;
  logits?: Tensor<"f32">;
}
type Step = CompiledFunction<Inputs, Outputs>;

/**
 * How probable the tokens of a text are to a model, each after those before it. The text is run in pieces over a cache
 * of its own, so that logits of few places are there at once; between two pieces others have their turn, such as texts
 * that are being written. Calls wait for one another.
 */
export class PromptScorer {
  private readonly model: CausalLM;
  private readonly options: PromptScorerOptions;
  private readonly watch: ModelWatch;
  private readonly turns = new Turns();
  private cache: DeviceCache | undefined;
  private readonly steps = new Map<string, Step>();

  constructor(model: CausalLM, options: PromptScorerOptions) {
    this.model = model;
    this.options = options;
    this.watch = new ModelWatch(model);
  }

  /**
   * Of each token its log probability, in nats, and its rank; NaN for the first, which nothing is before.
   * @throws the signal's reason
   */
  async score(ids: readonly number[], { topLogprobs = 0, signal }: ScoreOptions): Promise<ScoredToken[]> {
    const release = await this.turns.take(signal);
    try {
      if (this.watch.hasOtherLayers()) {
        this.watch.takeLayers();
        this.disposeSteps();
      }
      for (;;) {
        this.watch.hasOtherWeights();
        const scored = await this.run(ids, topLogprobs, signal);
        if (!this.watch.hasOtherWeights()) return scored; // else its beginning is of others than its end
      }
    } finally {
      release();
    }
  }

  private async run(ids: readonly number[], topCount: number, signal?: AbortSignal): Promise<ScoredToken[]> {
    const { cacheLimit = Number.POSITIVE_INFINITY } = this.model;
    const { prefillTokens, ...sizes } = this.options;
    await sizes.scales?.update();
    this.cache ??= new DeviceCache(this.model.cacheShape, sizes);
    const atOnce = Math.max(1, Math.min(prefillTokens, Math.floor(MAX_LOGITS / this.model.config.vocabSize)));
    // the first piece of a text beyond the limit reaches beyond it too
    const least = ids.length - 1 > cacheLimit ? cacheLimit + 1 : 0;
    const scored: ScoredToken[] = [{ id: ids[0], logprob: Number.NaN, rank: Number.NaN, top: [] }];
    for (let from = 0, to = 0; from < ids.length - 1; from = to) {
      signal?.throwIfAborted();
      to = Math.min(ids.length - 1, Math.max(from + atOnce, least));
      await this.cache.reserve(to);
      scored.push(...(await this.runPiece(ids, [from, to], topCount, signal)));
    }
    return scored;
  }

  private async runPiece(
    ids: readonly number[],
    [from, to]: readonly [number, number],
    topCount: number,
    signal?: AbortSignal,
  ): Promise<ScoredToken[]> {
    const count = to - from;
    const next = ids.slice(from + 1, to + 1);
    const step = this.stepOf(count > 1, topCount > 0).withSignal(signal);
    const { logprobs, ranks, logits } = await step(
      i32(ids.slice(from, to), [1, count]),
      i32(next, [1, count]),
      positionsOf([from], count),
      i32([to - 1], [1]),
      i32([to], [1]),
    );
    try {
      const numbers = await logprobs.read();
      const places = await ranks.read();
      const rows = logits ? rowsOf(await logits.read(), count) : [];
      const reader = new LogprobReader(topCount, false);
      return next.map((id, i) => {
        const rank = places[i];
        if (!logits) return { id, logprob: numbers[i], rank, top: [] };
        reader.read(rows[i]);
        return { ...reader.of(id), rank };
      });
    } finally {
      logprobs.dispose();
      ranks.dispose();
      logits?.dispose();
    }
  }

  private stepOf(isAnyLength: boolean, hasLogits: boolean): Step {
    const key = `${isAnyLength} ${hasLogits}`;
    const present = this.steps.get(key);
    if (present) return present;
    const cache = this.cache as DeviceCache;
    const decoder = causalDecoder(this.model);
    const step = (...[ids, next, positions, lengths, total]: Inputs): Outputs => {
      const open = cache.open({ lengths, total, parents: null });
      const states = decoder.hidden(ids, open, { positions, embeddings: null }); // [1, T, D]
      cache.close(open);
      const [, length, width] = states.shape;
      const logits = decoder.logits(reshape(states, [length, width])); // [T, V]
      const following = takeAlong(logits, reshape(next, [length, 1]), 1); // [T, 1]
      const logprobs = sub(reshape(following, [length]), logSumExp(logits, { axes: 1 }));
      const ranks = sum(cast(greaterEqual(logits, following), "f32"), { axes: 1 }); // exact below 2^24
      return { logprobs, ranks, ...(hasLogits && { logits }) };
    };
    const byToken = [null, "T"];
    const sizes = isAnyLength ? { symbolicSizes: [byToken, byToken, byToken] } : {};
    const compiled = compile(step as never, { keepsPartialState: true, ...sizes }) as Step;
    this.steps.set(key, compiled);
    return compiled;
  }

  private disposeSteps(): void {
    for (const step of this.steps.values()) step.dispose();
    this.steps.clear();
  }

  dispose(): void {
    this.disposeSteps();
    this.cache?.dispose();
  }
}

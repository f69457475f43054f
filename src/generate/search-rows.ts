import type { CausalLM } from "../models/index.ts";
import { type CompiledFunction, compile, flip, reshape, slice, type Tensor } from "../tensor/index.ts";
import type { BeamRunner, ContrastiveRunner, RunToken } from "./beams/index.ts";
import { causalDecoder, positionsOf } from "./causal-decoder.ts";
import { i32 } from "./decoder-runner.ts";
import { rowsOf } from "./decoder-step.ts";
import { DeviceCache, type DeviceCacheOptions } from "./device-cache.ts";

/** ids [R, T]; positions [R, T]; lengths [R] and total [1], see RoomCache; parents [R]. */
type StepInputs = [
  ids: Tensor<"i32">,
  positions: Tensor<"i32">,
  lengths: Tensor<"i32">,
  total: Tensor<"i32">,
  parents: Tensor<"i32"> | null,
];
/** logits [R, V] after the last token; states [R, T, D] of all. */
interface StepOutputs {
  logits: Tensor<"f32">;
  states: Tensor<"f32">;
}
type Step = CompiledFunction<StepInputs, StepOutputs>;

/** A cache of some rows, and the graphs that run tokens over it. */
class CachedRows {
  readonly cache: DeviceCache;
  private readonly steps: { one: Step; several: Step };

  constructor(model: CausalLM, options: DeviceCacheOptions) {
    this.cache = new DeviceCache(model.cacheShape, options);
    const decoder = causalDecoder(model);
    const step = (...[ids, positions, lengths, total, parents]: StepInputs): StepOutputs => {
      const cache = this.cache.open({ lengths, total, parents });
      const states = decoder.hidden(ids, cache, { positions, embeddings: null });
      this.cache.close(cache);
      const last = slice(flip(states, [1]), { axis: 1, start: 0, end: 1 }); // [R, 1, D]
      return { logits: decoder.logits(reshape(last, [last.shape[0], last.shape[2]])), states };
    };
    const byToken = [null, "T"];
    this.steps = {
      one: compile(step as never) as Step,
      several: compile(step as never, { symbolicSizes: [byToken, byToken] }) as Step,
    };
  }

  /** Runs as many tokens of each row, of which `start` positions are filled. */
  async run(
    tokens: readonly (readonly number[])[],
    start: number,
    { parents, signal, hasStates }: { parents?: readonly number[]; signal?: AbortSignal; hasStates: boolean },
  ): Promise<{ logits: Float32Array[]; states: Float32Array[] }> {
    const { rows } = this.cache;
    const count = tokens[0].length;
    const end = start + count;
    await this.cache.reserve(end);
    const step = (count === 1 ? this.steps.one : this.steps.several).withSignal(signal) as (
      ...inputs: StepInputs
    ) => Promise<StepOutputs>;
    const starts = tokens.map(() => start);
    const { logits, states } = await step(
      i32(tokens.flat(), [rows, count]),
      positionsOf(starts, count),
      i32(
        starts.map(() => end - 1),
        [rows],
      ),
      i32([end], [1]),
      parents ? i32(parents, [rows]) : null,
    );
    try {
      return {
        logits: rowsOf(await logits.read(), rows),
        states: hasStates ? rowsOf(await states.read(), rows * count) : [],
      };
    } finally {
      logits.dispose();
      states.dispose();
    }
  }

  dispose(): void {
    this.steps.one.dispose();
    this.steps.several.dispose();
    this.cache.dispose();
  }
}

/** Sizes of `SearchRows`. */
export interface SearchRowsOptions extends Omit<DeviceCacheOptions, "rows"> {
  /** Tokens of a text that are run at once. */
  prefillTokens: number;
}

/** Runs hypotheses, or candidates, of one text of a decoder over a cache: its beginning once, then a row for each. */
export class SearchRows {
  private readonly model: CausalLM;
  private readonly options: SearchRowsOptions;
  private readonly first: CachedRows;
  private several: CachedRows | undefined;
  /** Positions that are filled in each row. */
  private length = 0;

  constructor(model: CausalLM, options: SearchRowsOptions) {
    this.model = model;
    this.options = options;
    this.first = new CachedRows(model, { ...options, rows: 1 });
  }

  beams(start: readonly number[], numBeams: number): BeamRunner {
    return {
      begin: async (signal) => (await this.begin(start, numBeams, false, signal)).logits,
      advance: async (tokens, parents, signal) => (await this.advance(tokens, parents, false, signal)).logits,
    };
  }

  contrastive(start: readonly number[], topK: number): ContrastiveRunner {
    return {
      begin: (signal) => this.begin(start, topK, true, signal),
      advance: async (candidates, parent, signal) => {
        const tokens = Array.from({ length: topK }, (_, row) => candidates[row] ?? candidates[0]);
        const parents = tokens.map(() => parent);
        const { logits, states } = await this.advance(tokens, parents, true, signal);
        return candidates.map((_, row): RunToken => ({ logits: logits[row], hidden: states[row] }));
      },
    };
  }

  private async begin(start: readonly number[], rows: number, hasStates: boolean, signal: AbortSignal | undefined) {
    const { prefillTokens, scales } = this.options;
    await scales?.update();
    const hidden: Float32Array[] = [];
    let logits: Float32Array = new Float32Array();
    const { cacheLimit = Number.POSITIVE_INFINITY } = this.model;
    // the first piece of a text beyond the limit reaches beyond it too
    const least = start.length > cacheLimit ? cacheLimit + 1 : 0;
    for (let from = 0, to = 0; from < start.length; from = to) {
      to = Math.max(from + prefillTokens, least);
      const piece = start.slice(from, to);
      const run = await this.first.run([piece], from, { signal, hasStates });
      hidden.push(...run.states);
      [logits] = run.logits;
    }
    if (this.several?.cache.rows !== rows) {
      this.several?.dispose();
      this.several = new CachedRows(this.model, { ...this.options, rows });
    }
    for (let row = 0; row < rows; row++) await this.several.cache.copyInto(row, this.first.cache);
    this.length = start.length;
    return { logits, hidden };
  }

  private async advance(
    tokens: readonly number[],
    parents: readonly number[],
    hasStates: boolean,
    signal: AbortSignal | undefined,
  ) {
    const several = this.several as CachedRows;
    const run = await several.run(
      tokens.map((id) => [id]),
      this.length,
      { parents, signal, hasStates },
    );
    this.length++;
    return run;
  }

  dispose(): void {
    this.first.dispose();
    this.several?.dispose();
  }
}

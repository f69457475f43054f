import type { CausalLM } from "../../models/index.ts";
import { type CausalContext, causalDecoder, positionsOf } from "../causal-decoder.ts";
import { DecoderRows, type DecoderRowsOptions } from "./decoder-rows.ts";
import { PromptMemory, sharedLength } from "./prompt-memory.ts";
import type { Sequence } from "./sequence.ts";

/** Sizes of a `CausalRows`. */
export interface CausalRowsOptions extends DecoderRowsOptions {
  /** Tokens of a prompt that are run at once. */
  prefillTokens: number;
}

/** A language model by rows, where what a text shares with the one before it is not read again. */
export class CausalRows extends DecoderRows<CausalContext> {
  private readonly model: CausalLM;
  private readonly prefillTokens: number;
  /** Tokens whose keys and values are in the cache of one row, and good for other texts. */
  private ids: readonly number[] = [];
  private readonly memory = new PromptMemory();

  constructor(model: CausalLM, { prefillTokens, ...options }: CausalRowsOptions) {
    super(causalDecoder(model), options);
    this.model = model;
    this.prefillTokens = prefillTokens;
  }

  protected async begin(sequence: Sequence, length: number, signal?: AbortSignal): Promise<Float32Array> {
    const { context, embedded } = sequence;
    signal?.throwIfAborted();
    this.requireSameWeights();
    const prompt = context.slice(0, length);
    const before = this.ids;
    this.ids = [];
    if (embedded) {
      const { embeddings, positions = positionsOf([0], length) } = embedded;
      const run = { tokens: [prompt], starts: [0], context: { positions, embeddings }, signal };
      return (await this.single.run(run))[0];
    }
    const known = this.memory.find(prompt);
    const isAlike = this.isBeyondLimit(before.length) === this.isBeyondLimit(length);
    const shared = isAlike ? sharedLength(before, before.length, prompt) : 0;
    if (known && shared === length) {
      this.ids = prompt;
      return known;
    }
    let logits: Float32Array = new Float32Array();
    for (const [start, end] of this.piecesOf(Math.min(length - 1, shared), length)) {
      const tokens = [prompt.slice(start, end)];
      const looked = { positions: positionsOf([start], end - start), embeddings: null };
      const isAnyLength = end - start > 1;
      this.requireSameWeights();
      [logits] = await this.single.run({ tokens, starts: [start], context: looked, isAnyLength, signal });
      this.ids = prompt.slice(0, end);
    }
    this.memory.keep(prompt, logits);
    return logits;
  }

  /**
   * From where to where a prompt is run at once. The first piece of a text beyond the model's `cacheLimit` reaches
   * beyond it too.
   */
  private piecesOf(start: number, end: number): [number, number][] {
    const least = this.isBeyondLimit(end) ? (this.model.cacheLimit as number) + 1 : 0;
    const pieces: [number, number][] = [];
    for (let from = start; from < end; from = pieces[pieces.length - 1][1])
      pieces.push([from, Math.min(end, Math.max(from + this.prefillTokens, least))]);
    return pieces;
  }

  private isBeyondLimit(length: number): boolean {
    return length > (this.model.cacheLimit ?? Number.POSITIVE_INFINITY);
  }

  protected contextOf({ filled, embedded }: Sequence): CausalContext {
    return { positions: positionsOf([filled + (embedded?.offset ?? 0)], 1), embeddings: null };
  }

  protected contextOfRows(holders: readonly (Sequence | undefined)[], lengths: readonly number[]): CausalContext {
    const places = lengths.map((length, row) => length + (holders[row]?.embedded?.offset ?? 0));
    return { positions: positionsOf(places, 1), embeddings: null };
  }

  /** Its ids may stand for other images next time. */
  protected keep({ context, filled, embedded }: Sequence): void {
    this.ids = embedded ? [] : context.slice(0, filled);
  }

  protected forget(): void {
    this.ids = [];
    this.memory.clear();
  }
}

import { OptionError } from "../../base/index.ts";
import type { CausalLM } from "../../models/index.ts";
import type { AdapterPool, PooledAdapter } from "../../peft/index.ts";
import { type CausalContext, causalDecoder, embeddedSizes, positionsOf, textSizes } from "../causal-decoder.ts";
import { i32 } from "../decoder-runner.ts";
import { DecoderRows, type DecoderRowsOptions } from "./decoder-rows.ts";
import { PromptMemory, sharedLength } from "./prompt-memory.ts";
import type { Sequence } from "./sequence.ts";

/** Sizes of a `CausalRows`. */
export interface CausalRowsOptions extends DecoderRowsOptions {
  /** Tokens of a prompt that are run at once. */
  prefillTokens: number;
  /** Adapters that sequences may have. @default none */
  adapters?: AdapterPool;
}

/** A language model by rows, where what a text shares with the one before it is not read again. */
export class CausalRows extends DecoderRows<CausalContext> {
  private readonly model: CausalLM;
  private readonly prefillTokens: number;
  /** Tokens whose keys and values are in the cache of one row, and good for other texts. */
  private ids: readonly number[] = [];
  /** With which adapter they were read. */
  private adapter: PooledAdapter | undefined;
  private readonly adapters: AdapterPool | undefined;
  private readonly scales: CausalRowsOptions["scales"];
  private readonly memory = new PromptMemory();

  constructor(model: CausalLM, { prefillTokens, adapters, ...options }: CausalRowsOptions) {
    super(causalDecoder(model, adapters), options);
    this.scales = options.scales;
    this.model = model;
    this.adapters = adapters;
    this.prefillTokens = prefillTokens;
  }

  override fits(sequences: readonly Sequence[]): boolean {
    return this.adapters?.holds(sequences.map(({ adapter }) => adapter)) ?? true;
  }

  override async enter(sequence: Sequence): Promise<void> {
    if (sequence.adapter?.prefix) throw noRows(sequence.adapter);
    if (sequence.adapter) await this.adapters?.acquire(sequence.adapter);
    await super.enter(sequence);
  }

  override leave(sequence: Sequence): void {
    super.leave(sequence);
    if (sequence.adapter) this.adapters?.release(sequence.adapter);
  }

  protected async begin(sequence: Sequence, length: number, signal?: AbortSignal): Promise<Float32Array> {
    const { context, embedded, adapter } = sequence;
    signal?.throwIfAborted();
    await this.scales?.update();
    this.requireSameWeights();
    const prompt = context.slice(0, length);
    const before = this.adapter === adapter ? this.ids : [];
    this.ids = [];
    this.adapter = adapter;
    const adapters = this.adaptersOf([sequence]);
    if (embedded) {
      const { embeddings, positions = positionsOf([0], length) } = embedded;
      const context = { positions, embeddings, ...adapters };
      const anyLength = embeddedSizes(positions.rank);
      return (await this.single.run({ tokens: [prompt], starts: [0], context, anyLength, signal }))[0];
    }
    const known = this.memory.find(prompt, adapter);
    const isAlike = this.isBeyondLimit(before.length) === this.isBeyondLimit(length);
    const shared = isAlike ? sharedLength(before, before.length, prompt) : 0;
    if (known && shared === length) {
      this.ids = prompt;
      return known;
    }
    let logits: Float32Array = new Float32Array();
    for (const [start, end] of this.piecesOf(Math.min(length - 1, shared), length)) {
      const tokens = [prompt.slice(start, end)];
      const looked = { positions: positionsOf([start], end - start), embeddings: null, ...adapters };
      const anyLength = end - start > 1 ? textSizes : undefined;
      this.requireSameWeights();
      [logits] = await this.single.run({ tokens, starts: [start], context: looked, anyLength, signal });
      this.ids = prompt.slice(0, end);
    }
    this.memory.keep(prompt, logits, adapter);
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

  protected contextOf(sequence: Sequence): CausalContext {
    const { filled, embedded } = sequence;
    const positions = positionsOf([filled + (embedded?.offset ?? 0)], 1);
    return { positions, embeddings: null, ...this.adaptersOf([sequence]) };
  }

  protected contextOfRows(holders: readonly (Sequence | undefined)[], lengths: readonly number[]): CausalContext {
    const places = lengths.map((length, row) => length + (holders[row]?.embedded?.offset ?? 0));
    return { positions: positionsOf(places, 1), embeddings: null, ...this.adaptersOf(holders) };
  }

  /** What the context says of the adapters of rows, where some have one. */
  private adaptersOf(rows: readonly (Sequence | undefined)[]): Pick<CausalContext, "adapters"> {
    const { adapters } = this;
    if (!adapters || rows.every((row) => !row?.adapter)) return {};
    const slots = rows.map((row) => adapters.slotOf(row?.adapter));
    return { adapters: i32(slots, [rows.length]) };
  }

  /** Its ids may stand for other images next time. */
  protected keep({ context, filled, embedded, adapter }: Sequence): void {
    this.ids = embedded ? [] : context.slice(0, filled);
    this.adapter = adapter;
  }

  protected forget(): void {
    this.ids = [];
    this.memory.clear();
  }
}

const noRows = ({ name, adapter }: PooledAdapter): OptionError =>
  new OptionError({
    where: `adapter ${name}`,
    expected: "an adapter of layers, where caches are not in the memory of the process (GPUs, pages)",
    received: adapter.config.type,
    fix: "apply it to the model alone: applyAdapter",
  });

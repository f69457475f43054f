/** A model and its cache for tests of engines: next tokens follow from the whole text, and slots are checked. */

import type { ProposalRuns, SequenceRunner } from "../generate/engine/runner.ts";
import type { Sequence } from "../generate/engine/sequence.ts";
import type { PickedModel } from "../generate/token-picker.ts";

const VOCABULARY = 16;
/** Ends a text. */
export const END = 0;

export const fakeModel: PickedModel = { config: { eosTokenId: END }, generationConfig: {} };

/** Logits after a text, by which one of the tokens stands out. */
export function logitsAfter(ids: readonly number[], weights = 0): Float32Array {
  let hash = weights;
  for (const id of ids) hash = Math.imul(hash ^ (id + 1), 0x01000193) + 1;
  hash ^= hash >>> 15;
  return Float32Array.from({ length: VOCABULARY }, (_, id) => (id === (hash >>> 0) % VOCABULARY ? 5 : 0));
}

/** Keeps the tokens themselves in its slots, and throws when a run would look at others than those of its text. */
export class FakeRunner implements SequenceRunner {
  /** Changes all that follows, when it changes. */
  weights = 0;
  runs = 0;
  /** Tokens that were read. */
  tokensRead = 0;
  /** The model has other layers than those that run. */
  isExchanged = false;
  /** Called when a text is to get a place. */
  beforeEnter: (sequence: Sequence) => Promise<void> | void = () => {};
  /** Fails the next run of one of these. */
  fails: (sequence: Sequence) => boolean = () => false;
  readonly proposals: ProposalRuns = {
    most: () => 5,
    verify: (sequence, proposed) => this.verify(sequence, proposed),
  };
  readonly holders: (Sequence | undefined)[];
  private readonly slots: number[][];
  private readonly cacheTokens: number;
  private weightsThen = 0;

  constructor(slots: number, cacheTokens: number) {
    this.holders = new Array(slots).fill(undefined);
    this.slots = Array.from({ length: slots }, () => []);
    this.cacheTokens = cacheTokens;
  }

  noticeWeights(): boolean {
    const isNew = this.weights !== this.weightsThen;
    this.weightsThen = this.weights;
    return isNew;
  }

  hasOtherLayers(): boolean {
    return this.isExchanged;
  }

  takeLayers(): void {
    if (this.holders.some((holder) => holder)) throw new Error("somebody has a place");
    this.isExchanged = false;
  }

  fits(sequences: readonly Sequence[]): boolean {
    return sequences.reduce((sum, { context }) => sum + context.length + 1, 0) <= this.cacheTokens;
  }

  async enter(sequence: Sequence): Promise<void> {
    await this.beforeEnter(sequence);
    const slot = this.holders.indexOf(undefined);
    if (slot < 0) throw new Error("no free slot: more texts than there are places for");
    this.holders[slot] = sequence;
    sequence.slot = slot;
    sequence.filled = 0;
  }

  async read(sequence: Sequence, count: number): Promise<Float32Array | undefined> {
    this.runs++;
    const slot = this.slotOf(sequence);
    const { context, filled } = sequence;
    if (this.fails(sequence)) throw new Error("the run failed");
    const end = filled + count;
    if (end <= filled) throw new Error("nothing to read");
    slot.length = filled;
    slot.push(...context.slice(filled, end));
    this.tokensRead += end - filled;
    sequence.filled = end;
    this.check(sequence);
    await pause();
    return end === context.length ? logitsAfter(slot, this.weightsThen) : undefined;
  }

  async advance(sequences: readonly Sequence[]): Promise<Float32Array[]> {
    this.runs++;
    for (const sequence of sequences) if (this.fails(sequence)) throw new Error("the run failed");
    const logits = sequences.map((sequence) => {
      const slot = this.slotOf(sequence);
      slot.length = sequence.filled;
      slot.push(sequence.context[sequence.filled]);
      sequence.filled++;
      this.tokensRead++;
      this.check(sequence);
      if (sequence.left !== 0) throw new Error("more than one token was left");
      return logitsAfter(slot, this.weightsThen);
    });
    await pause();
    return logits;
  }

  private async verify(sequence: Sequence, proposed: readonly number[]): Promise<Float32Array[]> {
    this.runs++;
    if (this.fails(sequence)) throw new Error("the run failed");
    if (sequence.left !== 1) throw new Error("not one token was left");
    const slot = this.slotOf(sequence);
    slot.length = sequence.filled;
    const rows = [sequence.context[sequence.filled], ...proposed].map((id) => {
      slot.push(id);
      return logitsAfter(slot, this.weightsThen);
    });
    sequence.filled++;
    this.tokensRead += rows.length;
    await pause();
    return rows;
  }

  private slotOf(sequence: Sequence): number[] {
    const { slot } = sequence;
    if (slot === undefined || this.holders[slot] !== sequence) throw new Error("a text without its place");
    return this.slots[slot];
  }

  private check({ slot, filled, context }: Sequence): void {
    if (String(this.slots[slot as number].slice(0, filled)) !== String(context.slice(0, filled)))
      throw new Error("another text's tokens");
  }

  leave(sequence: Sequence): void {
    if (sequence.slot === undefined) throw new Error("a text without a place gives one back");
    if (this.holders[sequence.slot] !== sequence) throw new Error("a place was given back twice");
    this.holders[sequence.slot] = undefined;
    sequence.slot = undefined;
  }

  dispose(): void {}
}

const pause = (): Promise<void> => Promise.resolve();

import type { Sequence } from "./sequence.ts";

/** The model got other weights before a run could begin: nothing was run, and all contexts are to be read again. */
export class StaleContext extends Error {}

/** Runs of tokens that were proposed to follow a context, to see which the model would write itself. */
export interface ProposalRuns {
  /** Most tokens that may be proposed to follow the one that is left of a context. */
  most(sequence: Sequence): number;
  /**
   * Reads the one token that is left of a context and some that were proposed to follow it, and gives the logits after
   * each, f32 [V]. Keys and values of all are there then, and the context is filled up to what was proposed. @throws as
   * the runner's `read`
   */
  verify(sequence: Sequence, proposed: readonly number[]): Promise<Float32Array[]>;
}

/** Runs a model for the sequences of an engine, over a cache that it keeps. */
export interface SequenceRunner {
  /** Compiles what so many texts, written together, need. @default it is compiled when it is needed */
  prepare?(texts: number): Promise<void>;
  /** Whether there is room for all of these with their next tokens. */
  fits(sequences: readonly Sequence[]): boolean;
  /** Gives a sequence a slot: sets it, and how much of its context is there already. */
  enter(sequence: Sequence): Promise<void>;
  /**
   * Reads so many further tokens of a context; its end gives the logits after it, f32 [V].
   * @throws what the run fails with; the signal's reason when that ends it; StaleContext
   */
  read(sequence: Sequence, count: number): Promise<Float32Array | undefined>;
  /** Reads the one token that is left of each context, and gives the logits after each, f32 [V]. @throws as `read` */
  advance(sequences: readonly Sequence[]): Promise<Float32Array[]>;
  /** @default none: no tokens may be proposed */
  readonly proposals?: ProposalRuns;
  /** Takes the slot of a sequence back; what is in it may be used by others. */
  leave(sequence: Sequence): void;
  /** Sees, before a step, whether the model has other weights: nothing that is cached is good then. */
  noticeWeights(): boolean;
  /** Whether the model has other layers than those that run. */
  hasOtherLayers(): boolean;
  /** Runs the layers that the model has now, from the beginning. Nobody may have a slot. */
  takeLayers(): void;
  dispose(): void;
}

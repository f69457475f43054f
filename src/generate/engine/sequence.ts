import { nextTurn, OptionError, onAbort } from "../../base/index.ts";
import type { PooledAdapter } from "../../peft/index.ts";
import type { EmbeddedPrompt } from "../causal-decoder.ts";
import type { SequenceSource } from "../encoded-source.ts";
import type { FinishReason } from "../finish-reason.ts";
import type { Proposals, Proposer } from "../speculation/index.ts";
import type { TokenPicker } from "../token-picker.ts";

/** What one text needs to be written. */
export interface SequenceOptions {
  /** The prompt: what the model reads first. Longer ones than the context lose their beginning. */
  prompt: readonly number[];
  /** Picks the tokens, and has the text so far. */
  picker: TokenPicker;
  /** What is in the place of some tokens of the prompt. @default nothing */
  embedded?: EmbeddedPrompt;
  /** Of encoder-decoders: what it is written of. */
  source?: SequenceSource;
  /** Proposes tokens, several of which are run together. @default nothing does */
  proposer?: Proposer;
  /** Texts of a higher one go first. @default 0 */
  priority?: number;
  /** Whose text it is: those who wait share the model evenly. @default "" */
  group?: string;
  /** Ends the text. @default nothing does */
  signal?: AbortSignal;
  /** Whose layers the text is written with, beside the model's. @default the model's alone */
  adapter?: PooledAdapter;
  /** Called before it gets a place. @throws where it cannot be written any more, which ends it */
  onEnter?: () => void;
  /** Called when it has ended. */
  onEnd?: () => void;
}

/** How long a text a model can look at. */
export interface ContextLimits {
  /** Tokens of a prompt and its answer together; of more, the older half is forgotten. */
  contextLength: number;
  /** Length from which on a model computes other keys, for all positions. @default none */
  cacheLimit?: number;
}

/** What a sequence gives: a token, or why there is none any more. */
export type SequenceEvent = { id: number } | { reason: FinishReason };

interface Asker {
  resolve: (event: SequenceEvent) => void;
  reject: (cause: unknown) => void;
}

/**
 * One text while it is written. The model has read the first `filled` tokens of its context; what is left is a piece of
 * the prompt, or the token picked last.
 */
export class Sequence {
  readonly picker: TokenPicker;
  readonly embedded: EmbeddedPrompt | undefined;
  readonly source: SequenceSource | undefined;
  readonly proposer: Proposer | undefined;
  readonly priority: number;
  readonly group: string;
  readonly signal: AbortSignal | undefined;
  readonly adapter: PooledAdapter | undefined;
  readonly onEnter: (() => void) | undefined;
  /** What the model looks at: prompt and answer, less what was forgotten. */
  context: number[];
  /** Tokens of the context whose keys and values are in the cache. */
  filled = 0;
  /** Tokens of its context that were in the cache already when it began, or began again. */
  shared = 0;
  /** Its place in the cache, while it has one. */
  slot: number | undefined;
  /** Whether a token was picked. */
  hasBegun = false;
  /** When it came, in the scheduler's count and time. */
  arrival = { place: 0, time: 0 };
  /** How often others took its place. */
  preemptions = 0;
  /** Since when nobody has asked for a token, in the clock of the scheduler; undefined while somebody does. */
  idleSince: number | undefined;
  private readonly limits: ContextLimits;
  private readonly onChange: (sequence: Sequence) => void;
  private readonly onEnd: (() => void) | undefined;
  private readonly stopWaiting: (() => void) | undefined;
  private asker: Asker | undefined;
  /** Tokens that were picked together with one before, and nobody has asked for yet. */
  private readonly ready: number[] = [];
  private end: { reason: FinishReason } | { error: unknown } | undefined;

  /** @param onChange called when somebody asks for a token, or nobody will any more */
  constructor(options: SequenceOptions, limits: ContextLimits, onChange: (sequence: Sequence) => void) {
    const { prompt, picker, embedded, source, proposer, priority = 0, group = "", signal, adapter } = options;
    this.picker = picker;
    this.embedded = embedded;
    this.source = source;
    this.proposer = proposer;
    this.priority = priority;
    this.group = group;
    this.signal = signal;
    this.adapter = adapter;
    this.onEnter = options.onEnter;
    this.onEnd = options.onEnd;
    this.limits = limits;
    this.onChange = onChange;
    this.context = prompt.slice(-limits.contextLength);
    this.stopWaiting = signal && onAbort(signal, () => this.fail(signal.reason));
    if (signal?.aborted) this.fail(signal.reason);
    else if (picker.isFull) this.finish("length");
  }

  /** The next token, or why there is none. @throws (rejects with) what ended it: an error of a run, or the signal's */
  next(): Promise<SequenceEvent> {
    const id = this.ready.shift();
    if (id !== undefined) return Promise.resolve({ id });
    const steps = this.end ? undefined : this.picker.prepare();
    if (!steps || this.isDone(steps)) return this.asked();
    return (async () => {
      do await nextTurn();
      while (!this.isDone(steps));
      return this.asked();
    })();
  }

  /** What its next token may be is worked out before the model runs, which others wait for too. */
  private isDone(steps: Iterator<void>): boolean {
    if (this.end) return true;
    try {
      return steps.next().done === true;
    } catch (cause) {
      this.fail(cause);
      return true;
    }
  }

  private asked(): Promise<SequenceEvent> {
    return new Promise((resolve, reject) => {
      this.asker = { resolve, reject };
      if (this.end) this.answer();
      else this.onChange(this);
    });
  }

  /** Ends it: nobody asks any more. */
  abandon(): void {
    this.finish("stop");
  }

  /** Whether somebody waits for its next token. */
  get isWanted(): boolean {
    return this.asker !== undefined && !this.end;
  }

  get hasEnded(): boolean {
    return this.end !== undefined;
  }

  /** Tokens of the context that the model has not read. */
  get left(): number {
    return this.context.length - this.filled;
  }

  /** Takes the logits after its context: picks the token, and gives it to whoever waits. */
  take(logits: Float32Array): void {
    this.hasBegun = true;
    try {
      const id = this.picker.next(logits);
      this.give(id === undefined ? [] : [id], id === undefined);
    } catch (cause) {
      this.fail(cause);
    }
  }

  /** What is proposed to follow its context, at most so many tokens. */
  async proposals(most: number): Promise<Proposals> {
    const { proposer, picker, context, limits, signal } = this;
    const { contextLength, cacheLimit = contextLength } = limits;
    const end = Math.min(contextLength, this.isBeyondLimit ? contextLength : cacheLimit, picker.room + context.length);
    // one more is picked than is proposed
    return (await proposer?.propose(picker.ids, Math.min(most, end - context.length - 1), signal)) ?? { ids: [] };
  }

  /**
   * Takes the logits after its context and after each of some proposed tokens: picks as many tokens as are accepted,
   * and one more.
   */
  takeProposed(rows: readonly Float32Array[], proposals: Proposals): void {
    try {
      const { ids, isEnded } = this.picker.nextOf(rows, proposals);
      const differs = ids.findIndex((id, i) => id !== proposals.ids[i]);
      const accepted = differs < 0 ? ids.length : differs;
      this.proposer?.learn(proposals.ids.length, accepted);
      this.filled += Math.min(accepted, proposals.ids.length); // their keys are there
      this.give(ids, isEnded);
    } catch (cause) {
      this.fail(cause);
    }
  }

  private give(ids: readonly number[], isEnded: boolean): void {
    const { asker, picker, limits, ready } = this;
    for (const id of ids) this.append(id);
    ready.push(...ids);
    if (asker && ready.length > 0) {
      this.asker = undefined;
      asker.resolve({ id: ready.shift() as number });
    }
    const isFull = picker.isFull || (this.embedded !== undefined && this.context.length > roomOfEmbedded(limits));
    if (isEnded || picker.isComplete) this.finish("stop");
    else if (isFull) this.finish("length");
  }

  private append(id: number): void {
    const { contextLength, cacheLimit = Number.POSITIVE_INFINITY } = this.limits;
    const before = this.context.length;
    this.context.push(id);
    if (this.embedded) return; // nothing of it can be read again
    if (before + 1 > contextLength) {
      this.context = this.context.slice(-Math.max(1, contextLength >> 1));
      this.filled = 0;
    } else if (before + 1 > cacheLimit && before <= cacheLimit) this.filled = 0;
  }

  /** Whether its keys are those of texts beyond the model's `cacheLimit`. */
  get isBeyondLimit(): boolean {
    return this.context.length > (this.limits.cacheLimit ?? Number.POSITIVE_INFINITY);
  }

  finish(reason: FinishReason): void {
    this.close({ reason });
  }

  fail(error: unknown): void {
    this.ready.length = 0;
    this.close({ error });
  }

  private close(end: { reason: FinishReason } | { error: unknown }): void {
    if (this.end) return;
    this.end = end;
    this.stopWaiting?.();
    this.answer();
    this.onChange(this);
    this.onEnd?.();
  }

  private answer(): void {
    const { asker, end } = this;
    this.asker = undefined;
    if (!asker || !end) return;
    if ("error" in end) asker.reject(end.error);
    else asker.resolve(end);
  }
}

/** The signal that ends all of these together, where they have one alone. */
export function commonSignal(sequences: readonly Sequence[]): AbortSignal | undefined {
  const [{ signal }] = sequences;
  return sequences.every((sequence) => sequence.signal === signal) ? signal : undefined;
}

/** Tokens that a prompt with images and its answer may have: nothing of it can be read again. */
export const roomOfEmbedded = ({ contextLength, cacheLimit = Number.POSITIVE_INFINITY }: ContextLimits): number =>
  Math.min(contextLength, cacheLimit);

/** @throws OptionError for what is no priority or group */
export function requirePlace({ priority = 0, group = "" }: Pick<SequenceOptions, "priority" | "group">): void {
  const require = (isFine: boolean, expected: string, received: unknown) => {
    if (!isFine)
      throw new OptionError({ where: "generate", expected, received: String(received), fix: "leave it out" });
  };
  require(Number.isFinite(priority), "priority to be a number", priority);
  require(typeof group === "string", "group to be a text", group);
}

import type { Sequence } from "./sequence.ts";

/** How many texts are written together, and how long prompts keep the others waiting. */
export interface SchedulerOptions {
  /** Most texts that are written at the same time; others wait for a place. @default 16 */
  maxSequences?: number;
  /** Tokens of prompts that are read in a step. @default 512 */
  prefillTokens?: number;
  /** The same, while other texts are being written: how long their next tokens are kept. @default 128 */
  sharedPrefillTokens?: number;
  /**
   * Who waits this long, in milliseconds, goes before those who came later with a priority higher by 1. @default 10000
   */
  agingMs?: number;
}

/** What a step of the engine does, in this order. */
export interface Step {
  /** Sequences that give up their places. */
  preempted: readonly Sequence[];
  /** Sequences that get one. */
  admitted: readonly Sequence[];
}

/** A piece of a prompt: so many further tokens of the context. */
export interface Piece {
  sequence: Sequence;
  count: number;
}

/** A sequence is not pushed out of its place more often than this, so that each comes to its end. */
const MAX_PREEMPTIONS = 2;
/** Of which nobody has asked a token for so long gives way to those who wait. */
const IDLE_MS = 1000;

/**
 * Decides whose turn it is; it computes nothing. Sequences wait for a place in the cache, and have it until they end
 * or one of a higher priority needs it. Among those of one priority the group goes first that has had the fewest tokens
 * (Sheng et al. 2024, arXiv:2401.00588), then who came first.
 */
export class Scheduler {
  readonly running = new Set<Sequence>();
  private readonly waiting = new Set<Sequence>();
  /** Tokens that groups with sequences here have had, prompts included. */
  private readonly served = new Map<string, number>();
  private readonly options: Required<SchedulerOptions>;
  private readonly now: () => number;
  private count = 0;

  /** @param now milliseconds; in tests a clock that is turned by hand */
  constructor(
    { maxSequences = 16, prefillTokens = 512, sharedPrefillTokens = 128, agingMs = 10_000 }: SchedulerOptions,
    now: () => number = () => performance.now(),
  ) {
    this.options = { maxSequences, prefillTokens, sharedPrefillTokens, agingMs };
    this.now = now;
  }

  add(sequence: Sequence): void {
    sequence.arrival = { place: this.count++, time: this.now() };
    // a group that comes back is not owed for the time it was away
    if (!this.served.has(sequence.group)) this.served.set(sequence.group, Math.min(...this.served.values(), Infinity));
    if (!Number.isFinite(this.served.get(sequence.group))) this.served.set(sequence.group, 0);
    this.waiting.add(sequence);
  }

  /** Forgets a sequence that has ended. */
  remove(sequence: Sequence): void {
    this.waiting.delete(sequence);
    this.running.delete(sequence);
    const isLast = ![...this.waiting, ...this.running].some(({ group }) => group === sequence.group);
    if (isLast) this.served.delete(sequence.group);
  }

  /** All that have not ended. */
  get sequences(): readonly Sequence[] {
    return [...this.running, ...this.waiting];
  }

  /** How many wait for a place. */
  get waitingCount(): number {
    return this.waiting.size;
  }

  /**
   * Who gets a place, and who gives up one.
   * @param fits whether the cache has room for all of these sequences with their next tokens
   * @param admits whether anybody may get one now
   */
  place(fits: (sequences: readonly Sequence[]) => boolean, admits = true): Step {
    const preempted: Sequence[] = [];
    const admitted: Sequence[] = [];
    const move = (sequence: Sequence, to: "waiting" | "running") => {
      this[to === "running" ? "waiting" : "running"].delete(sequence);
      this[to].add(sequence);
    };
    const pushOut = (sequence: Sequence) => {
      sequence.preemptions++;
      sequence.idleSince = undefined;
      preempted.push(sequence);
      move(sequence, "waiting");
    };
    // those who have places may need more room than there is: who came last gives way, but the first stays
    while (this.running.size > 1 && !fits([...this.running])) {
      const yielding = [...this.running].filter(mayYield);
      if (yielding.length === 0) break;
      pushOut(lastOf(yielding));
    }
    for (const sequence of this.running)
      sequence.idleSince = sequence.isWanted ? undefined : (sequence.idleSince ?? this.now());
    if (!admits) {
      for (const sequence of this.idle()) pushOut(sequence);
      return { preempted, admitted };
    }
    for (const sequence of this.inOrder()) {
      if (preempted.includes(sequence) || !sequence.isWanted) continue;
      const hasPlace = this.running.size < this.options.maxSequences && fits([...this.running, sequence]);
      if (!hasPlace && this.running.size > 0) {
        const weaker = this.thoseWhoYieldTo(sequence).filter((other) => !admitted.includes(other));
        if (weaker.length === 0) break; // nobody behind it may overtake
        const victim = lastOf(weaker);
        const others = [...this.running].filter((other) => other !== victim);
        if (!fits([...others, sequence])) break;
        pushOut(victim);
      }
      move(sequence, "running");
      admitted.push(sequence);
    }
    return { preempted, admitted };
  }

  private thoseWhoYieldTo({ priority }: Sequence): Sequence[] {
    const idle = this.idle();
    if (idle.length > 0) return idle;
    return [...this.running].filter(
      (other) => mayYield(other) && other.priority < priority && other.preemptions < MAX_PREEMPTIONS,
    );
  }

  /** Those who have a place, and of which nobody has asked a token for long. */
  private idle(): Sequence[] {
    const before = this.now() - IDLE_MS;
    return [...this.running].filter(
      (sequence) => mayYield(sequence) && (sequence.idleSince ?? Number.POSITIVE_INFINITY) <= before,
    );
  }

  private inOrder(): Sequence[] {
    const now = this.now();
    const rank = ({ priority, arrival }: Sequence) =>
      priority + Math.floor((now - arrival.time) / this.options.agingMs);
    const served = ({ group }: Sequence) => this.served.get(group) ?? 0;
    return [...this.waiting].sort(
      (a, b) => rank(b) - rank(a) || served(a) - served(b) || a.arrival.place - b.arrival.place,
    );
  }

  /** The pieces of prompts that are read now: those who came first, as far as the tokens of a step reach. */
  pieces(): Piece[] {
    const wanted = [...this.running].filter(({ isWanted }) => isWanted);
    const reading = wanted.filter((sequence) => !isWriting(sequence));
    const isShared = reading.length < wanted.length;
    let tokens = isShared
      ? Math.min(this.options.sharedPrefillTokens, this.options.prefillTokens)
      : this.options.prefillTokens;
    const pieces: Piece[] = [];
    for (const sequence of reading.sort((a, b) => b.priority - a.priority || a.arrival.place - b.arrival.place)) {
      if (tokens <= 0) break;
      const count = sequence.embedded ? sequence.left : Math.min(tokens, sequence.left);
      pieces.push({ sequence, count });
      tokens -= count + sourceTokens(sequence);
    }
    return pieces;
  }

  /** Those whose next token can be computed together. */
  writing(): Sequence[] {
    return [...this.running].filter((sequence) => sequence.isWanted && isWriting(sequence));
  }

  /** Counts tokens that a sequence has had. */
  serve({ group }: Sequence, tokens: number): void {
    this.served.set(group, (this.served.get(group) ?? 0) + tokens);
  }
}

/** Whether but one token of its context is left to be read: that which was picked last, as a rule. */
export const isWriting = ({ left, filled, embedded, source }: Sequence): boolean =>
  left === 1 && (filled > 0 || embedded === undefined) && (!source || source.encoded !== undefined);

/** What is read of the source of a text before its first token. */
export const sourceTokens = ({ source }: Sequence): number => (source && !source.encoded ? source.tokens : 0);

/** What has images cannot be read again once it has begun. */
const mayYield = ({ embedded, filled }: Sequence): boolean => embedded === undefined || filled === 0;

/** Who goes first when one has to: of the lowest priority, who came last. */
const lastOf = (sequences: readonly Sequence[]): Sequence =>
  sequences.reduce((last, next) =>
    next.priority < last.priority || (next.priority === last.priority && next.arrival.place > last.arrival.place)
      ? next
      : last,
  );

import { nextTurn } from "./next-turn.ts";
import { onAbort } from "./on-abort.ts";

/** How a queue puts parts together, and runs them. */
export interface BatchQueueOptions<P, R> {
  /** Runs parts together -> a result of each. */
  run(parts: readonly P[], signal: AbortSignal | undefined): Promise<readonly R[]>;
  /** Tokens of a part: the shorter ones of a run are padded to the longest. */
  tokensOf(part: P): number;
  /** Most tokens of a run, padding counted; a part that has more is run by itself. @default 1024 */
  maxTokens?: number;
  /** Largest share of a run that is padding. @default 0.125 */
  maxPadding?: number;
}

/** Whose parts they are, and what ends them. */
export interface CallOptions {
  /** Calls of one group have their turns together: groups take turns. @default "" */
  group?: string;
  /** Most parts that are run together with any of these. @default as many as `maxTokens` */
  maxRows?: number;
  /** Ends the call: its parts leave the queue at once. */
  signal?: AbortSignal;
}

/** Parts of one caller. */
interface Call<R> {
  readonly options: CallOptions;
  readonly results: R[];
  left: number;
  isOver: boolean;
  /** Stops looking at its signal. */
  stopWaiting?: () => void;
  resolve(results: R[]): void;
  reject(cause: unknown): void;
}

/** A part that waits. */
interface Waiting<P, R> {
  readonly part: P;
  readonly call: Call<R>;
  /** Its place among those of its call. */
  readonly index: number;
  readonly tokens: number;
}

const MAX_TOKENS = 1024;
const MAX_PADDING = 0.125;

/**
 * Runs parts of any number of calls, those that came while a run was under way together in the next: the part that has
 * waited longest of the group whose turn it is, and beside it those nearest to it in length, of any group. So each part
 * has its turn, whatever else comes. An error is that of the call whose parts fail by themselves.
 */
export class BatchQueue<P, R> {
  private readonly options: Required<BatchQueueOptions<P, R>>;
  /** Those that wait, by group, in the order in which they came; the group first whose turn it is. */
  private readonly groups = new Map<string, Set<Waiting<P, R>>>();
  private loop: Promise<void> | undefined;

  constructor({ maxTokens = MAX_TOKENS, maxPadding = MAX_PADDING, ...options }: BatchQueueOptions<P, R>) {
    this.options = { maxTokens, maxPadding, ...options };
  }

  /** Results of parts, in their order. @throws what a run of them fails with; the signal's reason */
  add(parts: readonly P[], options: CallOptions = {}): Promise<R[]> {
    const { group = "", signal } = options;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (parts.length === 0) return Promise.resolve([]);
    return new Promise<R[]>((resolve, reject) => {
      const results = new Array<R>(parts.length);
      const call: Call<R> = { options, results, left: parts.length, isOver: false, resolve, reject };
      const waiting = parts.map((part, index) => ({ part, call, index, tokens: this.options.tokensOf(part) }));
      const present = this.groups.get(group) ?? new Set();
      for (const each of waiting) present.add(each);
      this.groups.set(group, present);
      if (signal) call.stopWaiting = onAbort(signal, () => this.end(call, signal.reason));
      this.loop ??= this.runAll();
    });
  }

  private async runAll(): Promise<void> {
    await nextTurn(); // calls that are made together are run together
    for (let batch = this.next(); batch.length > 0; batch = this.next()) await this.run(batch);
    this.loop = undefined;
  }

  /** Takes the parts of the next run out of the queue. */
  private next(): Waiting<P, R>[] {
    const [turn] = this.groups;
    if (!turn) return [];
    const [group, [head]] = turn;
    const batch = this.around(head);
    for (const each of batch) {
      const name = each.call.options.group ?? "";
      const waiting = this.groups.get(name);
      waiting?.delete(each);
      if (waiting?.size === 0) this.groups.delete(name);
    }
    const rest = this.groups.get(group);
    if (rest) {
      this.groups.delete(group);
      this.groups.set(group, rest); // behind the others
    }
    return batch;
  }

  /** The parts that are run with one: those nearest in length, as far as tokens and padding reach. */
  private around(head: Waiting<P, R>): Waiting<P, R>[] {
    const { maxTokens, maxPadding } = this.options;
    const others = [...this.groups.values()].flatMap((waiting) => [...waiting]).filter((each) => each !== head);
    const distance = ({ tokens }: Waiting<P, R>) => Math.abs(tokens - head.tokens);
    others.sort((a, b) => distance(a) - distance(b)); // of equals, who came first
    const batch = [head];
    let [sum, longest] = [head.tokens, head.tokens];
    let most = head.call.options.maxRows ?? Number.POSITIVE_INFINITY;
    for (const each of others) {
      const rows = batch.length + 1;
      const length = Math.max(longest, each.tokens);
      const rowLimit = Math.min(most, each.call.options.maxRows ?? Number.POSITIVE_INFINITY);
      if (rows > rowLimit) continue;
      if (rows * length > maxTokens || sum + each.tokens < (1 - maxPadding) * rows * length) break;
      batch.push(each);
      [sum, longest, most] = [sum + each.tokens, length, rowLimit];
    }
    return batch;
  }

  private async run(batch: readonly Waiting<P, R>[]): Promise<void> {
    const calls = [...new Set(batch.map(({ call }) => call))];
    try {
      const signal = calls.length === 1 ? calls[0].options.signal : undefined;
      const parts = batch.map(({ part }) => part);
      const results = await this.options.run(parts, signal);
      for (const [i, { call, index }] of batch.entries()) {
        call.results[index] = results[i];
        if (--call.left > 0) continue;
        call.stopWaiting?.();
        call.resolve(call.results);
      }
    } catch (cause) {
      if (calls.length === 1) return this.end(calls[0], cause);
      for (const call of calls) if (!call.isOver) await this.run(batch.filter((each) => each.call === call));
    }
  }

  /** Ends a call: what of it waits is not run. */
  private end(call: Call<R>, cause: unknown): void {
    const name = call.options.group ?? "";
    const waiting = this.groups.get(name);
    for (const each of waiting ?? []) if (each.call === call) waiting?.delete(each);
    if (waiting?.size === 0) this.groups.delete(name);
    call.isOver = true;
    call.stopWaiting?.();
    call.reject(cause);
  }
}

import { OptionError } from "../../base/index.ts";
import { type Clock, systemClock } from "../clock.ts";
import { type Lease, type Loadable, Slot, type Waiter } from "./slot.ts";

export interface PoolOptions {
  /** Most bytes of all that is loaded. @default no limit */
  memoryBytes?: number;
  /** How long what nobody uses stays, in milliseconds; 0 ends it at once. @default for ever */
  keepAliveMs?: number;
}

export interface LeaseOptions {
  /** Ends the waiting, but no load: others may wait for it too. */
  signal?: AbortSignal;
  /** How long it stays after this use and the next ones, until it has gone. @default as before, or the pool's */
  keepAliveMs?: number;
}

/** What is told of one of the pool. */
export interface PoolState {
  isLoaded: boolean;
  /** Those that wait for a lease. */
  waiting: number;
  /** In how many milliseconds it goes unless it is used; Infinity for one that stays. */
  expiresInMs: number;
}

/**
 * Loads what is asked for, once for all that ask, and keeps it within a budget of memory: what was not used for the
 * longest time goes first, and nothing goes that is in use. Loads that wait for memory get it in their order. What is
 * in use and in their way is lent to nobody else until it has gone, so that no busy one keeps the others out for ever.
 */
export class Pool<T> {
  private readonly slots: ReadonlyMap<string, Slot<T>>;
  private readonly memoryBytes: number;
  private readonly keepAliveMs: number;
  private readonly clock: Clock;
  /** Those that are to be loaded, in their order. */
  private readonly line: Slot<T>[] = [];
  /** In use, and in the way of the first of the line. */
  private retiring: ReadonlySet<Slot<T>> = new Set();
  private uses = 0;
  /** What those hear that come after `close`. */
  private closed: Error | undefined;
  private onEmpty = () => {};
  private readonly disposeErrors: unknown[] = [];

  /** @throws OptionError for two of one id, and for one that is larger than the budget */
  constructor(
    sources: readonly Loadable<T>[],
    { memoryBytes = Number.POSITIVE_INFINITY, keepAliveMs = Number.POSITIVE_INFINITY }: PoolOptions = {},
    clock: Clock = systemClock,
  ) {
    checkSources(sources, memoryBytes);
    this.memoryBytes = memoryBytes;
    this.keepAliveMs = keepAliveMs;
    this.clock = clock;
    this.slots = new Map(sources.map((source) => [source.id, new Slot(source, keepAliveMs)]));
  }

  /**
   * Lends the one of this id, which is loaded when it is not there.
   * @throws what its load throws, to all that wait for it (the next that asks loads anew); the signal's reason; what
   *   `close` was given
   */
  async lease(id: string, { signal, keepAliveMs }: LeaseOptions = {}): Promise<Lease<T>> {
    signal?.throwIfAborted();
    if (this.closed) throw this.closed;
    const slot = this.slotOf(id);
    if (slot.stage.name === "loaded" && !this.retiring.has(slot)) return this.lend(slot, slot.stage.value, keepAliveMs);
    return new Promise<Lease<T>>((resolve, reject) => {
      const settle = () => {
        slot.waiters.delete(waiter);
        signal?.removeEventListener("abort", onAbort);
      };
      const waiter: Waiter<T> = {
        keepAliveMs,
        resolve: (lease) => {
          settle();
          resolve(lease);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      const onAbort = () => {
        waiter.reject(signal?.reason);
        this.advance(); // nobody may be left that wants it
      };
      signal?.addEventListener("abort", onAbort);
      slot.waiters.add(waiter);
      if (slot.stage.name !== "loading" && !this.line.includes(slot)) this.line.push(slot);
      this.advance();
    });
  }

  /** What is loaded now, not to be kept: it may go at any time. */
  peek(id: string): T | undefined {
    const { stage } = this.slotOf(id);
    return stage.name === "loaded" ? stage.value : undefined;
  }

  stateOf(id: string): PoolState {
    const slot = this.slotOf(id);
    const { keepAliveMs, idleSince, waiters, source } = slot;
    const idleMs = slot.isIdle ? this.clock.now() - idleSince : 0;
    return {
      isLoaded: slot.stage.name === "loaded",
      waiting: waiters.size,
      expiresInMs: source.isPinned ? Number.POSITIVE_INFINITY : Math.max(0, keepAliveMs - idleMs),
    };
  }

  /**
   * Lends nothing any more, and resolves when all is disposed of: what is in use after its last lease, what is being
   * loaded after its load.
   * @param reason what those hear that wait or come
   * @throws the first error that a `dispose` has thrown
   */
  async close(reason: Error): Promise<void> {
    this.closed ??= reason;
    this.line.length = 0;
    for (const slot of this.slots.values()) {
      for (const waiter of [...slot.waiters]) waiter.reject(this.closed);
      if (slot.isIdle) void this.evict(slot);
    }
    if (!this.isEmpty) await new Promise<void>((resolve) => (this.onEmpty = resolve));
    if (this.disposeErrors.length > 0) throw this.disposeErrors[0];
  }

  private slotOf(id: string): Slot<T> {
    const slot = this.slots.get(id);
    if (slot) return slot;
    throw new RangeError(`nothing in the pool is called ${id}`);
  }

  private get isEmpty(): boolean {
    return [...this.slots.values()].every(({ stage }) => stage.name === "absent");
  }

  private lend(slot: Slot<T>, value: T, keepAliveMs: number | undefined): Lease<T> {
    slot.cancelExpiry();
    slot.leases++;
    slot.lastUse = ++this.uses;
    if (keepAliveMs !== undefined) slot.keepAliveMs = keepAliveMs;
    let isReleased = false;
    return {
      value,
      release: () => {
        if (isReleased) return;
        isReleased = true;
        slot.leases--;
        if (slot.leases > 0) return;
        slot.lastUse = ++this.uses;
        this.rest(slot);
        this.advance();
      },
    };
  }

  /** Nobody uses it now: it stays for a time. */
  private rest(slot: Slot<T>): void {
    slot.idleSince = this.clock.now();
    if (slot.source.isPinned && !this.closed) return;
    if (this.closed || slot.keepAliveMs <= 0) void this.evict(slot);
    else if (Number.isFinite(slot.keepAliveMs))
      slot.cancelExpiry = this.clock.after(slot.keepAliveMs, () => void this.evict(slot));
  }

  /** Goes through the line as far as there is memory. Called whenever something has changed. */
  private advance(): void {
    this.retiring = new Set();
    for (let [first] = this.line; first; [first] = this.line) {
      const { stage, waiters } = first;
      if (stage.name === "leaving" && waiters.size > 0) return; // its end comes here again
      if (stage.name === "absent" && waiters.size > 0) {
        if (!this.makeRoom(first.source.bytes)) return;
        void this.load(first);
      } else if (stage.name === "loaded") this.lendToAll(first, stage.value);
      this.line.shift();
    }
  }

  /** Whether there is room for so many bytes; where not, lets as many go as make it. */
  private makeRoom(bytes: number): boolean {
    const slots = [...this.slots.values()];
    const sumOf = (some: readonly Slot<T>[]) => some.reduce((sum, slot) => sum + slot.bytes, 0);
    let missing = sumOf(slots) + bytes - this.memoryBytes;
    if (missing <= 0) return true;
    missing -= sumOf(slots.filter(({ stage }) => stage.name === "leaving"));
    // those that nobody uses first; among those the one that was not used for the longest time
    const order = (slot: Slot<T>) => (slot.isIdle ? 0 : this.uses + 1) + slot.lastUse;
    const candidates = slots.filter(({ canGo }) => canGo).sort((a, b) => order(a) - order(b));
    const retiring = new Set<Slot<T>>();
    for (const slot of candidates) {
      if (missing <= 0) break;
      missing -= slot.bytes;
      if (slot.isIdle) void this.evict(slot);
      else retiring.add(slot);
    }
    this.retiring = retiring;
    return false;
  }

  private async load(slot: Slot<T>): Promise<void> {
    slot.stage = { name: "loading" };
    try {
      const value = await slot.source.load();
      slot.stage = { name: "loaded", value };
      if (slot.waiters.size > 0) this.lendToAll(slot, value);
      else this.rest(slot); // all that waited have gone
    } catch (error) {
      slot.stage = { name: "absent" };
      for (const waiter of [...slot.waiters]) waiter.reject(error);
    }
    this.settle();
  }

  private lendToAll(slot: Slot<T>, value: T): void {
    for (const waiter of [...slot.waiters]) waiter.resolve(this.lend(slot, value, waiter.keepAliveMs));
  }

  private async evict(slot: Slot<T>): Promise<void> {
    if (slot.stage.name !== "loaded") return;
    const { value } = slot.stage;
    slot.cancelExpiry();
    slot.stage = { name: "leaving" };
    try {
      await slot.source.dispose(value);
    } catch (error) {
      this.disposeErrors.push(error);
    }
    slot.stage = { name: "absent" };
    slot.keepAliveMs = this.keepAliveMs;
    this.settle();
  }

  private settle(): void {
    this.advance();
    if (this.isEmpty) this.onEmpty();
  }
}

const gibibytes = (bytes: number) => `${Number((bytes / 2 ** 30).toPrecision(3))} GiB`;

/**
 * Models and adapters are asked for in one field. @param what the names are of, for the message
 * @throws OptionError for a name that is there twice
 */
export function requireDistinct(names: readonly string[], what: string): void {
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return;
  throw new OptionError({
    where: "serve",
    expected: `${what} of different names`,
    received: `${twice} twice`,
    fix: "give one of them another name, as other=folder",
  });
}

function checkSources(sources: readonly Loadable<unknown>[], memoryBytes: number): void {
  requireDistinct(
    sources.map(({ id }) => id),
    "models",
  );
  for (const { id, bytes } of sources) {
    if (bytes > memoryBytes)
      throw new OptionError({
        where: "serve",
        expected: `models that each fit into memoryBytes, ${gibibytes(memoryBytes)}`,
        received: `${id}, whose weights take ${gibibytes(bytes)}`,
        fix: "raise the budget, or leave the model out",
      });
  }
}

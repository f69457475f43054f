/** Something that takes memory while it is there, and is there while it is needed. */
export interface Loadable<T> {
  id: string;
  /** Memory that it takes. */
  bytes: number;
  load(): Promise<T>;
  /** Gives back what `load` took; nothing uses it any more. */
  dispose(value: T): Promise<void>;
  /** Whether it stays once it is loaded, whoever needs memory. @default false */
  isPinned?: boolean;
}

/** The right to use what was loaded: it stays until the lease is released. */
export interface Lease<T> {
  readonly value: T;
  /** May be called again. */
  release(): void;
}

/** One that waits for a lease. */
export interface Waiter<T> {
  resolve(lease: Lease<T>): void;
  reject(error: unknown): void;
  /** As the lease asks for it. */
  keepAliveMs: number | undefined;
}

/** Where one of the pool stands. */
export class Slot<T> {
  readonly source: Loadable<T>;
  stage: { name: "absent" | "loading" | "leaving" } | { name: "loaded"; value: T } = { name: "absent" };
  leases = 0;
  readonly waiters = new Set<Waiter<T>>();
  /** Which use of the pool was its last: larger numbers are later ones. */
  lastUse = 0;
  keepAliveMs: number;
  /** By the clock. */
  idleSince = 0;
  cancelExpiry: () => void = () => {};

  constructor(source: Loadable<T>, keepAliveMs: number) {
    this.source = source;
    this.keepAliveMs = keepAliveMs;
  }

  get isIdle(): boolean {
    return this.stage.name === "loaded" && this.leases === 0;
  }

  /** Whether it is loaded and could be made to go, at once or when those that use it are done. */
  get canGo(): boolean {
    return this.stage.name === "loaded" && !this.source.isPinned;
  }

  /** Memory that it takes now; what is being loaded takes all of it. */
  get bytes(): number {
    return this.stage.name === "absent" ? 0 : this.source.bytes;
  }
}

export interface ByteCacheOptions<V> {
  maxBytes: number;
  ttlMs: number;
  /** In milliseconds. */
  now: () => number;
  /** Told of what is no longer there. */
  onDrop?: (key: string, value: V) => void;
}

/** Values by keys for some time and within some bytes; the one that was not asked for the longest goes first. */
export class ByteCache<V> {
  private readonly options: ByteCacheOptions<V>;
  /** In the order in which they were last of use. */
  private readonly entries = new Map<string, { value: V; bytes: number; until: number }>();
  private bytes = 0;

  constructor(options: ByteCacheOptions<V>) {
    this.options = options;
  }

  get(key: string): V | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (entry.until <= this.options.now()) {
      this.drop(key);
      return undefined;
    }
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry.value;
  }

  /** Keeps a value, unless it alone is larger than the cache. */
  set(key: string, value: V, bytes: number): void {
    const { maxBytes, ttlMs, now } = this.options;
    this.drop(key);
    if (bytes > maxBytes) return;
    this.entries.set(key, { value, bytes, until: now() + ttlMs });
    this.bytes += bytes;
    for (const oldest of this.entries.keys()) {
      if (this.bytes <= maxBytes) break;
      this.drop(oldest);
    }
  }

  private drop(key: string): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.entries.delete(key);
    this.bytes -= entry.bytes;
    this.options.onDrop?.(key, entry.value);
  }
}

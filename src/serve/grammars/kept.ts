export interface KeptOptions {
  /** Most entries. */
  most: number;
  /** Most memory of all entries, in bytes. */
  mostBytes: number;
}

/** What was used last, as far as a number and an amount of memory. */
export class Kept<T> {
  private readonly options: KeptOptions;
  private readonly entries = new Map<string, { value: T; bytes: number }>();
  private bytes = 0;

  constructor(options: KeptOptions) {
    this.options = options;
  }

  get(key: string): T | undefined {
    const entry = this.entries.get(key);
    if (!entry) return undefined;
    this.entries.delete(key); // the last that was used goes behind the others
    this.entries.set(key, entry);
    return entry.value;
  }

  /** @param bytes memory of the value; one that is larger than all may be is not kept */
  set(key: string, value: T, bytes: number): void {
    this.remove(key);
    const size = bytes + 2 * key.length;
    this.entries.set(key, { value, bytes: size });
    this.bytes += size;
    for (const [oldest] of this.entries) {
      if (this.entries.size <= this.options.most && this.bytes <= this.options.mostBytes) break;
      this.remove(oldest);
    }
  }

  private remove(key: string): void {
    this.bytes -= this.entries.get(key)?.bytes ?? 0;
    this.entries.delete(key);
  }
}

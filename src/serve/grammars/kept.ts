export interface KeptOptions<T> {
  /** Most entries. */
  most: number;
  /** Most memory of all entries, in bytes. */
  mostBytes: number;
  /** Memory of a value, which may grow while it is used. */
  bytesOf: (value: T) => number;
}

/** What was used last, as far as a number and an amount of memory. */
export class Kept<T> {
  private readonly options: KeptOptions<T>;
  private readonly values = new Map<string, T>();

  constructor(options: KeptOptions<T>) {
    this.options = options;
  }

  get(key: string): T | undefined {
    const value = this.values.get(key);
    if (value !== undefined) this.set(key, value); // the last that was used goes behind the others
    return value;
  }

  set(key: string, value: T): void {
    this.values.delete(key);
    this.values.set(key, value);
    const { most, mostBytes, bytesOf } = this.options;
    let bytes = 0;
    for (const [name, each] of this.values) bytes += bytesOf(each) + 2 * name.length;
    for (const [oldest, each] of this.values) {
      if (this.values.size <= most && bytes <= mostBytes) break;
      bytes -= bytesOf(each) + 2 * oldest.length;
      this.values.delete(oldest);
    }
  }
}

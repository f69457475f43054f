import type { Source } from "../data/index.ts";

/** Batches of a source in the order of steps, some of them read before they are asked for. */
export class ReadAhead<B> {
  private readonly source: Source<B>;
  private readonly depth: number;
  private readonly reading = new Map<number, Promise<B>>();

  constructor(source: Source<B>, depth: number) {
    this.source = source;
    this.depth = depth;
  }

  /** `count` batches from number `first` on; begins to read those after them. */
  async take(first: number, count: number): Promise<B[]> {
    for (const index of this.reading.keys()) if (index < first) this.reading.delete(index);
    for (let i = first; i < first + count + this.depth; i++) this.begin(i);
    const batches: B[] = [];
    for (let i = first; i < first + count; i++) {
      batches.push(await (this.reading.get(i) as Promise<B>));
      this.reading.delete(i);
    }
    return batches;
  }

  /** Forgets what was read ahead. */
  clear(): void {
    this.reading.clear();
  }

  private begin(index: number): void {
    if (this.reading.has(index)) return;
    const batch = this.source.batch(index % (this.source.count ?? Number.POSITIVE_INFINITY));
    batch.catch(() => {}); // reported when it is awaited
    this.reading.set(index, batch);
  }
}

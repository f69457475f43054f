/** A pair of symbols that may be joined: the lower its rank, the sooner; and what it becomes. */
export interface Join {
  rank: number;
  id: number;
}

/** Symbols after joining, and how many of those before are in each. */
export interface Joined {
  ids: number[];
  counts: number[];
}

/** Runs that are longer are joined with a heap. */
const LONG = 64;

/**
 * Byte-pair encoding: joins the pair of the lowest rank, leftmost first, until none is left. Sennrich et al. 2015,
 * arXiv:1508.07909.
 */
export function joinPairs(
  symbols: readonly number[],
  joinOf: (left: number, right: number) => Join | undefined,
): Joined {
  return symbols.length > LONG ? joinLong([...symbols], joinOf) : joinShort([...symbols], joinOf);
}

/** Quadratic, and fastest for words. */
function joinShort(ids: number[], joinOf: (left: number, right: number) => Join | undefined): Joined {
  const counts = ids.map(() => 1);
  for (;;) {
    let best: Join | undefined;
    let at = -1;
    for (let i = 0; i + 1 < ids.length; i++) {
      const join = joinOf(ids[i], ids[i + 1]);
      if (join && (!best || join.rank < best.rank)) {
        best = join;
        at = i;
      }
    }
    if (!best) return { ids, counts };
    ids.splice(at, 2, best.id);
    counts.splice(at, 2, counts[at] + counts[at + 1]);
  }
}

/** The same result with a heap over a linked list, for long runs such as text without spaces. */
function joinLong(symbols: number[], joinOf: (left: number, right: number) => Join | undefined): Joined {
  const next = Int32Array.from(symbols, (_, i) => (i + 1 < symbols.length ? i + 1 : -1));
  const previous = Int32Array.from(symbols, (_, i) => i - 1);
  const counts = symbols.map(() => 1);
  const heap = new MinHeap<Join & { at: number; left: number; right: number }>(
    (a, b) => a.rank - b.rank || a.at - b.at,
  );
  const offer = (at: number) => {
    if (at < 0 || next[at] < 0) return;
    const [left, right] = [symbols[at], symbols[next[at]]];
    const join = joinOf(left, right);
    if (join) heap.push({ ...join, at, left, right });
  };
  for (let i = 0; i < symbols.length; i++) offer(i);
  for (let top = heap.pop(); top; top = heap.pop()) {
    const { at, left, right, id } = top;
    const after = next[at];
    // changed since it was offered
    if (counts[at] === 0 || symbols[at] !== left || after < 0 || symbols[after] !== right) continue;
    symbols[at] = id;
    counts[at] += counts[after];
    counts[after] = 0;
    next[at] = next[after];
    if (next[at] >= 0) previous[next[at]] = at;
    next[after] = -1;
    offer(previous[at]);
    offer(at);
  }
  return { ids: symbols.filter((_, i) => counts[i] > 0), counts: counts.filter((count) => count > 0) };
}

/** A binary heap; `pop` gives the least element. */
class MinHeap<T> {
  private readonly items: T[] = [];
  private readonly compare: (a: T, b: T) => number;

  constructor(compare: (a: T, b: T) => number) {
    this.compare = compare;
  }

  push(item: T): void {
    const { items, compare } = this;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (compare(items[parent], item) <= 0) break;
      items[at] = items[parent];
      at = parent;
    }
    items[at] = item;
  }

  pop(): T | undefined {
    const { items, compare } = this;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && compare(items[child + 1], items[child]) < 0) child++;
      if (compare(items[child], last) >= 0) break;
      items[at] = items[child];
      at = child;
    }
    items[at] = last;
    return top;
  }
}

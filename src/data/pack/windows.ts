/** Which parts of which documents share a window of training. */
import { checkOptions, numberRules, OptionError, requireNumbers } from "../../base/index.ts";

/** A part of a document. */
export interface Piece {
  document: number;
  /** Its first token. */
  start: number;
  length: number;
}

/** How documents are packed. */
export interface PackOptions {
  contextLength: number;
  /**
   * "best-fit": documents stay whole, longer ones than a window are cut into windows and a rest, and each goes where it
   * leaves the least room, the longest first; "concatenate": one after another in their order, cut wherever a window is
   * full. @default "best-fit"
   */
  strategy?: "best-fit" | "concatenate";
}

/** Windows of pieces, in arrays of numbers: millions of documents take 12 bytes each. */
export class PackedWindows {
  readonly contextLength: number;
  private readonly documents: Uint32Array;
  private readonly starts: Uint32Array;
  private readonly lengths: Uint32Array;
  /** The first piece of each window, and the number of all pieces. */
  private readonly firsts: Uint32Array;

  constructor(contextLength: number, windows: readonly (readonly Piece[])[]) {
    this.contextLength = contextLength;
    const pieces = windows.flat();
    this.documents = Uint32Array.from(pieces, ({ document }) => document);
    this.starts = Uint32Array.from(pieces, ({ start }) => start);
    this.lengths = Uint32Array.from(pieces, ({ length }) => length);
    this.firsts = new Uint32Array(windows.length + 1);
    for (const [i, window] of windows.entries()) this.firsts[i + 1] = this.firsts[i] + window.length;
  }

  get count(): number {
    return this.firsts.length - 1;
  }

  /** The pieces of a window, one after another. */
  window(index: number): Piece[] {
    const [from, to] = [this.firsts[index], this.firsts[index + 1]];
    return Array.from({ length: to - from }, (_, i) => ({
      document: this.documents[from + i],
      start: this.starts[from + i],
      length: this.lengths[from + i],
    }));
  }

  /** Share of all places that have a token. */
  get fill(): number {
    let tokens = 0;
    for (const length of this.lengths) tokens += length;
    return this.count === 0 ? 0 : tokens / (this.count * this.contextLength);
  }
}

/**
 * Packs documents of some lengths, in tokens, into windows. With "best-fit" no document is cut that fits a window, and
 * hardly more windows are needed than tokens fill. Ding et al. 2024, "Fewer truncations improve language modeling",
 * arXiv:2404.10830. Documents of no tokens are left out.
 * @throws OptionError for wrong options
 */
export function packDocuments(lengths: ArrayLike<number>, options: PackOptions): PackedWindows {
  checkOptions("packDocuments", options, ["contextLength", "strategy"]);
  const { contextLength, strategy = "best-fit" } = options;
  requireNumbers("packDocuments", { contextLength }, { contextLength: numberRules.positiveInteger });
  if (strategy === "best-fit") return new PackedWindows(contextLength, bestFit(lengths, contextLength));
  if (strategy === "concatenate") return new PackedWindows(contextLength, concatenated(lengths, contextLength));
  throw new OptionError({
    where: "packDocuments",
    expected: 'strategy to be "best-fit" or "concatenate"',
    received: JSON.stringify(strategy),
    fix: "choose one of them",
  });
}

function concatenated(lengths: ArrayLike<number>, contextLength: number): Piece[][] {
  const windows: Piece[][] = [];
  let room = 0;
  for (let document = 0; document < lengths.length; document++) {
    for (let start = 0; start < lengths[document]; ) {
      if (room === 0) {
        windows.push([]);
        room = contextLength;
      }
      const length = Math.min(room, lengths[document] - start);
      (windows.at(-1) as Piece[]).push({ document, start, length });
      start += length;
      room -= length;
    }
  }
  return windows;
}

/**
 * Best-fit decreasing: lengths are few, so that pieces are sorted by counting, and windows by the room that is
 * left.
 */
function bestFit(lengths: ArrayLike<number>, contextLength: number): Piece[][] {
  const windows: Piece[][] = [];
  const open = new OpenWindows(contextLength);
  for (const piece of decreasing(lengths, contextLength)) {
    const room = open.leastRoom(piece.length);
    let window = room === undefined ? undefined : open.take(room);
    if (window === undefined) {
      window = windows.length;
      windows.push([]);
    }
    windows[window].push(piece);
    open.add(window, (room ?? contextLength) - piece.length);
  }
  return windows;
}

/** Pieces of at most a window, the longest first; those of a length in the order of their documents. */
function* decreasing(lengths: ArrayLike<number>, contextLength: number): Generator<Piece> {
  const byLength = new Map<number, Piece[]>();
  for (let document = 0; document < lengths.length; document++) {
    for (let start = 0; start < lengths[document]; start += contextLength) {
      const length = Math.min(contextLength, lengths[document] - start);
      const pieces = byLength.get(length);
      if (pieces) pieces.push({ document, start, length });
      else byLength.set(length, [{ document, start, length }]);
    }
  }
  for (const length of [...byLength.keys()].sort((a, b) => b - a)) yield* byLength.get(length) as Piece[];
}

/** Windows by the room in them: those with the same room in the order in which they came to it. */
class OpenWindows {
  /** A tree over rooms: whether there is a window below a node. Leaf i, of room i, is at leaves + i. */
  private readonly tree: Uint8Array;
  private readonly leaves: number;
  private readonly queues = new Map<number, { windows: number[]; next: number }>();

  constructor(contextLength: number) {
    this.leaves = 2 ** Math.ceil(Math.log2(contextLength + 1));
    this.tree = new Uint8Array(2 * this.leaves);
  }

  add(window: number, room: number): void {
    if (room === 0) return;
    const queue = this.queues.get(room);
    if (queue) queue.windows.push(window);
    else this.queues.set(room, { windows: [window], next: 0 });
    for (let node = this.leaves + room; node > 0; node >>= 1) this.tree[node] = 1;
  }

  /** The least room of at least `length` that a window has. */
  leastRoom(length: number): number | undefined {
    let node = this.leaves + length;
    if (this.tree[node]) return length;
    // up to the first node whose right neighbour has a window, then down to the left
    while (node > 1 && (node % 2 === 1 || !this.tree[node + 1])) node >>= 1;
    if (node <= 1) return undefined;
    for (node++; node < this.leaves; ) node = this.tree[2 * node] ? 2 * node : 2 * node + 1;
    return node - this.leaves;
  }

  take(room: number): number {
    const queue = this.queues.get(room) as { windows: number[]; next: number };
    const window = queue.windows[queue.next++];
    if (queue.next === queue.windows.length) {
      this.queues.delete(room);
      this.tree[this.leaves + room] = 0;
      for (let node = (this.leaves + room) >> 1; node > 0; node >>= 1)
        this.tree[node] = this.tree[2 * node] | this.tree[2 * node + 1];
    }
    return window;
  }
}

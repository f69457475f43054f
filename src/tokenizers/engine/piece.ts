/**
 * A character, and how many characters of the text before it stands for: 0 for one, -1 for one and the next, 1 for
 * none, being added.
 */
export type Change = readonly [character: string, change: number];

/**
 * A part of a text, as characters (code points) that know where in the text they came from. Normalizers change the
 * characters, pre-tokenizers cut the parts; what a token covers is told by its characters.
 */
export class Piece {
  readonly characters: readonly string[];
  /** First code point of the text that each character stands for, and the one after the last. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  private joined?: string;

  constructor(characters: readonly string[], starts: readonly number[], ends: readonly number[]) {
    this.characters = characters;
    this.starts = starts;
    this.ends = ends;
  }

  static of(text: string): Piece {
    const characters = Array.from(text.replace(/\p{Surrogate}/gu, "\ufffd"));
    return new Piece(
      characters,
      characters.map((_, i) => i),
      characters.map((_, i) => i + 1),
    );
  }

  get text(): string {
    this.joined ??= this.characters.join("");
    return this.joined;
  }
  get length(): number {
    return this.characters.length;
  }

  /** Where characters from `start` to before `end` came from. */
  span(start: number, end: number): [number, number] {
    return end > start
      ? [this.starts[start], this.ends[end - 1]]
      : [this.starts[start] ?? this.ends.at(-1) ?? 0, this.starts[start] ?? this.ends.at(-1) ?? 0];
  }

  slice(start: number, end: number): Piece {
    if (start === 0 && end === this.length) return this;
    return new Piece(this.characters.slice(start, end), this.starts.slice(start, end), this.ends.slice(start, end));
  }

  /** The characters that a test keeps. */
  filter(isKept: (character: string) => boolean): Piece {
    if (this.characters.every(isKept)) return this;
    const kept = this.characters.flatMap((character, i) => (isKept(character) ? [i] : []));
    return new Piece(
      kept.map((i) => this.characters[i]),
      kept.map((i) => this.starts[i]),
      kept.map((i) => this.ends[i]),
    );
  }

  /** One character for each. */
  map(change: (character: string) => string): Piece {
    return new Piece(this.characters.map(change), this.starts, this.ends);
  }

  /**
   * Other characters, from character `from` on as the changes say; an added one stands where the one before it does.
   */
  changed(changes: Iterable<Change>, from = 0): Piece {
    const characters: string[] = [];
    const [starts, ends]: [number[], number[]] = [[], []];
    let at = from;
    for (const [character, change] of changes) {
      const place = change > 0 ? at - 1 : at;
      characters.push(character);
      starts.push(this.starts[place] ?? 0);
      ends.push(this.ends[place] ?? 0);
      if (change <= 0) at += 1 - change;
    }
    return new Piece(characters, starts, ends);
  }

  /** Characters in front, which stand where the first one does. */
  prepend(text: string): Piece {
    if (this.length === 0) return this;
    const added = Array.from(text);
    const same = (values: readonly number[]) => [...added.map(() => values[0]), ...values];
    return new Piece([...added, ...this.characters], same(this.starts), same(this.ends));
  }
}

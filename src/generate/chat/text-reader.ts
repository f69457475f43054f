/** A parser that stops wherever it needs text that is not there yet, and goes on when there is more. */
export type Parsing<T> = Generator<void, T, void>;

const isSpace = (code: number) => code === 32 || (code >= 9 && code <= 13);

/**
 * Text that comes in pieces, for parsers that read on as if all of it were there: what they do cannot depend on where
 * it was cut.
 */
export class TextReader {
  /** What has come and is not read. */
  rest = "";
  /** Keeps what is read, so that there is a way back. */
  isPinned = false;
  private at = 0;
  /** All text from `start` on: what is before is not kept. */
  private kept = "";
  private start = 0;
  private hasEnded = false;

  push(piece: string): void {
    this.kept += piece;
    this.rest += piece;
  }

  end(): void {
    this.hasEnded = true;
  }

  /** Where the next character is, from the beginning of all text. There is a way back to what is kept. */
  get position(): number {
    return this.at;
  }

  set position(position: number) {
    this.rest = position < this.at ? this.kept.slice(position - this.start) : this.rest.slice(position - this.at);
    this.at = position;
  }

  /** Whether everything has come and is read. */
  get isAtEnd(): boolean {
    return this.hasEnded && this.rest === "";
  }

  /** What was read from a position on. */
  since(position: number): string {
    return this.kept.slice(position - this.start, this.at - this.start);
  }

  /** Forgets what is before the next character, unless it is pinned: there is no going back to it. */
  release(): void {
    if (this.isPinned) return;
    this.kept = this.rest;
    this.start = this.at;
  }

  /** Waits until there is something to read, or everything has come. Whether there is something. */
  *more(): Parsing<boolean> {
    for (;;) {
      if (this.rest !== "") return true;
      if (this.hasEnded) return false;
      yield;
    }
  }

  /** The next character, not read; "" at the end. */
  *peek(): Parsing<string> {
    return (yield* this.more()) ? this.rest[0] : "";
  }

  /** Whether a text is next; it is not read. */
  *sees(expected: string): Parsing<boolean> {
    for (;;) {
      const { rest } = this;
      if (rest.startsWith(expected)) return true;
      if (this.hasEnded || rest.length >= expected.length || !expected.startsWith(rest)) return false;
      yield;
    }
  }

  /** Reads a text where it is next. */
  *take(expected: string): Parsing<boolean> {
    if (!(yield* this.sees(expected))) return false;
    this.position += expected.length;
    return true;
  }

  /** Whether one of some texts is next. */
  *seesAny(expected: readonly string[]): Parsing<boolean> {
    for (const text of expected) if (yield* this.sees(text)) return true;
    return false;
  }

  /** Reads the first of some texts that is next; undefined where none is. */
  *takeAny(expected: readonly string[]): Parsing<string | undefined> {
    for (const text of expected) if (yield* this.take(text)) return text;
    return undefined;
  }

  *skipSpace(): Parsing<void> {
    while (yield* this.more()) {
      let length = 0;
      while (length < this.rest.length && isSpace(this.rest.charCodeAt(length))) length++;
      this.position += length;
      if (this.rest !== "") return;
    }
  }

  /**
   * Reads up to the first of some texts, which is not read.
   * @param limit most characters that there may be before it
   * @returns what is before it, or undefined where none of them comes
   */
  *before(stops: readonly string[], limit = Number.POSITIVE_INFINITY): Parsing<string | undefined> {
    let from = 0;
    const longest = Math.max(...stops.map(({ length }) => length));
    for (;;) {
      const text = this.rest;
      const at = firstOf(text, stops, from);
      if (at !== undefined) {
        if (at.index > limit) return undefined;
        this.position += at.index;
        return text.slice(0, at.index);
      }
      if (this.hasEnded || text.length - longest > limit) return undefined;
      from = Math.max(0, text.length - longest + 1);
      yield;
    }
  }

  /**
   * Reads up to the first of some texts, which is read too, and hands on what comes before as soon as it is certain.
   * @returns which one came, or undefined at the end
   */
  *through(stops: readonly string[], write: (text: string) => void): Parsing<string | undefined> {
    while (yield* this.more()) {
      const text = this.rest;
      const at = firstOf(text, stops);
      const certain = at ? at.index : text.length - (this.hasEnded ? 0 : possibleStart(text, stops));
      this.position += certain;
      write(text.slice(0, certain));
      if (at) {
        this.position += at.stop.length;
        return at.stop;
      }
      if (!this.hasEnded && certain < text.length) yield;
    }
    return undefined;
  }
}

/** The earliest of some texts, of several that begin there the longest. */
function firstOf(text: string, stops: readonly string[], from = 0): { index: number; stop: string } | undefined {
  let first: { index: number; stop: string } | undefined;
  for (const stop of stops) {
    const index = text.indexOf(stop, from);
    if (index < 0 || (first && (index > first.index || (index === first.index && stop.length < first.stop.length))))
      continue;
    first = { index, stop };
  }
  return first;
}

/** Length of the longest end of a text that one of some texts begins with. */
function possibleStart(text: string, stops: readonly string[]): number {
  const longest = Math.max(0, ...stops.map(({ length }) => length - 1));
  for (let length = Math.min(text.length, longest); length > 0; length--) {
    const end = text.slice(-length);
    if (stops.some((stop) => stop.startsWith(end))) return length;
  }
  return 0;
}

const FENCE = '"""';

/**
 * Puts lines together to messages: a line that ends with a backslash goes on, and three quotation marks hold a text of
 * several lines. Lines of a paste go on.
 */
export class MessageReader {
  private lines: string[] = [];
  private isFenced = false;

  /** Whether a message has begun. */
  get isOpen(): boolean {
    return this.lines.length > 0 || this.isFenced;
  }

  /**
   * The message that ends with this line, or undefined when it goes on.
   * @param options.isPasted whether the line ends within a paste, and so ends no message @default false
   */
  push(line: string, { isPasted = false }: { isPasted?: boolean } = {}): string | undefined {
    let text = line;
    if (!this.isOpen && text.trimStart().startsWith(FENCE)) {
      this.isFenced = true;
      text = text.trimStart().slice(FENCE.length);
    }
    if (this.isFenced) {
      const isEnd = text.trimEnd().endsWith(FENCE);
      this.lines.push(isEnd ? text.trimEnd().slice(0, -FENCE.length) : text);
      return isEnd ? this.end()?.replace(/^\n|\n$/g, "") : undefined;
    }
    const isContinued = !isPasted && text.endsWith("\\");
    this.lines.push(isContinued ? text.slice(0, -1) : text);
    return isContinued || isPasted ? undefined : this.end();
  }

  /** What there is of a message when the input ends; undefined when there is none. */
  end(): string | undefined {
    const text = this.isOpen ? this.lines.join("\n") : undefined;
    this.clear();
    return text;
  }

  clear(): void {
    this.lines = [];
    this.isFenced = false;
  }
}

import type { ChatEvent } from "./events.ts";
import type { TextReader } from "./text-reader.ts";
import type { ChatTool } from "./tools.ts";

export interface CallWriterOptions {
  reader: TextReader;
  tools: readonly ChatTool[];
  /** Whether a call is given out when it is whole, and not as it is written. */
  wholeCalls: boolean;
  newId: () => string;
  emit: (event: ChatEvent) => void;
}

/**
 * Gives out the calls that a parser finds. Whatever a parser cannot make sense of stays text: `safe` is how far text
 * has become calls, and from there on it is text again.
 */
export class CallWriter {
  /** How many calls have begun, those that were taken back not counted. */
  count = 0;
  /** Where the text begins that has not become part of a call. */
  safe = 0;
  /** Whether a call has begun and not ended. */
  isOpen = false;
  private readonly options: CallWriterOptions;
  private held: ChatEvent[] = [];

  constructor(options: CallWriterOptions) {
    this.options = options;
  }

  get reader(): TextReader {
    return this.options.reader;
  }

  /** The tool of a name, or undefined. */
  tool(name: string): ChatTool | undefined {
    return this.options.tools.find((tool) => tool.name === name);
  }

  /** Names of all tools. */
  get names(): readonly string[] {
    return this.options.tools.map(({ name }) => name);
  }

  /** Begins a call. Whether there is a tool of that name: otherwise it is no call. */
  begin(name: string, id?: string): boolean {
    if (this.tool(name) === undefined) return false;
    this.isOpen = true;
    this.write({ type: "call-begin", index: this.count, id: id ?? this.options.newId(), name });
    this.count++;
    return true;
  }

  /** A piece of the arguments of the call that is open. */
  arguments(text: string): void {
    if (text !== "") this.write({ type: "arguments", index: this.count - 1, text });
  }

  /** Ends the call that is open: its arguments are whole. */
  end(): void {
    this.write({ type: "call-end", index: this.count - 1, isComplete: true });
    this.isOpen = false;
    this.flush();
  }

  /** A whole call. Whether there is a tool of that name. */
  whole(name: string, json: string, id?: string): boolean {
    if (!this.begin(name, id)) return false;
    this.arguments(json);
    this.end();
    return true;
  }

  /** Ends a call that cannot go on. What has been given out stays so. */
  breakOff(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    if (this.options.wholeCalls) {
      this.held = [];
      this.count--;
      return;
    }
    this.write({ type: "call-end", index: this.count - 1, isComplete: false });
  }

  /** Takes back all calls but the first ones, none of which has been given out. */
  takeBack(count: number, safe: number): void {
    this.count = count;
    this.safe = safe;
    this.isOpen = false;
    this.held = [];
  }

  /** What was read so far has become part of calls, and is forgotten. */
  settle(): void {
    this.safe = this.reader.position;
    this.reader.release();
  }

  private write(event: ChatEvent): void {
    this.held.push(event);
    if (!this.options.wholeCalls) this.flush();
  }

  private flush(): void {
    for (const event of this.held) this.options.emit(event);
    this.held = [];
    this.settle();
  }
}

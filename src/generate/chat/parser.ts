import { CallWriter } from "./call-writer.ts";
import { addEvent, type ChatEvent } from "./events.ts";
import { readHarmony } from "./formats/harmony.ts";
import type { ToolFormat } from "./formats/tool-format.ts";
import type { ReasoningFormat } from "./reasoning.ts";
import { type Parsing, TextReader } from "./text-reader.ts";
import type { ChatTool } from "./tools.ts";

/** What an answer may have in it, and how it is given out. */
export interface ChatParserOptions {
  /** How calls are written. @default none are looked for */
  format?: ToolFormat;
  /** Tools that may be called: what names no other is text. @default none */
  tools?: readonly ChatTool[];
  /** How thoughts are marked. @default none are looked for */
  reasoning?: ReasoningFormat;
  /** Whether the prompt ends inside of thoughts. @default false */
  isReasoningOpen?: boolean;
  /** Whether there may be several calls; otherwise the text ends with the first. @default true */
  parallel?: boolean;
  /**
   * Whether a call is given out when it is whole, and what is malformed or cut is content; otherwise its arguments come
   * as they are written. @default false
   */
  wholeCalls?: boolean;
  /** Makes ids of calls. @default random ones in the format's form */
  newId?: () => string;
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ID_LENGTH = 24;
/** Beginnings of calls that go on up to the end and are none, each of which is read again from behind its marker. */
const MOST_ENDLESS = 32;

function randomId(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => letters[byte % letters.length]).join("");
}

/** Keeps blanks at the end of a text until more of it comes: some ends are cut off. */
class HeldBlanks {
  blanks = "";

  /** A further piece. @returns what there is up to its last blanks */
  add(text: string): string {
    const trimmed = text.trimEnd();
    const whole = trimmed === "" ? "" : this.blanks + trimmed;
    this.blanks = (trimmed === "" ? this.blanks : "") + text.slice(trimmed.length);
    return whole;
  }
}

/**
 * Takes the text of an answer apart as it comes: thoughts, content, and calls of tools. However the text is cut into
 * pieces, the events are the same, once pieces of the same thing are joined.
 *
 * - Nothing is lost: what only looks like a call is content. Blanks around thoughts and before calls go.
 * - A call is one when it names a tool of the list and its arguments are an object of JSON.
 * - Thoughts are looked for where the answer begins, calls not in them, but for thoughts that end with a call.
 *
 * @example
 * const tools = readTools([{ type: "function", function: { name: "now" } }]);
 * const parser = new ChatParser({ format: toolFormat("hermes"), tools });
 * parser.push('<tool_call>{"name": "now", "arguments": {}}</tool_call>')[0].type; // "call-begin"
 */
export class ChatParser {
  private readonly reader = new TextReader();
  private readonly options: ChatParserOptions;
  private readonly calls: CallWriter;
  private readonly parsing: Parsing<void>;
  private events: ChatEvent[] = [];
  /** Events of calls that may turn out to be thoughts. */
  private trial: ChatEvent[] | undefined;
  /** Blanks that are content if more follows. */
  private readonly held = new HeldBlanks();
  private hasContent = false;
  private hasThoughts = false;
  private isOver = false;
  private endless = 0;

  constructor(options: ChatParserOptions = {}) {
    this.options = options;
    const idLength = options.format?.idLength;
    this.calls = new CallWriter({
      reader: this.reader,
      tools: options.tools ?? [],
      wholeCalls: options.wholeCalls ?? false,
      newId: options.newId ?? (() => (idLength ? randomId(idLength) : `call_${randomId(ID_LENGTH)}`)),
      emit: (event) => this.emitCall(event),
    });
    this.parsing = this.answer();
  }

  /** Whether no more text is of interest: the one call that there may be has come. */
  get isDone(): boolean {
    return this.isOver;
  }

  /** Events of a further piece of text. */
  push(text: string): ChatEvent[] {
    this.reader.push(text);
    return this.advance();
  }

  /** Events of the end. */
  finish(): ChatEvent[] {
    this.reader.end();
    return this.advance();
  }

  private advance(): ChatEvent[] {
    if (!this.isOver) this.parsing.next();
    const { events } = this;
    this.events = [];
    return events;
  }

  private *answer(): Parsing<void> {
    const { format, tools = [] } = this.options;
    if (format?.name === "harmony") {
      const content = (text: string) => this.content(text);
      const reasoning = (text: string) => addEvent(this.events, { type: "reasoning", text });
      yield* readHarmony(this.calls, { content, reasoning });
    } else {
      yield* this.thoughts();
      yield* this.contents(tools.length > 0 ? format : undefined);
    }
    if (this.calls.count === 0 && (this.hasContent || !this.hasThoughts))
      addEvent(this.events, { type: "content", text: this.held.blanks });
  }

  private *thoughts(): Parsing<void> {
    const { reasoning, isReasoningOpen = false } = this.options;
    if (!reasoning) return;
    const { reader } = this;
    yield* reader.skipSpace();
    // where the prompt has opened them, models at times do it once more
    const isOpened = yield* reader.take(reasoning.begin);
    if (!isOpened && !isReasoningOpen) {
      // where the prompt has closed them, models at times do it once more
      if (yield* reader.take(reasoning.end)) yield* reader.skipSpace();
      else reader.position = 0;
      return;
    }
    this.hasThoughts = true;
    yield* reader.skipSpace();
    yield* this.thoughtsUpTo(reasoning.end);
    yield* reader.skipSpace();
    reader.release();
  }

  private *thoughtsUpTo(end: string): Parsing<void> {
    const { reader } = this;
    const begins = this.options.tools?.length ? (this.options.format?.begins ?? []) : [];
    const held = new HeldBlanks();
    const write = (text: string) => {
      addEvent(this.events, { type: "reasoning", text: held.add(text) });
      reader.release();
    };
    for (;;) {
      const stop = yield* reader.through([end, ...begins], write);
      if (stop === undefined || stop === end) return;
      if (this.endless > MOST_ENDLESS) {
        write(stop);
        continue;
      }
      const at = reader.position - stop.length;
      if (yield* this.lastCalls(stop)) return;
      write(reader.since(at));
    }
  }

  /**
   * Calls at the end of thoughts that have no end, which some models forget. All others in thoughts are thoughts: the
   * reader is behind them then.
   */
  private *lastCalls(begin: string): Parsing<boolean> {
    const { reader, calls } = this;
    const { format } = this.options;
    const { count, safe } = calls;
    let after = reader.position; // where thoughts go on if these are no calls
    const trial: ChatEvent[] = [];
    this.trial = trial;
    reader.isPinned = true;
    let next: string | undefined = begin;
    let areCalls = true;
    while (areCalls && next !== undefined && format?.read) {
      after = reader.position;
      areCalls = yield* format.read(calls, next);
      if (!areCalls && reader.isAtEnd) this.endless++;
      yield* reader.skipSpace();
      next = yield* reader.takeAny(format.begins);
    }
    reader.isPinned = false;
    this.trial = undefined;
    if (areCalls && !(yield* reader.more())) {
      for (const event of trial) this.emitCall(event);
      return true;
    }
    calls.takeBack(count, safe);
    if (!areCalls) reader.position = after;
    return false;
  }

  private *contents(format: ToolFormat | undefined): Parsing<void> {
    const { reader } = this;
    if (format?.readFirst) {
      const at = reader.position;
      yield* reader.skipSpace();
      if (!(yield* this.callsAt(at, format.readFirst))) reader.position = Math.max(at, this.calls.safe);
    }
    const { begins = [], read } = format ?? {};
    while (!this.isOver) {
      const begin = yield* reader.through(begins, (text) => {
        this.content(text);
        reader.release();
      });
      if (begin === undefined || !read) return;
      if (this.endless > MOST_ENDLESS) {
        this.content(begin);
        continue;
      }
      const at = reader.position - begin.length;
      if (yield* this.callsAt(at, (calls) => read(calls, begin))) continue;
      const isMarkerText = this.calls.safe <= at;
      reader.position = isMarkerText ? at + begin.length : this.calls.safe;
      if (isMarkerText) this.content(begin);
    }
  }

  /** Reads calls. Whether that is what they are; otherwise the text goes on from `calls.safe`. */
  private *callsAt(at: number, read: (calls: CallWriter) => Parsing<boolean>): Parsing<boolean> {
    const { calls, reader } = this;
    calls.safe = at;
    const areCalls = yield* read(calls);
    if (areCalls) return true;
    if (reader.isAtEnd) this.endless++;
    const wasGivenOut = calls.isOpen && !this.options.wholeCalls;
    calls.breakOff();
    // the rest of a call that was cut is no answer
    if (!wasGivenOut || !reader.isAtEnd) return false;
    calls.settle();
    return true;
  }

  private content(text: string): void {
    if (this.isOver) return;
    const whole = this.held.add(text);
    if (whole !== "") this.hasContent = true;
    addEvent(this.events, { type: "content", text: whole });
  }

  private emitCall(event: ChatEvent): void {
    if (this.trial) {
      this.trial.push(event);
      return;
    }
    if (this.isOver) return;
    if (event.type === "call-begin") this.held.blanks = "";
    addEvent(this.events, event);
    if (event.type === "call-end" && this.options.parallel === false) this.isOver = true;
  }
}

import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";
import { KindlingError } from "../../base/index.ts";
import { INTERRUPTED } from "../interrupt.ts";
import { messageOf } from "../option-names.ts";
import { completed, runCommand } from "./commands.ts";
import { type ChatModel, Conversation, type TalkMessage } from "./conversation.ts";
import { History, historyPath } from "./history.ts";
import { MessageReader } from "./messages.ts";
import { hasStyles, Printer, statsLine } from "./printer.ts";
import type { ChatSettings } from "./settings.ts";

/** Lines that the arrow keys reach. */
const HISTORY_SIZE = 1000;
const PROMPT = ">>> ";
const CONTINUED = "... ";
/** Two Ctrl-C within this time end the talk, also where lines wait that are not answered yet. */
const TWICE_MS = 1000;

/** Asks a terminal to tell what is pasted from what is typed. */
const BRACKETED_PASTE = { on: "\u001b[?2004h", off: "\u001b[?2004l" };

interface WaitingLine {
  /** It was typed while an answer was written. */
  isUnseen: boolean;
  /** It ended within a paste. */
  isPasted: boolean;
}

/** Where a talk is read from and written to. */
export interface ChatStreams {
  input: NodeJS.ReadableStream;
  output: NodeJS.WritableStream & { columns?: number };
  /** Notes and errors. */
  errors: NodeJS.WritableStream;
  /** A person types: with prompts, editing of lines and a history. */
  isTerminal: boolean;
}

const processStreams = (): ChatStreams => ({
  input: process.stdin,
  output: process.stdout,
  errors: process.stderr,
  isTerminal: Boolean(process.stdin.isTTY && process.stdout.isTTY),
});

/** The output for the editor of lines: what is typed during an answer does not mix with it. */
class EditorOutput extends Writable {
  isMuted = false;
  private readonly target: ChatStreams["output"];

  constructor(target: ChatStreams["output"]) {
    super({ decodeStrings: false });
    this.target = target;
  }

  get columns(): number | undefined {
    return this.target.columns;
  }

  override _write(text: string, _encoding: BufferEncoding, done: () => void): void {
    if (!this.isMuted) this.target.write(text);
    done();
  }
}

/** One talk in a terminal, or over pipes: there each message of the input is answered in turn, without prompts. */
class ChatSession {
  private readonly streams: ChatStreams;
  private readonly conversation: Conversation;
  private readonly printer: Printer;
  private readonly history: History;
  /** They go with the next message. */
  private images: string[] = [];
  private readonly editorOutput: EditorOutput;
  private readonly lines: Interface;
  private readonly reader = new MessageReader();
  /** Of each line that waits. */
  private readonly waiting: WaitingLine[] = [];
  private isPasting = false;
  private answering: AbortController | undefined;
  private lastInterrupt = Number.NEGATIVE_INFINITY;
  private exitCode = 0;
  private isEnded = false;
  /** The last key at the empty prompt was Ctrl-C: another one ends the talk. */
  private isWarned = false;
  /** What the next prompt begins with. */
  private draft = "";

  constructor(conversation: Conversation, streams: ChatStreams, history: History) {
    const { isTerminal } = streams;
    this.conversation = conversation;
    this.streams = streams;
    this.history = history;
    this.printer = new Printer({ ...streams, hasStyles: hasStyles(process.env) });
    this.editorOutput = new EditorOutput(streams.output);
    this.lines = createInterface({
      input: streams.input,
      output: isTerminal ? this.editorOutput : undefined,
      terminal: isTerminal,
      prompt: PROMPT,
      history: [...history.lines],
      historySize: HISTORY_SIZE,
      removeHistoryDuplicates: true,
      completer: (line: string, done: (error: Error | null, result?: [string[], string]) => void) => {
        completed(conversation, line).then((result) => done(null, result), done);
      },
    });
  }

  /** Terminals tell where a paste begins and ends, as keys. */
  private readonly onKey = (
    _text: string | undefined,
    { name, ctrl }: { name?: string; ctrl?: boolean } = {},
  ): void => {
    if (name === "paste-start" || name === "paste-end") this.isPasting = name === "paste-start";
    if (!(ctrl && name === "c")) this.isWarned = false;
  };

  /** Until the input ends, /exit, or Ctrl-C. Gives the exit code. */
  async run(): Promise<number> {
    const onSignal = () => this.interrupt();
    process.on("SIGINT", onSignal);
    this.lines.on("SIGINT", onSignal); // Ctrl-C as a key
    this.lines.on("line", () => this.waiting.push({ isUnseen: this.editorOutput.isMuted, isPasted: this.isPasting }));
    if (this.streams.isTerminal) this.streams.input.on("keypress", this.onKey);
    try {
      if (this.streams.isTerminal)
        this.streams.output.write(
          `${BRACKETED_PASTE.on}Write a message, and ${this.conversation.model.name || "the model"} answers. /help shows what else there is; Ctrl-D ends.\n`,
        );
      this.prompt();
      for await (const line of this.lines) {
        const { isUnseen, isPasted } = this.waiting.shift() ?? { isUnseen: false, isPasted: false };
        if (isUnseen && this.streams.isTerminal)
          this.streams.output.write(`${this.reader.isOpen ? CONTINUED : PROMPT}${line}\n`);
        if (this.streams.isTerminal) this.history.add(line);
        const message = this.reader.push(line, { isPasted });
        if (message !== undefined) await this.take(message);
        if (this.isEnded) break;
        this.prompt();
      }
      const rest = this.isEnded ? undefined : this.reader.end(); // a message that the end of the input ends
      if (rest !== undefined) await this.take(rest);
    } finally {
      process.off("SIGINT", onSignal);
      this.streams.input.off("keypress", this.onKey);
      this.lines.close();
      if (this.streams.isTerminal) this.streams.output.write(`\n${BRACKETED_PASTE.off}`);
    }
    return this.exitCode;
  }

  private prompt(): void {
    this.editorOutput.isMuted = false;
    if (!this.streams.isTerminal) return;
    this.lines.setPrompt(this.reader.isOpen ? CONTINUED : PROMPT);
    this.lines.prompt(true);
    if (this.draft) this.lines.write(this.draft);
    this.draft = "";
  }

  /** Does a command or answers a message; an empty one is nothing. */
  private async take(text: string): Promise<void> {
    if (text.trim() === "") return;
    const { conversation, images, streams } = this;
    this.editorOutput.isMuted = true;
    const result = await runCommand({ conversation, images, columns: streams.output.columns ?? 80 }, text);
    if (result === undefined) {
      this.images = [];
      await this.answer({ role: "user", content: text, ...(images.length > 0 && { images }) });
    } else if (result.type === "exit") this.isEnded = true;
    else if (result.type === "ask") await this.answer(result.message);
    else if (result.type === "edit") this.draft = result.text;
    else this.printer.note(result.text);
  }

  private async answer(message: TalkMessage): Promise<void> {
    const { printer, conversation } = this;
    this.editorOutput.isMuted = true;
    this.answering = new AbortController();
    const { signal } = this.answering;
    const notes: string[] = [];
    try {
      for await (const event of conversation.answer(message, signal)) {
        if (event.type === "text") printer.text(event.text);
        else if (event.type === "thought") printer.thought(event.text);
        else if (event.type === "note" && event.isBefore) printer.note(`(${event.text})`);
        else if (event.type === "note") notes.push(event.text);
        else if (event.type === "stats" && conversation.settings.stats) notes.push(statsLine(event.stats));
      }
      printer.end();
    } catch (error) {
      printer.end();
      if (signal.aborted) notes.push("stopped");
      else if (!(error instanceof KindlingError)) throw error;
      else {
        printer.error(messageOf(error));
        if (!this.streams.isTerminal) this.exitCode = 1;
      }
    } finally {
      this.answering = undefined;
    }
    for (const note of notes) printer.note(`(${note})`);
  }

  private interrupt(): void {
    const isSecond = performance.now() - this.lastInterrupt < TWICE_MS;
    this.lastInterrupt = performance.now();
    if (this.answering && !isSecond) {
      this.answering.abort();
    } else if (!this.answering && (this.reader.isOpen || this.lines.line !== "") && this.streams.isTerminal) {
      this.reader.clear(); // as a shell does, the line that was begun is dropped
      this.lines.write(null, { ctrl: true, name: "e" });
      this.lines.write(null, { ctrl: true, name: "u" });
      this.streams.output.write("\n");
      this.prompt();
    } else if (!this.answering && this.streams.isTerminal && !this.isWarned) {
      this.isWarned = true;
      this.streams.output.write("\n(Ctrl-C again, or Ctrl-D, ends the talk)\n");
      this.prompt();
    } else {
      const isCutOff = this.answering !== undefined || !this.streams.isTerminal;
      this.answering?.abort();
      if (isCutOff) this.exitCode = INTERRUPTED;
      this.isEnded = true;
      this.lines.close();
    }
  }
}

export interface ChatOptions {
  settings?: ChatSettings;
  system?: string;
  /** @default those of the process */
  streams?: ChatStreams;
  /** File of what was typed. @default see `historyPath`; without a terminal there is none */
  history?: string;
}

/** `kindling chat`: a conversation in the terminal. @returns the exit code */
export function chatCommand(model: ChatModel, options: ChatOptions = {}): Promise<number> {
  const { settings, system, streams = processStreams(), history = historyPath() } = options;
  const conversation = new Conversation(model, settings, system);
  return new ChatSession(conversation, streams, new History(streams.isTerminal ? history : undefined)).run();
}

import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";
import { KindlingError } from "../../base/index.ts";
import type { TextOptions } from "../../generate/index.ts";
import type { ServedModel } from "../../serve/index.ts";
import { INTERRUPTED } from "../interrupt.ts";
import { messageOf } from "../option-names.ts";
import { runCommand } from "./commands.ts";
import { Conversation } from "./conversation.ts";
import { MessageReader } from "./messages.ts";

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

  constructor(conversation: Conversation, streams: ChatStreams) {
    this.conversation = conversation;
    this.streams = streams;
    this.editorOutput = new EditorOutput(streams.output);
    const output = streams.isTerminal ? this.editorOutput : undefined;
    this.lines = createInterface({ input: streams.input, output, terminal: streams.isTerminal, prompt: PROMPT });
  }

  /** Terminals tell where a paste begins and ends, as keys. */
  private readonly onKey = (_text: string | undefined, { name }: { name?: string } = {}): void => {
    if (name === "paste-start" || name === "paste-end") this.isPasting = name === "paste-start";
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
          `${BRACKETED_PASTE.on}Write a message, and the model answers. /help shows what else there is; Ctrl-D ends.\n`,
        );
      this.prompt();
      for await (const line of this.lines) {
        const { isUnseen, isPasted } = this.waiting.shift() ?? { isUnseen: false, isPasted: false };
        if (isUnseen && this.streams.isTerminal)
          this.streams.output.write(`${this.reader.isOpen ? CONTINUED : PROMPT}${line}\n`);
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
  }

  /** Does a command or answers a message; an empty one is nothing. */
  private async take(message: string): Promise<void> {
    if (message.trim() === "") return;
    const command = await runCommand(this.conversation, message);
    if (command === "exit") this.isEnded = true;
    else if (command) this.note(command.reply);
    else await this.answer(message);
  }

  private async answer(message: string): Promise<void> {
    const { output, errors } = this.streams;
    this.editorOutput.isMuted = true;
    this.answering = new AbortController();
    const { signal } = this.answering;
    const notes: string[] = [];
    try {
      for await (const event of this.conversation.answer(message, signal)) {
        if (event.type === "text") output.write(event.text);
        else if (event.isBefore) this.note(`(${event.text})`);
        else notes.push(event.text);
      }
      output.write("\n");
    } catch (error) {
      output.write("\n");
      if (signal.aborted) notes.push("stopped");
      else if (!(error instanceof KindlingError)) throw error;
      else {
        errors.write(`error: ${messageOf(error)}\n`);
        if (!this.streams.isTerminal) this.exitCode = 1;
      }
    } finally {
      this.answering = undefined;
    }
    for (const note of notes) this.note(`(${note})`);
  }

  /** On a terminal beside the talk; over pipes, where the output is the answers alone, apart from it. */
  private note(text: string): void {
    (this.streams.isTerminal ? this.streams.output : this.streams.errors).write(`${text}\n`);
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
    } else {
      const isCutOff = this.answering !== undefined || !this.streams.isTerminal;
      this.answering?.abort();
      if (isCutOff) this.exitCode = INTERRUPTED;
      this.isEnded = true;
      this.lines.close();
    }
  }
}

/** `kindling chat`: a conversation in the terminal. @returns the exit code */
export function chatCommand(
  model: ServedModel,
  options: TextOptions,
  { system, streams = processStreams() }: { system?: string; streams?: ChatStreams } = {},
): Promise<number> {
  return new ChatSession(new Conversation(model, options, system), streams).run();
}

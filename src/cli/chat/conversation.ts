/** What is said in a talk, whoever answers: a model that is loaded here, or a server. */
import type { ChatSettings } from "./settings.ts";

export interface TalkMessage {
  role: "user" | "assistant";
  content: string;
  /** As data URLs. */
  images?: readonly string[];
}

/** What an answer took. */
export interface AnswerStats {
  promptTokens: number | undefined;
  tokens: number;
  /** Until the first token. */
  firstMs: number;
  totalMs: number;
}

/** What is said of an answer besides its text. */
export type ChatEvent =
  | { type: "text" | "thought"; text: string }
  | { type: "note"; isBefore?: boolean; text: string }
  /** The oldest messages that the context has no room for any more. */
  | { type: "forgotten"; count: number }
  | { type: "stats"; stats: AnswerStats };

export interface AnswerRequest {
  system: string | undefined;
  /** The last one is the user's. */
  messages: readonly TalkMessage[];
  settings: ChatSettings;
  signal: AbortSignal;
}

/** Who answers. */
export interface ChatModel {
  /** Of the model that answers. */
  readonly name: string;
  /** @throws the signal's reason, and KindlingError for what cannot be answered */
  answer: (request: AnswerRequest) => AsyncGenerator<ChatEvent, void, void>;
  /** Tokens of a talk, with what the template adds; undefined where nobody can say. */
  countTokens: (request: Omit<AnswerRequest, "signal">) => Promise<number | undefined>;
  /** Most tokens of a talk; undefined where it is not known. */
  readonly contextLength: number | undefined;
  readonly takesImages: boolean;
  /** Names that `use` takes; undefined where they cannot be listed. */
  list: () => Promise<readonly string[] | undefined>;
  /** Lets another model answer from now on. */
  use: (name: string) => Promise<void>;
}

/** A talk with a model. */
export class Conversation {
  /** What was said so far, the system prompt excluded. */
  messages: readonly TalkMessage[] = [];
  system: string | undefined;
  settings: ChatSettings;
  readonly model: ChatModel;

  constructor(model: ChatModel, settings: ChatSettings = {}, system?: string) {
    this.model = model;
    this.settings = settings;
    this.system = system;
  }

  /** All messages, with the system prompt first, in the form of OpenAI's API. */
  get transcript(): object[] {
    const system = this.system === undefined ? [] : [{ role: "system", content: this.system }];
    return [...system, ...this.messages.map(apiMessage)];
  }

  /** The last message of the user; undefined before there is one. */
  get lastQuestion(): TalkMessage | undefined {
    return this.messages.findLast(({ role }) => role === "user");
  }

  /** Takes the last question and its answer back. */
  undo(): TalkMessage | undefined {
    const question = this.lastQuestion;
    if (question) this.messages = this.messages.slice(0, this.messages.lastIndexOf(question));
    return question;
  }

  /**
   * Gives the pieces of the answer to a message. What was written stays in the talk, also after an abort; a message
   * that is not answered at all does not.
   * @throws the signal's reason, and what the model throws
   */
  async *answer(message: TalkMessage, signal: AbortSignal): AsyncGenerator<ChatEvent, void, void> {
    const earlier = this.messages;
    this.messages = [...earlier, message];
    let answer = "";
    const { system, settings } = this;
    try {
      for await (const event of this.model.answer({ system, settings, messages: this.messages, signal })) {
        if (event.type === "text") answer += event.text;
        if (event.type === "forgotten") this.messages = this.messages.slice(event.count);
        yield event;
      }
    } finally {
      if (answer.trim() === "" && signal.aborted) this.messages = earlier;
      else if (answer !== "") this.messages = [...this.messages, { role: "assistant", content: answer.trim() }];
      else if (this.messages.at(-1)?.role === "user") this.messages = earlier; // it failed, or nothing was said
    }
  }
}

/** A message as OpenAI's API takes it. */
export function apiMessage({ role, content, images = [] }: TalkMessage): { role: string; content: string | object[] } {
  if (images.length === 0) return { role, content };
  const pictures = images.map((url) => ({ type: "image_url", image_url: { url } }));
  return { role, content: [{ type: "text", text: content }, ...pictures] };
}

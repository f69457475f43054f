import { addEvent, type ChatEvent, type TokenLogprobs } from "../generate/index.ts";

/** A part of an answer, and how probable its tokens were where that was asked for. */
export interface AnswerPart {
  event: ChatEvent;
  logprobs?: readonly TokenLogprobs[];
}

/** What waits to be sent: an object, or a part of a choice, to which more may be added until it is sent. */
type Item = { data: object } | { choice: number; part: AnswerPart };

const utf8 = new TextEncoder();

/** How the objects of a stream are written. */
export interface StreamEncoding {
  /** The text of the next object; "" for one that adds nothing. Asked for each once, in the order of the stream. */
  encode: (data: object) => string;
  /** What is behind the last one. */
  end: string;
}

/** OpenAI's server-sent events, which have no names. */
const serverSentEvents: StreamEncoding = {
  encode: (data) => `data: ${JSON.stringify(data)}\n\n`,
  end: "data: [DONE]\n\n",
};

/** Two parts as one, where both are text of the same thing. */
function joinedParts(before: AnswerPart, { event, logprobs }: AnswerPart): AnswerPart | undefined {
  const events = [before.event];
  addEvent(events, event);
  if (events.length > 1) return undefined;
  return { event: events[0], ...(logprobs && { logprobs: [...(before.logprobs ?? []), ...logprobs] }) };
}

export interface EventStreamOptions {
  /** The object that carries a part of a choice; undefined for one that says nothing. */
  wrap: (choice: number, part: AnswerPart) => object | undefined;
  /** @default server-sent events without names */
  encoding?: StreamEncoding;
  /** How long a client may leave what is there unread, in milliseconds. */
  stalledTimeoutMs: number;
  /** The client has gone, or reads no more. */
  onLost: (reason: "gone" | "stalled") => void;
}

/**
 * A stream of objects for a client that may read slowly or not at all. `push` never waits: while the client does not
 * read, pieces of text grow together, so that what is kept is never more than the answer; a client that reads nothing
 * for too long loses the connection.
 */
export class EventStream {
  readonly body: ReadableStream<Uint8Array>;
  private readonly options: EventStreamOptions;
  private readonly items: Item[] = [];
  private isEnded = false;
  private isLost = false;
  /** Set while the client waits for more. */
  private wake: (() => void) | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(options: EventStreamOptions) {
    this.options = options;
    this.body = new ReadableStream(
      { pull: (controller) => this.pull(controller), cancel: () => this.lose("gone") },
      { highWaterMark: 0 }, // what is sent is asked for by a socket that has room
    );
  }

  pushPart(choice: number, part: AnswerPart): void {
    const unsent = this.lastOf(choice);
    const joined = unsent && joinedParts(unsent.part, part);
    if (joined) unsent.part = joined;
    else this.push({ choice, part });
  }

  /** The part of a choice that more may be added to: nothing but parts of others is behind it. */
  private lastOf(choice: number): { part: AnswerPart } | undefined {
    for (let i = this.items.length - 1; i >= 0; i--) {
      const item = this.items[i];
      if ("data" in item) return undefined;
      if (item.choice === choice) return item;
    }
  }

  pushObject(data: object): void {
    this.push({ data });
  }

  /** Nothing follows; what is there is still sent. */
  end(): void {
    this.isEnded = true;
    this.wake?.();
    this.watch();
  }

  private push(item: Item): void {
    if (this.isLost) return;
    if ("part" in item && !this.options.wrap(item.choice, item.part)) return;
    this.items.push(item);
    this.wake?.();
    this.watch();
  }

  private async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.items.length === 0 && !this.isEnded && !this.isLost) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = undefined;
    }
    const item = this.items.shift();
    const { wrap, encoding = serverSentEvents } = this.options;
    const send = (text: string) => text && controller.enqueue(utf8.encode(text));
    if (item) {
      const data = "data" in item ? item.data : wrap(item.choice, item.part);
      const text = data && encoding.encode(data);
      if (!text) return this.pull(controller);
      send(text);
    } else if (!this.isLost) {
      send(encoding.end);
      controller.close();
    }
    this.watch();
  }

  /** Starts to count the time in which the client leaves something unread. */
  private watch(): void {
    if (this.items.length === 0 || this.wake || this.timer || this.isLost) return;
    this.timer = setTimeout(() => this.lose("stalled"), this.options.stalledTimeoutMs);
  }

  private lose(reason: "gone" | "stalled"): void {
    if (this.isLost) return;
    this.isLost = true;
    this.items.length = 0;
    clearTimeout(this.timer);
    this.wake?.();
    this.options.onLost(reason);
  }
}

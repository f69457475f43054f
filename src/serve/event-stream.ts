/** What waits to be sent: an object, or text of a choice, to which more may be added until it is sent. */
type Item = { data: object } | { choice: number; text: string };

const utf8 = new TextEncoder();

export interface EventStreamOptions {
  /** The object that carries a piece of text. */
  wrap: (choice: number, text: string) => object;
  /** How long a client may leave what is there unread, in milliseconds. */
  stalledTimeoutMs: number;
  /** The client has gone, or reads no more. */
  onLost: (reason: "gone" | "stalled") => void;
}

/**
 * Server-sent events for a client that may read slowly or not at all. `push` never waits: while the client does not
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

  pushText(choice: number, text: string): void {
    const unsent = this.lastTextOf(choice);
    if (unsent) unsent.text += text;
    else this.push({ choice, text });
  }

  /** Text of a choice that more may be added to: nothing but text of others is behind it. */
  private lastTextOf(choice: number): { text: string } | undefined {
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
    const send = (text: string) => controller.enqueue(utf8.encode(`data: ${text}\n\n`));
    if (item) send(JSON.stringify("data" in item ? item.data : this.options.wrap(item.choice, item.text)));
    else if (!this.isLost) {
      send("[DONE]");
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

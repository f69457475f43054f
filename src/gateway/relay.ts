import { isObject } from "../base/index.ts";
import { RequestError } from "../serve/index.ts";
import { DONE, isErrorEvent } from "./attempt.ts";
import type { EventBlock } from "./event-blocks.ts";
import { UpstreamFailure } from "./failure.ts";
import type { AnswerEnd } from "./forward.ts";
import { laterUsage, type TokenUsage, usageOf } from "./usage.ts";

/** What a stream was, when it has ended. */
export interface StreamEnd {
  outcome: AnswerEnd;
  /** The code of the error that the client was told. */
  code?: string;
  /** The status of that error, where it is the gateway's own. */
  status?: number;
  /** As the upstream says. */
  usage: TokenUsage | undefined;
  /** Events that were passed on, about one for each token. */
  events: number;
}

export interface RelayOptions {
  /** Whether its end is an event "[DONE]", and the usage an event before it. */
  isChoices: boolean;
  /** Whether the client has asked for the usage. */
  wantsUsage: boolean;
  /** How long a client may leave unread what is there, in milliseconds. */
  stalledTimeoutMs: number;
  /** Gets each block as it came. */
  onBlock: (block: EventBlock) => void;
  /** The client has gone, or reads no more: what is asked of the upstream is in vain. */
  onLost: (reason: "gone" | "stalled") => void;
  /** Called once. */
  onEnd: (end: StreamEnd) => void;
}

const utf8 = new TextEncoder();
const event = (data: string) => utf8.encode(`data: ${data}\n\n`);

/**
 * Passes the events of an upstream on to a client, each when it comes and as the client reads. What the client has not
 * asked for is left out. Where the upstream ends before its answer does, an event in OpenAI's form says so.
 */
export class EventRelay {
  readonly body: ReadableStream<Uint8Array>;
  private readonly blocks: AsyncGenerator<EventBlock[], void, void>;
  private readonly options: RelayOptions;
  private usage: TokenUsage | undefined;
  private events = 0;
  private isFinished = false;
  private isDone = false;
  private isEnded = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(blocks: AsyncGenerator<EventBlock[], void, void>, options: RelayOptions) {
    this.blocks = blocks;
    this.options = options;
    this.body = new ReadableStream(
      { pull: (controller) => this.pull(controller), cancel: () => this.lose("gone") },
      { highWaterMark: 0 }, // what is sent is asked for by a socket that has room
    );
  }

  private async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    clearTimeout(this.timer);
    try {
      for (;;) {
        const { done, value } = await this.blocks.next();
        if (this.isEnded) return;
        if (done) return this.finish(controller);
        if (!this.send(value, controller)) continue;
        this.timer = setTimeout(() => this.lose("stalled"), this.options.stalledTimeoutMs);
        return;
      }
    } catch (error) {
      if (this.isEnded) return;
      this.fail(controller, toldOf(error));
      await this.blocks.return();
    }
  }

  /** Sends events that came together as one piece; whether there was something to send. */
  private send(blocks: readonly EventBlock[], controller: ReadableStreamDefaultController<Uint8Array>): boolean {
    const parts: Uint8Array[] = [];
    try {
      for (const block of blocks) {
        const bytes = this.passed(block);
        if (bytes) parts.push(bytes);
      }
    } finally {
      if (parts.length > 0) controller.enqueue(Buffer.concat(parts)); // also what is before an error
    }
    return parts.length > 0;
  }

  private finish(controller: ReadableStreamDefaultController<Uint8Array>): void {
    const { isChoices } = this.options;
    if (isChoices && !this.isDone && !this.isFinished) {
      this.fail(controller, { code: "upstream_cut", message: "The upstream ended the stream before its answer." });
      return;
    }
    if (isChoices && !this.isDone) controller.enqueue(event(DONE));
    controller.close();
    this.end({ outcome: "complete" });
  }

  private fail(controller: ReadableStreamDefaultController<Uint8Array>, { code, message, status }: Told): void {
    const type = status === undefined ? "upstream_error" : "server_error";
    controller.enqueue(event(JSON.stringify({ error: { message, type, param: null, code } })));
    controller.close();
    this.end({ outcome: "cut", code, status });
  }

  /** What the client gets of a block; undefined for nothing. @throws UpstreamFailure for one that is an error */
  private passed(block: EventBlock): Uint8Array | undefined {
    const { data } = block;
    if (data === undefined) return block.bytes;
    if (data === DONE) this.isDone = true;
    else if (isErrorEvent(data)) throw streamFailed();
    else {
      this.events++;
      this.isFinished ||= /"finish_reason":\s*"/.test(data);
    }
    this.options.onBlock(block);
    if (!data.includes('"usage"')) return block.bytes;
    const json = parsed(data);
    this.usage = laterUsage(this.usage, usageOf(json));
    const { isChoices, wantsUsage } = this.options;
    return isChoices && !wantsUsage && json ? withoutUsage(json) : block.bytes;
  }

  private lose(reason: "gone" | "stalled"): void {
    if (this.isEnded) return;
    this.end({ outcome: "gone", code: `client_${reason}` });
    this.options.onLost(reason);
    this.blocks.return().catch(() => {});
  }

  private end(end: Pick<StreamEnd, "outcome" | "code" | "status">): void {
    clearTimeout(this.timer);
    this.isEnded = true;
    this.options.onEnd({ ...end, usage: this.usage, events: this.events });
  }
}

/** What a client is told of an error in the middle of a stream. */
interface Told {
  code: string;
  message: string;
  /** Of one that is the gateway's own. */
  status?: number;
}

function toldOf(error: unknown): Told {
  if (error instanceof UpstreamFailure) return { code: error.parts.code, message: error.parts.message };
  if (error instanceof RequestError)
    return { code: error.body.error.code ?? "server_error", message: error.message, status: error.status };
  return { code: "upstream_error", message: "The upstream failed." };
}

const streamFailed = () =>
  new UpstreamFailure({
    status: 502,
    code: "upstream_error",
    message: "The upstream failed in the middle of its answer.",
    remedy: "none",
    unwell: "model",
  });

function parsed(data: string): Record<string, unknown> | undefined {
  try {
    const json: unknown = JSON.parse(data);
    return isObject(json) ? { ...json } : undefined;
  } catch {
    return undefined;
  }
}

/** An event without its usage; undefined for one that has nothing else. */
function withoutUsage({ usage, ...rest }: Record<string, unknown>): Uint8Array | undefined {
  const isUsageAlone = Array.isArray(rest.choices) && rest.choices.length === 0 && isObject(usage);
  return isUsageAlone ? undefined : event(JSON.stringify(rest));
}

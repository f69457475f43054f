/** A server and a time for load tests, both without a network and a clock. */
import { onAbort } from "../base/index.ts";
import type { Clock, HttpRequest, Transport } from "../http/index.ts";

/** Time that goes on when everybody waits for it. */
export class FakeClock implements Clock {
  private time = 0;
  private readonly timers = new Set<{ time: number; wake: () => void }>();

  now(): number {
    return this.time;
  }

  sleepUntil(time: number, signal: AbortSignal): Promise<void> {
    if (time <= this.time || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.timers.delete(timer);
        stop();
        resolve();
      };
      const timer = { time, wake };
      const stop = onAbort(signal, wake);
      this.timers.add(timer);
    });
  }

  /** Lets the time go on until there is a result. */
  async until<T>(result: Promise<T>): Promise<T> {
    let isDone = false;
    const end = () => {
      isDone = true;
    };
    result.then(end, end);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (isDone) return result;
      const [next] = [...this.timers].sort((a, b) => a.time - b.time);
      if (!next) throw new Error("everybody waits for nothing");
      this.time = next.time;
      next.wake();
    }
  }
}

/** How a request is answered. */
export interface FakeAnswer {
  status?: number;
  contentType?: string;
  /** Pieces of the body, each after so many milliseconds. */
  body: readonly (readonly [afterMs: number, text: string])[];
}

/** The body of a request. */
export interface SentBody {
  prompt?: number[] | string;
  messages?: { role: string; content: string }[];
  max_tokens: number;
  stream_options: { include_usage: boolean; continuous_usage_stats?: boolean };
}

/** Answers as `answer` says, and notes what came when. */
export class FakeServer {
  readonly received: { path: string; at: number; body: SentBody; headers: Readonly<Record<string, string>> }[] = [];
  /** Answers under way, and the most that there were. */
  underWay = 0;
  mostUnderWay = 0;
  private readonly clock: Clock;
  private readonly answer: (body: SentBody) => FakeAnswer;

  constructor(clock: Clock, answer: (body: SentBody) => FakeAnswer) {
    this.clock = clock;
    this.answer = answer;
  }

  readonly transport: Transport = async ({ method, path, headers, body, signal }) => {
    if (method === "GET") return answerOf(json({ data: [{ id: "fake", max_model_len: 2048 }] }), this.clock, signal);
    const sent = JSON.parse(body ?? "") as SentBody;
    this.received.push({ path, at: this.clock.now(), body: sent, headers });
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
    return answerOf(this.answer(sent), this.clock, signal, () => this.underWay--);
  };
}

/** An error, or another object, as JSON. */
export const json = (value: object, status = 200): FakeAnswer => ({
  status,
  contentType: "application/json",
  body: [[0, JSON.stringify(value)]],
});

/** An event of a completion. */
const event = (value: object | string): string =>
  `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
export const textEvent = (text: string, tokensSoFar?: number): string =>
  event({
    choices: [{ text, finish_reason: null }],
    usage: tokensSoFar === undefined ? null : { prompt_tokens: 3, completion_tokens: tokensSoFar },
  });
export const endEvents = (outputTokens?: number, inputTokens = 3): string =>
  event({ choices: [{ text: "", finish_reason: "length" }] }) +
  (outputTokens === undefined
    ? ""
    : event({ choices: [], usage: { prompt_tokens: inputTokens, completion_tokens: outputTokens } })) +
  event("[DONE]");

/** As many tokens as were asked for: the first after `ttftMs`, each other after `tpotMs`. */
export const tokens = (count: number, ttftMs: number, tpotMs: number, inputTokens = 3): FakeAnswer => ({
  body: Array.from({ length: count }, (_, i) => [
    i === 0 ? ttftMs : tpotMs,
    textEvent("x") + (i === count - 1 ? endEvents(count, inputTokens) : ""),
  ]),
});

function answerOf(
  { status = 200, contentType = "text/event-stream", body }: FakeAnswer,
  clock: Clock,
  signal: HttpRequest["signal"],
  onEnd: () => void = () => {},
): Awaited<ReturnType<Transport>> {
  async function* pieces(): AsyncGenerator<Uint8Array, void, void> {
    try {
      for (const [afterMs, text] of body) {
        await clock.sleepUntil(clock.now() + afterMs, signal);
        signal.throwIfAborted();
        yield new TextEncoder().encode(text);
      }
    } finally {
      onEnd();
    }
  }
  return { status, contentType, headers: {}, body: pieces(), release: () => {} };
}

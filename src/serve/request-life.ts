import { onAbort, unlessAborted } from "../base/index.ts";
import { clientLost, RequestError } from "./errors.ts";
import type { AnswerPart } from "./event-stream.ts";
import type { RequestRecord } from "./log.ts";
import type { ModelMetrics, RequestMeter } from "./metrics.ts";
import type { Lease } from "./models/index.ts";
import type { Place, RequestQueue } from "./queue.ts";

export interface LifeOptions {
  /** Aborted when the client goes before it has its answer. */
  client: AbortSignal;
  /** Aborted when the server stops; the reason is a RequestError. */
  server: AbortSignal;
  timeoutMs: number;
  record: RequestRecord;
  /** Closes the connection of a client that does not read. */
  disconnect: () => void;
}

/** What a request is answered by. */
interface Answering {
  queue: RequestQueue;
  metrics: ModelMetrics;
}

/** A request from its door to its end: its place in a queue, and what may end it before it is answered. */
export class RequestLife {
  private readonly start = performance.now();
  private readonly options: LifeOptions;
  private readonly watch: Watch;
  private entered: { place: Place; meter: RequestMeter; release: () => void } | undefined;

  constructor(options: LifeOptions) {
    this.options = options;
    this.watch = watched(options);
  }

  /** Aborted when nobody waits for the answer any more, or it takes too long; the reason is a RequestError. */
  get signal(): AbortSignal {
    return this.watch.controller.signal;
  }

  /**
   * Takes a place among the requests of a model, which is lent until the end.
   * @param where aside: in nobody's way
   * @throws RequestError 429 when all places in line are taken
   */
  enter({ value: { queue, metrics }, release }: Lease<Answering>, where: "in line" | "aside" = "in line"): void {
    try {
      const place = where === "aside" ? queue.enterAside() : queue.enter();
      this.entered = { place, meter: metrics.request(this.start), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  async turn(): Promise<void> {
    await this.inside.place.turn(this.signal);
    this.record.turned();
  }

  /** A choice goes on: it has so many tokens now. */
  piece(choice: number, { tokens, parts }: { tokens: number; parts: readonly AnswerPart[] }): void {
    this.record.piece(tokens, parts);
    this.meter.piece(choice, tokens);
  }

  get meter(): RequestMeter {
    return this.inside.meter;
  }

  private get inside(): NonNullable<RequestLife["entered"]> {
    if (this.entered) return this.entered;
    throw new Error("the request has entered no queue");
  }

  get record(): RequestRecord {
    return this.options.record;
  }

  /** The client has gone, or reads no more. */
  lose(reason: "gone" | "stalled"): void {
    this.watch.controller.abort(clientLost(reason));
    if (reason === "stalled") this.options.disconnect();
  }

  /** Gives the place back to the others, and the model. */
  end(): void {
    this.watch.stop();
    this.entered?.place.leave();
    this.entered?.release();
  }
}

/** Who waits for what takes no place in a queue. */
interface Waiter extends Pick<LifeOptions, "client"> {
  /** @default it does not stop */
  server?: AbortSignal;
  /** @default as long as it takes */
  timeoutMs?: number;
}

/** What may end the waiting, until it is stopped. */
interface Watch {
  controller: AbortController;
  stop(): void;
}

/** Aborts when the client goes, the server stops or it takes too long; the reason is a RequestError. */
function watched({ client, server, timeoutMs }: Waiter): Watch {
  const controller = new AbortController();
  const onGone = () => controller.abort(clientLost("gone"));
  const onStop = () => controller.abort(server?.reason);
  if (client.aborted) onGone();
  if (server?.aborted) onStop();
  const stops = [onAbort(client, onGone), ...(server ? [onAbort(server, onStop)] : [])];
  const timer = timeoutMs && setTimeout(() => controller.abort(timeoutError(timeoutMs)), timeoutMs);
  const stop = () => {
    clearTimeout(timer);
    for (const each of stops) each();
  };
  return { controller, stop };
}

/** Work that somebody waits for. Its signal is aborted, with a RequestError, when nobody does any more. */
export async function whileWanted<T>(waiter: Waiter, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { controller, stop } = watched(waiter);
  const { signal } = controller;
  try {
    signal.throwIfAborted();
    return await unlessAborted(work(signal), signal);
  } finally {
    stop();
  }
}

/** Trying again would take as long, so official clients are told not to. */
function timeoutError(timeoutMs: number): RequestError {
  const message = `The request took more than ${timeoutMs / 1000} s (requestTimeoutMs). Ask for fewer tokens.`;
  return new RequestError({ status: 504, message, code: "request_timeout", headers: { "x-should-retry": "false" } });
}

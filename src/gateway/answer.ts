/** How a client is answered: from a cache, or by an upstream. */
import type { Context } from "hono";
import { clientLost, RequestError } from "../serve/index.ts";
import type { CachedAnswer, CacheLook } from "./answer-cache.ts";
import type { Environment } from "./environment.ts";
import { type EventBlock, EventBlocks } from "./event-blocks.ts";
import type { Answerer, Exchange } from "./exchange.ts";
import type { Forwarded } from "./forward.ts";
import type { Gateway } from "./gateway.ts";
import { EventRelay, type StreamEnd } from "./relay.ts";
import type { GatewayRequest } from "./request.ts";
import { usageOf } from "./usage.ts";

/** Bytes of a stream that are kept for the cache while it comes. */
const MOST_CACHED = 4 << 20;

/** What the answers of one request have in common. */
interface Answering {
  c: Context<Environment>;
  gateway: Gateway;
  request: GatewayRequest;
  exchange: Exchange;
  /** Ends what is asked of an upstream. */
  leave: (reason: RequestError) => void;
}

/** @throws RequestError where there is no answer */
export async function answered(c: Context<Environment>, gateway: Gateway, request: GatewayRequest): Promise<Response> {
  const record = c.get("record");
  const leaving = new AbortController();
  const exchange = gateway.enter(request, record, leaving);
  const client = c.req.raw.signal;
  const onGone = () => leaving.abort(clientLost("gone"));
  if (client.aborted) onGone();
  else client.addEventListener("abort", onGone, { once: true });
  const answering = { c, gateway, request, exchange, leave: (reason: RequestError) => leaving.abort(reason) };
  try {
    const look = await gateway.cached(request, record, c.req.raw.headers, leaving.signal);
    if (look) c.header("x-kindling-cache", look.result);
    if (look?.answer) return replayed(answering, look.answer, look.result);
    const forwarded = await gateway.forward(request, exchange, record, leaving.signal);
    c.header("x-kindling-upstream", forwarded.upstream);
    exchange.begin();
    return passedOn(answering, forwarded, look);
  } catch (error) {
    if (leaving.signal.aborted) exchange.abandon((leaving.signal.reason as RequestError).status);
    else exchange.end({ status: error instanceof RequestError ? error.status : 500 });
    throw error;
  }
}

/** An answer of a cache, which costs nothing. */
function replayed(answering: Answering, { isStreamed, bytes }: CachedAnswer, result: CacheLook["result"]): Response {
  const { c, exchange } = answering;
  const cache = result === "hit" ? "exact" : "semantic";
  exchange.begin();
  if (isStreamed) return stream(answering, blocksOf(bytes), () => exchange.end({ status: 200, cache }));
  exchange.end({ status: 200, cache });
  return c.body(new Uint8Array(bytes), 200, { "content-type": "application/json" });
}

async function* blocksOf(bytes: Uint8Array): AsyncGenerator<EventBlock[], void, void> {
  const blocks = new EventBlocks();
  yield [...blocks.push(bytes), ...blocks.end()];
}

function passedOn(answering: Answering, forwarded: Forwarded, look: CacheLook | undefined): Response {
  const { c, gateway, request, exchange } = answering;
  const { answer, upstream, model, release } = forwarded;
  const answerer: Answerer = { upstream, model, price: gateway.priceOf(upstream, model, request.model) };
  switch (answer.kind) {
    case "json":
      release("complete");
      exchange.end({ status: 200, answerer, usage: usageOf(answer.json) });
      look?.keep({ isStreamed: false, bytes: answer.bytes });
      return c.body(new Uint8Array(answer.bytes), 200, { "content-type": "application/json" });
    case "events": {
      const kept = look && new KeptStream();
      return stream(
        answering,
        answer.blocks,
        (end) => {
          release(end.outcome);
          exchange.end({ status: statusOf(end), answerer, usage: end.usage, outputEvents: end.events });
          if (end.outcome === "complete" && kept?.bytes) look?.keep({ isStreamed: true, bytes: kept.bytes });
        },
        (block) => kept?.add(block),
      );
    }
    case "bytes":
      return c.body(
        bytesOf(answering, answer.bytes, (status) => {
          release(status === 200 ? "complete" : status === 502 ? "cut" : "gone");
          exchange.end({ status, answerer });
        }),
        200,
        { "content-type": answer.contentType },
      );
  }
}

/** What is written down of a stream: its status was sent before it was cut. */
const statusOf = ({ outcome, status }: StreamEnd) =>
  status ?? (outcome === "complete" ? 200 : outcome === "cut" ? 502 : 499);

function stream(
  { c, gateway, request, leave }: Answering,
  blocks: AsyncGenerator<EventBlock[], void, void>,
  onEnd: (end: StreamEnd) => void,
  onBlock: (block: EventBlock) => void = () => {},
): Response {
  const record = c.get("record");
  record.isStreamed = true;
  const relay = new EventRelay(blocks, {
    isChoices: request.countsStreams,
    wantsUsage: request.wantsUsage,
    stalledTimeoutMs: gateway.config.server.stalledTimeoutMs,
    onBlock,
    onLost: (reason) => {
      leave(clientLost(reason));
      if (reason === "stalled") c.env?.outgoing?.destroy();
    },
    onEnd: (end) => {
      onEnd(end);
      record.errorCode = end.code;
      record.end(statusOf(end));
    },
  });
  return c.body(relay.body, 200, {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
  });
}

/** A body that nothing is known of, such as a sound. */
function bytesOf(
  { c, leave }: Answering,
  chunks: AsyncGenerator<Uint8Array, void, void>,
  onEnd: (status: number) => void,
): ReadableStream<Uint8Array> {
  const record = c.get("record");
  record.isStreamed = true;
  const end = (status: number) => {
    onEnd(status);
    record.end(status);
  };
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.next();
          if (!done) return controller.enqueue(value);
          controller.close();
          end(200);
        } catch (error) {
          end(502);
          controller.error(error); // the connection is cut, which is all that can be said
        }
      },
      cancel() {
        leave(clientLost("gone"));
        end(499);
        chunks.return().catch(() => {});
      },
    },
    { highWaterMark: 0 },
  );
}

/** The events of a stream, for the cache; nothing of one that is too long. */
class KeptStream {
  private parts: Uint8Array[] | undefined = [];
  private length = 0;

  add({ bytes, data }: EventBlock): void {
    if (data === undefined || this.parts === undefined) return;
    this.length += bytes.length;
    if (this.length > MOST_CACHED) this.parts = undefined;
    else this.parts.push(bytes);
  }

  get bytes(): Uint8Array | undefined {
    return this.parts && Buffer.concat(this.parts);
  }
}

/** One request to one upstream, up to the first bytes of its answer. */
import type { HttpAnswer } from "../http/index.ts";
import { type EventBlock, EventBlocks } from "./event-blocks.ts";
import { modelUnwell, refusalFailure, retryAfterMs, UpstreamFailure, upstreamUnwell } from "./failure.ts";
import { redacted } from "./secret.ts";
import type { Upstream } from "./upstream.ts";
import { Watchdog } from "./watchdog.ts";

export interface Call {
  /** Behind "/v1". */
  path: string;
  /** The body of the client's request. */
  body: Readonly<Record<string, unknown>>;
  isStreamed: boolean;
  /** Whether the upstream can be asked to count the tokens of its stream. */
  countsStreams: boolean;
}

/** An answer that begins well. Whoever reads a stream reads it to its end or returns from it. */
export type UpstreamAnswer =
  | { kind: "json"; bytes: Buffer; json: unknown }
  | { kind: "events"; blocks: AsyncGenerator<EventBlock[], void, void> }
  | { kind: "bytes"; contentType: string; bytes: AsyncGenerator<Uint8Array, void, void> };

/** Bytes of an answer that is read whole: embeddings of thousands of texts, pictures in base64. */
const MOST_BYTES = 256 << 20;
/** The data of the last event of OpenAI's streams. */
export const DONE = "[DONE]";
/** Bytes of an error that are read. */
const MOST_ERROR_BYTES = 65_536;

/**
 * Sends a call, for the upstream's own name of the model.
 * @throws UpstreamFailure where no answer begins; the signal's reason where the client went
 */
export async function attempt(
  upstream: Upstream,
  model: string,
  call: Call,
  client: AbortSignal,
): Promise<UpstreamAnswer> {
  const { name, settings } = upstream;
  const watchdog = new Watchdog(client);
  /** Whether the connection is cared for by who reads the answer. */
  let isRead = false;
  try {
    watchdog.expect(settings.timeoutMs, () =>
      modelUnwell("upstream_timeout", `${name} sent no answer in ${settings.timeoutMs} ms.`, 504),
    );
    const answer = await upstream.send({
      path: call.path,
      model,
      body: upstreamBody(upstream, model, call),
      accept: call.isStreamed ? "text/event-stream" : "*/*",
      signal: watchdog.signal,
    });
    const reading = { upstream, answer, watchdog, client, isDone: false };
    if (answer.status !== 200) {
      isRead = true;
      throw await refusal(reading);
    }
    const result = await begun(reading, call);
    isRead = true;
    return result;
  } catch (error) {
    throw failureOf(name, error, watchdog, client);
  } finally {
    if (!isRead) {
      watchdog.stop();
      watchdog.abort(new Error("the answer is not read"));
    }
  }
}

function upstreamBody({ settings }: Upstream, model: string, { body, isStreamed, countsStreams }: Call): string {
  const asksForUsage = isStreamed && countsStreams && settings.streamUsage;
  const options = body.stream_options as object | null | undefined;
  return JSON.stringify({
    ...body,
    model,
    ...(asksForUsage && { stream_options: { ...options, include_usage: true } }),
  });
}

async function refusal(reading: Reading): Promise<UpstreamFailure> {
  const { upstream, answer } = reading;
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const bytes of chunksOf(reading)) {
    parts.push(bytes);
    length += bytes.length;
    if (length > MOST_ERROR_BYTES) break;
  }
  return refusalFailure({
    upstream: upstream.name,
    status: answer.status,
    body: redacted(Buffer.concat(parts).toString("utf8"), upstream.secrets),
    retryAfterMs: retryAfterMs(answer.headers, Date.now()),
  });
}

const stalled = ({ name, settings }: Upstream) =>
  modelUnwell("upstream_stalled", `${name} sent nothing for ${settings.idleTimeoutMs} ms.`, 504);
const invalid = (name: string, what: string) => modelUnwell("upstream_invalid_answer", `${name} sent ${what}.`);

interface Reading {
  upstream: Upstream;
  answer: HttpAnswer;
  watchdog: Watchdog;
  client: AbortSignal;
  /** Whether nothing is wanted of the rest. */
  isDone: boolean;
}

/** What kind of answer it is, and its beginning. */
async function begun(reading: Reading, { isStreamed }: Call): Promise<UpstreamAnswer> {
  const { upstream, answer } = reading;
  const { name } = upstream;
  const type = answer.contentType;
  if (/^text\/event-stream\b/i.test(type)) {
    if (!isStreamed) throw invalid(name, "a stream that was not asked for");
    return { kind: "events", blocks: await withFirst(blocksOf(reading), name) };
  }
  if (isStreamed) throw invalid(name, `${type || "no content type"} where a stream was asked for`);
  if (/^application\/([\w.+-]+\+)?json\b/i.test(type)) {
    const bytes = await wholeBody(reading);
    return { kind: "json", bytes, json: parsedJson(name, bytes) };
  }
  if (!/^(audio|image|video|application\/octet-stream)/i.test(type))
    throw invalid(name, `${type || "no content type"} where JSON was expected`);
  const chunks = chunksOf(reading);
  const first = await chunks.next();
  return { kind: "bytes", contentType: type, bytes: first.done ? chunks : prepended([first.value], chunks) };
}

function parsedJson(name: string, bytes: Buffer): unknown {
  try {
    const json: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof json === "object" && json !== null) return json;
  } catch {}
  throw invalid(name, "what is no JSON");
}

async function wholeBody(reading: Reading): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const bytes of chunksOf(reading)) {
    parts.push(bytes);
    length += bytes.length;
    if (length > MOST_BYTES) throw invalid(reading.upstream.name, `more than ${MOST_BYTES >> 20} MiB`);
  }
  return Buffer.concat(parts);
}

/** The body in its pieces. While nobody asks for the next one, nothing is waited for. */
async function* chunksOf(reading: Reading): AsyncGenerator<Uint8Array, void, void> {
  const { upstream, answer, watchdog, client } = reading;
  const chunks = answer.body[Symbol.asyncIterator]();
  let isWhole = false;
  try {
    for (let isFirst = true; ; isFirst = false) {
      if (!isFirst) watchdog.expect(upstream.settings.idleTimeoutMs, () => stalled(upstream));
      const { done, value } = await chunks.next();
      if (done) break;
      watchdog.rest();
      yield value;
    }
    isWhole = true;
  } catch (error) {
    throw failureOf(upstream.name, error, watchdog, client);
  } finally {
    watchdog.stop();
    if (!isWhole) {
      await chunks.return?.();
      // where nothing more is wanted, the connection serves again when the rest has come
      if (reading.isDone) answer.release();
      else watchdog.abort(new Error("nobody reads on"));
    }
  }
}

/** The events up to the one that says that all is said, those that came together in one list. */
async function* blocksOf(reading: Reading): AsyncGenerator<EventBlock[], void, void> {
  const blocks = new EventBlocks();
  const chunks = chunksOf(reading);
  for await (const bytes of chunks) {
    const events = blocks.push(bytes);
    reading.isDone = events.some(({ data }) => data === DONE);
    if (events.length > 0) yield events;
    if (reading.isDone) return;
  }
  const rest = blocks.end();
  if (rest.length > 0) yield rest;
}

/** Waits for the first event; comments before it are kept. @throws UpstreamFailure for an error, or where none comes */
async function withFirst(
  blocks: AsyncGenerator<EventBlock[], void, void>,
  name: string,
): Promise<AsyncGenerator<EventBlock[], void, void>> {
  const first: EventBlock[][] = [];
  for (;;) {
    const { done, value } = await blocks.next();
    if (done) throw invalid(name, "a stream without an event");
    first.push(value);
    const data = value.find((block) => block.data !== undefined)?.data;
    if (data === undefined) continue;
    if (!isErrorEvent(data)) return prepended(first, blocks);
    await blocks.return();
    throw modelUnwell("upstream_error", `${name} sent an error in place of its answer.`);
  }
}

/** Whether an event says that the answer has failed. */
export function isErrorEvent(data: string): boolean {
  if (!data.includes('"error"')) return false;
  try {
    return Boolean((JSON.parse(data) as { error?: unknown }).error);
  } catch {
    return false;
  }
}

async function* prepended<T>(first: readonly T[], rest: AsyncGenerator<T, void, void>): AsyncGenerator<T, void, void> {
  try {
    yield* first;
    yield* rest;
  } finally {
    await rest.return();
  }
}

/** An error of the network as a failure; the client's going as its own reason. */
function failureOf(name: string, error: unknown, watchdog: Watchdog, client: AbortSignal): unknown {
  if (client.aborted) return client.reason;
  if (error instanceof UpstreamFailure) return error;
  const { reason } = watchdog.signal;
  if (reason instanceof UpstreamFailure) return reason;
  const { code = "", message = "" } = error as NodeJS.ErrnoException;
  if (error instanceof RangeError) return invalid(name, error.message);
  // what a server that ends a handshake of TLS gives has the code of a cut connection
  const isConnected = !message.includes("before secure TLS connection");
  return (code === "ECONNRESET" && isConnected) || code === "ERR_STREAM_PREMATURE_CLOSE"
    ? modelUnwell("upstream_cut", `${name} ended the connection before its answer.`)
    : upstreamUnwell("upstream_unreachable", `${name} cannot be reached${code && ` (${code})`}.`, 503);
}

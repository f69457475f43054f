import { DataError } from "../base/index.ts";
import { type HttpTransport, httpTransport } from "../http/index.ts";

/** Of an answer of others that is kept for an error. */
const SHOWN = 200;
/** Answers are JSON of some kilobytes; a page of an error may be longer, and is cut. */
const MOST_BYTES = 8 * 2 ** 20;

/** A request to a server whose answers are JSON. */
export interface JsonRequest {
  method?: "GET" | "POST" | "PUT";
  /** Behind the address of the server. */
  path: string;
  /** An object is sent as JSON, a text as it is. @default none */
  body?: object | string;
  headers?: Readonly<Record<string, string>>;
  signal: AbortSignal;
}

/** Asks a server for JSON. */
export class JsonClient {
  private readonly base: URL;
  private readonly http: HttpTransport;
  private readonly timeoutMs: number;

  constructor(base: URL, { timeoutMs = 30_000 }: { timeoutMs?: number } = {}) {
    this.base = base;
    this.timeoutMs = timeoutMs;
    this.http = httpTransport(base);
  }

  /** @throws DataError as `send`, and for an answer that is no JSON */
  async ask(request: JsonRequest): Promise<unknown> {
    const text = await this.send(request);
    try {
      return text.trim() === "" ? {} : JSON.parse(text);
    } catch (cause) {
      const { method = "POST", path } = request;
      throw this.error(`${method} ${path}`, "an answer in JSON", text.slice(0, SHOWN), cause);
    }
  }

  /** @throws DataError for an answer that is no success, with its beginning, and for a server that is away */
  async send({ method = "POST", path, body, headers = {}, signal }: JsonRequest): Promise<string> {
    const type = typeof body === "string" ? "application/octet-stream" : "application/json";
    const what = `${method} ${path}`;
    try {
      const answer = await this.http.transport({
        method,
        path,
        headers: { ...(body !== undefined && { "content-type": type }), ...headers },
        ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.timeoutMs)]),
      });
      const text = await textOf(answer.body);
      if (answer.status >= 200 && answer.status <= 299) return text;
      throw this.error(what, "an answer with a status of 200", `${answer.status}: ${text.slice(0, SHOWN)}`);
    } catch (cause) {
      if (cause instanceof DataError || signal.aborted) throw cause;
      throw this.error(what, "an answer", cause instanceof Error ? cause.message : String(cause), cause);
    }
  }

  /** Ends the connections. */
  close(): void {
    this.http.close();
  }

  private error(request: string, expected: string, received: string, cause?: unknown): DataError {
    const where = `${request} at ${this.base.origin}`;
    return new DataError({ where, expected, received, fix: "check the address and the server's log", cause });
  }
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > MOST_BYTES) break;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

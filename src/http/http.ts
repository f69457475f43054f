import { type Agent, type IncomingMessage, Agent as PlainAgent, request as plainRequest } from "node:http";
import { Agent as SecureAgent, request as secureRequest } from "node:https";
import { onAbort } from "../base/index.ts";

/** A request to a server. */
export interface HttpRequest {
  method: "GET" | "POST" | "PUT";
  /** Behind the address of the server, such as "/v1/models". */
  path: string;
  headers: Readonly<Record<string, string>>;
  body?: string;
  signal: AbortSignal;
}

/** What a server answers, while it comes. */
export interface HttpAnswer {
  status: number;
  contentType: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: AsyncIterable<Uint8Array>;
  /** Says that no more of the body is wanted: its end is waited for a while, so that the connection serves again. */
  release: () => void;
}

/** Sends a request. Rejects where no answer comes, with an error that has the system's code. */
export type Transport = (request: HttpRequest) => Promise<HttpAnswer>;

export interface TransportOptions {
  /** How long it may take until a server takes the connection, its name and TLS included. @default as the system's */
  connectTimeoutMs?: number;
}

/** How long the end of a body is waited for that nobody reads. */
const RELEASE_MS = 1000;

/** A way to ask servers, over connections that are kept. */
export interface HttpTransport {
  transport: Transport;
  /** Ends its connections. */
  close: () => void;
}

/** Below the five seconds after which Node's and uvicorn's servers close a connection that nobody uses. */
const IDLE_MS = 4000;

/**
 * Node's HTTP, which waits for an answer as long as it takes; fetch gives up after five minutes. As many connections as
 * there are requests; those that are free are used again. A redirect is an answer as any other: nobody is sent
 * elsewhere.
 */
export function httpTransport(base: URL, { connectTimeoutMs }: TransportOptions = {}): HttpTransport {
  const isSecure = base.protocol === "https:";
  const agent = new (isSecure ? SecureAgent : PlainAgent)({ keepAlive: true, timeout: IDLE_MS });
  const prefix = base.pathname.replace(/\/$/, "");
  const send = isSecure ? secureRequest : plainRequest;
  const transport: Transport = async ({ path, ...request }) => {
    const url = new URL(prefix + path, base);
    for (;;) {
      const result = await sent(send, url, { ...request, agent, connectTimeoutMs });
      if (!("mayAskAgain" in result)) return result;
    }
  };
  return { transport, close: () => agent.destroy() };
}

interface SendOptions extends Omit<HttpRequest, "path"> {
  agent: Agent;
  connectTimeoutMs: number | undefined;
}

/** A connection that the server closed as it was used again has seen no request: then another is to be taken. */
function sent(
  send: typeof plainRequest,
  url: URL,
  { body, connectTimeoutMs, signal, ...options }: SendOptions,
): Promise<HttpAnswer | { mayAskAgain: true }> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = send(url, options, (answer) => resolve(answerOf(answer)));
    request.setNoDelay(true);
    if (connectTimeoutMs !== undefined) limitConnecting(request, url.protocol, connectTimeoutMs);
    // with Node's own option a connection whose answer has come, but is not read, gets an error that nobody listens to
    request.once(
      "close",
      onAbort(signal, () => request.destroy()),
    );
    request.on("error", (error: NodeJS.ErrnoException) => {
      if (signal.aborted) reject(signal.reason);
      else if (request.reusedSocket && error.code === "ECONNRESET") resolve({ mayAskAgain: true });
      else reject(error);
    });
    request.end(body);
  });
}

function limitConnecting(request: ReturnType<typeof plainRequest>, protocol: string, timeoutMs: number): void {
  request.once("socket", (socket) => {
    if (!socket.connecting) return;
    const timer = setTimeout(() => {
      request.destroy(Object.assign(new Error(`no connection in ${timeoutMs} ms`), { code: "ETIMEDOUT" }));
    }, timeoutMs);
    const stop = () => clearTimeout(timer);
    socket.once(protocol === "https:" ? "secureConnect" : "connect", stop);
    socket.once("close", stop);
  });
}

function answerOf(answer: IncomingMessage): HttpAnswer {
  answer.on("error", () => {}); // whoever iterates gets it
  return {
    status: answer.statusCode ?? 0,
    contentType: answer.headers["content-type"] ?? "",
    headers: answer.headers,
    body: answer.iterator({ destroyOnReturn: false }),
    release: () => {
      const timer = setTimeout(() => answer.destroy(), RELEASE_MS);
      answer.once("close", () => clearTimeout(timer));
      answer.resume();
    },
  };
}

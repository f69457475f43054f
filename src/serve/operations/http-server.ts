import { createServer, type Server } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { createAdaptorServer } from "@hono/node-server";
import { OptionError } from "../../base/index.ts";
import { type ConnectionOptions, Connections, connectionLimits, serverOptions } from "./connections.ts";
import { isTls, type TlsOptions, type TlsSettings, tlsSettings } from "./tls.ts";

export interface HttpServerOptions extends ConnectionOptions, TlsOptions {
  fetch: (request: Request) => Response | Promise<Response>;
  host: string;
  port: number;
}

/** What ends a server. */
export interface Closing {
  /** Resolves when no request is under way; from the call on there come no more. */
  drained: () => Promise<void>;
  /** Tells those under way that the server ends. */
  farewell: () => void;
  /** Aborted when nobody wants to wait any longer. */
  hurry: AbortSignal;
  /** How long requests under way may take. */
  timeoutMs: number;
}

/** How long clients may take to read that the server is stopping. */
const FAREWELL_MS = 500;
/** How often connections that have become idle are closed while the server ends. */
const SWEEP_MS = 50;

/** A server that listens, with or without TLS. */
export class HttpServer {
  private readonly server: Server;
  private readonly connections: Connections;
  private readonly options: HttpServerOptions;

  private constructor(server: Server, connections: Connections, options: HttpServerOptions) {
    this.server = server;
    this.connections = connections;
    this.options = options;
  }

  /** @throws OptionError when the address cannot be had, or for limits that cannot be; DataError for files of TLS */
  static async listen(options: HttpServerOptions): Promise<HttpServer> {
    const { fetch, host, port } = options;
    const limits = connectionLimits(options);
    // without files it listens at once, before anything else has its turn
    const tls = isTls(options) ? await tlsSettings(options) : undefined;
    const { headersTimeoutMs: handshakeTimeout } = limits;
    const server = createAdaptorServer({
      fetch,
      hostname: host,
      ...(tls
        ? { createServer: createTlsServer, serverOptions: { ...serverOptions(limits), ...tls, handshakeTimeout } }
        : { createServer, serverOptions: serverOptions(limits) }),
    }) as Server;
    const connections = new Connections(server, limits.maxConnections);
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause: NodeJS.ErrnoException) => reject(listenError(cause, host, port)));
      server.listen(port, host, resolve);
    });
    return new HttpServer(server, connections, options);
  }

  get port(): number {
    const address = this.server.address();
    return typeof address === "object" && address !== null ? address.port : this.options.port;
  }

  get url(): string {
    const { host, tlsCert } = this.options;
    return `${tlsCert === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${this.port}`;
  }

  /** Files that TLS is read from. */
  get tlsFiles(): string[] {
    return [this.options.tlsCert, this.options.tlsKey].filter((file) => file !== undefined);
  }

  /** Reads the files of TLS again, for connections that come from now on. @throws DataError; the old ones then stay */
  async reloadTls(): Promise<void> {
    const tls: TlsSettings | undefined = await tlsSettings(this.options);
    if (tls) (this.server as TlsServer).setSecureContext(tls);
  }

  /** Ends the server: while requests are under way it goes on to say that it takes no more. */
  async close({ drained, farewell, hurry, timeoutMs }: Closing): Promise<void> {
    const { server, connections } = this;
    const start = performance.now();
    const isDrained = await before(drained(), timeoutMs, hurry);
    if (!isDrained) farewell();
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const sweeper = setInterval(() => connections.closeIdle(), SWEEP_MS);
    connections.closeIdle();
    // answers that are whole may still be read
    const graceMs = isDrained ? timeoutMs - (performance.now() - start) : 0;
    const isClosed = await before(closed, Math.max(FAREWELL_MS, graceMs), isDrained ? hurry : undefined);
    if (!isClosed) server.closeAllConnections();
    await closed;
    clearInterval(sweeper);
  }
}

/** Whether something ends in time, and before the signal. */
async function before(end: Promise<void>, timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    if (signal?.aborted) resolve(false);
    timer = setTimeout(() => resolve(false), timeoutMs);
    signal?.addEventListener("abort", () => resolve(false), { once: true });
  });
  const isInTime = await Promise.race([end.then(() => true), late]);
  clearTimeout(timer);
  return isInTime;
}

/** What the system says of an address that it does not have, or of a name that it does not know. */
const hostErrors = ["EADDRNOTAVAIL", "ENOTFOUND", "EAI_AGAIN", "EAFNOSUPPORT", "EINVAL"];

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): OptionError {
  const where = `serve on ${host}:${port}`;
  if (hostErrors.includes(cause.code ?? "")) {
    const fix = "choose another --host, for example 127.0.0.1 for this machine alone";
    return new OptionError({ where, expected: "an address of this machine", received: cause.message, fix, cause });
  }
  const received = cause.code === "EADDRINUSE" ? "one that another program is using" : cause.message;
  const fix = `use another, for example --port ${port === 65535 ? port - 1 : port + 1}`;
  return new OptionError({ where, expected: "a free port", received, fix, cause });
}

import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import { LONGEST_TIMER_MS } from "../../base/index.ts";
import { requireWholeNumbers } from "../whole-numbers.ts";

/** How long connections may take, and how many there may be. */
export interface ConnectionOptions {
  /**
   * Connections at the same time. One more takes the place of the one that has asked nothing for the longest. @default
   * 4096
   */
  maxConnections?: number;
  /** How long a client may take to send the headers of a request, in milliseconds. @default 10000 */
  headersTimeoutMs?: number;
  /** How long a client may take to send a request, its body included, in milliseconds. @default 60000 */
  bodyTimeoutMs?: number;
  /** How long a connection is kept for a further request, in milliseconds. @default 75000 */
  keepAliveTimeoutMs?: number;
}

/**
 * Of connections. Proxies keep theirs for a minute (nginx) and must be the first to close one: otherwise a request may
 * meet a connection that is being closed.
 */
const defaults = { maxConnections: 4096, headersTimeoutMs: 10_000, bodyTimeoutMs: 60_000, keepAliveTimeoutMs: 75_000 };

export const connectionNames = Object.keys(defaults) as (keyof ConnectionOptions)[];
const range = [1, LONGEST_TIMER_MS] as const;
const ranges = { maxConnections: range, headersTimeoutMs: range, bodyTimeoutMs: range, keepAliveTimeoutMs: range };

/** How often the times of all connections are looked at, at most. */
const CHECK_MS = 1000;
/** Asks the system whether the other end is still there, once nothing has come for so long. */
const PROBE_MS = 30_000;

/** @throws OptionError for limits that cannot be */
export function connectionLimits(options: ConnectionOptions): Required<ConnectionOptions> {
  const limits = { ...defaults };
  for (const name of connectionNames) limits[name] = options[name] ?? defaults[name];
  requireWholeNumbers(limits, ranges);
  return limits;
}

/** The limits that Node's server watches over. */
export function serverOptions({ headersTimeoutMs, bodyTimeoutMs, keepAliveTimeoutMs }: Required<ConnectionOptions>) {
  return {
    headersTimeout: Math.min(headersTimeoutMs, bodyTimeoutMs),
    requestTimeout: bodyTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(CHECK_MS, headersTimeoutMs, bodyTimeoutMs),
    keepAlive: true,
    keepAliveInitialDelay: PROBE_MS,
  };
}

interface Connection {
  socket: Socket;
  /** Those that are not answered yet. */
  requests: Set<IncomingMessage>;
}

/** Its two ends: with TLS, requests come on another socket than the one that was connected. */
const nameOf = ({ remoteAddress, remotePort }: Socket) => `${remoteAddress} ${remotePort}`;

/** A client that has not sent a whole request waits for nothing. */
const isIdle = ({ requests }: Connection) => [...requests].every(({ complete }) => !complete);

/**
 * Bounds the connections of a server. Node's own bound refuses whoever comes last, so that some thousand that say
 * nothing would keep everybody out; here the one that has been idle for the longest gives way. Connections that are
 * owed an answer never do: where all are, the last one is closed.
 */
export class Connections {
  /** In the order in which they were last of use. */
  private readonly connections = new Map<string, Connection>();
  private readonly most: number;

  constructor(server: Server, most: number) {
    this.most = most;
    server.on("connection", (socket) => this.add(socket));
    server.on("request", (request, response) => {
      const connection = this.touch(request.socket);
      connection?.requests.add(request);
      response.once("close", () => {
        connection?.requests.delete(request);
        this.touch(request.socket);
      });
    });
  }

  /** Closes those that are owed no answer. */
  closeIdle(): void {
    for (const connection of this.connections.values()) if (isIdle(connection)) connection.socket.destroy();
  }

  private add(socket: Socket): void {
    if (this.connections.size >= this.most) {
      const victim = this.longestIdle();
      if (!victim) {
        socket.destroy();
        return;
      }
      this.connections.delete(nameOf(victim.socket)); // a socket that is destroyed has no name
      victim.socket.destroy();
    }
    const name = nameOf(socket);
    const connection = { socket, requests: new Set<IncomingMessage>() };
    this.connections.set(name, connection);
    socket.once("close", () => {
      if (this.connections.get(name) === connection) this.connections.delete(name);
    });
  }

  private longestIdle(): Connection | undefined {
    for (const connection of this.connections.values()) if (isIdle(connection)) return connection;
    return undefined;
  }

  private touch(socket: Socket): Connection | undefined {
    const name = nameOf(socket);
    const connection = this.connections.get(name);
    if (!connection) return undefined;
    this.connections.delete(name);
    this.connections.set(name, connection);
    return connection;
  }
}

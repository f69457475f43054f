import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { serve as serveNode } from "@hono/node-server";
import { checkOptions, OptionError } from "../ir/index.ts";
import { createApp, type ServedModel } from "./app.ts";

export interface ServeOptions {
  /** 0 takes any free port. @default 8080 */
  port?: number;
  /** Address to listen on. Others than this machine can reach the server only when it is changed. @default 127.0.0.1 */
  host?: string;
}

export interface RunningServer {
  url: string;
  port: number;
  /** Stops taking requests and resolves when those under way are done or cut off. */
  close(): Promise<void>;
}

/** How long requests under way may take to finish when the server closes. */
const CLOSE_TIMEOUT_MS = 2000;

/**
 * Serves a model over HTTP with OpenAI's API, and a page to try it.
 * @throws OptionError when the port is in use or out of range
 */
export async function serve(model: ServedModel, options: ServeOptions = {}): Promise<RunningServer> {
  checkOptions("serve", options, ["port", "host"]);
  const { port = 8080, host = "127.0.0.1" } = options;
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new OptionError({ where: "serve", expected: "a port from 0 to 65535", received: String(port), fix: "choose another --port" });
  }
  const server = await new Promise<Server>((resolve, reject) => {
    const starting = serveNode({ fetch: createApp(model).fetch, port, hostname: host }, () => resolve(starting as Server)) as Server;
    starting.once("error", (cause: NodeJS.ErrnoException) => {
      const received = cause.code === "EADDRINUSE" ? "one that another program is using" : cause.message;
      reject(
        new OptionError({
          where: `serve on ${host}:${port}`,
          expected: "a free port",
          received,
          fix: `use another, for example --port ${port === 65535 ? port - 1 : port + 1}`,
          cause,
        }),
      );
    });
  });
  const actual = (server.address() as AddressInfo).port;
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return {
    url: `http://${shownHost}:${actual}`,
    port: actual,
    close: () =>
      new Promise((resolve) => {
        const timer = setTimeout(() => server.closeAllConnections(), CLOSE_TIMEOUT_MS);
        server.close(() => {
          clearTimeout(timer);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

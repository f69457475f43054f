import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { serve as serveNode } from "@hono/node-server";
import { checkOptions, OptionError } from "../base/index.ts";
import { type AppOptions, appOf } from "./app.ts";
import { DataFolder } from "./data-folder.ts";
import { imageHostNames } from "./images/index.ts";
import { limitNames, type Servable, ServedModels } from "./models/index.ts";

export interface ServeOptions extends Omit<AppOptions, "data"> {
  /** 0 takes any free port. @default 8080 */
  port?: number;
  /** Address to listen on. Others than this machine can reach the server only when it is changed. @default 127.0.0.1 */
  host?: string;
  /**
   * Where files and batches are kept, over restarts; it is made where it is missing. @default none, and their endpoints
   * answer 501
   */
  dataFolder?: string;
}

/** A server that listens. */
export interface RunningServer {
  url: string;
  port: number;
  /** Stops taking requests and resolves when those under way are done or cut off. */
  close(): Promise<void>;
}

const optionNames = [
  "port",
  "host",
  "dataFolder",
  "allowedHosts",
  "corsOrigins",
  "log",
  "adapterFolder",
  "moderate",
  ...limitNames,
  ...imageHostNames,
] as const;

/** How long requests under way may take to finish when the server closes. */
const CLOSE_TIMEOUT_MS = 2000;
/** How long clients may take to read that the server is stopping. */
const FAREWELL_MS = 500;

/**
 * Serves one or several models over HTTP with OpenAI's API, and a page to try the first that writes. It listens at once
 * and resolves when the first model is warm: loaded, and its graphs compiled by two tokens that nobody sees, so that
 * the first request does not pay for that. Requests that come before wait. The others are loaded when they are asked
 * for.
 * @throws OptionError when the port is in use or out of range, or for options that cannot be
 * @throws DataError when another server has the data folder
 * @throws what loading the first model throws
 */
export async function serve(
  models: Servable | readonly Servable[],
  options: ServeOptions = {},
): Promise<RunningServer> {
  checkOptions("serve", options, optionNames);
  const {
    port = 8080,
    host = "127.0.0.1",
    allowedHosts = [],
    corsOrigins,
    log,
    adapterFolder,
    dataFolder,
    moderate,
    ...limits
  } = options;
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new OptionError({
      where: "serve",
      expected: "a port from 0 to 65535",
      received: String(port),
      fix: "choose another --port",
    });
  }
  const served = new ServedModels(models, limits);
  const data = dataFolder === undefined ? undefined : await DataFolder.open(dataFolder);
  const app = appOf(served, { allowedHosts: [...allowedHosts, host], corsOrigins, log, adapterFolder, data, moderate });
  const server = await listen(app.fetch, host, port).catch(async (cause) => {
    await data?.close();
    throw cause;
  });
  const close = async () => {
    await data?.close();
    await closed(server, served);
    await served.close();
  };
  try {
    await served.start();
  } catch (cause) {
    await close();
    throw cause;
  }
  const actual = (server.address() as AddressInfo).port;
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return { url: `http://${shownHost}:${actual}`, port: actual, close };
}

function listen(
  fetch: (request: Request) => Response | Promise<Response>,
  host: string,
  port: number,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    const starting = serveNode({ fetch, port, hostname: host }, () => resolve(starting as Server)) as Server;
    starting.once("error", (cause: NodeJS.ErrnoException) => reject(listenError(cause, host, port)));
  });
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

function closed(server: Server, models: ServedModels): Promise<void> {
  return new Promise((resolve) => {
    let timer = setTimeout(() => {
      models.stop();
      server.closeIdleConnections();
      timer = setTimeout(() => server.closeAllConnections(), FAREWELL_MS);
    }, CLOSE_TIMEOUT_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}

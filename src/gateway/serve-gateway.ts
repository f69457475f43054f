import { OptionError } from "../base/index.ts";
import { readKeyFile } from "../keys/index.ts";
import { type ConnectionOptions, HttpServer, type LogOptions, type TlsOptions } from "../serve/index.ts";
import { gatewayApp } from "./app.ts";
import type { GatewayConfig } from "./config.ts";
import { Gateway, type GatewayOptions } from "./gateway.ts";
import { openStore } from "./open-store.ts";

export interface ServeGatewayOptions extends GatewayOptions, LogOptions, ConnectionOptions, TlsOptions {
  /** 0 takes any free port. @default the configuration's */
  port?: number;
  /** Address to listen on. @default the configuration's */
  host?: string;
  /** How long requests under way may take to finish when the gateway closes, in milliseconds. @default 25000 */
  drainTimeoutMs?: number;
}

/** A gateway that listens. */
export interface RunningGateway {
  url: string;
  port: number;
  /** Models that clients may ask for. */
  models: readonly string[];
  /**
   * Stops taking requests, waits for those under way, and writes all usage.
   * @param options.now cuts them off at once, also when the gateway is closing already @default false
   * @throws RuntimeError where the store refuses to the end
   */
  close(options?: { now?: boolean }): Promise<void>;
}

const DRAIN_TIMEOUT_MS = 25_000;
const local = ["127.0.0.1", "::1", "localhost"];

/**
 * Serves one OpenAI-compatible endpoint over the upstreams of a configuration.
 * @throws OptionError when the port is in use, or others could spend without a key; DataError for a file of keys that
 *   cannot be read; RuntimeError for a store that cannot be opened
 */
export async function serveGateway(config: GatewayConfig, options: ServeGatewayOptions = {}): Promise<RunningGateway> {
  const { port = config.server.port, host = config.server.host, drainTimeoutMs = DRAIN_TIMEOUT_MS, ...rest } = options;
  if (config.keys === undefined && !local.includes(host)) {
    throw new OptionError({
      where: "gateway",
      expected: "keys, where other machines can reach the gateway",
      received: `host ${host} without keys`,
      fix: "add keys to the configuration, or listen on 127.0.0.1",
    });
  }
  const keys = config.keys && (await readKeyFile(config.keys.file));
  const gateway = new Gateway(config, await openStore(config.store), rest);
  const { allowedHosts, corsOrigins } = config.server;
  const { log, logFormat, logPrompts } = rest;
  const { app, operations } = gatewayApp(gateway, {
    allowedHosts: [...allowedHosts, host],
    corsOrigins,
    keys,
    log,
    logFormat,
    logPrompts,
  });
  const server = await HttpServer.listen({ ...rest, fetch: app.fetch, host, port }).catch(async (cause) => {
    await gateway.close();
    throw cause;
  });
  let ending: Promise<void> | undefined;
  const hurry = new AbortController();
  const end = async () => {
    await server.close({
      drained: () => operations.drained(),
      farewell: () => {},
      hurry: hurry.signal,
      timeoutMs: drainTimeoutMs,
    });
    await operations.drained(); // those that were cut off have been written down
    await gateway.close();
  };
  return {
    url: server.url,
    port: server.port,
    models: gateway.models,
    close: ({ now = false } = {}) => {
      if (now) hurry.abort();
      ending ??= end();
      return ending;
    },
  };
}

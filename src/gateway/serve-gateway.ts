import { nearest, OptionError } from "../base/index.ts";
import { type ApiKey, readKeyFile } from "../keys/index.ts";
import { type ConnectionOptions, HttpServer, type LogOptions, Reloader, type TlsOptions } from "../serve/index.ts";
import { gatewayApp } from "./app.ts";
import type { GatewayConfig } from "./config.ts";
import { Gateway, type GatewayOptions } from "./gateway.ts";
import { openStore } from "./open-store.ts";

export interface ServeGatewayOptions extends GatewayOptions, LogOptions, ConnectionOptions, TlsOptions {
  /** 0 takes any free port. @default the configuration's */
  port?: number;
  /** Address to listen on. @default the configuration's */
  host?: string;
  /** Gets a sentence when the file of keys was read again, or why not, and whether it was. @default standard error */
  onReload?: (message: string, isRead: boolean) => void;
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
  const keys = await keysOf(config);
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
  const { onReload = (message: string) => console.error(message) } = options;
  const reloader = new Reloader({
    parts: config.keys
      ? [
          {
            files: [config.keys.file],
            load: async () => operations.gate.setKeys((await keysOf(config)) ?? []),
            isWatched: true,
          },
        ]
      : [],
    audit: () => {},
    onReload,
  });
  let ending: Promise<void> | undefined;
  const hurry = new AbortController();
  const end = async () => {
    reloader.dispose();
    await server.close({
      drained: () => operations.drained(),
      farewell: () => gateway.stop(),
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

/**
 * The keys of the file that a configuration names.
 * @throws DataError for a file that cannot be read; OptionError for a budget or an admin whose key is not there
 */
async function keysOf({ keys }: GatewayConfig): Promise<ApiKey[] | undefined> {
  if (keys === undefined) return undefined;
  const known = await readKeyFile(keys.file);
  const names = known.map(({ name }) => name);
  const wanted = [...keys.admins, ...Object.keys(keys.budgets).filter((name) => name !== "*")];
  for (const name of wanted) {
    if (names.includes(name)) continue;
    const near = nearest(name, names);
    throw new OptionError({
      where: "gateway, keys",
      expected: `the name of a key of ${keys.file}`,
      received: JSON.stringify(name),
      fix: near ? `did you mean "${near}"?` : "add the key, or remove what is said of it",
    });
  }
  return known;
}

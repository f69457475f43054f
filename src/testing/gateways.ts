/** Gateways over servers of this machine, for tests. */
import OpenAI from "openai";
import type { ConfigInput, UsageRow, UsageStore } from "../gateway/index.ts";
import {
  Gateway,
  type GatewayAppOptions,
  type GatewayOptions,
  gatewayApp,
  gatewayConfig,
  MemoryUsageStore,
} from "../gateway/index.ts";
import { HttpServer } from "../serve/index.ts";

export interface TestGateway {
  gateway: Gateway;
  /** With "/v1". */
  url: string;
  client: OpenAI;
  /** All rows of usage that were written by now. */
  rows: () => Promise<UsageRow[]>;
  close: () => Promise<void>;
}

export interface TestGatewayOptions extends GatewayOptions {
  prices?: unknown;
  store?: UsageStore;
  keys?: GatewayAppOptions["keys"];
  /** The client's. */
  apiKey?: string;
  environment?: Record<string, string>;
  log?: (line: string) => void;
}

/** Remembers rows, too. */
class NotingStore extends MemoryUsageStore {
  readonly rows: UsageRow[] = [];

  override async add(rows: readonly UsageRow[]): Promise<void> {
    this.rows.push(...rows);
    await super.add(rows);
  }
}

/** A gateway that listens on a free port, without retries that wait long. */
export async function testGateway(input: ConfigInput, options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { prices, keys, apiKey = "none", environment = {}, log, ...rest } = options;
  const noting = new NotingStore();
  const config = gatewayConfig({ retries: { baseMs: 1, maxMs: 20 }, ...input }, { prices, environment });
  const gateway = new Gateway(config, rest.store ?? noting, rest);
  const { app, operations } = gatewayApp(gateway, { keys, log });
  const server = await HttpServer.listen({ fetch: app.fetch, host: "127.0.0.1", port: 0 });
  const url = `${server.url}/v1`;
  return {
    gateway,
    url,
    client: new OpenAI({ baseURL: url, apiKey, maxRetries: 0 }),
    rows: async () => {
      await gateway.ledger.flush();
      return noting.rows;
    },
    close: async () => {
      const hurry = AbortSignal.abort();
      await server.close({ drained: () => operations.drained(), farewell: () => {}, hurry, timeoutMs: 100 });
      await gateway.close();
    },
  };
}

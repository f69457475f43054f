/**
 * One OpenAI-compatible endpoint over several upstreams: routing, retries, caches, budgets. Imports serve/, keys/,
 * http/, files/ and base/.
 */
export { type GatewayAppOptions, gatewayApp } from "./app.ts";
export { type ConfigOptions, type GatewayConfig, gatewayConfig, readGatewayConfig, readPrices } from "./config.ts";
export { Gateway, type GatewayOptions } from "./gateway.ts";
export { MemoryUsageStore } from "./memory-store.ts";
export { openStore } from "./open-store.ts";
export { presets } from "./presets.ts";
export { costOf, type ModelPrice, NANOS, PriceTable } from "./prices.ts";
export type { ConfigInput } from "./schema.ts";
export { type RunningGateway, type ServeGatewayOptions, serveGateway } from "./serve-gateway.ts";
export { type SqlClient, SqlUsageStore } from "./sql-store.ts";
export { type TokenUsage, usageOf } from "./usage.ts";
export {
  type Grouping,
  groupings,
  isDay,
  type UsageQuery,
  type UsageRow,
  type UsageStore,
  type UsageTotal,
} from "./usage-store.ts";

/** What a configuration may say. Each field is described in docs/gateway.md. */
import { z } from "zod";
import { LONGEST_TIMER_MS } from "../base/index.ts";
import { presets, type UpstreamKind } from "./presets.ts";

const milliseconds = z.int().min(1).max(LONGEST_TIMER_MS);
const count = z.int().min(1);
const name = z.string().min(1).max(200);
const money = z.number().positive();
const kinds = ["openai", "azure", "ollama", "vllm", "kindling"] as const satisfies readonly UpstreamKind[];
const presetNames = Object.keys(presets) as [keyof typeof presets, ...(keyof typeof presets)[]];

const policies = ["weighted", "price", "latency", "prefix"] as const;
/** How one of several upstreams of a model is chosen. */
export type Policy = (typeof policies)[number];

const upstream = z.strictObject({
  /** In metrics, in reports, and to clients in `x-kindling-upstream`. */
  name: z.string().regex(/^[\w.-]{1,64}$/, "expected letters, digits, dots, dashes and underscores"),
  preset: z.enum(presetNames).optional(),
  kind: z.enum(kinds).optional(),
  baseUrl: z.url({ protocol: /^https?$/ }).optional(),
  apiKey: z.string().optional(),
  /** Azure's. */
  apiVersion: z.string().optional(),
  /** Names that clients ask for, each with the upstream's name; a list where both are the same. */
  models: z.union([z.array(name).min(1), z.record(name, name)]),
  weight: z.number().min(0).default(1),
  priority: z.int().min(0).default(0),
  connectTimeoutMs: milliseconds.default(10_000),
  timeoutMs: milliseconds.default(600_000),
  idleTimeoutMs: milliseconds.default(120_000),
  maxConcurrency: count.optional(),
  headers: z.record(name, z.string()).default({}),
  streamUsage: z.boolean().default(true),
});

const routing = z.strictObject({
  policy: z.enum(policies).default("weighted"),
  prefixCharacters: count.default(1024),
  models: z
    .record(name, z.strictObject({ policy: z.enum(policies).optional(), fallbacks: z.array(name).default([]) }))
    .default({}),
});

const retries = z.strictObject({
  attempts: count.max(20).default(3),
  baseMs: milliseconds.default(250),
  maxMs: milliseconds.default(8000),
});

const breaker = z.strictObject({ failures: count.default(5), openMs: milliseconds.default(30_000) });

const exactCache = z.strictObject({
  ttlSeconds: z.number().positive().default(3600),
  maxMiB: z.number().positive().default(64),
  when: z.enum(["deterministic", "always"]).default("deterministic"),
});

const semanticCache = z.strictObject({
  upstream: name,
  model: name,
  threshold: z.number().min(0).max(1).default(0.97),
  ttlSeconds: z.number().positive().default(3600),
  maxMiB: z.number().positive().default(64),
});

const budget = z.strictObject({ day: money.optional(), month: money.optional() });
const keys = z.strictObject({
  /** Of `kindling keys`, relative to the configuration. */
  file: z.string().min(1),
  /** Names of the keys that may read the usage of all. */
  admins: z.array(name).default([]),
  /** By names of keys, of UTC's days and months; "*" is the budget of each key that has none of its own. */
  budgets: z.record(name, budget).default({}),
});

const store = z.union([z.strictObject({ sqlite: z.string().min(1) }), z.strictObject({ postgres: z.string().min(1) })]);

export const configSchema = z.strictObject({
  server: z
    .strictObject({
      port: z.int().min(0).max(65535).default(8090),
      host: z.string().default("127.0.0.1"),
      allowedHosts: z.array(z.string()).default([]),
      corsOrigins: z.array(z.string()).default([]),
      maxBodyMiB: z.number().positive().max(1024).default(32),
      /** Requests that wait for an upstream with room. */
      maxQueue: z.int().min(0).default(256),
      queueTimeoutMs: milliseconds.default(30_000),
      stalledTimeoutMs: milliseconds.default(60_000),
    })
    .prefault({}),
  upstreams: z.array(upstream).min(1),
  routing: routing.prefault({}),
  retries: retries.prefault({}),
  breaker: breaker.prefault({}),
  cache: z.strictObject({ exact: exactCache.optional(), semantic: semanticCache.optional() }).prefault({}),
  /** Without it anybody who reaches the gateway may use it. */
  keys: keys.optional(),
  /** A file of prices, relative to the configuration. */
  prices: z.string().optional(),
  /** What happens to a request under a budget whose model has no price. */
  unknownPrices: z.enum(["allow", "refuse"]).default("refuse"),
  store: store.optional(),
});

const tokenPrice = z.strictObject({
  /** Per million tokens. */
  input: z.number().min(0),
  /** Of tokens that the upstream had in its cache. @default as input */
  cachedInput: z.number().min(0).optional(),
  output: z.number().min(0).default(0),
  currency: z.string().min(1).optional(),
  /** Most tokens of an answer, for the reservation of requests that name none. */
  maxOutputTokens: count.optional(),
});

export const priceSchema = z.strictObject({
  currency: z.string().min(1).default("USD"),
  /** What one unit of another currency is worth in this one. */
  rates: z.record(z.string(), z.number().positive()).default({}),
  models: z.record(name, tokenPrice),
});

/** A config as a file or a program writes it, defaults left out. */
export type ConfigInput = z.input<typeof configSchema>;
export type ConfigData = z.output<typeof configSchema>;
export type UpstreamData = ConfigData["upstreams"][number];
export type Budget = z.output<typeof budget>;
export type PriceData = z.output<typeof priceSchema>;

import type { Nanos } from "./prices.ts";

/** A request that was answered, or given up. */
export interface UsageRow {
  /** A row that is added twice counts once. */
  id: string;
  /** When it ended, in milliseconds since 1970. */
  at: number;
  /** Of UTC, as "2026-11-27". */
  day: string;
  key: string;
  /** That the client asked for. */
  model: string;
  /** None for an answer of the cache. */
  upstream: string | null;
  upstreamModel: string | null;
  path: string;
  status: number;
  inputTokens: number;
  cachedTokens: number;
  outputTokens: number;
  /** Whether the tokens were estimated, for the upstream has not told them. */
  isEstimated: boolean;
  /** Null where there is no price. */
  cost: Nanos | null;
  currency: string;
  cache: "exact" | "semantic" | null;
  durationMs: number;
  /** To the first byte; null where there was none. */
  ttftMs: number | null;
}

/** What usage can be added up by. */
export const groupings = ["key", "model", "day"] as const;
/** One of `groupings`. */
export type Grouping = (typeof groupings)[number];

/** Which usage is asked for, and how it is added up. */
export interface UsageQuery {
  by: Grouping;
  /** First day, as "2026-11-01". @default all */
  since?: string;
  /** Last day. @default all */
  until?: string;
}

/** What a key, a model or a day had. */
export interface UsageTotal {
  name: string;
  currency: string;
  requests: number;
  errors: number;
  cacheHits: number;
  inputTokens: number;
  cachedTokens: number;
  outputTokens: number;
  /** In the currency; without the requests whose price is not known. */
  cost: number;
  /** Requests to upstreams whose price is not known. */
  unpriced: number;
}

/** Where usage is kept. */
export interface UsageStore {
  /** All rows, or none. */
  add(rows: readonly UsageRow[]): Promise<void>;
  /** What a key has spent from a day on. */
  spent(key: string, currency: string, since: string): Promise<Nanos>;
  /** What was used, by key, model or day. */
  totals(query: UsageQuery): Promise<UsageTotal[]>;
  /** Writes what is left, and closes what is open. */
  close(): Promise<void>;
}

/** Whether a text is a day, as "2026-11-01". */
export function isDay(text: string): boolean {
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(text) : Number.NaN;
  return !Number.isNaN(at) && dayOf(at) === text;
}

/** The day of a time, of UTC. */
export const dayOf = (at: number): string => new Date(at).toISOString().slice(0, 10);

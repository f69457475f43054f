import { NANOS, type Nanos } from "./prices.ts";
import type { Grouping, UsageQuery, UsageRow, UsageStore, UsageTotal } from "./usage-store.ts";

/** What `pg`'s clients and pools have, and PGlite: parameters are `$1`, `$2`, each once and in their order. */
export interface SqlClient {
  /** Runs one statement, whose parameters are $1, $2 and so on. */
  query(text: string, parameters: unknown[]): Promise<{ rows: unknown[] }>;
}

/**
 * What was changed in the tables, in order; a change is only added to. SQL that PostgreSQL and SQLite both take, each
 * statement harmless when it is run again: two gateways may start at once.
 */
const migrations: readonly (readonly string[])[] = [
  [
    `CREATE TABLE IF NOT EXISTS kindling_gateway_usage (
      id TEXT PRIMARY KEY,
      at BIGINT NOT NULL,
      day TEXT NOT NULL,
      key_name TEXT NOT NULL,
      model TEXT NOT NULL,
      upstream TEXT,
      upstream_model TEXT,
      path TEXT NOT NULL,
      status INTEGER NOT NULL,
      input_tokens BIGINT NOT NULL,
      cached_tokens BIGINT NOT NULL,
      output_tokens BIGINT NOT NULL,
      is_estimated INTEGER NOT NULL,
      cost_nanos BIGINT,
      currency TEXT NOT NULL,
      cache TEXT,
      duration_ms BIGINT NOT NULL,
      ttft_ms BIGINT
    )`,
    "CREATE INDEX IF NOT EXISTS kindling_gateway_usage_by_key ON kindling_gateway_usage (key_name, day)",
    "CREATE INDEX IF NOT EXISTS kindling_gateway_usage_by_day ON kindling_gateway_usage (day)",
  ],
];

/** Columns with their values, in one order. */
const columns: Readonly<Record<string, (row: UsageRow) => string | number | null>> = {
  id: (row) => row.id,
  at: (row) => row.at,
  day: (row) => row.day,
  key_name: (row) => row.key,
  model: (row) => row.model,
  upstream: (row) => row.upstream,
  upstream_model: (row) => row.upstreamModel,
  path: (row) => row.path,
  status: (row) => row.status,
  input_tokens: (row) => row.inputTokens,
  cached_tokens: (row) => row.cachedTokens,
  output_tokens: (row) => row.outputTokens,
  is_estimated: (row) => Number(row.isEstimated),
  cost_nanos: (row) => row.cost,
  currency: (row) => row.currency,
  cache: (row) => row.cache,
  duration_ms: (row) => Math.round(row.durationMs),
  ttft_ms: (row) => (row.ttftMs === null ? null : Math.round(row.ttftMs)),
};

const columnOf: Readonly<Record<Grouping, string>> = { key: "key_name", model: "model", day: "day" };

/** Rows of one statement: PostgreSQL takes 65,535 parameters, SQLite 32,766. */
const MOST_ROWS = 500;

/** Usage in a database of SQL. */
export class SqlUsageStore implements UsageStore {
  private readonly client: SqlClient;
  private readonly end: () => Promise<void>;

  private constructor(client: SqlClient, end: () => Promise<void>) {
    this.client = client;
    this.end = end;
  }

  /**
   * The store of a database, whose tables are brought up to date.
   * @param end closes the database
   */
  static async open(client: SqlClient, end: () => Promise<void> = async () => {}): Promise<SqlUsageStore> {
    await client.query("CREATE TABLE IF NOT EXISTS kindling_gateway_migrations (version INTEGER PRIMARY KEY)", []);
    const { rows } = await client.query("SELECT MAX(version) AS version FROM kindling_gateway_migrations", []);
    const done = Number((rows[0] as { version: unknown }).version ?? 0);
    for (const [i, statements] of migrations.entries()) {
      if (i < done) continue;
      for (const statement of statements) await client.query(statement, []);
      await client.query("INSERT INTO kindling_gateway_migrations (version) VALUES ($1) ON CONFLICT DO NOTHING", [
        i + 1,
      ]);
    }
    return new SqlUsageStore(client, end);
  }

  /** Each statement is whole or not at all, and rows that are there already stay as they are: trying again is safe. */
  async add(rows: readonly UsageRow[]): Promise<void> {
    const names = Object.keys(columns);
    for (let start = 0; start < rows.length; start += MOST_ROWS) {
      const part = rows.slice(start, start + MOST_ROWS);
      const values = part.map((_, i) => `(${names.map((_, j) => `$${i * names.length + j + 1}`).join(", ")})`);
      await this.client.query(
        `INSERT INTO kindling_gateway_usage (${names.join(", ")}) VALUES ${values.join(", ")} ON CONFLICT DO NOTHING`,
        part.flatMap((row) => Object.values(columns).map((value) => value(row))),
      );
    }
  }

  async spent(key: string, currency: string, since: string): Promise<Nanos> {
    const { rows } = await this.client.query(
      `SELECT COALESCE(SUM(cost_nanos), 0) AS spent FROM kindling_gateway_usage
       WHERE key_name = $1 AND currency = $2 AND day >= $3`,
      [key, currency, since],
    );
    return Number((rows[0] as { spent: unknown }).spent);
  }

  /** What was used, by key, model or day. */
  async totals({ by, since = "", until = "9999-12-31" }: UsageQuery): Promise<UsageTotal[]> {
    const column = columnOf[by];
    const { rows } = await this.client.query(
      `SELECT ${column} AS name, currency, COUNT(*) AS requests,
         SUM(CASE WHEN status >= 400 THEN 1 ELSE 0 END) AS errors,
         SUM(CASE WHEN cache IS NULL THEN 0 ELSE 1 END) AS cache_hits,
         SUM(input_tokens) AS input_tokens, SUM(cached_tokens) AS cached_tokens, SUM(output_tokens) AS output_tokens,
         COALESCE(SUM(cost_nanos), 0) AS cost_nanos,
         SUM(CASE WHEN cost_nanos IS NULL THEN 1 ELSE 0 END) AS unpriced
       FROM kindling_gateway_usage WHERE day >= $1 AND day <= $2 GROUP BY ${column}, currency ORDER BY ${column}, currency`,
      [since, until],
    );
    return rows.map((row) => totalOf(row as Record<string, unknown>));
  }

  /** Closes the database, where the store has opened it. */
  close(): Promise<void> {
    return this.end();
  }
}

/** Sums of PostgreSQL come as texts. */
function totalOf(row: Readonly<Record<string, unknown>>): UsageTotal {
  return {
    name: String(row.name),
    currency: String(row.currency),
    requests: Number(row.requests),
    errors: Number(row.errors),
    cacheHits: Number(row.cache_hits),
    inputTokens: Number(row.input_tokens),
    cachedTokens: Number(row.cached_tokens),
    outputTokens: Number(row.output_tokens),
    cost: Number(row.cost_nanos) / NANOS,
    unpriced: Number(row.unpriced),
  };
}

import { open } from "node:fs/promises";
import { RuntimeError } from "../base/index.ts";
import { ownerModes } from "../files/index.ts";
import type { GatewayConfig } from "./config.ts";
import { MemoryUsageStore } from "./memory-store.ts";
import { type SqlClient, SqlUsageStore } from "./sql-store.ts";
import type { UsageStore } from "./usage-store.ts";

/**
 * The store that a configuration names: a file of SQLite, a PostgreSQL database, or memory, which is empty after a
 * start.
 * @throws RuntimeError where the package or the database is not there
 */
export async function openStore(store: GatewayConfig["store"]): Promise<UsageStore> {
  if (store === undefined) return new MemoryUsageStore();
  return "sqlite" in store ? openSqlite(store.sqlite) : openPostgres(store.postgres.reveal());
}

async function openSqlite(path: string): Promise<UsageStore> {
  const { default: Database } = await optional("libsql", () => import("libsql"));
  let database: InstanceType<typeof Database>;
  try {
    // a file that is made is its owner's alone, and so are those that SQLite makes beside it
    await open(path, "a", ownerModes.file).then((file) => file.close());
    database = new Database(path);
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA busy_timeout = 5000");
  } catch (cause) {
    throw unopened(path, (cause as Error).message, cause);
  }
  const client: SqlClient = {
    // SQLite has no $1: parameters are in their order
    query: async (text, parameters) => ({ rows: database.prepare(text.replace(/\$\d+/g, "?")).all(parameters) }),
  };
  return SqlUsageStore.open(client, async () => void database.close());
}

async function openPostgres(url: string): Promise<UsageStore> {
  const { default: pg } = await optional("pg", () => import("pg"));
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  pool.on("error", () => {}); // a connection that was idle; the next query takes another
  try {
    return await SqlUsageStore.open(pool, () => pool.end());
  } catch (cause) {
    await pool.end();
    const { code } = cause as { code?: string };
    throw unopened("PostgreSQL", code ?? "an error"); // its message may have the address with the password
  }
}

function unopened(where: string, received: string, cause?: unknown): RuntimeError {
  const fix = "check the store of the configuration";
  return new RuntimeError({ where, expected: "a database of usage", received, fix, cause });
}

async function optional<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const fix = `npm install ${name}`;
    throw new RuntimeError({ where: "store", expected: `the package ${name}`, received: "none", fix, cause });
  }
}

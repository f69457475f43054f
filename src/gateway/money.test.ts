/** Prices, budgets, usage and where it is kept. */
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { describe, expect, test } from "vitest";
import { hashOfKey } from "../keys/index.ts";
import { closedAfterEach } from "../testing/closing.ts";
import { chatAnswer, chatUpstream, fakeUpstream, sendJson } from "../testing/fake-upstream.ts";
import { type TestGatewayOptions, testGateway } from "../testing/gateways.ts";
import {
  type ConfigInput,
  MemoryUsageStore,
  openStore,
  PriceTable,
  SqlUsageStore,
  type UsageRow,
  type UsageStore,
} from "./index.ts";
import { Ledger } from "./ledger.ts";

const closing = closedAfterEach();
const messages = [{ role: "user" as const, content: "Hello" }];
const prices = { models: { m: { input: 2, cachedInput: 1, output: 10 } } }; // a chat of 10 (6 cached) + 4 tokens: 54e-6
const keys = ["app", "boss"].map((name) => ({
  name,
  hash: hashOfKey(`sk-${name}`),
  created: "2026-01-01T00:00:00Z",
  limits: {},
}));

async function gatewayOf(config: Partial<ConfigInput>, options: TestGatewayOptions = {}) {
  const upstream = await chatUpstream(["well"]);
  const gateway = await testGateway(
    { upstreams: [{ name: "a", baseUrl: upstream.url, models: ["m", "unpriced"] }], ...config },
    { prices, keys, apiKey: "sk-app", ...options },
  );
  closing.push(upstream, gateway);
  const ask = (more: object = {}) =>
    gateway.client.chat.completions.create({ model: "m", messages, max_tokens: 10, ...more });
  return { ...gateway, upstream, ask };
}
const budgeted = (budget: object, more = {}) => ({ keys: { file: "none", budgets: { app: budget }, ...more } });

test("what a request costs, by prices of a million tokens, in other currencies too", async () => {
  const { ask, rows } = await gatewayOf({});
  await ask();
  await ask({ model: "unpriced" });
  expect((await rows()).map(({ cost, currency, key }) => [cost, currency, key])).toEqual([
    [54_000, "USD", "app"],
    [null, "USD", "app"],
  ]);
  const table = new PriceTable({ currency: "USD", rates: { CNY: 0.5 }, models: { x: { input: 2, currency: "CNY" } } });
  expect(table.find(["a/x", "x"])).toMatchObject({ input: 1000, cachedInput: 1000, output: 0 });
  expect(() => new PriceTable({ models: { x: { input: 2, currency: "CNY" } } })).toThrow(/a rate for CNY/);
  expect(() => new PriceTable({ models: { x: { inputs: 2 } } })).toThrow(/did you mean "input"/);
});

describe("budgets", () => {
  test("a request that may exceed one is refused by name, before it is sent", async () => {
    const { ask, upstream } = await gatewayOf(budgeted({ day: 0.0004 }));
    await ask();
    await expect(ask({ max_tokens: 100 })).rejects.toMatchObject({
      status: 429,
      code: "budget_exceeded",
      message: expect.stringMatching(/budget of 'app' is 0.0004 USD a day: 0.000054 USD are spent/),
    });
    await ask();
    expect(upstream.received.length).toBe(2);
  });

  test("requests at the same time do not spend together what each could alone", async () => {
    const answers: (() => void)[] = [];
    const held = await fakeUpstream((_, r) => void answers.push(() => sendJson(r, chatAnswer("x"))));
    closing.push(held);
    const { ask } = await gatewayOf({
      ...budgeted({ month: 0.0003 }),
      upstreams: [{ name: "a", baseUrl: held.url, models: ["m"] }],
    });
    let refused = 0;
    const asked = Array.from({ length: 6 }, () => ask().catch(() => refused++)); // each may cost 0.00011
    await expect.poll(() => [answers.length, refused]).toEqual([2, 4]);
    for (const answer of answers) answer();
    await Promise.all(asked);
    expect(answers.length).toBe(2);
  });

  test("a model without a price is refused under a budget, unless it is allowed", async () => {
    const { ask } = await gatewayOf(budgeted({ day: 1 }));
    await expect(ask({ model: "unpriced" })).rejects.toMatchObject({ status: 403, code: "price_unknown" });
    const lenient = await gatewayOf({ ...budgeted({ day: 1 }), unknownPrices: "allow" });
    await lenient.ask({ model: "unpriced" });
  });

  test("a new day has a new budget, a month goes on; what the store has counts", async () => {
    let now = Date.UTC(2026, 10, 27, 12);
    const store = new MemoryUsageStore();
    const { ask, gateway } = await gatewayOf(budgeted({ day: 0.00015 }), { store, wallClock: () => now });
    await ask();
    await expect(ask()).rejects.toMatchObject({ code: "budget_exceeded" });
    await gateway.ledger.flush();
    const again = await gatewayOf(budgeted({ day: 0.00015 }), { store, wallClock: () => now });
    await expect(again.ask()).rejects.toMatchObject({ code: "budget_exceeded" });
    now += 86_400_000;
    await ask();
    await gateway.ledger.flush();
    const monthly = await gatewayOf(budgeted({ month: 0.0002 }), { store, wallClock: () => now });
    await expect(monthly.ask()).rejects.toMatchObject({ code: "budget_exceeded" });
  });
});

test("usage is for admins", async () => {
  const { ask, url } = await gatewayOf({ keys: { file: "none", admins: ["boss"] } });
  await ask();
  const usage = (key: string, query = "") =>
    fetch(`${url.replace("/v1", "")}/usage${query}`, { headers: { authorization: `Bearer sk-${key}` } });
  expect((await usage("app")).status).toBe(403);
  expect(await (await usage("boss", "?by=model")).json()).toEqual({
    by: "model",
    data: [
      {
        name: "m",
        currency: "USD",
        requests: 1,
        errors: 0,
        cacheHits: 0,
        inputTokens: 10,
        cachedTokens: 6,
        outputTokens: 4,
        cost: 0.000054,
        unpriced: 0,
      },
    ],
  });
  expect((await usage("boss", "?by=colour")).status).toBe(400);
  expect((await usage("boss", "?untl=2026-01-01")).status).toBe(400);
});

const row = (id: string, more: Partial<UsageRow> = {}): UsageRow => ({
  id,
  at: 1,
  day: "2026-11-27",
  key: "app",
  model: "m",
  upstream: "a",
  upstreamModel: "m",
  path: "/chat/completions",
  status: 200,
  inputTokens: 10,
  cachedTokens: 6,
  outputTokens: 4,
  isEstimated: false,
  cost: 3_000_000_001,
  currency: "USD",
  cache: null,
  durationMs: 12.5,
  ttftMs: null,
  ...more,
});

const stores: Record<string, () => Promise<UsageStore>> = {
  memory: () => openStore(undefined),
  SQLite: async () => {
    const folder = await mkdtemp(join(tmpdir(), "kindling-"));
    closing.push({ close: () => rm(folder, { recursive: true }) });
    const file = { sqlite: join(folder, "usage.db") };
    await (await openStore(file)).close();
    const store = await openStore(file); // its tables are there already
    const names = await readdir(folder);
    expect(names).toContain("usage.db-wal");
    for (const name of names) expect([name, (await stat(join(folder, name))).mode & 0o777]).toEqual([name, 0o600]);
    await expect(openStore({ sqlite: join(folder, "none", "usage.db") })).rejects.toThrow(
      /usage\.db: .*received ENOENT/,
    );
    return store;
  },
  PostgreSQL: async () => {
    const database = new PGlite();
    await SqlUsageStore.open(database);
    return SqlUsageStore.open(database, () => database.close());
  },
};

test.each(Object.entries(stores))("a store in %s", async (kind, open) => {
  const store = await open();
  closing.push(store);
  const rows = [
    ...Array.from({ length: 700 }, (_, i) => row(`r${i}`)),
    row("other key", { key: "boss", model: 'it\'s "n"', cost: null, status: 502 }),
    row("other day", { day: "2026-11-28", cache: "exact", cost: 0 }),
    row("other currency", { currency: "CNY" }),
  ];
  await store.add(rows);
  if (kind !== "memory") await store.add(rows.slice(0, 5)); // written twice, counted once
  expect(await store.spent("app", "USD", "2026-11-27")).toBe(700 * 3_000_000_001);
  expect(await store.spent("app", "USD", "2026-11-28")).toBe(0);
  expect(await store.spent("nobody", "USD", "")).toBe(0);
  const short = (await store.totals({ by: "key" })).map(({ name, currency, requests, cost, unpriced }) => [
    name,
    currency,
    requests,
    cost,
    unpriced,
  ]);
  expect(short).toEqual([
    ["app", "CNY", 1, 3.000000001, 0],
    ["app", "USD", 701, 2100.0000007, 0],
    ["boss", "USD", 1, 0, 1],
  ]);
  expect(await store.totals({ by: "day", since: "2026-11-28" })).toMatchObject([
    { name: "2026-11-28", requests: 1, cacheHits: 1 },
  ]);
  expect(await store.totals({ by: "model", until: "2026-11-26" })).toEqual([]);
});

test("what a store refuses is kept, and written at the end", async () => {
  const store = new MemoryUsageStore();
  let refusals = 2;
  const errors: unknown[] = [];
  const flaky: UsageStore = {
    add: (rows) => (refusals-- > 0 ? Promise.reject(new Error("locked")) : store.add(rows)),
    spent: (...query) => store.spent(...query),
    totals: (query) => store.totals(query),
    close: () => store.close(),
  };
  const ledger = new Ledger({ store: flaky, onError: (error) => errors.push(error), delayMs: 100_000 });
  ledger.add(row("a"));
  await ledger.flush();
  expect(ledger.size).toBe(1);
  ledger.add(row("b"));
  await ledger.close();
  expect(errors.length).toBe(2);
  expect(await store.totals({ by: "key" })).toMatchObject([{ requests: 2 }]);
  refusals = 100;
  const lost = new Ledger({ store: flaky, onError: () => {}, delayMs: 100_000 });
  lost.add(row("c"));
  await expect(lost.close()).rejects.toThrow(/one that refused 1 of them/);
});

import { NANOS, type Nanos } from "./prices.ts";
import type { UsageQuery, UsageRow, UsageStore, UsageTotal } from "./usage-store.ts";

/** The sums of one key, model and day. */
interface Cell extends UsageTotal {
  key: string;
  model: string;
  day: string;
  nanos: Nanos;
}

/** Usage in memory: sums, which grow with keys, models and days, and not with requests. */
export class MemoryUsageStore implements UsageStore {
  private readonly cells = new Map<string, Cell>();

  async add(rows: readonly UsageRow[]): Promise<void> {
    for (const row of rows) {
      const { key, model, day, currency } = row;
      const id = JSON.stringify([key, model, day, currency]);
      const cell = this.cells.get(id) ?? { ...emptyTotal("", currency), key, model, day, nanos: 0 };
      this.cells.set(id, cell);
      addTo(cell, {
        requests: 1,
        errors: Number(row.status >= 400),
        cacheHits: Number(row.cache !== null),
        inputTokens: row.inputTokens,
        cachedTokens: row.cachedTokens,
        outputTokens: row.outputTokens,
        unpriced: Number(row.cost === null),
      });
      cell.nanos += row.cost ?? 0;
    }
  }

  async spent(key: string, currency: string, since: string): Promise<Nanos> {
    const cells = [...this.cells.values()].filter((cell) => cell.key === key && cell.currency === currency);
    return cells.filter(({ day }) => day >= since).reduce((sum, { nanos }) => sum + nanos, 0);
  }

  /** What was used, by key, model or day. */
  async totals({ by, since = "", until = "9999-12-31" }: UsageQuery): Promise<UsageTotal[]> {
    const totals = new Map<string, { total: UsageTotal; nanos: Nanos }>();
    for (const cell of this.cells.values()) {
      if (cell.day < since || cell.day > until) continue;
      const id = JSON.stringify([cell[by], cell.currency]);
      const sum = totals.get(id) ?? { total: emptyTotal(cell[by], cell.currency), nanos: 0 };
      totals.set(id, sum);
      addTo(sum.total, cell);
      sum.nanos += cell.nanos;
    }
    const order = [...totals].sort(([a], [b]) => (a < b ? -1 : 1));
    return order.map(([, { total, nanos }]) => ({ ...total, cost: nanos / NANOS }));
  }

  /** Nothing is open. */
  async close(): Promise<void> {}
}

const counts = ["requests", "errors", "cacheHits", "inputTokens", "cachedTokens", "outputTokens", "unpriced"] as const;
type Counts = Pick<UsageTotal, (typeof counts)[number]>;

const emptyTotal = (name: string, currency: string): UsageTotal => ({
  name,
  currency,
  requests: 0,
  errors: 0,
  cacheHits: 0,
  inputTokens: 0,
  cachedTokens: 0,
  outputTokens: 0,
  cost: 0,
  unpriced: 0,
});

function addTo(total: Counts, more: Counts): void {
  for (const name of counts) total[name] += more[name];
}

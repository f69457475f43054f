import { RequestError } from "../serve/index.ts";
import type { Ledger } from "./ledger.ts";
import { NANOS, type Nanos } from "./prices.ts";
import type { Budget } from "./schema.ts";
import { dayOf, type UsageStore } from "./usage-store.ts";

/** Money that is set aside for a request until it is known what it costs. */
export interface Reservation {
  settle(cost: Nanos): void;
}

export interface BudgetOptions {
  store: UsageStore;
  ledger: Ledger;
  currency: string;
  /** In milliseconds since 1970. */
  wallClock: () => number;
}

/** How long sums are taken for true that other gateways of the same database add to, in milliseconds. */
const STALE_MS = 10_000;
const DAY_MS = 86_400_000;

interface Account {
  /** Days from which on is counted. */
  since: { day: string; month: string };
  spent: { day: Nanos; month: Nanos };
  loadedAt: number;
}

/**
 * What keys may still spend. A request reserves the most that it can cost before it is sent, so that many at a time do
 * not spend together what each of them could alone.
 */
export class Budgets {
  private readonly options: BudgetOptions;
  private readonly accounts = new Map<string, Promise<Account>>();
  private readonly reserved = new Map<string, Nanos>();

  constructor(options: BudgetOptions) {
    this.options = options;
  }

  /** @throws RequestError 429, `budget_exceeded`, naming the budget */
  async reserve(name: string, budget: Budget | undefined, cost: Nanos): Promise<Reservation> {
    if (budget === undefined) return { settle: () => {} };
    const account = await this.account(name);
    const reserved = this.reserved.get(name) ?? 0;
    for (const period of ["day", "month"] as const) {
      const limit = budget[period];
      if (limit !== undefined && account.spent[period] + reserved + cost > Math.round(limit * NANOS))
        throw this.exceeded(name, period, limit, account.spent[period] / NANOS, (reserved + cost) / NANOS);
    }
    this.reserved.set(name, reserved + cost);
    let isSettled = false;
    return {
      settle: (actual) => {
        if (isSettled) return;
        isSettled = true;
        this.reserved.set(name, (this.reserved.get(name) ?? 0) - cost);
        // whichever account there is by now: it may have been read anew
        void this.accounts.get(name)?.then(({ spent }) => {
          spent.day += actual;
          spent.month += actual;
        });
      },
    };
  }

  /** What a key has spent. Several requests at once share one look at the store. */
  private async account(name: string): Promise<Account> {
    const now = this.options.wallClock();
    const known = this.accounts.get(name);
    if (known) {
      const account = await known.catch(() => undefined);
      const isFresh = account && account.since.day === dayOf(now) && now - account.loadedAt < STALE_MS;
      if (isFresh) return account;
      if (this.accounts.get(name) !== known) return this.account(name); // another has begun to read it
    }
    const loading = this.load(name, now);
    this.accounts.set(name, loading);
    return loading;
  }

  private async load(name: string, now: number): Promise<Account> {
    const { store, ledger, currency } = this.options;
    const today = dayOf(now);
    const since = { day: today, month: `${today.slice(0, 7)}-01` };
    await ledger.flush(); // what is not yet in the store would be missed
    const [day, month] = await Promise.all([
      store.spent(name, currency, since.day),
      store.spent(name, currency, since.month),
    ]);
    return { since, spent: { day, month }, loadedAt: now };
  }

  private exceeded(name: string, period: "day" | "month", limit: number, spent: number, wanted: number): RequestError {
    const { currency, wallClock } = this.options;
    const shown = (value: number) => `${Number(value.toPrecision(4))} ${currency}`;
    const message =
      `The budget of '${name}' is ${shown(limit)} a ${period}: ${shown(spent)} are spent, and requests under way ` +
      `with this one may cost ${shown(wanted)}.`;
    const now = wallClock();
    const date = new Date(now);
    const end =
      period === "day"
        ? (Math.floor(now / DAY_MS) + 1) * DAY_MS
        : Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1);
    return new RequestError({
      status: 429,
      message,
      type: "insufficient_quota",
      code: "budget_exceeded",
      // official clients would come again right away
      headers: { "x-should-retry": "false", "retry-after": String(Math.ceil((end - now) / 1000)) },
    });
  }
}

/** Loads and leases by a loader and a clock that the test moves. */
import { describe, expect, test } from "vitest";
import { randomNumbers } from "../../testing/fuzz/random.ts";
import { HandClock, HandLoader, type PendingCall, type Value } from "../../testing/hand-loader.ts";
import { Pool, type PoolOptions } from "./pool.ts";
import type { Lease } from "./slot.ts";

/** Lets all promises go on that can. */
const settled = () => new Promise((resolve) => setImmediate(resolve));
const ids = (list: readonly { id: string }[]) => list.map(({ id }) => id);

function setUp(sizes: Readonly<Record<string, number>>, options: PoolOptions = {}) {
  const [loader, clock] = [new HandLoader(), new HandClock()];
  const sources = Object.entries(sizes).map(([id, bytes]) => loader.source(id, bytes));
  const pool = new Pool(sources, options, clock);
  /** Leases and loads it. */
  const leased = async (id: string): Promise<Lease<Value>> => {
    const lease = pool.lease(id);
    await settled();
    loader.loads.find((load) => load.id === id)?.end();
    return lease;
  };
  const endAll = async (list: readonly PendingCall[]) => {
    for (const each of [...list]) each.end();
    await settled();
  };
  return { loader, clock, pool, leased, endAll };
}

describe("loading", () => {
  test("is done once for all that ask, at the first of them", async () => {
    const { pool, loader, endAll } = setUp({ a: 1, b: 1 });
    expect(loader.loads).toEqual([]);
    const leases = [pool.lease("a"), pool.lease("a"), pool.lease("a")];
    await settled();
    expect(ids(loader.loads)).toEqual(["a"]);
    await endAll(loader.loads);
    const [first, second, third] = await Promise.all(leases);
    expect(second.value).toBe(first.value);
    expect(third.value).toBe(first.value);
    expect((await pool.lease("a")).value).toBe(first.value);
    expect(pool.stateOf("a")).toMatchObject({ isLoaded: true, waiting: 0 });
    expect(pool.stateOf("b").isLoaded).toBe(false);
  });

  test("that fails is an error for those that wait, and the next one tries again", async () => {
    const { pool, loader, leased } = setUp({ a: 1 });
    const failing = [pool.lease("a"), pool.lease("a")];
    await settled();
    loader.loads[0].fail(new Error("the disk is gone"));
    for (const lease of failing) await expect(lease).rejects.toThrow("the disk is gone");
    expect((await leased("a")).value).toMatchObject({ id: "a", isDisposed: false });
  });

  test("goes on without the one that has gone, and what nobody uses then stays as others do", async () => {
    const { pool, loader, endAll } = setUp({ a: 1 });
    const leaving = new AbortController();
    const gone = pool.lease("a", { signal: leaving.signal });
    await settled();
    leaving.abort(new Error("gone"));
    await expect(gone).rejects.toThrow("gone");
    await endAll(loader.loads);
    expect(pool.stateOf("a").isLoaded).toBe(true);
    await expect(pool.lease("a", { signal: leaving.signal })).rejects.toThrow("gone");
  });
});

describe("a budget of memory", () => {
  test("lets those go that were not used for the longest time", async () => {
    const { pool, loader, leased, endAll } = setUp({ a: 4, b: 4, c: 4 }, { memoryBytes: 8 });
    const a = await leased("a");
    (await leased("b")).release();
    a.release(); // used after b
    const c = pool.lease("c");
    await settled();
    expect(ids(loader.disposals)).toEqual(["b"]);
    expect(loader.loads).toEqual([]); // its memory is not there yet
    await endAll(loader.disposals);
    expect(ids(loader.loads)).toEqual(["c"]);
    await endAll(loader.loads);
    expect((await c).value.id).toBe("c");
    expect(pool.stateOf("a").isLoaded).toBe(true);
  });

  test("takes nothing that is in use: the load waits for it, and it is lent to nobody else before", async () => {
    const { pool, loader, leased, endAll } = setUp({ a: 4, b: 8 }, { memoryBytes: 8 });
    const a = await leased("a");
    const b = pool.lease("b");
    const later = pool.lease("a");
    await settled();
    expect(loader.disposals).toEqual([]);
    expect(pool.stateOf("a").waiting).toBe(1);
    a.release();
    await endAll(loader.disposals);
    await endAll(loader.loads);
    (await b).release();
    await endAll(loader.disposals);
    expect(ids(loader.loads)).toEqual(["a"]);
    await endAll(loader.loads);
    expect((await later).value.isDisposed).toBe(false);
  });

  test("lends on what was in the way, when the one that waited has gone", async () => {
    const { pool, loader, leased } = setUp({ a: 4, b: 8 }, { memoryBytes: 8 });
    const a = await leased("a");
    const leaving = new AbortController();
    const b = pool.lease("b", { signal: leaving.signal });
    const second = pool.lease("a");
    await settled();
    expect(pool.stateOf("a").waiting).toBe(1);
    leaving.abort(new Error("gone"));
    await expect(b).rejects.toThrow("gone");
    expect((await second).value).toBe(a.value);
    expect(loader.disposals).toEqual([]);
  });

  test("refuses what alone is larger, and two of one name", () => {
    const gib = 2 ** 30;
    expect(() => setUp({ a: 1.5 * gib, b: 1 }, { memoryBytes: gib })).toThrow(
      /memoryBytes, 1 GiB; received a, whose weights take 1.5 GiB/,
    );
    const loader = new HandLoader();
    expect(() => new Pool([loader.source("a", 1), loader.source("a", 1)])).toThrow(/received a twice/);
  });

  test("leaves those alone that are pinned", async () => {
    const loader = new HandLoader();
    const pool = new Pool([loader.source("a", 0, true), loader.source("b", 8)], { memoryBytes: 8, keepAliveMs: 0 });
    const a = pool.lease("a");
    await settled();
    loader.loads[0].end();
    (await a).release();
    const b = pool.lease("b");
    await settled();
    loader.loads[0].end();
    (await b).release();
    expect(ids(loader.disposals)).toEqual(["b"]);
    expect(pool.stateOf("a")).toMatchObject({ isLoaded: true, expiresInMs: Number.POSITIVE_INFINITY });
  });
});

describe("what nobody uses", () => {
  test("goes after its time, which begins anew with each use", async () => {
    const { pool, loader, clock, leased } = setUp({ a: 1 }, { keepAliveMs: 100 });
    const lease = await leased("a");
    clock.turn(500);
    expect(loader.disposals).toEqual([]);
    lease.release();
    clock.turn(99);
    expect(pool.stateOf("a")).toMatchObject({ isLoaded: true, expiresInMs: 1 });
    const next = await pool.lease("a");
    clock.turn(99);
    next.release();
    next.release(); // once more is no second one
    clock.turn(99);
    expect(loader.disposals).toEqual([]);
    clock.turn(1);
    expect(ids(loader.disposals)).toEqual(["a"]);
    expect(clock.waiting).toBe(0);
  });

  test("stays for ever by default, and as long as its last use has asked for", async () => {
    const { pool, loader, clock, leased, endAll } = setUp({ a: 1 });
    (await leased("a")).release();
    clock.turn(1e9);
    expect(pool.stateOf("a")).toMatchObject({ isLoaded: true, expiresInMs: Number.POSITIVE_INFINITY });
    (await pool.lease("a", { keepAliveMs: 50 })).release();
    expect(pool.stateOf("a").expiresInMs).toBe(50);
    (await pool.lease("a")).release();
    clock.turn(49);
    expect(loader.disposals).toEqual([]);
    (await pool.lease("a", { keepAliveMs: 0 })).release();
    expect(ids(loader.disposals)).toEqual(["a"]);
    await endAll(loader.disposals);
    (await leased("a")).release();
    expect(pool.stateOf("a").expiresInMs).toBe(Number.POSITIVE_INFINITY); // loaded anew
  });

  test("is loaded anew when it is asked for while it goes", async () => {
    const { pool, loader, leased, endAll } = setUp({ a: 1 }, { keepAliveMs: 0 });
    const { value } = await leased("a").then((lease) => {
      lease.release();
      return lease;
    });
    const next = pool.lease("a");
    await settled();
    expect([loader.loads, ids(loader.disposals)]).toEqual([[], ["a"]]);
    await endAll(loader.disposals);
    await endAll(loader.loads);
    expect((await next).value).not.toBe(value);
  });
});

describe("closing", () => {
  test("waits for what is in use and for loads under way, and lends nothing any more", async () => {
    const { pool, loader, leased, endAll } = setUp({ a: 4, b: 4, c: 8 }, { memoryBytes: 8 });
    const a = await leased("a");
    const loading = pool.lease("b");
    const waiting = pool.lease("c");
    await settled();
    let isClosed = false;
    const closing = pool.close(new Error("stopping")).then(() => {
      isClosed = true;
    });
    for (const lease of [loading, waiting, pool.lease("a")]) await expect(lease).rejects.toThrow("stopping");
    await endAll(loader.loads);
    await endAll(loader.disposals);
    expect(isClosed).toBe(false);
    a.release();
    await endAll(loader.disposals);
    await closing;
    expect(loader.alive.size).toBe(0);
  });

  test("of one that loaded nothing is done at once; errors of disposing are told", async () => {
    const { pool } = setUp({ a: 1 });
    await pool.close(new Error("stopping"));
    const { pool: other, loader, leased } = setUp({ a: 1 });
    (await leased("a")).release();
    const closing = other.close(new Error("stopping"));
    loader.disposals[0].fail(new Error("the card is gone"));
    await expect(closing).rejects.toThrow("the card is gone");
  });
});

test.each(Array.from({ length: 100 }, (_, seed) => seed))(
  "nothing is lent, kept or lost that may not be: schedule %i",
  async (seed) => {
    const random = randomNumbers(seed);
    const pick = <E>(list: readonly E[]): E => list[Math.floor(random() * list.length)];
    const sizes = { a: 1, b: 2, c: 3, d: 4 };
    const memoryBytes = pick([4, 5, 7, 10]);
    const { pool, loader, clock, endAll } = setUp(sizes, {
      memoryBytes,
      keepAliveMs: pick([0, 10, Number.POSITIVE_INFINITY]),
    });
    const leases = new Set<Lease<Value>>();
    const controllers = new Set<AbortController>();
    let [asked, answered] = [0, 0];
    const ask = () => {
      const leaving = new AbortController();
      controllers.add(leaving);
      asked++;
      const keepAliveMs = random() < 0.2 ? pick([0, 5, 1000]) : undefined;
      void pool
        .lease(pick(Object.keys(sizes)), { signal: leaving.signal, keepAliveMs })
        .then(
          (lease) => leases.add(lease),
          (error: Error) => expect(["gone", "broken"]).toContain(error.message),
        )
        .finally(() => {
          answered++;
          controllers.delete(leaving);
        });
    };
    const release = () => {
      const lease = pick([...leases]);
      lease?.release();
      leases.delete(lease);
    };
    const steps = [
      ask,
      ask,
      release,
      release,
      () => pick(loader.loads)?.end(),
      () => pick(loader.loads)?.end(),
      () => random() < 0.3 && pick(loader.loads)?.fail(new Error("broken")),
      () => pick(loader.disposals)?.end(),
      () => random() < 0.3 && pick([...controllers])?.abort(new Error("gone")),
      () => clock.turn(random() * 10),
    ];
    const check = () => {
      expect(loader.usedBytes).toBeLessThanOrEqual(memoryBytes);
      for (const { value } of leases) expect(value.isDisposed).toBe(false);
    };
    for (let i = 0; i < 300; i++) {
      pick(steps)();
      if (random() < 0.7) await settled();
      check();
    }
    // all that ask are answered, when those that have a lease give it back
    for (let i = 0; answered < asked && i < 1000; i++) {
      for (const lease of leases) lease.release();
      leases.clear();
      await endAll([...loader.loads, ...loader.disposals]);
      check();
    }
    expect(answered).toBe(asked);
    for (const lease of leases) lease.release();
    const closing = pool.close(new Error("stopping"));
    while (loader.alive.size > 0 || loader.loads.length > 0) await endAll([...loader.loads, ...loader.disposals]);
    await closing;
    expect([loader.usedBytes, loader.alive.size, clock.waiting]).toEqual([0, 0, 0]);
  },
);

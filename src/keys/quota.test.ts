/** Limits of keys, by a clock that the test turns. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type KeyLimits, Quota, rateLimitHeaders } from "./index.ts";

const NOON = Date.UTC(2026, 0, 1, 12);

function quota(limits: KeyLimits, time = { now: NOON }) {
  return { time, quota: new Quota(limits, { now: () => time.now }) };
}

test("without limits all may come, and no header speaks of any", () => {
  const { quota: free } = quota({});
  for (let i = 0; i < 1000; i++) expect(free.enter()).toBeUndefined();
  for (let i = 0; i < 1000; i++) free.leave(1_000_000);
  expect(free.enter()).toBeUndefined();
  expect(rateLimitHeaders(free.state)).toEqual({});
});

test("requests per minute: all at once, then one for each part of the minute", () => {
  const { time, quota: limited } = quota({ requestsPerMinute: 6 });
  for (let i = 0; i < 6; i++) expect(limited.enter()).toBeUndefined();
  expect(limited.enter()).toEqual({ limit: "requestsPerMinute", most: 6, retryAfterMs: 10_000 });
  time.now += 9999;
  expect(limited.enter()?.limit).toBe("requestsPerMinute");
  time.now += 1;
  expect(limited.enter()).toBeUndefined();
  expect(limited.enter()?.retryAfterMs).toBe(10_000);
  expect(rateLimitHeaders(limited.state)).toEqual({
    "x-ratelimit-limit-requests": "6",
    "x-ratelimit-remaining-requests": "0",
    "x-ratelimit-reset-requests": "1m0s",
  });
});

test("requests at the same time", () => {
  const { quota: limited } = quota({ concurrency: 2 });
  expect(limited.enter()).toBeUndefined();
  expect(limited.enter()).toBeUndefined();
  expect(limited.enter()).toEqual({ limit: "concurrency", most: 2, retryAfterMs: 1000 });
  limited.leave(0);
  expect(limited.enter()).toBeUndefined();
});

test("tokens per minute are charged at the end, and held against the next request", () => {
  const { time, quota: limited } = quota({ tokensPerMinute: 600 });
  expect(limited.enter()).toBeUndefined();
  limited.leave(1200);
  expect(limited.enter()).toEqual({ limit: "tokensPerMinute", most: 600, retryAfterMs: 60_100 });
  time.now += 60_100;
  expect(limited.enter()).toBeUndefined();
  limited.leave(0);
  time.now += 3_600_000;
  expect(limited.state.tokens).toEqual({ limit: 600, remaining: 600, resetMs: 0 });
});

test("tokens per day end at midnight, UTC, and a day's worth never comes twice in one", () => {
  const { time, quota: limited } = quota({ tokensPerDay: 100, tokensPerMinute: 1000 });
  limited.enter();
  limited.leave(100);
  expect(limited.enter()).toEqual({ limit: "tokensPerDay", most: 100, retryAfterMs: 12 * 3_600_000 });
  expect(rateLimitHeaders(limited.state)).toEqual({
    "x-ratelimit-limit-tokens": "100",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-tokens": "12h0m0s",
  });
  time.now += 12 * 3_600_000 - 1;
  expect(limited.enter()?.retryAfterMs).toBe(1);
  time.now += 1;
  expect(limited.enter()).toBeUndefined();
});

test("a refused request takes nothing", () => {
  const { quota: limited } = quota({ requestsPerMinute: 2, concurrency: 1 });
  limited.enter();
  for (let i = 0; i < 5; i++) expect(limited.enter()?.limit).toBe("concurrency");
  limited.leave(0);
  expect(limited.enter()).toBeUndefined();
});

describe("limits that change", () => {
  test("keep what was used", () => {
    const { quota: limited } = quota({ requestsPerMinute: 4, tokensPerDay: 100 });
    for (let i = 0; i < 4; i++) limited.enter();
    limited.leave(60);
    limited.setLimits({ requestsPerMinute: 5, tokensPerDay: 50 });
    expect(limited.enter()?.limit).toBe("tokensPerDay");
    limited.setLimits({ requestsPerMinute: 5 });
    expect(limited.enter()).toBeUndefined();
    expect(limited.enter()?.limit).toBe("requestsPerMinute");
    limited.setLimits({});
    expect(limited.enter()).toBeUndefined();
  });
});

test("a clock that is set back gives nothing away and takes nothing", () => {
  const { time, quota: limited } = quota({ requestsPerMinute: 1, tokensPerDay: 10 });
  limited.enter();
  limited.leave(10);
  time.now -= 86_400_000;
  expect(limited.enter()?.limit).toBe("tokensPerDay");
  limited.setLimits({ requestsPerMinute: 1 });
  expect(limited.enter()?.limit).toBe("requestsPerMinute");
  time.now += 60_000;
  expect(limited.enter()).toBeUndefined();
});

test("whatever comes when, no span of time sees more requests than the limit and what filled up in it", () => {
  const steps = fc.array(fc.nat(20_000), { maxLength: 200 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30 }), steps, (requestsPerMinute, gaps) => {
      const { time, quota: limited } = quota({ requestsPerMinute });
      const admitted: number[] = [];
      for (const gap of gaps) {
        time.now += gap;
        const refusal = limited.enter();
        if (!refusal) admitted.push(time.now);
        else {
          expect(refusal.retryAfterMs).toBeGreaterThan(0);
          time.now += refusal.retryAfterMs; // who waits as told is let in
          expect(limited.enter()).toBeUndefined();
          admitted.push(time.now);
        }
      }
      for (const [i, start] of admitted.entries()) {
        const span = admitted.slice(i);
        for (const [count, end] of span.entries())
          expect(count + 1).toBeLessThanOrEqual(requestsPerMinute * (1 + (end - start) / 60_000) + 1e-3);
      }
    }),
    { numRuns: 100 },
  );
});

import type { KeyLimits } from "./api-key.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** What sums of fractions may be off by: who waited as long as was said is let in. */
const ROUNDING = 1e-6;
/** What a request that may come at once again is told: its place is free when another ends, which nobody knows. */
const CONCURRENCY_RETRY_MS = 1000;

/** A limit that is used up. */
export interface QuotaRefusal {
  limit: "requestsPerMinute" | "concurrency" | "tokensPerMinute" | "tokensPerDay";
  /** How much it allows. */
  most: number;
  /** When to come again. */
  retryAfterMs: number;
}

/** What there is of one thing. */
interface Level {
  limit: number;
  remaining: number;
  /** How long until all of it is there again. */
  resetMs: number;
}

/** What is left of a quota; what has no limit is undefined. */
export interface QuotaState {
  requests: Level | undefined;
  /** Of a minute, or of the day when less is left of it. */
  tokens: Level | undefined;
}

/** How a quota measures. */
export interface QuotaOptions {
  /** Milliseconds since 1970, of a clock that may be set back. @default Date.now */
  now?: () => number;
}

/** A minute's worth, which fills up again evenly. It may be below nothing: what a request costs shows at its end. */
class Bucket {
  private level: number;
  private filledAt: number;
  private limit: number;

  constructor(limit: number, now: number) {
    this.limit = limit;
    this.level = limit;
    this.filledAt = now;
  }

  /** What was used stays used. */
  setLimit(limit: number, now: number): void {
    this.fill(now);
    this.level += limit - this.limit;
    this.limit = limit;
  }

  take(amount: number, now: number): void {
    this.fill(now);
    this.level -= amount;
  }

  /** How long until so much is there. */
  waitMs(amount: number, now: number): number {
    this.fill(now);
    const missing = amount - this.level;
    return missing <= ROUNDING ? 0 : Math.ceil((missing / this.limit) * MINUTE_MS);
  }

  state(now: number): Level {
    const resetMs = this.waitMs(this.limit, now);
    return { limit: this.limit, remaining: Math.max(0, Math.floor(this.level)), resetMs };
  }

  private fill(now: number): void {
    const elapsed = Math.max(0, now - this.filledAt);
    this.level = Math.min(this.limit, this.level + (elapsed / MINUTE_MS) * this.limit);
    this.filledAt = now;
  }
}

/** What was used since midnight, UTC: a day's worth never comes twice in a day. */
class Day {
  private used = 0;
  private day = 0;

  take(amount: number, now: number): void {
    this.turn(now);
    this.used += amount;
  }

  state(limit: number, now: number): Level {
    this.turn(now);
    const resetMs = this.used === 0 ? 0 : (this.day + 1) * DAY_MS - now;
    return { limit, remaining: Math.max(0, limit - this.used), resetMs };
  }

  private turn(now: number): void {
    const day = Math.floor(now / DAY_MS);
    if (day > this.day) this.used = 0;
    this.day = Math.max(day, this.day);
  }
}

/**
 * What one key has used of its limits, in memory: a server that starts anew begins with none. Tokens are charged when a
 * request ends, since nobody knows before how many there will be; once a limit is passed, further requests are refused.
 * So a key may pass it by what its requests under way take, which `concurrency` bounds.
 */
export class Quota {
  private limits: KeyLimits;
  private readonly now: () => number;
  private underWay = 0;
  private requests: Bucket | undefined;
  private tokens: Bucket | undefined;
  private readonly day = new Day();

  constructor(limits: KeyLimits, { now = Date.now }: QuotaOptions = {}) {
    this.limits = {};
    this.now = now;
    this.setLimits(limits);
  }

  /** Other limits from now on. What was used is kept. */
  setLimits(limits: KeyLimits): void {
    const now = this.now();
    this.requests = bucketOf(this.requests, limits.requestsPerMinute, now);
    this.tokens = bucketOf(this.tokens, limits.tokensPerMinute, now);
    this.limits = limits;
  }

  /** Takes a request's place, which `leave` gives back; or says which limit is used up, and takes nothing. */
  enter(): QuotaRefusal | undefined {
    const refusal = this.refusal();
    if (refusal) return refusal;
    this.requests?.take(1, this.now());
    this.underWay++;
    return undefined;
  }

  /** Ends a request that has entered. @param tokens of its prompts and answers */
  leave(tokens: number): void {
    this.underWay--;
    this.charge(tokens);
  }

  /** Tokens of what has not entered, as work that waits for its time. */
  charge(tokens: number): void {
    const now = this.now();
    this.tokens?.take(tokens, now);
    this.day.take(tokens, now);
  }

  get state(): QuotaState {
    const now = this.now();
    const minute = this.tokens?.state(now);
    const { tokensPerDay } = this.limits;
    const day = tokensPerDay === undefined ? undefined : this.day.state(tokensPerDay, now);
    const isDayShorter = minute === undefined || (day !== undefined && day.remaining < minute.remaining);
    return { requests: this.requests?.state(now), tokens: isDayShorter ? day : minute };
  }

  private refusal(): QuotaRefusal | undefined {
    const { requestsPerMinute = 0, concurrency, tokensPerMinute = 0, tokensPerDay } = this.limits;
    const now = this.now();
    // of several that are used up, the one to wait for the longest
    if (tokensPerDay !== undefined) {
      const { remaining, resetMs } = this.day.state(tokensPerDay, now);
      if (remaining === 0) return { limit: "tokensPerDay", most: tokensPerDay, retryAfterMs: resetMs };
    }
    const tokensMs = this.tokens?.waitMs(1, now) ?? 0;
    const requestsMs = this.requests?.waitMs(1, now) ?? 0;
    if (tokensMs > 0 && tokensMs >= requestsMs)
      return { limit: "tokensPerMinute", most: tokensPerMinute, retryAfterMs: tokensMs };
    if (requestsMs > 0) return { limit: "requestsPerMinute", most: requestsPerMinute, retryAfterMs: requestsMs };
    if (concurrency !== undefined && this.underWay >= concurrency)
      return { limit: "concurrency", most: concurrency, retryAfterMs: CONCURRENCY_RETRY_MS };
    return undefined;
  }
}

function bucketOf(before: Bucket | undefined, limit: number | undefined, now: number): Bucket | undefined {
  if (limit === undefined) return undefined;
  if (!before) return new Bucket(limit, now);
  before.setLimit(limit, now);
  return before;
}

/** What is left, in the headers of OpenAI that clients slow down by. */
export function rateLimitHeaders({ requests, tokens }: QuotaState): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, level] of Object.entries({ requests, tokens })) {
    if (!level) continue;
    headers[`x-ratelimit-limit-${name}`] = String(level.limit);
    headers[`x-ratelimit-remaining-${name}`] = String(level.remaining);
    headers[`x-ratelimit-reset-${name}`] = durationText(level.resetMs);
  }
  return headers;
}

/** As Go writes durations, and OpenAI with it: "350ms", "12s", "6m0s", "11h4m59s". */
function durationText(ms: number): string {
  if (ms < 1000) return `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (h > 0) return `${h}h${m}m${s}s`;
  return m > 0 ? `${m}m${s}s` : `${s}s`;
}

import { checkOptions, LONGEST_TIMER_MS } from "../../base/index.ts";
import type { QueueOptions } from "../queue.ts";
import { type Ranges, requireWholeNumbers } from "../whole-numbers.ts";
import type { PoolOptions } from "./pool.ts";

/** How much of a server its clients may use. */
export interface LimitOptions extends QueueOptions, PoolOptions {
  /** How long a request may take, its wait included, in milliseconds. @default 600000 */
  requestTimeoutMs?: number;
  /** How long a client may leave unread what is streamed to it, in milliseconds. @default 10000 */
  stalledTimeoutMs?: number;
  /** Most images of a request. @default 32 */
  maxImages?: number;
}

const ranges: Ranges<keyof LimitOptions> = {
  maxQueue: [0, LONGEST_TIMER_MS],
  queueTimeoutMs: [1, LONGEST_TIMER_MS],
  requestTimeoutMs: [1, LONGEST_TIMER_MS],
  stalledTimeoutMs: [1, LONGEST_TIMER_MS],
  maxImages: [0, Number.MAX_SAFE_INTEGER],
  keepAliveMs: [0, LONGEST_TIMER_MS],
  memoryBytes: [1, Number.MAX_SAFE_INTEGER],
};

export const limitNames = Object.keys(ranges) as (keyof LimitOptions)[];

/** @throws OptionError for limits that are unknown or cannot be */
export function checkLimits(options: LimitOptions): void {
  checkOptions("serve", options, limitNames);
  requireWholeNumbers(options, ranges);
}

import { checkOptions, OptionError } from "../../base/index.ts";
import type { QueueOptions } from "../queue.ts";
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

/** Timers count in 32 bits. */
export const LONGEST_MS = 2 ** 31 - 1;

/** The least and the most of each. */
const ranges: Readonly<Record<keyof LimitOptions, readonly [least: number, most: number]>> = {
  maxQueue: [0, LONGEST_MS],
  queueTimeoutMs: [1, LONGEST_MS],
  requestTimeoutMs: [1, LONGEST_MS],
  stalledTimeoutMs: [1, LONGEST_MS],
  maxImages: [0, Number.MAX_SAFE_INTEGER],
  keepAliveMs: [0, LONGEST_MS],
  memoryBytes: [1, Number.MAX_SAFE_INTEGER],
};

export const limitNames = Object.keys(ranges) as (keyof LimitOptions)[];

/** @throws OptionError for limits that are unknown or cannot be */
export function checkLimits(options: LimitOptions): void {
  checkOptions("serve", options, limitNames);
  for (const name of limitNames) {
    const value = options[name];
    const [least, most] = ranges[name];
    if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) continue;
    throw new OptionError({
      where: "serve",
      expected: `${name} from ${least} to ${most}`,
      received: String(value),
      fix: "choose a whole number in the range",
    });
  }
}

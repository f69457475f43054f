import { LONGEST_TIMER_MS } from "../../base/index.ts";
import { rule } from "../fields.ts";

/** Go's units of time, in milliseconds. */
const units: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3, m: 60e3, h: 3600e3 };
const PART = /(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h)/g;

/**
 * How long a model stays when nobody uses it, in milliseconds: seconds as a number, or a duration as "1h30m". Negative
 * ones, and those longer than timers count, are for ever.
 * @returns undefined for what is neither
 */
export function keepAliveMs(value: unknown): number | undefined {
  const ms = typeof value === "number" ? value * 1000 : typeof value === "string" ? durationMs(value) : undefined;
  if (ms === undefined || Number.isNaN(ms)) return undefined;
  return ms < 0 || ms > LONGEST_TIMER_MS ? Number.POSITIVE_INFINITY : ms;
}

function durationMs(text: string): number | undefined {
  const [, sign, rest] = /^([-+]?)(.*)$/s.exec(text) as RegExpExecArray;
  if (rest === "0") return 0;
  const parts = [...rest.matchAll(PART)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== rest) return undefined;
  const ms = parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * units[unit], 0);
  return sign === "-" ? -ms : ms;
}

export const keepAlive = rule<string | number>(
  'a number of seconds or a duration such as "5m"; negative for ever',
  (value) => keepAliveMs(value) !== undefined,
);

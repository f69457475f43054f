/** Numbers in words, for reports and cards. */

/** "0.2514", "1.2e-5", "1234.5": up to five digits, or "-" for none. */
export function shortNumber(value: number | null | undefined): string {
  if (value === null || value === undefined) return "-";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return String(value);
  return size >= 1e6 || (size > 0 && size < 1e-3)
    ? Number(value.toPrecision(3)).toExponential()
    : String(Number(value.toPrecision(5)));
}

const MINUTE = 60;
const HOUR = 3600;

/** "12 s", "3 min 20 s", "2 h 5 min" */
export function inTime(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min ${whole % MINUTE} s`;
  return `${Math.floor(whole / HOUR)} h ${Math.floor((whole % HOUR) / MINUTE)} min`;
}

/** "15.6 GiB" */
export const inGib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

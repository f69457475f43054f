const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const two = (value: number, fill = "0") => String(value).padStart(2, fill);
const dayOfYear = (date: Date) =>
  Math.round(
    (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000,
  ) + 1;

const codes: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => days[date.getDay()].slice(0, 3),
  A: (date) => days[date.getDay()],
  b: (date) => months[date.getMonth()].slice(0, 3),
  B: (date) => months[date.getMonth()],
  d: (date) => two(date.getDate()),
  e: (date) => two(date.getDate(), " "),
  H: (date) => two(date.getHours()),
  I: (date) => two(date.getHours() % 12 || 12),
  j: (date) => String(dayOfYear(date)).padStart(3, "0"),
  m: (date) => two(date.getMonth() + 1),
  M: (date) => two(date.getMinutes()),
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  S: (date) => two(date.getSeconds()),
  f: (date) => String(date.getMilliseconds() * 1000).padStart(6, "0"),
  w: (date) => String(date.getDay()),
  u: (date) => String(date.getDay() || 7),
  y: (date) => two(date.getFullYear() % 100),
  Y: (date) => String(date.getFullYear()),
  F: (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`,
  T: (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`,
  D: (date) => `${two(date.getMonth() + 1)}/${two(date.getDate())}/${two(date.getFullYear() % 100)}`,
  R: (date) => `${two(date.getHours())}:${two(date.getMinutes())}`,
  n: () => "\n",
  t: () => "\t",
  "%": () => "%",
};

/**
 * Local time by the codes of strftime, in English; "-" after the percent sign leaves zeros and spaces in front out.
 * Other codes stay.
 */
export const strftime = (date: Date, format: string): string =>
  format.replace(/%(-?)(.)/gs, (whole, bare: string, code: string) => {
    const text = codes[code]?.(date);
    return text === undefined ? whole : bare ? text.replace(/^[0 ]+(?=.)/, "") : text;
  });

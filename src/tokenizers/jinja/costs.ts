/** What operations look at and make, by their names: counted before they begin. */
import type { Meter } from "./meter.ts";
import { iterate, type Keywords, numeric, str, type Value } from "./values.ts";

type Cost = (meter: Meter, value: Value, args: readonly Value[], keywords: Keywords) => number;

const width = (value: Value | undefined, usual = 0): number =>
  Math.max(0, Number(value === undefined ? usual : (numeric(value) ?? 0)));
const text = (meter: Meter, value: Value | undefined): number => (value === undefined ? 0 : meter.size(value));
/** Comparisons of n items. */
const sorting = (meter: Meter, value: Value): number => meter.size(value) * Math.log2(2 + meter.length(value));
/** Something done to each item, with arguments that it looks at. */
const each: Cost = (meter, value, args, keywords) => {
  const perItem = [...args, ...keywords.values()].reduce<number>((sum, arg) => sum + meter.size(arg), 16);
  return meter.length(value) * perItem;
};
const padding: Cost = (meter, _, [to, fill = " "], keywords) =>
  width(to ?? keywords.get("width"), 80) * Math.max(1, text(meter, fill));
const joining = (meter: Meter, items: Value, separator: Value): number =>
  meter.size(items) + meter.length(items) * meter.size(separator);
const replacing: Cost = (meter, value, [from = "", to = ""]) => {
  const places = meter.length(value) / Math.max(1, meter.length(from)) + 1;
  return meter.length(value) + places * text(meter, to);
};
/** Numbers in a format, such as the width in "%50d": what a field may be padded to. */
const formatting: Cost = (meter, value, args, keywords) => {
  const fields = typeof value === "string" ? (value.match(/\d+/g) ?? []) : [];
  const values = [...args, ...keywords.values()].reduce<number>((sum, arg) => sum + meter.size(arg), 0);
  const count = typeof value === "string" ? value.split(/[%{]/).length : 0;
  return fields.reduce((sum, digits) => sum + Number(digits), 0) + count * values;
};
const indenting: Cost = (_, value, [by], keywords) => {
  const step = by ?? keywords.get("width") ?? 4;
  const lines = typeof value === "string" ? value.split(/[\r\n]/).length : 1;
  return lines * (typeof step === "string" ? step.length : width(step));
};
const dumping: Cost = (meter, value, args, keywords) => {
  const indent = args[1] ?? keywords.get("indent") ?? null;
  const step = typeof indent === "string" ? indent.length : width(indent ?? 0);
  return meter.size(value) * (6 + step); // an escape may take six characters
};

/** What filters and methods take beyond the length of their value and arguments. */
const costs: Readonly<Record<string, Cost>> = {
  batch: (meter, value, args, keywords) =>
    meter.length(value) +
    ((args[1] ?? keywords.get("fill_with") ?? null) ? width(args[0] ?? keywords.get("linecount"), 1) : 0),
  center: padding,
  count: (meter, value, args) => (Array.isArray(value) ? each(meter, value, args, new Map()) : 0),
  dictsort: sorting,
  escape: (meter, value) => 6 * meter.size(value),
  format: formatting,
  groupby: sorting,
  indent: indenting,
  index: (meter, value, args) => (Array.isArray(value) ? each(meter, value, args, new Map()) : 0),
  join: (meter, value, args, keywords) =>
    typeof value === "string"
      ? joining(meter, args[0] ?? "", value)
      : joining(meter, value, args[0] ?? keywords.get("d") ?? ""),
  ljust: padding,
  map: each,
  max: sorting,
  min: sorting,
  reject: each,
  rejectattr: each,
  replace: replacing,
  rjust: padding,
  select: each,
  selectattr: each,
  sort: sorting,
  string: (meter, value) => meter.size(value),
  tojson: dumping,
  unique: sorting,
  urlencode: (meter, value) => 9 * meter.size(value),
  zfill: padding,
};

/** Counts what a filter or a method will look at and make. @throws TemplateError when there are no steps left */
export function countCost(meter: Meter, name: string, value: Value, args: readonly Value[], keywords: Keywords): void {
  // text filters print what is no text
  let total = typeof value === "string" || Object.hasOwn(costs, name) ? meter.length(value) : meter.size(value);
  for (const arg of [...args, ...keywords.values()]) total += meter.size(arg);
  if (Object.hasOwn(costs, name)) total += costs[name](meter, value, args, keywords);
  meter.take(total);
}

/** Counts what an operator will look at and make. @throws TemplateError when there are no steps left */
export function countOperator(meter: Meter, operator: string, a: Value, b: Value): void {
  if (operator === "in" || operator === "not in") {
    meter.take(typeof b === "string" ? b.length : Math.min(meter.size(b), meter.length(b) * (1 + meter.size(a))));
  } else if (operator === "*") {
    const [x, y] = [numeric(a), numeric(b)];
    if (x === undefined || y === undefined)
      meter.take(x === undefined ? meter.length(a) * width(b) : meter.length(b) * width(a));
  } else if (operator === "%" && typeof a === "string") {
    meter.take(formatting(meter, a, [b], new Map()) + meter.size(b));
  } else if (operator === "+") meter.take(meter.length(a) + meter.length(b));
  else if (operator === "~") meter.take(meter.size(a) + meter.size(b));
  else meter.take(Math.min(meter.size(a), meter.size(b)));
}

/** The text that a value prints as. @throws TemplateError when there are no steps left */
export function printed(meter: Meter, value: Value): string {
  meter.take(meter.size(value));
  return str(value);
}

/** What a loop goes over. @throws TemplateError for what has no items, and when there are no steps left */
export function itemsOf(meter: Meter, value: Value): readonly Value[] {
  meter.take(meter.length(value));
  return iterate(value);
}

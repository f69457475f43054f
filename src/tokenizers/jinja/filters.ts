/** What may stand after "|". */
import { countCost } from "./costs.ts";
import { plain } from "./foreign.ts";
import { dumps } from "./json.ts";
import type { Meter } from "./meter.ts";
import { capitalized, percent, replaced, stringMethods, strip, titled } from "./strings.ts";
import { runTest } from "./tests.ts";
import {
  compare,
  type Dict,
  defined,
  Float,
  isEqual,
  isTrue,
  iterate,
  type Keywords,
  numeric,
  repr,
  str,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

type Filter = (value: Value, args: readonly Value[], keywords: Keywords, meter: Meter) => Value;

/** An argument by its place or its name. */
const argument = <T extends Value>(
  args: readonly Value[],
  keywords: Keywords,
  at: number,
  name: string,
  fallback: T,
): Value | T => args[at] ?? keywords.get(name) ?? fallback;

/** What stands at a path such as "function.name" of a value. */
function attribute(value: Value, path: Value): Value {
  return str(path)
    .split(".")
    .reduce<Value>((current, name) => {
      if (current instanceof Map)
        return current.has(name)
          ? (current.get(name) as Value)
          : new Undefined(`'dict object' has no attribute '${name}'`);
      const item =
        /^\d+$/.test(name) && (Array.isArray(current) || current instanceof Tuple)
          ? iterate(current)[Number(name)]
          : undefined;
      return item ?? new Undefined(`'${typeName(current)} object' has no attribute '${name}'`);
    }, value);
}

const lowered = (value: Value): Value => (typeof value === "string" ? value.toLowerCase() : value);
/** What items are sorted or compared by. */
function keyOf(
  args: readonly Value[],
  keywords: Keywords,
  caseAt: number,
  attributeAt: number,
): (item: Value) => Value {
  const isCaseSensitive = isTrue(argument(args, keywords, caseAt, "case_sensitive", false));
  const path = argument(args, keywords, attributeAt, "attribute", null);
  return (item) => {
    const key = path === null ? item : attribute(item, path);
    return isCaseSensitive ? key : lowered(key);
  };
}

const best =
  (sign: number): Filter =>
  (value, args, keywords) => {
    const key = keyOf(args, keywords, 0, 1);
    const items = iterate(value);
    if (items.length === 0) return new Undefined("No aggregated item, sequence was empty.");
    return items.reduce((extreme, item) => (sign * compare(key(item), key(extreme)) > 0 ? item : extreme));
  };

/** select, reject and those by an attribute: items that a test finds good, or true ones. */
const chosen =
  (wanted: boolean, hasAttribute: boolean): Filter =>
  (value, args) => {
    const [path, ...rest] = hasAttribute ? args : [null, ...args];
    const [test, ...testArgs] = rest;
    return iterate(value).filter((item) => {
      const subject = hasAttribute ? attribute(item, path) : item;
      return (test === undefined ? isTrue(subject) : runTest(str(test), subject, testArgs)) === wanted;
    });
  };

const mapped: Filter = (value, args, keywords, meter) => {
  const path = keywords.get("attribute");
  if (path !== undefined) {
    const fallback = keywords.get("default");
    return iterate(value).map((item) => {
      const field = attribute(item, path);
      return field instanceof Undefined && fallback !== undefined ? fallback : field;
    });
  }
  const [name, ...rest] = args;
  return iterate(value).map((item) => runFilter(str(name), item, rest, keywords, meter));
};

function indented(text: string, width: Value, first: boolean, blank: boolean): string {
  const step = typeof width === "string" ? width : " ".repeat(numeric(width) as number);
  return text
    .split(/\r\n|[\n\r]/)
    .map((line, i) => ((i === 0 ? first : blank || line !== "") ? step + line : line))
    .join("\n");
}

/** More characters than any number has that a double holds; the time to read one grows with the square. */
const LONGEST_NUMBER = 400;
const numberIn = (text: string): number => (text.length > LONGEST_NUMBER ? Number.POSITIVE_INFINITY : Number(text));

const toInt = (value: Value, fallback: Value): Value => {
  const number =
    numeric(value) ??
    (typeof value === "string" && /^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$/.test(plain(value.trim()))
      ? numberIn(plain(value.trim()))
      : undefined);
  return number === undefined || !Number.isFinite(number) ? fallback : Math.trunc(number);
};
const toFloat = (value: Value, fallback: Value): Value => {
  const number =
    numeric(value) ??
    (typeof value === "string" && /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(plain(value.trim()))
      ? numberIn(plain(value.trim()))
      : undefined);
  return number === undefined ? fallback : new Float(number);
};

/** Python rounds halves to even ones. */
function rounded(value: Value, digits: number, method: string): Value {
  const scaled = (numeric(defined(value)) as number) * 10 ** digits;
  const half = Math.abs(scaled % 1) === 0.5;
  const whole =
    method === "ceil"
      ? Math.ceil(scaled)
      : method === "floor"
        ? Math.floor(scaled)
        : half
          ? 2 * Math.round(scaled / 2)
          : Math.round(scaled);
  return new Float(whole / 10 ** digits);
}

function truncated(text: string, length: number, killsWords: boolean, end: string, leeway: number): string {
  const characters = Array.from(text);
  if (characters.length <= length + leeway) return text;
  const cut = characters.slice(0, length - Array.from(end).length).join("");
  const at = cut.lastIndexOf(" ");
  return (killsWords || at < 0 ? cut : cut.slice(0, at)) + end;
}

function grouped(value: Value, args: readonly Value[], keywords: Keywords): Value {
  const path = argument(args, keywords, 0, "attribute", null);
  const groups: [Value, Value[]][] = [];
  const sorted = [...iterate(value)].sort((a, b) => compare(attribute(a, path), attribute(b, path)));
  for (const item of sorted) {
    const key = attribute(item, path);
    const last = groups[groups.length - 1];
    if (last && isEqual(last[0], key)) last[1].push(item);
    else groups.push([key, [item]]);
  }
  return groups.map((group) => new Tuple(group));
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
};
const escaped = (text: string) => text.replace(/[&<>"'\ufdd0-\ufdef]/g, (sign) => entities[plain(sign)] ?? sign);

/** A text as a part of an address; letters, digits and -_.~/ stay. */
const urlEncoded = (text: string) =>
  encodeURIComponent(plain(text))
    .replace(/%2F/g, "/")
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);

const filters: Readonly<Record<string, Filter>> = {
  abs: (value) => (value instanceof Float ? new Float(Math.abs(value.value)) : Math.abs(numeric(value) as number)),
  attr: (value, [name]) => attribute(value, name),
  batch: (value, args, keywords) => {
    const items = iterate(value);
    const size = Number(argument(args, keywords, 0, "linecount", 1));
    const fill = argument(args, keywords, 1, "fill_with", null);
    const rows = Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
      items.slice(i * size, (i + 1) * size),
    );
    const last = rows[rows.length - 1];
    if (last && fill !== null) while (last.length < size) last.push(fill);
    return rows;
  },
  capitalize: (value) => capitalized(str(value)),
  center: (value, args, keywords) =>
    stringMethods.center(str(value), [argument(args, keywords, 0, "width", 80)], keywords),
  default: (value, args, keywords) => {
    const isMissing =
      value instanceof Undefined || (isTrue(argument(args, keywords, 1, "boolean", false)) && !isTrue(value));
    return isMissing ? argument(args, keywords, 0, "default_value", "") : value;
  },
  dictsort: (value, args, keywords) => {
    const by = str(argument(args, keywords, 1, "by", "key")) === "value" ? 1 : 0;
    const isCaseSensitive = isTrue(argument(args, keywords, 0, "case_sensitive", false));
    const key = (entry: Tuple) => (isCaseSensitive ? entry.items[by] : lowered(entry.items[by]));
    const sorted = [...(value as Dict)].map((entry) => new Tuple(entry)).sort((a, b) => compare(key(a), key(b)));
    return isTrue(argument(args, keywords, 2, "reverse", false)) ? sorted.reverse() : sorted;
  },
  escape: (value) => escaped(str(value)),
  first: (value) => iterate(value)[0] ?? new Undefined("No first item, sequence was empty."),
  float: (value, args, keywords) => toFloat(value, argument(args, keywords, 0, "default", new Float(0))),
  format: (value, args) => percent(str(value), args),
  groupby: grouped,
  indent: (value, args, keywords) =>
    indented(
      str(value),
      argument(args, keywords, 0, "width", 4),
      isTrue(argument(args, keywords, 1, "first", false)),
      isTrue(argument(args, keywords, 2, "blank", false)),
    ),
  int: (value, args, keywords) => toInt(value, argument(args, keywords, 0, "default", 0)),
  items: (value) => (value instanceof Undefined ? [] : [...(value as Dict)].map((entry) => new Tuple(entry))),
  join: (value, args, keywords) => {
    const path = argument(args, keywords, 1, "attribute", null);
    const items = iterate(value).map((item) => str(path === null ? item : attribute(item, path)));
    return items.join(str(argument(args, keywords, 0, "d", "")));
  },
  last: (value) => iterate(value)[iterate(value).length - 1] ?? new Undefined("No last item, sequence was empty."),
  length: (value) => {
    if (numeric(value) !== undefined || value === null)
      throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
    return iterate(value).length;
  },
  list: (value) => [...iterate(value)],
  lower: (value) => str(value).toLowerCase(),
  map: mapped,
  max: best(1),
  min: best(-1),
  reject: chosen(false, false),
  rejectattr: chosen(false, true),
  replace: (value, [from, to, count]) => replaced(str(value), from, to, count),
  reverse: (value) =>
    typeof value === "string" ? Array.from(value).reverse().join("") : [...iterate(value)].reverse(),
  round: (value, args, keywords) =>
    rounded(
      value,
      Number(argument(args, keywords, 0, "precision", 0)),
      str(argument(args, keywords, 1, "method", "common")),
    ),
  safe: (value) => str(value),
  select: chosen(true, false),
  selectattr: chosen(true, true),
  sort: (value, args, keywords) => {
    const key = keyOf(args, keywords, 1, 2);
    const sign = isTrue(argument(args, keywords, 0, "reverse", false)) ? -1 : 1;
    return [...iterate(value)].sort((a, b) => sign * compare(key(a), key(b)));
  },
  string: (value) => str(value),
  sum: (value, args, keywords) => {
    const path = argument(args, keywords, 0, "attribute", null);
    const items = iterate(value).map((item) => (path === null ? item : attribute(item, path)));
    const total = [argument(args, keywords, 1, "start", 0), ...items].reduce<number>(
      (sum, item) => sum + (numeric(item) as number),
      0,
    );
    return items.some((item) => item instanceof Float) ? new Float(total) : total;
  },
  title: (value) => titled(str(value)),
  tojson: (value, args, keywords) => {
    const separators = argument(args, keywords, 2, "separators", null);
    return dumps(value, {
      ensureAscii: isTrue(argument(args, keywords, 0, "ensure_ascii", false)),
      indent: argument(args, keywords, 1, "indent", null) as number | string | null,
      separators: separators === null ? null : (iterate(separators).map(str) as [string, string]),
      sortKeys: isTrue(argument(args, keywords, 3, "sort_keys", false)),
    });
  },
  trim: (value, args, keywords) => strip(str(value), argument(args, keywords, 0, "chars", null)),
  truncate: (value, args, keywords) =>
    truncated(
      str(value),
      Number(argument(args, keywords, 0, "length", 255)),
      isTrue(argument(args, keywords, 1, "killwords", false)),
      str(argument(args, keywords, 2, "end", "...")),
      Number(argument(args, keywords, 3, "leeway", 5)),
    ),
  unique: (value, args, keywords, meter) => {
    const key = keyOf(args, keywords, 0, 1);
    const items = iterate(value);
    const kept = new Map<string, Value[]>(); // equal values print alike, but for numbers
    return items.filter((item) => {
      const itemKey = key(item);
      const name = numeric(itemKey) === undefined ? plain(repr(itemKey)) : String(numeric(itemKey));
      const alike = kept.get(name) ?? [];
      meter.take(alike.length * meter.size(itemKey));
      if (alike.some((other) => isEqual(other, itemKey))) return false;
      alike.push(itemKey);
      kept.set(name, alike);
      return true;
    });
  },
  upper: (value) => str(value).toUpperCase(),
  urlencode: (value) => urlEncoded(str(value)),
  wordcount: (value) => (plain(str(value)).match(/[\p{L}\p{N}_]+/gu) ?? []).length,
};
const aliases: Readonly<Record<string, string>> = { d: "default", e: "escape", count: "length" };

/** @throws TemplateError for a filter that is not known, and when there are no steps left */
export function runFilter(name: string, value: Value, args: readonly Value[], keywords: Keywords, meter: Meter): Value {
  const known = aliases[name] ?? name;
  if (!Object.hasOwn(filters, known)) throw new TemplateError(`No filter named '${name}'.`);
  countCost(meter, known, value, args, keywords);
  return meter.charge(filters[known](value, args, keywords, meter));
}

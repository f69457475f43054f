/** Parts of values, by their places and names. */
import { plain } from "./foreign.ts";
import {
  Callable,
  defined,
  Float,
  isTrue,
  iterate,
  Namespace,
  numeric,
  repr,
  str,
  TemplateError,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** @throws TemplateError for what is no whole number */
export function integer(value: Value): number {
  const number = value instanceof Float ? undefined : numeric(defined(value));
  if (number === undefined) throw new TemplateError(`'${typeName(value)}' object cannot be interpreted as an integer`);
  return number;
}

/** What `loop` tells in one turn. */
export function loopState(items: readonly Value[], i: number, changed: Callable): Namespace {
  const beyond = (at: number, side: string) => items[at] ?? new Undefined(`there is no ${side} item`);
  return new Namespace(
    new Map<string, Value>([
      ["index", i + 1],
      ["index0", i],
      ["revindex", items.length - i],
      ["revindex0", items.length - i - 1],
      ["first", i === 0],
      ["last", i === items.length - 1],
      ["length", items.length],
      ["depth", 1],
      ["depth0", 0],
      ["previtem", i === 0 ? new Undefined("there is no previous item") : beyond(i - 1, "previous")],
      ["nextitem", beyond(i + 1, "next")],
      ["cycle", new Callable((args) => args[i % args.length])],
      ["changed", changed],
    ]),
  );
}

/** -value, +value and not value. */
export function unary(operator: string, value: Value): Value {
  if (operator === "not") return !isTrue(value);
  const number = numeric(defined(value));
  if (number === undefined) throw new TemplateError(`bad operand type for unary ${operator}: '${typeName(value)}'`);
  const signed = operator === "-" ? -number : number;
  return value instanceof Float ? new Float(signed) : signed;
}

/** value[key]; what is not there is undefined */
export function getItem(value: Value, key: Value): Value {
  if (value instanceof Namespace) {
    const name = plain(str(key));
    return value.attributes.get(name) ?? (value.attributes.has(name) ? null : missing(value, key));
  }
  if (value instanceof Map) return value.get(key) ?? (value.has(key) ? null : missing(value, key));
  const at = numeric(key);
  if (at !== undefined && (typeof value === "string" || Array.isArray(value) || value instanceof Tuple)) {
    const items = iterate(value);
    const index = at < 0 ? at + items.length : at;
    return index >= 0 && index < items.length ? items[index] : missing(value, key);
  }
  return missing(value, key);
}

const missing = (value: Value, key: Value) =>
  new Undefined(
    typeof key === "string"
      ? `'${typeName(value)} object' has no attribute '${key}'`
      : `${typeName(value)} object has no element ${repr(key)}`,
  );

/** value[start:stop:step] */
export function sliced(value: Value, start: Value, stop: Value, step: Value): Value {
  const items = iterate(value);
  const by = step === null ? 1 : integer(step);
  if (by === 0) throw new TemplateError("slice step cannot be zero");
  const place = (bound: Value, fallback: number): number => {
    if (bound === null) return fallback;
    const at = integer(bound);
    const [low, high] = by > 0 ? [0, items.length] : [-1, items.length - 1];
    return Math.min(high, Math.max(low, at < 0 ? at + items.length : at));
  };
  const [from, to] =
    by > 0 ? [place(start, 0), place(stop, items.length)] : [place(start, items.length - 1), place(stop, -1)];
  const selection: Value[] = [];
  for (let i = from; by > 0 ? i < to : i > to; i += by) selection.push(items[i]);
  return typeof value === "string" ? selection.join("") : value instanceof Tuple ? new Tuple(selection) : selection;
}

/** Python's values as templates see them: how they print, compare and count as true. */
import { KindlingError } from "../../base/index.ts";
import { plain } from "./foreign.ts";

/** A template raises an error, or does what Python would not. */
export class TemplateError extends KindlingError {
  /** The message alone, as Python has it. */
  readonly text: string;

  constructor(message: string, cause?: unknown) {
    const text = plain(message);
    super({
      where: "chat template",
      expected: "a conversation that it can render",
      received: text,
      fix: "change the messages, or the template",
      cause,
    });
    this.text = text;
  }
}

/** A number with a point: 2.0 prints otherwise than 2. */
export class Float {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}
export class Tuple {
  readonly items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.items = items;
  }
}
/** What is not there: prints nothing, is false and empty; anything else with it is an error. */
export class Undefined {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}
/** The one value whose attributes a template may set. */
export class Namespace {
  readonly attributes: Map<string, Value>;
  constructor(attributes: ReadonlyMap<string, Value>) {
    this.attributes = new Map(attributes);
  }
}
export type Keywords = ReadonlyMap<string, Value>;
export class Callable {
  readonly call: (args: readonly Value[], keywords: Keywords) => Value;
  constructor(call: (args: readonly Value[], keywords: Keywords) => Value) {
    this.call = call;
  }
}

/** Whole numbers are numbers, dicts are maps, lists arrays. */
export type Value =
  | string
  | number
  | boolean
  | null
  | Float
  | Tuple
  | Undefined
  | Namespace
  | Callable
  | Value[]
  | Dict;

/** A dict. Texts are the same key whoever wrote them. */
export class Dict extends Map<Value, Value> {
  /** Keys that are texts, by what they are when plain. */
  private readonly texts = new Map<string, string>();

  constructor(entries: Iterable<readonly [Value, Value]>) {
    super();
    for (const [key, value] of entries) this.set(key, value);
  }

  override get(key: Value): Value | undefined {
    return super.get(this.storedKey(key));
  }

  override has(key: Value): boolean {
    return super.has(this.storedKey(key));
  }

  override set(key: Value, value: Value): this {
    const stored = this.storedKey(key);
    if (typeof stored === "string") this.texts.set(plain(stored), stored);
    return super.set(stored, value);
  }

  private storedKey(key: Value): Value {
    return typeof key === "string" ? (this.texts.get(plain(key)) ?? key) : key;
  }
}

/** JavaScript's values as Python's. Numbers with a fraction are floats. */
export function fromJs(value: unknown): Value {
  if (typeof value === "function") return new Callable((args) => fromJs(value(...args.map(toJs))));
  if (typeof value === "number") return Number.isInteger(value) ? value : new Float(value);
  if (value === undefined || value === null) return null;
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(fromJs);
  if (value instanceof Map)
    return new Dict([...value].map(([key, child]): [Value, Value] => [fromJs(key), fromJs(child)]));
  if (typeof value === "object")
    return new Dict(
      Object.entries(value)
        .filter(([, child]) => child !== undefined)
        .map(([key, child]): [Value, Value] => [key, fromJs(child)]),
    );
  return value as Value;
}

function toJs(value: Value): unknown {
  if (value instanceof Float) return value.value;
  if (value instanceof Tuple) return value.items.map(toJs);
  if (Array.isArray(value)) return value.map(toJs);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, child]) => [plain(str(key)), toJs(child)]));
  if (typeof value === "string") return plain(value);
  return value instanceof Undefined ? undefined : value;
}

const names: readonly [(value: Value) => boolean, string][] = [
  [(value) => value === null, "NoneType"],
  [(value) => typeof value === "string", "str"],
  [(value) => typeof value === "boolean", "bool"],
  [(value) => typeof value === "number", "int"],
  [(value) => value instanceof Float, "float"],
  [(value) => Array.isArray(value), "list"],
  [(value) => value instanceof Tuple, "tuple"],
  [(value) => value instanceof Map, "dict"],
  [(value) => value instanceof Namespace, "Namespace"],
];
/** Python's name of a value's type. */
export const typeName = (value: Value): string => names.find(([is]) => is(value))?.[1] ?? "function";

/** @throws TemplateError for what is not there */
export function defined(value: Value): Exclude<Value, Undefined> {
  if (value instanceof Undefined) throw new TemplateError(value.message);
  return value;
}

export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === "string" || Array.isArray(value)) return value.length > 0;
  if (value instanceof Float) return value.value !== 0;
  if (value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Map) return value.size > 0;
  return typeof value === "object" ? true : Boolean(value);
}

/** The number that an int, a float or a bool is. */
export function numeric(value: Value): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return Number(value);
  return value instanceof Float ? value.value : undefined;
}

export function isEqual(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (typeof a === "string" && typeof b === "string") return plain(a) === plain(b);
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return x === y;
  if (a instanceof Undefined && b instanceof Undefined) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => isEqual(item, b[i]));
  if (a instanceof Tuple && b instanceof Tuple) return isEqual([...a.items], [...b.items]);
  if (a instanceof Map && b instanceof Map)
    return a.size === b.size && [...a].every(([key, value]) => b.has(key) && isEqual(value, b.get(key) as Value));
  return false;
}

/** Below 0, 0 or above, as Python orders. @throws TemplateError for values that have no order */
export function compare(a: Value, b: Value): number {
  const [x, y] = [numeric(a), numeric(b)];
  if (x !== undefined && y !== undefined) return x - y;
  if (typeof a === "string" && typeof b === "string") {
    const [left, right] = [Array.from(plain(a)), Array.from(plain(b))];
    for (let i = 0; i < Math.min(left.length, right.length); i++)
      if (left[i] !== right[i]) return (left[i].codePointAt(0) as number) - (right[i].codePointAt(0) as number);
    return left.length - right.length;
  }
  const [first, second] = [itemsOf(a), itemsOf(b)];
  if (first && second) {
    for (let i = 0; i < Math.min(first.length, second.length); i++)
      if (!isEqual(first[i], second[i])) return compare(first[i], second[i]);
    return first.length - second.length;
  }
  throw new TemplateError(
    `'<' not supported between instances of '${typeName(defined(a))}' and '${typeName(defined(b))}'`,
  );
}

const itemsOf = (value: Value): readonly Value[] | undefined =>
  Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;

/** What a loop goes over. @throws TemplateError for what has no items */
export function iterate(value: Value): readonly Value[] {
  if (value instanceof Undefined) return [];
  if (typeof value === "string") return Array.from(value);
  if (value instanceof Map) return [...value.keys()];
  const items = itemsOf(value);
  if (items) return items;
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

/** Python's shortest form of a float. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const exponent = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  if (exponent >= 16 || exponent < -4) return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  const text = String(value);
  return text.includes(".") ? text : `${Object.is(value, -0) ? "-0" : text}.0`;
}

/** str(value) */
export function str(value: Value): string {
  if (typeof value === "string") return value;
  return value instanceof Undefined ? "" : repr(value);
}

/** repr(value) */
export function repr(value: Value): string {
  if (typeof value === "string") return quoted(value);
  if (typeof value === "number") return Number.isSafeInteger(value) ? String(value) : BigInt(value).toString();
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value instanceof Float) return floatText(value.value);
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  if (value instanceof Tuple) return `(${value.items.map(repr).join(", ")}${value.items.length === 1 ? "," : ""})`;
  if (value instanceof Map) return `{${[...value].map(([key, child]) => `${repr(key)}: ${repr(child)}`).join(", ")}}`;
  return value instanceof Undefined ? "Undefined" : `<${typeName(value)}>`;
}

const escapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function quoted(text: string): string {
  const shown = plain(text);
  const quote = shown.includes("'") && !shown.includes('"') ? '"' : "'";
  let out = "";
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    const sign = plain(character);
    if (sign === quote || sign === "\\") out += `\\${character}`;
    else if (sign !== character) out += character;
    else if (escapes[character]) out += escapes[character];
    else if (/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(character)) out += escapedCode(code);
    else out += character;
  }
  return quote + out + quote;
}

function escapedCode(code: number): string {
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

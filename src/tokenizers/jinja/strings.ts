/** Methods of Python's strings and dicts. */
import { placesOf, plain } from "./foreign.ts";
import { Dict, isEqual, iterate, type Keywords, str, TemplateError, Tuple, typeName, type Value } from "./values.ts";

type Method<T> = (self: T, args: readonly Value[], keywords: Keywords) => Value;

/** Python counts U+0085 in and U+FEFF out, JavaScript the other way round. */
const SPACE = /[\p{White_Space}]/u;
const isSpace = (character: string) => SPACE.test(character);

/** strip(characters): what of a text's ends goes; without characters white space. */
export function strip(text: string, characters: Value | undefined, sides: "both" | "left" | "right" = "both"): string {
  const characterSet =
    characters === undefined || characters === null ? undefined : new Set(Array.from(plain(str(characters))));
  const goes = (character: string) => (characterSet ? characterSet.has(plain(character)) : isSpace(character));
  const all = Array.from(text);
  let [start, end] = [0, all.length];
  if (sides !== "right") while (start < end && goes(all[start])) start++;
  if (sides !== "left") while (end > start && goes(all[end - 1])) end--;
  return all.slice(start, end).join("");
}

/** Python's title(): every letter after what is no letter. */
export const titled = (text: string): string =>
  text
    .toLowerCase()
    .replace(/(^|[^\p{L}])(\p{L})/gu, (_, before: string, letter: string) => before + letter.toUpperCase());
export function capitalized(text: string): string {
  const [first = "", ...rest] = Array.from(text);
  return first.toUpperCase() + rest.join("").toLowerCase();
}

function splitOnSpace(text: string, limit: number, fromRight: boolean): string[] {
  const matches = [...text.matchAll(/\P{White_Space}+/gu)];
  const words = matches.map(([word]) => word);
  if (limit < 0 || words.length <= limit) return words;
  // what is not cut keeps the space at its outer end
  const at = fromRight ? words.length - limit - 1 : limit;
  const { 0: word, index } = matches[at];
  return fromRight
    ? [text.slice(0, index + word.length), ...words.slice(at + 1)]
    : [...words.slice(0, at), text.slice(index)];
}

function split(text: string, args: readonly Value[], keywords: Keywords, fromRight: boolean): Value {
  const by = args[0] ?? keywords.get("sep") ?? null;
  const limit = Number(args[1] ?? keywords.get("maxsplit") ?? -1);
  if (by === null) return splitOnSpace(text, limit, fromRight);
  if (by === "") throw new TemplateError("empty separator");
  const places = placesOf(str(by), text);
  const cuts =
    limit < 0 || limit >= places.length
      ? places
      : fromRight
        ? places.slice(places.length - limit)
        : places.slice(0, limit);
  return cutAt(text, cuts, str(by).length);
}

/** The parts of a text around some places, where `length` characters are left out. */
function cutAt(text: string, places: readonly number[], length: number): string[] {
  const starts = [0, ...places.map((at) => at + length)];
  return starts.map((start, i) => text.slice(start, places[i]));
}

export function replaced(text: string, from: Value, to: Value, count: Value = null): string {
  const places = placesOf(str(from), text);
  const limit = count === null || Number(count) < 0 ? places.length : Number(count);
  return cutAt(text, places.slice(0, limit), str(from).length).join(str(to));
}

/** Place of a text in another, in code points; -1 where it is not. */
function find(text: string, part: Value, isLast = false): number {
  const [whole, wanted] = [plain(text), plain(str(part))];
  const at = isLast ? whole.lastIndexOf(wanted) : whole.indexOf(wanted);
  return at < 0 ? -1 : Array.from(text.slice(0, at)).length;
}

const affix = (args: readonly Value[]): string[] =>
  (args[0] instanceof Tuple ? iterate(args[0]) : [args[0]]).map((part) => plain(str(part)));
const padded = (text: string, [width, fill = " "]: readonly Value[], side: "left" | "right" | "both"): string => {
  const missing = Math.max(0, Number(width) - Array.from(text).length);
  const left =
    side === "left" ? missing : side === "right" ? 0 : Math.floor(missing / 2) + (missing & Number(width) & 1);
  return str(fill).repeat(left) + text + str(fill).repeat(missing - left);
};

/** format(): fields by number, name or order, without further rules. */
function formatted(text: string, args: readonly Value[], keywords: Keywords): string {
  let next = 0;
  return text.replace(/\{\{|\}\}|\{(\w*)\}/g, (field, name: string | undefined) => {
    if (name === undefined) return field[0];
    const value = name === "" ? args[next++] : /^\d+$/.test(name) ? args[Number(name)] : keywords.get(name);
    if (value === undefined)
      throw new TemplateError(`Replacement index ${name || next - 1} out of range for positional args tuple`);
    return str(value);
  });
}

export const isUpper = (text: string): boolean => text === text.toUpperCase() && text !== text.toLowerCase();
export const isLower = (text: string): boolean => text === text.toLowerCase() && text !== text.toUpperCase();

const LINE = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/;
const LINE_END = /(\r\n|[\n\r\v\f\u0085\u2028\u2029])$/;

export const stringMethods: Readonly<Record<string, Method<string>>> = {
  strip: (text, [characters]) => strip(text, characters),
  lstrip: (text, [characters]) => strip(text, characters, "left"),
  rstrip: (text, [characters]) => strip(text, characters, "right"),
  upper: (text) => text.toUpperCase(),
  lower: (text) => text.toLowerCase(),
  title: (text) => titled(text),
  capitalize: (text) => capitalized(text),
  split: (text, args, keywords) => split(text, args, keywords, false),
  rsplit: (text, args, keywords) => split(text, args, keywords, true),
  splitlines: (text) => (text === "" ? [] : text.replace(LINE_END, "").split(LINE)),
  startswith: (text, args) => affix(args).some((part) => plain(text).startsWith(part)),
  endswith: (text, args) => affix(args).some((part) => plain(text).endsWith(part)),
  replace: (text, [from, to, count], keywords) => replaced(text, from, to, count ?? keywords.get("count")),
  join: (text, [items]) =>
    iterate(items)
      .map((item, i) => {
        if (typeof item === "string") return item;
        throw new TemplateError(`sequence item ${i}: expected str instance, ${typeName(item)} found`);
      })
      .join(text),
  find: (text, [part]) => find(text, part),
  rfind: (text, [part]) => find(text, part, true),
  index: (text, [part]) => {
    const at = find(text, part);
    if (at < 0) throw new TemplateError("substring not found");
    return at;
  },
  count: (text, [part]) => placesOf(str(part), text).length,
  format: formatted,
  isdigit: (text) => /^\p{Nd}+$/u.test(text),
  isnumeric: (text) => /^\p{N}+$/u.test(text),
  isalpha: (text) => /^\p{L}+$/u.test(text),
  isalnum: (text) => /^[\p{L}\p{N}]+$/u.test(text),
  isspace: (text) => text !== "" && Array.from(text).every(isSpace),
  isupper: isUpper,
  islower: isLower,
  center: (text, args) => padded(text, args, "both"),
  ljust: (text, args) => padded(text, args, "right"),
  rjust: (text, args) => padded(text, args, "left"),
  zfill: (text, [width]) => padded(text, [width, "0"], "left"),
  removeprefix: (text, [part]) => (plain(text).startsWith(plain(str(part))) ? text.slice(str(part).length) : text),
  removesuffix: (text, [part]) =>
    str(part) !== "" && plain(text).endsWith(plain(str(part))) ? text.slice(0, -str(part).length) : text,
  partition: (text, [by]) => {
    const at = plain(text).indexOf(plain(str(by)));
    const end = at + str(by).length;
    return new Tuple(at < 0 ? [text, "", ""] : [text.slice(0, at), text.slice(at, end), text.slice(end)]);
  },
};

export const dictMethods: Readonly<Record<string, Method<Dict>>> = {
  items: (dict) => [...dict].map((entry) => new Tuple(entry)),
  keys: (dict) => [...dict.keys()],
  values: (dict) => [...dict.values()],
  get: (dict, [key, fallback = null]) => dict.get(key) ?? (dict.has(key) ? null : fallback),
  copy: (dict) => new Dict(dict),
};

export const listMethods: Readonly<Record<string, Method<readonly Value[]>>> = {
  index: (list, [item]) => {
    const at = list.findIndex((each) => isEqual(each, item));
    if (at < 0) throw new TemplateError(`${str(item)} is not in list`);
    return at;
  },
  count: (list, [item]) => list.filter((each) => isEqual(each, item)).length,
  copy: (list) => [...list],
};

/** "%s has %d" % values */
export function percent(text: string, values: readonly Value[]): string {
  let next = 0;
  return text.replace(
    /%(-?)(0?)(\d*)(?:\.(\d+))?([sdrf%])/g,
    (_, left: string, zero: string, width: string, digits: string | undefined, kind: string) => {
      if (kind === "%") return "%";
      if (next >= values.length) throw new TemplateError("not enough arguments for format string");
      const value = values[next++];
      const plain =
        kind === "d"
          ? String(Math.trunc(Number(str(value))))
          : kind === "f"
            ? Number(str(value)).toFixed(Number(digits ?? 6))
            : str(value);
      return left ? plain.padEnd(Number(width)) : plain.padStart(Number(width), zero ? "0" : " ");
    },
  );
}

/** Sets of characters as sorted ranges of code points: first, last, first, last... Surrogates are no characters. */
export type CodePoints = readonly number[];

const LAST = 0x10ffff;
/** Every character. */
export const anyCharacter: CodePoints = [0, 0xd7ff, 0xe000, LAST];

/** The characters of a text. */
export const charactersOf = (text: string): CodePoints =>
  union(Array.from(text, (character) => [character.codePointAt(0)!, character.codePointAt(0)!]));

/** What is in any of the sets. */
export function union(sets: readonly CodePoints[]): CodePoints {
  const ranges: [number, number][] = [];
  for (const set of sets) for (let i = 0; i < set.length; i += 2) ranges.push([set[i], set[i + 1]]);
  ranges.sort((a, b) => a[0] - b[0]);
  const joined: number[] = [];
  for (const [first, last] of ranges) {
    const end = joined.length - 1;
    if (end > 0 && first <= joined[end] + 1) joined[end] = Math.max(joined[end], last);
    else joined.push(first, last);
  }
  return withoutSurrogates(joined);
}

/** What is not in the set. */
export function complement(set: CodePoints): CodePoints {
  const rest: number[] = [];
  let next = 0;
  for (let i = 0; i < set.length; i += 2) {
    if (set[i] > next) rest.push(next, set[i] - 1);
    next = set[i + 1] + 1;
  }
  if (next <= LAST) rest.push(next, LAST);
  return withoutSurrogates(rest);
}

function withoutSurrogates(set: readonly number[]): CodePoints {
  const rest: number[] = [];
  for (let i = 0; i < set.length; i += 2) {
    const [first, last] = [set[i], set[i + 1]];
    if (first < 0xd800) rest.push(first, Math.min(last, 0xd7ff));
    if (last > 0xdfff) rest.push(Math.max(first, 0xe000), last);
  }
  return rest;
}

const digits: CodePoints = [0x30, 0x39];
const wordCharacters: CodePoints = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];
const lineEnds: CodePoints = [0xa, 0xa, 0xd, 0xd, 0x2028, 0x2029];
// ECMA-262 22.2.2.9: WhiteSpace and LineTerminator
const spaces: CodePoints = union([
  [0x9, 0xd, 0x20, 0x20, 0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a],
  [0x2028, 0x2029, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000, 0xfeff, 0xfeff],
]);

/** The sets that a letter behind a backslash stands for, as in ECMAScript: digits and words are ASCII's. */
export const classEscapes: Readonly<Record<string, CodePoints>> = {
  d: digits,
  D: complement(digits),
  w: wordCharacters,
  W: complement(wordCharacters),
  s: spaces,
  S: complement(spaces),
};
/** What a dot stands for, as in ECMAScript: all that ends no line. */
export const dotCharacters = complement(lineEnds);

/** The last code point that may be a letter, a mark or a sign; behind it whole stretches are alike. */
const LAST_SIGN = 0x34fff;
/** Where stretches behind the signs begin: ends of planes, tags, selectors of variants, planes for private use. */
const stretches: readonly number[] = [
  LAST_SIGN + 1,
  ...Array.from({ length: 14 }, (_, i) => [(i + 3) * 0x10000 + 0xfffe, (i + 4) * 0x10000]).flat(),
  ...[0xe0001, 0xe0002, 0xe0020, 0xe0080, 0xe0100, 0xe01f0, 0xe1000],
]
  .filter((code) => code <= LAST)
  .sort((a, b) => a - b);
const properties = new Map<string, CodePoints>();

/** The characters with a property of Unicode, as \p{name} has them; undefined for what is no property. */
export function propertyCharacters(name: string): CodePoints | undefined {
  const known = properties.get(name);
  if (known || !/^[\w=]{1,60}$/.test(name)) return known;
  let isMember: RegExp;
  try {
    isMember = new RegExp(`^\\p{${name}}$`, "u");
  } catch {
    return undefined;
  }
  const ranges: number[] = [];
  for (let code = 0; code <= LAST_SIGN; code++) {
    if (!isMember.test(String.fromCodePoint(code))) continue;
    if (ranges.at(-1) === code - 1) ranges[ranges.length - 1] = code;
    else ranges.push(code, code);
  }
  for (const [i, code] of stretches.entries())
    if (isMember.test(String.fromCodePoint(code))) ranges.push(code, (stretches[i + 1] ?? LAST + 1) - 1);
  const set = union([ranges]);
  properties.set(name, set);
  return set;
}

/** The set with the other cases of its letters; of a range of more than 5000, which has them mostly, none are added. */
export function withOtherCases(set: CodePoints): CodePoints {
  const others: CodePoints[] = [];
  for (let i = 0; i < set.length; i += 2) {
    if (set[i + 1] - set[i] > 5000) continue;
    for (let code = set[i]; code <= set[i + 1]; code++) {
      const character = String.fromCodePoint(code);
      for (const other of [character.toLowerCase(), character.toUpperCase()])
        if (Array.from(other).length === 1) others.push(charactersOf(other));
    }
  }
  return union([set, ...others]);
}

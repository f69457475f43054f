/** Numbers as texts: decimals without an exponent, in which a value may be written with more zeros at its end. */
import type { Dfa } from "../dfa.ts";
import { alternatives, anyOfCharacters, optional, repeat, sequence, text } from "../expression.ts";
import type { Languages } from "../languages.ts";
import { requireWithin } from "../limits.ts";

const digit = anyOfCharacters("0123456789");
const integerPart = alternatives(text("0"), sequence(anyOfCharacters("123456789"), repeat(digit, 0)));
const minus = optional(text("-"));

/** JSON's numbers, exponents included. */
export const jsonNumber = sequence(
  minus,
  integerPart,
  optional(sequence(text("."), repeat(digit, 1))),
  optional(sequence(anyOfCharacters("eE"), optional(anyOfCharacters("+-")), repeat(digit, 1))),
);
/** Whole numbers as JSON has them. */
export const jsonInteger = sequence(minus, integerPart);
/** Numbers without an exponent. */
export const decimal = sequence(minus, integerPart, optional(sequence(text("."), repeat(digit, 1))));
/** Those of which each value has one text. */
export const canonicalDecimal = alternatives(
  sequence(optional(text("-")), sequence(anyOfCharacters("123456789"), repeat(digit, 0))),
  text("0"),
  sequence(minus, integerPart, text("."), repeat(digit, 0), anyOfCharacters("123456789")),
);
/** The texts of zero that have a sign, which no schema asks for. */
export const negativeZero = sequence(text("-0"), optional(sequence(text("."), repeat(text("0"), 1))));
/** Whole numbers, with zeros behind a point or without. */
export const wholeDecimal = sequence(minus, integerPart, optional(sequence(text("."), repeat(text("0"), 1))));

const DIGITS = Array.from({ length: 10 }, (_, i) => 0x30 + i);
const edges = [0x2d, 0x2e, 0x2f, ...DIGITS, 0x3a]; // bytes that are no digits, signs or points are kept out elsewhere
const POINT = 0x2e;
const MINUS = 0x2d;

/** A number's digits before the point and behind it, without zeros at the ends, and its sign. */
interface DecimalDigits {
  isNegative: boolean;
  whole: string;
  fraction: string;
}

/** A finite number in decimal digits. */
function decimalDigits(value: number): DecimalDigits {
  const [, sign, first, rest = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value))!;
  const point = first.length + Number(exponent);
  const digits = first + rest;
  const padded = point < 0 ? "0".repeat(-point) + digits : digits.padEnd(point, "0");
  const at = Math.max(0, point);
  return {
    isNegative: sign === "-",
    whole: padded.slice(0, at).replace(/^0+/, "") || "0",
    fraction: padded.slice(at).replace(/0+$/, ""),
  };
}

/** The text of a number without an exponent. */
export function decimalText(value: number): string {
  const { isNegative, whole, fraction } = decimalDigits(value);
  return `${isNegative ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** The decimals of one value: zeros may follow. */
export function valueLanguage(value: number, languages: Languages, where: string): Dfa {
  const { fraction } = decimalDigits(value);
  const digits = decimalText(value);
  const zeros = repeat(text("0"), fraction === "" ? 1 : 0);
  const behind = fraction === "" ? optional(sequence(text("."), zeros)) : zeros;
  const sign = value === 0 ? minus : text("");
  return languages.of(sequence(sign, text(digits), behind), where);
}

type Order = "less" | "equal" | "greater";

/** The decimals that are below or above a bound, or the bound itself where that is included. */
export function boundLanguage(
  bound: number,
  side: "above" | "below",
  isIncluded: boolean,
  languages: Languages,
  where: string,
): Dfa {
  const limit = decimalDigits(bound);
  const dfa = languages.explore<string>({
    where,
    edges,
    start: "+|whole|0|equal",
    step: (name, byte) => stepDecimal(name, byte, limit),
    isFinal: (name) => {
      const order = orderOf(name, limit);
      if (order === "equal") return isIncluded;
      return order === (side === "above" ? "greater" : "less");
    },
  });
  return languages.intersection(dfa, languages.of(decimal, where), where);
}

/** Reads on: the sign, which part the digits are of, how many there are, and how they compare with the limit's. */
function stepDecimal(name: string, byte: number, { whole, fraction }: DecimalDigits): string | undefined {
  const [sign, part, places, order] = name.split("|");
  const count = Number(places);
  if (byte === MINUS) return sign === "+" && part === "whole" && count === 0 ? "-|whole|0|equal" : undefined;
  if (byte === POINT)
    return part === "whole" ? `${sign}|fraction|0|${wholeOrder(count, order as Order, whole)}` : undefined;
  const digits = part === "whole" ? whole : fraction;
  const limitDigit = digits.charCodeAt(count) || 0x30;
  const now = order !== "equal" ? order : byte < limitDigit ? "less" : byte > limitDigit ? "greater" : "equal";
  // behind the limit's last digit it is enough to know whether there is more than zeros
  return `${sign}|${part}|${Math.min(count + 1, digits.length + 1)}|${now}`;
}

/** How a whole part compares: the one of more digits is the larger. */
function wholeOrder(count: number, order: Order, whole: string): Order {
  return count < whole.length ? "less" : count > whole.length ? "greater" : order;
}

/** How the number that has been read compares with the limit. */
function orderOf(name: string, { whole, fraction, isNegative }: DecimalDigits): Order {
  const [sign, part, places, order] = name.split("|");
  const count = Number(places);
  let size: Order = part === "whole" ? wholeOrder(count, order as Order, whole) : (order as Order);
  const read = part === "whole" ? 0 : count;
  if (size === "equal" && read < fraction.length) size = "less"; // the limit's last digit is not zero
  const isNegativeNumber = sign === "-";
  if (isNegativeNumber !== isNegative) {
    const areZero = size === "equal" && whole === "0" && fraction === "";
    return areZero ? "equal" : isNegativeNumber ? "less" : "greater";
  }
  if (!isNegativeNumber || size === "equal") return size;
  return size === "less" ? "greater" : "less";
}

/**
 * The decimals that are whole multiples of a number. Read digit by digit, by the remainder of what is read.
 * @throws OptionError for divisors of too many digits
 */
export function multipleLanguage(divisor: number, languages: Languages, where: string): Dfa {
  const { whole, fraction } = decimalDigits(divisor);
  const places = fraction.length;
  const modulus = Number(whole + fraction);
  requireWithin("automatonStates", modulus * (places + 2), where, "states for a multipleOf");
  // names: remainder, digits behind the point + 1, 0 in front of it
  const width = places + 2;
  const dfa = languages.explore<number>({
    where,
    edges,
    start: 0,
    step: (name, byte) => {
      const [remainder, part] = [Math.floor(name / width), name % width];
      if (byte === MINUS) return name === 0 ? 0 : undefined;
      if (byte === POINT) return part === 0 ? remainder * width + 1 : undefined;
      const digit = byte - 0x30;
      if (part === width - 1) return digit === 0 ? name : undefined;
      return ((10 * remainder + digit) % modulus) * width + (part === 0 ? 0 : part + 1);
    },
    isFinal: (name) => {
      let remainder = Math.floor(name / width);
      for (let part = Math.max(1, name % width); part <= places; part++) remainder = (10 * remainder) % modulus;
      return remainder === 0;
    },
  });
  return languages.intersection(dfa, languages.of(decimal, where), where);
}

/** Digits that a number of 64 bits keeps, whatever they are. */
const SIGNIFICANT_DIGITS = 15;

/**
 * The texts of digits of which no more are significant than a number of 64 bits keeps. Zeros may follow, unless whole
 * numbers have to be kept to the last digit.
 */
export function shortDecimals(isWholeKept: boolean, languages: Languages, where: string): Dfa {
  const most = SIGNIFICANT_DIGITS;
  return languages.explore<number>({
    where,
    edges,
    start: 0,
    step: (state, byte) => {
      const [count, isFraction] = [state >> 1, state & 1];
      if (byte === MINUS || (byte === 0x30 && count === 0)) return state;
      if (byte === POINT) return state | 1;
      if (count < most) return state + 2;
      return byte === 0x30 && (isFraction || !isWholeKept) ? state : undefined;
    },
    isFinal: () => true,
  });
}

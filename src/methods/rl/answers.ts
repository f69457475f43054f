/** The answer that a text ends with, and whether two are the same. */

/** Longer texts are compared as texts: no number in them is meant to be computed with. */
const LONGEST_NUMBER = 200;
/** A number with commas between thousands, a fraction perhaps; a minus counts where it is no subtraction. */
const NUMBERS = /(?:(?<![\d.)\]}])-)?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:\s*\/\s*\d+)?/g;

/**
 * What a text gives for its answer: what the last `\boxed{}` holds, or else what stands behind the last `####`, or else
 * the last number, or else the whole text.
 *
 * @example
 * finalAnswer("So 6 * 7 = 42."); // "42"
 */
export function finalAnswer(text: string): string {
  return boxed(text) ?? afterMark(text) ?? text.match(NUMBERS)?.at(-1) ?? text.trim();
}

const BOX = "\\boxed{";

function boxed(text: string): string | undefined {
  const start = text.lastIndexOf(BOX);
  if (start < 0) return undefined;
  let depth = 1;
  for (let i = start + BOX.length; i < text.length; i++) {
    if (text[i] === "{") depth++;
    if (text[i] === "}" && --depth === 0) return text.slice(start + BOX.length, i).trim();
  }
  return undefined; // a box that is not closed is no answer
}

const afterMark = (text: string): string | undefined => /^.*####[ \t]*([^\n]+)/s.exec(text)?.[1].trim();

/**
 * Whether two answers say the same: numbers by their value, whatever their commas, zeros, signs of money and per cent
 * look like, others by their letters in any case.
 *
 * @example
 * isSameAnswer("$1,200.50", "1200.5"); // true
 */
export function isSameAnswer(a: string, b: string): boolean {
  return canonical(a) === canonical(b);
}

function canonical(answer: string): string {
  const text = answer
    .trim()
    .replace(/^\\?\$|\\?\$$|\\?%$/g, "")
    .replace(/[.\s]+$/, "")
    .replace(/\\(?:text|mathrm|mathbf)\{([^{}]*)\}/g, "$1")
    .replace(/\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}/g, "$1/$2")
    .trim();
  return ratioOf(text) ?? text.toLowerCase().replace(/\s+/g, " ");
}

/** A number as a fraction in lowest terms; undefined for what is none. */
function ratioOf(text: string): string | undefined {
  if (text.length > LONGEST_NUMBER) return undefined;
  const plain = text.replace(/\s/g, "").replace(/(?<=\d),(?=\d{3}(?!\d))/g, "");
  const parts = /^([+-]?)(\d*)(?:\.(\d*))?(?:\/(\d+))?$/.exec(plain);
  if (!parts) return undefined;
  const [, sign, whole, fraction = "", divisor = "1"] = parts;
  if (whole === "" && fraction === "") return undefined;
  const numerator = BigInt(whole + fraction);
  const denominator = BigInt(divisor) * 10n ** BigInt(fraction.length);
  if (denominator === 0n) return undefined;
  const common = greatestDivisor(numerator, denominator);
  return `${sign === "-" && numerator !== 0n ? "-" : ""}${numerator / common}/${denominator / common}`;
}

function greatestDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : greatestDivisor(b, a % b);
}

/** Names of sets of characters in Oniguruma, in JavaScript's form. */

const posix: Readonly<Record<string, string>> = {
  alnum: "\\p{Alphabetic}\\p{Nd}",
  alpha: "\\p{Alphabetic}",
  ascii: "\\x00-\\x7f",
  any: "\\p{Any}",
  blank: "\\p{Zs}\\t",
  cntrl: "\\p{Cc}",
  digit: "\\p{Nd}",
  graph: "[\\P{White_Space}--[\\p{Cc}\\p{Cn}\\p{Cs}]]",
  lower: "\\p{Lowercase}",
  print: "[[\\P{White_Space}\\p{Zs}]--[\\p{Cc}\\p{Cn}\\p{Cs}]]",
  punct: "\\p{P}\\p{S}",
  space: "\\p{White_Space}",
  upper: "\\p{Uppercase}",
  word: "\\p{L}\\p{M}\\p{N}\\p{Pc}",
  xdigit: "0-9a-fA-F",
};

/**
 * A set by its name: one of POSIX, a category or a property of Unicode, or a script. A name that JavaScript lacks stays
 * as it is, and fails where the expression is made.
 */
export function propertyClass(name: string, isNegated: boolean): string {
  const key = name.toLowerCase();
  if (Object.hasOwn(posix, key)) return `[${isNegated ? "^" : ""}${posix[key]}]`;
  const capital = name[0].toUpperCase() + name.slice(1);
  const forms = [name, capital, `Script=${name}`, `Script=${capital}`];
  return `\\${isNegated ? "P" : "p"}{${forms.find(isKnown) ?? name}}`;
}

function isKnown(form: string): boolean {
  try {
    return new RegExp(`\\p{${form}}`, "v") !== undefined;
  } catch {
    return false;
  }
}

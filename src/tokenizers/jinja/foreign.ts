/**
 * Texts from outside, told apart from a template's own: their signs are written in the noncharacters of Unicode that
 * are there for a program's own use, one for each punctuation mark of ASCII. So places and lengths stay, and whatever a
 * template cuts, joins and replaces keeps telling what it came from. Whatever compares texts, or looks for one in
 * another, looks at them `plain`.
 */
const SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const FIRST = 0xfdd0;
const foreignSigns = /[\ufdd0-\ufdef]/g;
const signs = /[!-/:-@[-`{-~]/g;

/** Whether a character is a punctuation mark of ASCII. */
export const isSign = (character: string): boolean => SIGNS.includes(character);

/** A text with its usual signs. */
export const plain = (text: string): string => text.replace(foreignSigns, (sign) => SIGNS[sign.charCodeAt(0) - FIRST]);

/**
 * A text from outside, with those of its signs told apart that are in `guarded`. Noncharacters that it comes with are
 * left out.
 */
export function foreign(text: string, guarded: ReadonlySet<string>): string {
  const foreignForm = (sign: string) => (guarded.has(sign) ? String.fromCharCode(FIRST + SIGNS.indexOf(sign)) : sign);
  return text.replace(foreignSigns, "").replace(signs, foreignForm);
}

/** Where a text has another: places that do not overlap; for an empty one all between characters, as in Python. */
export function placesOf(part: string, text: string): number[] {
  const [whole, wanted] = [plain(text), plain(part)];
  const places: number[] = [];
  if (wanted !== "") {
    for (let at = whole.indexOf(wanted); at >= 0; at = whole.indexOf(wanted, at + wanted.length)) places.push(at);
    return places;
  }
  let at = 0;
  for (const character of whole) {
    places.push(at);
    at += character.length;
  }
  return [...places, at];
}

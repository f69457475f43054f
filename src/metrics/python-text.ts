/** White space as Python's str.split, strip and isspace see it, which is not JavaScript's. */
const WHITE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const spaces = new RegExp(`[${WHITE}]+`, "u");
const atEnd = new RegExp(`[${WHITE}]+$`, "u");
const atStart = new RegExp(`^[${WHITE}]+`, "u");

/** Python's re.split(r"\\s+", text): there are empty texts before and behind white space at the ends. */
export const splitAtSpace = (text: string): string[] => text.split(spaces);
/** Python's text.split(). */
export const splitWords = (text: string): string[] => splitAtSpace(text).filter((word) => word !== "");
/** Python's text.rstrip(). */
export const stripEndSpace = (text: string): string => text.replace(atEnd, "");
/** Python's text.strip(). */
export const stripSpace = (text: string): string => stripEndSpace(text).replace(atStart, "");

/** Python's string.punctuation. */
export const asciiPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

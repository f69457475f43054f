/**
 * Regular expressions of tokenizers: read, checked for linear time, matched in linear time, and printed for JavaScript.
 */
export { hasLoop, requireLinear } from "./ambiguity.ts";
export { type Matcher, matcherOf } from "./matcher.ts";
export { printRegex } from "./print.ts";
export { parseRegex } from "./syntax.ts";

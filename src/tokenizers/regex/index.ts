/** Regular expressions of tokenizers: read, checked for linear time, and printed for JavaScript. */
export { requireLinear } from "./ambiguity.ts";
export { printRegex } from "./print.ts";
export { parseRegex } from "./syntax.ts";

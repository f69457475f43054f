import { OptionError } from "../base/index.ts";
import type { Parameter } from "./module.ts";

/**
 * Which parameters of a model are meant: a text is a whole checkpoint key in which `*` stands for any characters, a
 * regular expression is searched for in the key, a function decides by key and parameter.
 */
export type KeyPattern = string | RegExp | ((key: string, parameter: Parameter) => boolean);

const escaped = (text: string): string => text.replace(/[\\^$.|?+()[\]{}]/g, "\\$&");

/**
 * Whether a parameter is meant by a pattern. @throws OptionError for what is no pattern
 *
 * @example
 * const bias = new Parameter([2], Float32Array.of(0, 0));
 * matchesKey("encoder.*.bias", "encoder.layer.0.bias", bias); // true
 */
export function matchesKey(pattern: KeyPattern, key: string, parameter: Parameter): boolean {
  if (typeof pattern === "function") return pattern(key, parameter);
  if (pattern instanceof RegExp) return key.search(pattern) >= 0; // test() of a global one would go on where it ended
  if (typeof pattern === "string") return new RegExp(`^${escaped(pattern).replaceAll("*", ".*")}$`, "s").test(key);
  throw new OptionError({
    where: "pattern of keys",
    expected: "a text, a regular expression or a function",
    received: JSON.stringify(pattern) ?? typeof pattern,
    fix: 'for example "*.bias"',
  });
}

/** minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf. */
import type { Dfa } from "../dfa.ts";
import { difference } from "../languages.ts";
import { ofNumbers, only, types } from "./conditions.ts";
import type { Constraint, KeywordReader } from "./constraint.ts";
import { boundLanguage, decimal, multipleLanguage } from "./numbers.ts";

const bounds = {
  minimum: ["above", true],
  exclusiveMinimum: ["above", false],
  maximum: ["below", true],
  exclusiveMaximum: ["below", false],
} as const;

export const numberKeywords: KeywordReader = (node, schema, { document, languages }) => {
  const constraints: Constraint[] = [];
  const add = (
    keyword: string,
    isAllowed: (value: number) => boolean,
    languageOf: (value: number, path: string) => Dfa,
  ) => {
    const value = schema[keyword];
    if (value === undefined) return;
    const path = `${node.path}/${keyword}`;
    if (typeof value !== "number" || !Number.isFinite(value) || !isAllowed(value))
      throw document.fault(path, keyword === "multipleOf" ? "a number above 0" : "a number", value);
    const language = () => languageOf(value, path);
    // what is not below a bound is not below it when it is rounded
    const isSafe = keyword === "minimum" || keyword === "maximum";
    const digits = keyword === "multipleOf" ? "all" : "significant";
    constraints.push({
      holds: () => [ofNumbers({ language: language(), digits: isSafe ? "no" : digits })],
      fails: () => [
        only(types.number, ofNumbers({ language: difference(languages.of(decimal, path), language(), path), digits })),
      ],
    });
  };
  for (const [keyword, [side, isIncluded]] of Object.entries(bounds))
    add(
      keyword,
      () => true,
      (value, path) => boundLanguage(value, side, isIncluded, languages, path),
    );
  add(
    "multipleOf",
    (value) => value > 0,
    (value, path) => multipleLanguage(value, languages, path),
  );
  return constraints;
};

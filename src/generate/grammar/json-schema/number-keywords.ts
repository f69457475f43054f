/** minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf. */
import type { Dfa } from "../dfa.ts";
import { ofNumbers, only, types } from "./conditions.ts";
import type { Constraint, KeywordReader } from "./constraint.ts";
import { placeOf } from "./document.ts";
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
    languageOf: (value: number, where: string) => Dfa,
  ) => {
    const value = schema[keyword];
    if (value === undefined) return;
    const path = `${node.path}/${keyword}`;
    if (typeof value !== "number" || !Number.isFinite(value) || !isAllowed(value))
      throw document.fault(path, keyword === "multipleOf" ? "a number above 0" : "a number", value);
    const where = placeOf(path);
    const language = () => languageOf(value, where);
    // what is not below a bound is not below it when it is rounded
    const isSafe = keyword === "minimum" || keyword === "maximum";
    const digits = keyword === "multipleOf" ? "all" : "significant";
    constraints.push({
      holds: () => [ofNumbers({ language: language(), digits: isSafe ? "no" : digits })],
      fails: () => [
        only(
          types.number,
          ofNumbers({ language: languages.difference(languages.of(decimal, where), language(), where), digits }),
        ),
      ],
    });
  };
  for (const [keyword, [side, isIncluded]] of Object.entries(bounds))
    add(
      keyword,
      () => true,
      (value, where) => boundLanguage(value, side, isIncluded, languages, where),
    );
  add(
    "multipleOf",
    (value) => value > 0,
    (value, where) => multipleLanguage(value, languages, where),
  );
  return constraints;
};

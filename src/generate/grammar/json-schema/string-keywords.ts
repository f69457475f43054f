/** minLength, maxLength, pattern, format. */

import { nearest, OptionError } from "../../../base/index.ts";
import type { Dfa } from "../dfa.ts";
import { matchLanguage, searchLanguage } from "../regex.ts";
import { ofStrings, only, types } from "./conditions.ts";
import { type Constraint, type KeywordReader, wholeNumber } from "./constraint.ts";
import { placeOf } from "./document.ts";
import { formatPatterns } from "./formats.ts";

export const stringKeywords: KeywordReader = (node, schema, context) => {
  const { document, languages } = context;
  const constraints: Constraint[] = [];
  const addLanguage = (path: string, language: () => Dfa) => {
    constraints.push({
      holds: () => [ofStrings({ language: language() })],
      fails: () => [only(types.string, ofStrings({ language: languages.complement(language(), placeOf(path)) }))],
    });
  };
  if (schema.minLength !== undefined) {
    const min = wholeNumber(context, node, "minLength", schema.minLength);
    constraints.push({
      holds: () => [ofStrings({ min })],
      fails: () => (min === 0 ? [] : [only(types.string, ofStrings({ max: min - 1 }))]),
    });
  }
  if (schema.maxLength !== undefined) {
    const max = wholeNumber(context, node, "maxLength", schema.maxLength);
    constraints.push({
      holds: () => [ofStrings({ max })],
      fails: () => [only(types.string, ofStrings({ min: max + 1 }))],
    });
  }
  const { pattern, format } = schema;
  if (pattern !== undefined) {
    const path = `${node.path}/pattern`;
    if (typeof pattern !== "string") throw document.fault(path, "a regular expression", pattern);
    addLanguage(path, () => searchLanguage(pattern, placeOf(path), languages));
  }
  if (format !== undefined) {
    const path = `${node.path}/format`;
    if (typeof format !== "string") throw document.fault(path, "a format", format);
    const names = Object.keys(formatPatterns);
    if (!Object.hasOwn(formatPatterns, format)) {
      const near = nearest(format, names);
      throw new OptionError({
        where: placeOf(path),
        expected: `one of the formats ${names.join(", ")}`,
        received: JSON.stringify(format),
        fix: near ? `did you mean "${near}"?` : "leave format out, or say it as a pattern",
      });
    }
    addLanguage(path, () => matchLanguage(formatPatterns[format], placeOf(path), languages));
  }
  return constraints;
};

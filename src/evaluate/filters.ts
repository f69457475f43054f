import { OptionError } from "../base/index.ts";
import { stripSpace } from "../metrics/index.ts";
import { pythonRegex } from "./python-text.ts";
import type { FilterStep } from "./task.ts";

/** What is read from an answer by the steps of a filter. @throws OptionError for a regular expression that is none */
export const filtered = (text: string, steps: readonly FilterStep[]): string =>
  steps.reduce((rest, step) => applied(rest, step), text);

function applied(text: string, step: FilterStep): string {
  switch (step.function) {
    case "take_first": // there is one answer
      return text;
    case "remove_whitespace":
      return stripSpace(text);
    case "lowercase":
      return text.toLowerCase();
    case "uppercase":
      return text.toUpperCase();
    case "map": {
      const { mapping = {}, defaultValue = "" } = step;
      return Object.hasOwn(mapping, text) ? mapping[text] : defaultValue;
    }
    case "regex":
      return matched(text, step);
  }
}

/** One of the matches: its groups, the first that is not empty, or all of it where there are none. */
function matched(text: string, step: FilterStep): string {
  const { regexPattern = "#### (\\-?[0-9\\.\\,]+)", groupSelect = 0, fallback = "[invalid]" } = step;
  const match = [...text.matchAll(regexOf(regexPattern))].at(groupSelect);
  if (match === undefined) return fallback;
  const [whole, ...groups] = match;
  if (groups.length <= 1) return stripSpace(groups.length === 0 ? whole : (groups[0] ?? ""));
  const group = groups.find((part) => part !== undefined && part !== "");
  return group === undefined ? fallback : stripSpace(group);
}

function regexOf(pattern: string): RegExp {
  try {
    return pythonRegex(pattern, "g");
  } catch (cause) {
    throw new OptionError({
      where: "filter regex",
      expected: "a regular expression that Python and JavaScript both have",
      received: JSON.stringify(pattern),
      fix: `write it otherwise: ${(cause as Error).message}`,
      cause,
    });
  }
}

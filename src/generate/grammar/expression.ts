import type { CodePoints } from "./code-points.ts";
import { charactersOf } from "./code-points.ts";
import type { Dfa } from "./dfa.ts";

/** What texts look like: regular expressions that may also name rules. */
export type Expression =
  /** One character of a set. */
  | { readonly type: "characters"; readonly set: CodePoints }
  /** Some text as it is. */
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "sequence"; readonly parts: readonly Expression[] }
  /** Any of some; of none, no text at all. */
  | { readonly type: "alternatives"; readonly options: readonly Expression[] }
  | { readonly type: "repeat"; readonly body: Expression; readonly min: number; readonly max: number }
  /** What a rule of the grammar describes, by its number. */
  | { readonly type: "rule"; readonly rule: number }
  /** A regular language whose automaton is there. */
  | { readonly type: "automaton"; readonly dfa: Dfa }
  /** The paths from node 0 to any of `ends`, along arrows that stand for texts. */
  | { readonly type: "graph"; readonly arrows: readonly Arrow[]; readonly ends: readonly number[] }
  /** The beginning or the end of the whole text, in regular expressions. */
  | { readonly type: "anchor"; readonly at: "start" | "end" };

export interface Arrow {
  readonly from: number;
  readonly to: number;
  readonly label: Expression;
}

/** The empty text. */
export const empty: Expression = { type: "sequence", parts: [] };
/** No text at all. */
export const nothing: Expression = { type: "alternatives", options: [] };
export const text = (value: string): Expression => ({ type: "text", text: value });
export const characters = (set: CodePoints): Expression => ({ type: "characters", set });
export const anyOfCharacters = (value: string): Expression => characters(charactersOf(value));
export const sequence = (...parts: readonly Expression[]): Expression =>
  parts.length === 1 ? parts[0] : { type: "sequence", parts };
export const alternatives = (...options: readonly Expression[]): Expression =>
  options.length === 1 ? options[0] : { type: "alternatives", options };
export const anyOf = (options: readonly Expression[]): Expression => ({ type: "alternatives", options });
export const repeat = (body: Expression, min: number, max: number = Number.POSITIVE_INFINITY): Expression => ({
  type: "repeat",
  body,
  min,
  max,
});
export const optional = (body: Expression): Expression => repeat(body, 0, 1);
export const ruleNumber = (rule: number): Expression => ({ type: "rule", rule });
export const automaton = (dfa: Dfa): Expression => ({ type: "automaton", dfa });

/** The expressions directly inside another. */
export function partsOf(expression: Expression): readonly Expression[] {
  switch (expression.type) {
    case "sequence":
      return expression.parts;
    case "alternatives":
      return expression.options;
    case "repeat":
      return [expression.body];
    case "graph":
      return expression.arrows.map(({ label }) => label);
    default:
      return [];
  }
}

/** Whether an expression has the empty text, when it is known which rules do. */
export function isNullable(expression: Expression, isNullableRule: (rule: number) => boolean): boolean {
  const hasEmpty = (part: Expression) => isNullable(part, isNullableRule);
  switch (expression.type) {
    case "characters":
      return false;
    case "text":
      return expression.text === "";
    case "sequence":
      return expression.parts.every(hasEmpty);
    case "alternatives":
      return expression.options.some(hasEmpty);
    case "repeat":
      return expression.min === 0 || hasEmpty(expression.body);
    case "rule":
      return isNullableRule(expression.rule);
    case "automaton":
      return expression.dfa.isFinal(expression.dfa.start);
    case "graph":
      return reaches(
        expression.arrows.filter(({ label }) => hasEmpty(label)),
        expression.ends,
      );
    case "anchor":
      return true;
  }
}

/** Whether arrows lead from node 0 to an end. */
function reaches(arrows: readonly Arrow[], ends: readonly number[]): boolean {
  const targets = new Map<number, number[]>();
  for (const { from, to } of arrows) targets.set(from, [...(targets.get(from) ?? []), to]);
  const seen = new Set([0]);
  for (const node of seen) for (const to of targets.get(node) ?? []) seen.add(to);
  return ends.some((end) => seen.has(end));
}

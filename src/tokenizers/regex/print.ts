import type { Regex } from "./syntax.ts";

/**
 * A regular expression in JavaScript's form, for the flag v. What a possessive quantifier or an atomic group took is
 * not given back.
 */
export function printRegex(regex: Regex): string {
  let groups = 0;
  /** A look ahead is not tried again once it has found something. */
  const atomic = (inside: string): string => {
    const name = `g${groups++}`;
    return `(?:(?=(?<${name}>${inside}))\\k<${name}>)`;
  };
  const print = (node: Regex): string => {
    switch (node.type) {
      case "characters":
      case "place":
        return node.source;
      case "sequence":
        return node.parts.map((part) => (part.type === "alternatives" ? `(?:${print(part)})` : print(part))).join("");
      case "alternatives":
        return node.options.map(print).join("|");
      case "look":
        return `${node.opening}${print(node.body)})`;
      case "atomic":
        return atomic(print(node.body));
      case "repeat": {
        const body = node.body.type === "characters" ? print(node.body) : `(?:${print(node.body)})`;
        const repeated = `${body}${quantifier(node.min, node.max)}`;
        return node.mode === "possessive" ? atomic(repeated) : `${repeated}${node.mode === "lazy" ? "?" : ""}`;
      }
    }
  };
  return print(regex);
}

function quantifier(min: number, max: number): string {
  if (max === 1 && min === 0) return "?";
  if (max === Number.POSITIVE_INFINITY) return min === 0 ? "*" : min === 1 ? "+" : `{${min},}`;
  return min === max ? `{${min}}` : `{${min},${max}}`;
}

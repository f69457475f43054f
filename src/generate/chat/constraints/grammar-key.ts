import type { CallGrammar } from "../grammar.ts";

/**
 * What tells grammars apart by what they say, so that each is compiled once. Parts that stand in several places are
 * written once: written out, they would double at every level.
 */
export function grammarKey(grammar: CallGrammar): string {
  const numbers = new Map<object, number>();
  const lines: string[] = [];
  const note = (part: object, line: () => unknown): number => {
    const known = numbers.get(part);
    if (known !== undefined) return known;
    const text = JSON.stringify(line());
    numbers.set(part, lines.length);
    return lines.push(text) - 1;
  };
  const schema = (value: object | boolean | undefined) =>
    typeof value === "object" ? note(value, () => value) : value;
  const number = (part: CallGrammar): number =>
    note(part, () => {
      switch (part.kind) {
        case "schema":
          return [part.kind, schema(part.schema), schema(part.root)];
        case "text":
          return [part.kind, part.without, part.nor, schema(part.schema), schema(part.root)];
        case "choice":
          return [part.kind, part.options.map(number)];
        case "sequence":
          return [part.kind, part.items.map(number)];
        case "repeat":
          return [part.kind, number(part.item), part.separator && number(part.separator), part.least, part.most];
        default:
          return part;
      }
    });
  number(grammar);
  return lines.join("\n");
}

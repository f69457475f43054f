/** Grammars of others: changed ones are refused, or give a grammar by which a text can be written to its end. */
import { compileGrammar, type GrammarSource, TokenGrammar, TokenVocabulary } from "../../generate/index.ts";
import { mutateJson, mutateText } from "./mutate.ts";
import type { Random } from "./random.ts";

const regexes = [
  "^(?:[a-z0-9_-]+\\.)*[a-z]{2,63}@[^\\s@]{1,64}$",
  "(?i)[\\p{L}\\d]{1,20}(?:\\u{1F600}|\\x41)?",
  "^(?=.*\\d)(?!.*\\s).{8,32}$",
  "(a|b|(c{2,5}d*)?)+[^a-f\\]\\\\]",
  "\\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])T\\d\\d:\\d\\dZ",
];
const gbnfs = [
  'root ::= (expr "=" ws term "\\n")+\nexpr ::= term ([-+*/] term)*\nterm ::= num | "(" ws expr ")" ws\nnum ::= [0-9]{1,9} ws\nws ::= [ \\t\\n]*\n',
  'root ::= object # JSON\nobject ::= "{" (pair ("," pair)*)? "}"\npair ::= string ":" (object | string | [0-9]+)\nstring ::= "\\"" [^"\\\\\\x00-\\x1f]* "\\""\n',
  'root ::= root "a" | x\nx ::= y root? | "\\u00e9" .\ny ::= root "b" | ("c" |\n "d"){2,}\n',
];
const larks = [
  '?start: sum\n?sum: product\n    | sum "+" product -> add\n?product: NUMBER | "(" sum ")" | NAME~1..3\n%import common.CNAME -> NAME\n%import common (NUMBER, WS)\n%ignore WS\n',
  'start: (pair ",")* [pair]\n!pair.2: KEY ":" /[^,\\n]+/i // a value\nKEY: "a".."z" ("_" | DIGIT)*\nDIGIT: /[0-9]/\n%ignore " "\n',
];

const utf8 = new TextEncoder();
const vocabulary = new TokenVocabulary([
  undefined,
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...['{"', '":', '",', "true", "null", "ab", "abc", "12", " a", "é", "日本", "[[", "\n\n"].map((text) =>
    utf8.encode(text),
  ),
]);

/** Writes a text by tokens in turn, then to its end by the shortest way. */
function write(source: GrammarSource): void {
  const constraint = new TokenGrammar(compileGrammar(source), vocabulary, [0]).start();
  for (let i = 0; !constraint.isComplete; i++) {
    if (constraint.mask().count === 0) throw new Error("a text that has no end");
    const ids = Array.from({ length: vocabulary.size }, (_, id) => id).filter((id) => id > 0 && constraint.allows(id));
    if (constraint.mayEnd && (i >= 30 || ids.length === 0)) return;
    const { minBytes } = constraint;
    const landing = (id: number) => {
      const copy = constraint.clone();
      copy.accept(id);
      return copy.minBytes < minBytes;
    };
    const id = i < 30 ? ids[(7 * i) % ids.length] : ids.find(landing);
    if (id === undefined) throw new Error("a text that comes no nearer to its end");
    constraint.accept(id);
  }
}

/** @param suite the JSON Schema Test Suite */
export function grammarTargets(suite: { drafts: Record<string, Record<string, { schema: unknown }[]>> }) {
  const schemas = Object.values(suite.drafts).flatMap((files) => Object.values(files).flat());
  const text = (originals: readonly string[], sourceOf: (input: string) => GrammarSource) => ({
    count: 1500,
    make: (random: Random) => mutateText(random.pick(originals), random, originals),
    run: async (input: Uint8Array | string) => write(sourceOf(input as string)),
  });
  return {
    "json-schema": {
      count: 2000,
      make: (random: Random) => JSON.stringify(mutateJson(random.pick(schemas).schema, random)) ?? "true",
      run: async (input: Uint8Array | string) => write({ jsonSchema: JSON.parse(input as string) }),
    },
    regex: { ...text(regexes, (regex) => ({ regex })), count: 500 },
    gbnf: text(gbnfs, (gbnf) => ({ gbnf })),
    lark: text(larks, (lark) => ({ lark })),
  };
}

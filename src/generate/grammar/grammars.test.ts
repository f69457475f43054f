/** Grammars of rules: GBNF and Lark, left and right recursion, ambiguity, faults. */
import { describe, expect, test } from "vitest";
import { OptionError } from "../../base/index.ts";
import { gbnfGrammar, larkGrammar, matchesGrammar } from "../index.ts";

const arithmetic = `# from llama.cpp's documentation, in other words
root  ::= (expr "=" ws term "\\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \\t\\n]*
`;
const calculator = `
?start: sum
?sum: product
    | sum "+" product   -> add
    | sum "-" product   -> sub
?product: atom
    | product "*" atom  -> mul
// an atom binds most
?atom: NUMBER           -> number
     | "-" atom         -> neg
     | NAME             -> var
     | "(" sum ")"
%import common.CNAME -> NAME
%import common (NUMBER, WS_INLINE)
%ignore WS_INLINE
`;

describe("GBNF", () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['root ::= "yes" | "no" (", " [a-z]+)?', ["yes", "no", "no, thanks"], ["", "no,", "yes, thanks"]],
    [arithmetic, ["a+b=3\n", "(1 +2 )*x= 3\n", "1=2\n3=4\n"], ["1+=2\n", "1=2", "(1=2\n"]],
    ['root ::= root "a" | "b"', ["b", "ba", "baaa"], ["a", "ab"]],
    ['root ::= "a" root | "b"', ["b", "aaab"], ["a", "ba"]],
    ['root ::= root root | "a" |', ["", "a", "aaaaaaaa"], ["b"]],
    [
      'root ::= x "1" | "c"\nx ::= root "2" | y\ny ::= x "3" | "d"',
      ["c", "c21", "d1", "d31", "c2331", "d121"],
      ["c2", "d1211"],
    ],
    ['root ::= e root "x" | "y"\ne ::= "" | "e"', ["y", "yx", "eeyxx", "eyxx"], ["ey", "yy"]],
    ['root ::= "(" root ")" |', ["", "()", "((()))"], ["(()", ")("]],
    ['root ::= [^\\x00-\\x40\\]]{2,3} "\\u00e9" .', ["ABé]", "日本語é😀"], ["Aéx", "A]é"]],
    ['root ::= a{2} | a{3,}\na ::= ("x"\n| "y") # c\n', ["xy", "yyy", "xxxxx"], ["x"]],
  ])("%s", (source, valid, invalid) => {
    const grammar = gbnfGrammar(source);
    for (const text of valid) expect(matchesGrammar(grammar, text), text).toBe(true);
    for (const text of invalid) expect(matchesGrammar(grammar, text), text).toBe(false);
  });

  test.each([
    ["root ::= a", 'received "a"'],
    ['roots ::= "a"', 'did you mean "roots"'],
    ["root ::= root", "no text fits"],
    ['root ::= "a"\nroot ::= "b"', "each rule once"],
    ['root ::= "a', "line 1"],
    ['root ::= "a"\n  ::= ', "line 2"],
    ["root ::= [b-a]", "smaller to a larger"],
    ["root ::= <think>", "tokens"],
    ['root ::= "\\q"', "escape"],
    [`root ::= ${"(".repeat(300)}`, "at most 200"],
  ])("%s is refused", (source, reason) => {
    expect(() => gbnfGrammar(source)).toThrow(reason);
    expect(() => gbnfGrammar(source)).toThrow(OptionError);
  });
});

describe("Lark", () => {
  test.each<[string, readonly string[], readonly string[]]>([
    [
      'start: NAME ("," NAME)*\n%import common.WORD -> NAME\n%ignore " "',
      ["Ahab, Ishmael", " Ahab , x "],
      ["Ahab,", "A-b"],
    ],
    [calculator, ["1 + 2*(x-3)", "-x * y", " 1.5e3 "], ["1 +", "(1", "1 2"]],
    ['start: a~2..3 /[0-9]+/i? "X"i\na: "b".."d"', ["bc12x", "bcdX"], ["b1x", "bcdbX"]],
    ['start: [A] B+\nA: "a"\nB: /[b\\/]/ | "\\u00e9"', ["ab", "b/é"], ["a", "aab"]],
    ["start: ESCAPED_STRING\n%import common.ESCAPED_STRING", ['"a\\"b"', '""'], ['"', '"a"b"']],
  ])("%s", (source, valid, invalid) => {
    const grammar = larkGrammar(source);
    for (const text of valid) expect(matchesGrammar(grammar, text), text).toBe(true);
    for (const text of invalid) expect(matchesGrammar(grammar, text), text).toBe(false);
  });

  test.each([
    ["start: x", 'received "x"'],
    ['start: "a"\n%declare X', "no %declare"],
    ["start: a{b}", "no templates"],
    ["start: A\nA: b", "no rules in a terminal"],
    ["%import python.NAME\nstart: NAME", 'terminals of "common"'],
    ["%import common.NOTHING\nstart: NOTHING", "a terminal of common"],
    ['start: "a" $', "line 1"],
    ['start: "a"\nstart: /(/', "line 2"],
  ])("%s is refused", (source, reason) => {
    expect(() => larkGrammar(source)).toThrow(reason);
    expect(() => larkGrammar(source)).toThrow(OptionError);
  });
});

test("texts may be nested as deep as they like", () => {
  const grammar = gbnfGrammar('root ::= "[" root "]" | "{" pair "}" | "x"\npair ::= root root?');
  const depth = 20_000;
  expect(matchesGrammar(grammar, `${"[".repeat(depth)}x${"]".repeat(depth)}`)).toBe(true);
  expect(matchesGrammar(grammar, `${"[".repeat(depth)}x${"]".repeat(depth - 1)}`)).toBe(false);
});

test("ambiguity takes no more than the places that there are", () => {
  const grammar = gbnfGrammar('root ::= root root root | root root | "a" | "b"');
  expect(matchesGrammar(grammar, "ab".repeat(150))).toBe(true);
});

/** A template's text as a tree: read by @huggingface/jinja, whose own evaluation is JavaScript's and not Python's. */
import { parse, tokenize } from "@huggingface/jinja";
import { limits } from "../../base/index.ts";
import { TemplateError } from "./values.ts";

export type Node =
  | { type: "Program"; body: Node[] }
  | { type: "If"; test: Node; body: Node[]; alternate: Node[] }
  | { type: "For"; loopvar: Node; iterable: Node; body: Node[]; defaultBlock: Node[] }
  | { type: "Break" | "Continue" | "Comment" }
  | { type: "Set"; assignee: Node; value: Node | null; body: Node[] }
  | { type: "Macro"; name: Identifier; args: Parameter[]; body: Node[] }
  | { type: "CallStatement"; call: Call; callerArgs: Parameter[] | null; body: Node[] }
  | { type: "FilterStatement"; filter: Identifier | Call; body: Node[] }
  | { type: "MemberExpression"; object: Node; property: Node; computed: boolean }
  | { type: "IntegerLiteral" | "FloatLiteral"; value: number }
  | { type: "StringLiteral"; value: string }
  | { type: "ArrayLiteral" | "TupleLiteral"; value: Node[] }
  | { type: "ObjectLiteral"; value: Map<Node, Node> }
  | { type: "BinaryExpression"; operator: { value: string }; left: Node; right: Node }
  | { type: "UnaryExpression"; operator: { value: string }; argument: Node }
  | { type: "FilterExpression"; operand: Node; filter: Identifier | Call }
  | { type: "SelectExpression"; lhs: Node; test: Node }
  | { type: "TestExpression"; operand: Node; negate: boolean; test: Identifier }
  | { type: "SliceExpression"; start?: Node; stop?: Node; step?: Node }
  | { type: "KeywordArgumentExpression"; key: Identifier; value: Node }
  | { type: "SpreadExpression" | "KeywordSpreadExpression"; argument: Node }
  | { type: "Ternary"; condition: Node; trueExpr: Node; falseExpr: Node }
  | Identifier
  | Call;
export interface Identifier {
  type: "Identifier";
  value: string;
}
export interface Call {
  type: "CallExpression";
  callee: Node;
  args: Node[];
}
export type Parameter = Identifier | { type: "KeywordArgumentExpression"; key: Identifier; value: Node };

type Token = { type: string; value: string };

/** Tests with arguments are read as filters of these names. */
export const TEST = "__is__";
export const NOT_TEST = "__is_not__";
/** A filter that does nothing: what stands before it was in parentheses. */
export const GROUP = "__group__";
/** What {% with %} calls with its names: a block in a scope of its own. */
export const WITH = "__with__";
/** The end of a tuple of one item, which the parser would take for parentheses. */
export const TUPLE_END = "__tuple_end__";

/**
 * @param keepsSpace keep the white space around blocks and the last line's end
 * @throws TemplateError for a text that is no template
 */
export function parseTemplate(source: string, keepsSpace = false): Node {
  checkSource(source);
  try {
    const lines = source.replace(/\r\n?/g, "\n"); // as Jinja does, also within strings
    const text = withRaw(keepsSpace && lines.endsWith("\n") ? `${lines}\n` : lines); // the lexer takes one away
    const tokens = tokenize(text, { lstrip_blocks: !keepsSpace, trim_blocks: !keepsSpace }) as unknown as Token[];
    return parse(
      testsAsFilters(markGroups(withBlocks(withCommas(withExponents(tokens))))).map(asToken) as never,
    ) as unknown as Node;
  } catch (cause) {
    throw new TemplateError(`template syntax: ${(cause as Error).message}`, cause);
  }
}

/**
 * @throws TemplateError for a text that is too long, or has too much white space without a break, to be read in linear
 * time
 */
function checkSource(source: string): void {
  if (source.length > limits.templateCharacters)
    throw new TemplateError(
      `template syntax: more than ${limits.templateCharacters} characters (limit templateCharacters)`,
    );
  let run = 0;
  for (let at = 0; at < source.length; at++) {
    run = isSpace(source.charCodeAt(at)) ? run + 1 : 0;
    if (run > limits.templateSpaces)
      throw new TemplateError(
        `template syntax: more than ${limits.templateSpaces} spaces in a row (limit templateSpaces)`,
      );
  }
}
const isSpace = (code: number): boolean =>
  code === 0x20 || (code >= 9 && code <= 13) || (code > 0x7f && /\s/.test(String.fromCharCode(code)));

/** What {% raw %} encloses, as a string that is printed. */
function withRaw(source: string): string {
  const tags = /\{%-?\s*(raw|endraw)\s*-?%\}/g;
  let out = "";
  let done = 0;
  let open: RegExpExecArray | undefined;
  for (const tag of source.matchAll(tags)) {
    if (tag[1] === "raw") open ??= tag;
    else if (open) {
      const text = source.slice(open.index + open[0].length, tag.index);
      out += `${source.slice(done, open.index)}{{ ${JSON.stringify(text)} }}`;
      done = tag.index + tag[0].length;
      open = undefined;
    }
  }
  return out + source.slice(done);
}

const opens: Readonly<Record<string, string>> = { OpenParen: "CloseParen", OpenSquareBracket: "CloseSquareBracket" };
const literals = ["NumericLiteral", "StringLiteral"];

/** "x is name(a)" and "x is name a" become "x | __is__name(a)": the parser reads tests without arguments only. */
function testsAsFilters(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const isNot = tokens[at + 1]?.value === "not" && tokens[at + 1].type === "Identifier";
    const nameAt = at + (isNot ? 2 : 1);
    const [name, next] = [tokens[nameAt], tokens[nameAt + 1]];
    const isTest =
      tokens[at].type === "Identifier" &&
      tokens[at].value === "is" &&
      name?.type === "Identifier" &&
      next !== undefined;
    const hasArguments = isTest && (next.type in opens || literals.includes(next.type));
    if (!hasArguments) {
      out.push(tokens[at]);
      continue;
    }
    out.push(...pipe(`${isNot ? NOT_TEST : TEST}${name.value}`));
    at = nameAt;
    if (next.type === "OpenParen") continue; // its arguments follow as they are
    const end = endOf(tokens, nameAt + 1);
    out.push({ type: "OpenParen", value: "(" }, ...tokens.slice(nameAt + 1, end + 1), {
      type: "CloseParen",
      value: ")",
    });
    at = end;
  }
  return out;
}

const pipe = (name: string): Token[] => [
  { type: "Pipe", value: "|" },
  { type: "Identifier", value: name },
];
const isComparing = (token: Token | undefined) =>
  token?.type === "ComparisonBinaryOperator" ||
  (token?.type === "Identifier" && (token.value === "in" || token.value === "not"));
const keywords = ["if", "elif", "else", "and", "or", "not", "in", "is"];

/** Whether a parenthesis behind a token begins arguments. */
const isCallAfter = (before: Token | undefined): boolean =>
  before?.type === "CloseParen" ||
  before?.type === "CloseSquareBracket" ||
  (before?.type === "Identifier" && !keywords.includes(before.value));

/** Marks "(a == b) != c": the tree does not show parentheses, and without them it is a chain, a == b and b != c. */
function markGroups(tokens: readonly Token[]): Token[] {
  const opened: boolean[] = [];
  return tokens.flatMap((token, at) => {
    if (token.type === "OpenParen") {
      opened.push(!isCallAfter(tokens[at - 1]));
    }
    const isGroup = token.type === "CloseParen" && opened.pop();
    return isGroup && isComparing(tokens[at + 1]) ? [token, ...pipe(GROUP)] : [token];
  });
}

/** Numbers such as 1e-7, that the lexer takes apart. */
function withExponents(tokens: readonly Token[]): Token[] {
  const out: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const [number, exponent, sign, digits] = tokens.slice(at, at + 4);
    const match =
      number.type === "NumericLiteral" && exponent?.type === "Identifier" ? exponent.value.match(/^[eE](\d*)$/) : null;
    const isSigned =
      match?.[1] === "" && (sign?.value === "-" || sign?.value === "+") && digits?.type === "NumericLiteral";
    if (!match || (match[1] === "" && !isSigned)) {
      out.push(number);
      continue;
    }
    const base = number.value.includes(".") ? number.value : `${number.value}.0`; // a point makes it a float
    out.push({ type: number.type, value: `${base}e${isSigned ? sign.value + digits.value : match[1]}` });
    at += isSigned ? 3 : 1;
  }
  return out;
}

/** {% with x = 1 %} as {% call __with__(x = 1) %}: the parser reads the latter. */
function withBlocks(tokens: readonly Token[]): Token[] {
  let isOpen = false;
  return tokens.flatMap((token, at) => {
    const begins = tokens[at - 1]?.type === "OpenStatement" && token.type === "Identifier";
    if (begins && token.value === "endwith") return [{ ...token, value: "endcall" }];
    if (begins && token.value === "with") {
      isOpen = true;
      return [
        { ...token, value: "call" },
        { ...token, value: WITH },
        { type: "OpenParen", value: "(" },
      ];
    }
    if (!isOpen || token.type !== "CloseStatement") return [token];
    isOpen = false;
    return [{ type: "CloseParen", value: ")" }, token];
  });
}

/** A comma before what closes a list says nothing but in "(1,)", which is a tuple. */
function withCommas(tokens: readonly Token[]): Token[] {
  const groups: { isCall: boolean; commas: number }[] = [];
  return tokens.flatMap((token, at) => {
    if (/^Open(Paren|SquareBracket|CurlyBracket)$/.test(token.type))
      groups.push({ isCall: token.type !== "OpenParen" || isCallAfter(tokens[at - 1]), commas: 0 });
    const group = groups.at(-1);
    if (token.type === "Comma" && group) group.commas++;
    if (/^Close(Paren|SquareBracket|CurlyBracket)$/.test(token.type)) groups.pop();
    const isLast =
      token.type === "Comma" && /^Close(Paren|SquareBracket|CurlyBracket)$/.test(tokens[at + 1]?.type ?? "");
    if (!isLast) return [token];
    return group && !group.isCall && group.commas === 1 ? [token, { type: "StringLiteral", value: TUPLE_END }] : [];
  });
}

/** The parser asks for the type and the value alone. */
const asToken = ({ type, value }: Token): Token => ({ type, value });

/** The last token of the literal or list that begins at a place. */
function endOf(tokens: readonly Token[], start: number): number {
  const close = opens[tokens[start].type];
  if (close === undefined) return start;
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    if (tokens[at].type === tokens[start].type) depth++;
    if (tokens[at].type === close && --depth === 0) return at;
  }
  return tokens.length - 1;
}

/** Grammars that are data as rules of the engine. */
import { anyCharacter } from "../../grammar/code-points.ts";
import type { Dfa } from "../../grammar/dfa.ts";
import {
  alternatives,
  anyOfCharacters,
  automaton,
  characters,
  type Expression,
  empty,
  nothing,
  optional,
  repeat,
  sequence,
  text,
} from "../../grammar/expression.ts";
import type { Rule } from "../../grammar/grammar.ts";
import { SchemaRules } from "../../grammar/json-schema/schema-rules.ts";
import { Languages } from "../../grammar/languages.ts";
import type { CallGrammar, TextGrammar } from "../grammar.ts";

const where = "the grammar of an answer";

/** What rules of answers are written with. */
export interface AnswerMarks {
  /** Bytes that stand for marks that are tokens. */
  bytes: ReadonlyMap<string, readonly number[]>;
  /** The same of special tokens, and of marks, that mean nothing in these answers: they may stand in free text. */
  others?: readonly (readonly number[])[];
  /** Tokens that end the answer: where one is to be written, the answer ends. */
  ends: readonly string[];
  /** Whether the tokenizer puts a blank between a special token and text, as SentencePiece. @default false */
  addsBlanks?: boolean;
}

/** Rules of an answer: of calls, and of texts that have some others not in them. */
export class CallRules {
  readonly rules: Rule[] = [];
  readonly languages = new Languages();
  private readonly marks: AnswerMarks;
  private readonly schemas: SchemaRules;
  /** Texts that are written as one token, the longest first, as a pattern. */
  private readonly markPattern: RegExp | undefined;
  private readonly tokens = new Map<string, Expression>();
  private readonly known = new Map<CallGrammar, Expression>();
  private uses = new Map<CallGrammar, number>();

  constructor(marks: AnswerMarks) {
    this.marks = marks;
    // JSON as chat templates write it, and as models therefore do: a blank after commas and colons
    this.schemas = new SchemaRules(this.rules, this.languages, "spaced");
    const texts = [...new Set([...marks.bytes.keys(), ...marks.ends])].sort((a, b) => b.length - a.length);
    if (texts.length > 0) this.markPattern = new RegExp(`(${texts.map(escaped).join("|")})`);
  }

  /** A rule of its own for an expression. Its number is in the expression that is returned. */
  rule(name: string, body: Rule["body"]): Expression & { type: "rule" } {
    this.rules.push({ name, body });
    return { type: "rule", rule: this.rules.length - 1 };
  }

  /** A text in which marks are the tokens that stand for them. */
  literal(value: string): Expression {
    const parts = this.markPattern ? value.split(this.markPattern) : [value];
    return sequence(...parts.filter((part) => part !== "").map((part) => this.part(part)));
  }

  private part(value: string): Expression {
    if (this.marks.ends.includes(value)) return empty;
    const bytes = this.marks.bytes.get(value);
    if (!bytes) return text(value);
    const token = this.tokens.get(value) ?? automaton(this.ofBytes(bytes));
    this.tokens.set(value, token);
    return token;
  }

  private ofBytes(bytes: readonly number[]): Dfa {
    const nfa = this.languages.nfa(where);
    const places = [nfa.place(), ...bytes.map(() => nfa.place())];
    for (const [i, byte] of bytes.entries()) nfa.bytes(places[i], byte, byte, places[i + 1]);
    return this.languages.determined(nfa, places[0], places[bytes.length], where);
  }

  /**
   * Any text that has none of some others in it, with special tokens that are no marks.
   * @param marks that may be in it too. @default none
   */
  free(without: readonly Expression[], marks: readonly string[] = []): Expression {
    const any = this.any([...this.others, ...marks.map((mark) => this.literal(mark))]);
    const all = this.languages.of(any, where);
    const excluded = without.map((part) => this.languages.of(sequence(any, part, any), where));
    return automaton(excluded.reduce((rest, part) => this.languages.difference(rest, part, where), all));
  }

  /** Any text that does not begin with some expression. */
  freeBut(beginning: Expression, without: readonly Expression[]): Expression {
    const { dfa } = this.free(without) as Expression & { type: "automaton" };
    const any = this.any(this.others);
    return automaton(this.languages.difference(dfa, this.languages.of(sequence(beginning, any), where), where));
  }

  private get others(): Expression[] {
    return (this.marks.others ?? []).map((bytes) => automaton(this.ofBytes(bytes)));
  }

  private any(tokens: readonly Expression[]): Expression {
    return repeat(alternatives(characters(anyCharacter), ...tokens), 0);
  }

  /** What calls may be. @throws OptionError for a schema that is not followed */
  calls(grammar: CallGrammar): Expression {
    this.uses = new Map();
    this.count(grammar);
    return this.expression(grammar);
  }

  /** Parts that stand in several places become rules: written out, they would double at every level. */
  private count(grammar: CallGrammar): void {
    const uses = (this.uses.get(grammar) ?? 0) + 1;
    this.uses.set(grammar, uses);
    if (uses === 1) for (const part of partsOf(grammar)) this.count(part);
  }

  private expression(grammar: CallGrammar): Expression {
    const known = this.known.get(grammar);
    if (known) return known;
    const isRule = (this.uses.get(grammar) ?? 0) > 1 && grammar.kind !== "literal" && grammar.kind !== "schema";
    const body = this.written(grammar);
    const expression = isRule ? this.rule(grammar.kind, body) : body;
    this.known.set(grammar, expression);
    return expression;
  }

  private written(grammar: CallGrammar): Expression {
    switch (grammar.kind) {
      case "literal":
        return this.literal(grammar.text);
      case "schema":
        return this.schemas.expression(grammar.schema, grammar.root ?? grammar.schema);
      case "text":
        return this.text(grammar);
      case "choice":
        return alternatives(...grammar.options.map((option) => this.expression(option)));
      case "sequence":
        return sequence(...grammar.items.flatMap((item, i) => this.item(item, grammar.items[i + 1])));
      case "repeat":
        return this.repeated(grammar);
    }
  }

  /** A part of a sequence; a blank between a mark and what is no value says nothing. */
  private item(part: CallGrammar, next: CallGrammar | undefined): Expression[] {
    const expression = this.expression(part);
    if (!this.marks.addsBlanks || part.kind !== "literal" || next?.kind !== "literal") return [expression];
    const isToken = this.marks.bytes.has(part.text) && !this.marks.bytes.has(next.text);
    return isToken && part.isMarker ? [expression, optional(text(" "))] : [expression];
  }

  /** Text alone: special tokens in an argument would say nothing. Texts that are alike are one rule with its masks. */
  private text({ without, nor = [], schema, root }: TextGrammar): Expression {
    const strings = schema && this.schemas.strings(schema, root);
    const name = strings ? undefined : `text ${JSON.stringify([without, nor])}`;
    const known = name === undefined ? undefined : this.tokens.get(name);
    if (known) return known;
    const any = this.any([]);
    const spaces = repeat(anyOfCharacters(" \t\r\n"), 0);
    const ends = [text(without), ...nor.map((parts) => sequence(...parts.flatMap((part) => [spaces, text(part)])))];
    const excluded = this.languages.of(sequence(any, alternatives(...ends), any), where);
    const body = this.languages.difference(strings ?? this.languages.of(any, where), excluded, where);
    const expression = this.rule(name ?? "text", automaton(body));
    if (name !== undefined) this.tokens.set(name, expression);
    return expression;
  }

  private repeated({ item, separator, least, most = Number.POSITIVE_INFINITY }: CallGrammar & { kind: "repeat" }) {
    if (most < least || most === 0) return most === 0 && least === 0 ? empty : nothing;
    const body = this.expression(item);
    if (most === 1) return least === 1 ? body : optional(body);
    const one = body.type === "rule" ? body : this.rule("repeated", body);
    if (!separator) return repeat(one, least, most);
    const following = sequence(this.expression(separator), one);
    const all = sequence(one, repeat(following, Math.max(least - 1, 0), most - 1));
    return least === 0 ? optional(all) : all;
  }
}

function partsOf(grammar: CallGrammar): readonly CallGrammar[] {
  if (grammar.kind === "choice") return grammar.options;
  if (grammar.kind === "sequence") return grammar.items;
  if (grammar.kind === "repeat") return grammar.separator ? [grammar.item, grammar.separator] : [grammar.item];
  return [];
}

const escaped = (value: string) => value.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

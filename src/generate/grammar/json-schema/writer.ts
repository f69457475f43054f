import type { Dfa } from "../dfa.ts";
import {
  anyOf,
  anyOfCharacters,
  automaton,
  type Expression,
  empty,
  nothing,
  repeat,
  ruleNumber,
  text,
} from "../expression.ts";
import type { Rule } from "../grammar.ts";
import { emptyLanguage, type Languages, textsOf } from "../languages.ts";
import { requireWithin } from "../limits.ts";
import { searchLanguage } from "../regex.ts";
import { arrayExpression } from "./array-writer.ts";
import {
  type All,
  type Conditions,
  type NumberConditions,
  nameOf,
  type StringConditions,
  types,
} from "./conditions.ts";
import { placeOf, type SchemaDocument } from "./document.ts";
import { canonicalDecimal, jsonInteger, jsonNumber, negativeZero, shortDecimals } from "./numbers.ts";
import { objectExpression } from "./object-writer.ts";
import type { SchemaReader } from "./reader.ts";
import { CountedString, jsonCharacter, quotedLanguage } from "./strings.ts";
import type { ValueWriter } from "./value-writer.ts";

/** How JSON is laid out: without spaces, with one behind commas and colons as Python writes it, or freely. */
export type JsonLayout = "compact" | "spaced" | "free";

/** Most white space at one place of free layout. */
const MOST_SPACES = 40;
/** Automata of up to so many states stand where they are used; larger ones are rules, whose masks are shared. */
const INLINE_STATES = 48;
const INFINITE = Number.POSITIVE_INFINITY;
/** A language without texts. */
const nowhere = emptyLanguage();

/** Writes the rules of a grammar for what schemas ask. */
export class SchemaWriter implements ValueWriter {
  readonly document: SchemaDocument;
  readonly languages: Languages;
  readonly rules: Rule[];
  readonly colon: Expression;
  readonly comma: Expression;
  readonly space: Expression;
  private readonly reader: SchemaReader;
  private readonly ruleOfSchema = new Map<string, number>();
  private readonly open: { schemas: All; rule: number }[] = [];
  private readonly shared = new Map<string, Expression>();
  private readonly numbersOfDfa = new Map<Dfa, number>();
  private readonly patterns = new Map<string, Dfa>();
  private character?: Dfa;

  /** @param rules to add to. @default none */
  constructor(reader: SchemaReader, layout: JsonLayout, rules: Rule[] = []) {
    this.reader = reader;
    this.rules = rules;
    this.document = reader.document;
    this.languages = reader.languages;
    const spaces = repeat(anyOfCharacters(" \n\r\t"), 0, MOST_SPACES);
    this.space = layout === "free" ? this.rule("white space", spaces) : empty;
    const around = (sign: string): Expression =>
      layout === "free"
        ? { type: "sequence", parts: [this.space, text(sign), this.space] }
        : text(layout === "spaced" ? `${sign} ` : sign);
    this.comma = around(",");
    this.colon = around(":");
  }

  private rule(name: string, body: Rule["body"]): Expression {
    this.rules.push({ name, body });
    return ruleNumber(this.rules.length - 1);
  }

  /** Writes the rules for some schemas and all that they need. Gives the number of the first. */
  write(schemas: All): number {
    const root = this.ruleFor(schemas);
    for (let next = this.open.pop(); next; next = this.open.pop())
      this.rules[next.rule] = { ...this.rules[next.rule], body: this.value(next.schemas) };
    return root;
  }

  valueOf(schemas: All): Expression {
    return ruleNumber(this.ruleFor(schemas));
  }

  private ruleFor(schemas: All): number {
    const followed = this.followed(schemas);
    const name = nameOf(followed);
    const known = this.ruleOfSchema.get(name);
    if (known !== undefined) return known;
    const rule = this.rules.length;
    requireWithin("rules", rule + 1, "JSON Schema", "rules");
    this.rules.push({ name: followed[0]?.node.path ?? "any value", body: nothing });
    this.ruleOfSchema.set(name, rule);
    this.open.push({ schemas: followed, rule });
    return rule;
  }

  /** Schemas that are nothing but a reference are what they refer to: so each is written once. */
  private followed(schemas: All): All {
    const { document } = this;
    const followOne = (literal: All[number]): All[number] => {
      let { node } = literal;
      const seen = new Set([node]);
      while (document.keywords(node).join() === "$ref") {
        node = document.target(node);
        if (seen.has(node)) break;
        seen.add(node);
      }
      return { ...literal, node };
    };
    return schemas.map(followOne).filter(({ node, isNegated }) => node.schema !== !isNegated);
  }

  private value(schemas: All): Expression {
    const where = placeOf(schemas[0]?.node.path ?? "#");
    return anyOf(this.reader.alternatives(schemas).flatMap((conditions) => this.options(conditions, where)));
  }

  private options(conditions: Conditions, where: string): Expression[] {
    const options: Expression[] = [];
    const has = (type: number) => (conditions.types & type) !== 0;
    if (has(types.null)) options.push(text("null"));
    if (has(types.boolean) && conditions.booleans & 1) options.push(text("true"));
    if (has(types.boolean) && conditions.booleans & 2) options.push(text("false"));
    if (has(types.number)) options.push(this.number(conditions.numbers, where));
    if (has(types.string)) options.push(this.string(conditions.strings, where));
    if (has(types.array)) options.push(arrayExpression(conditions.arrays, this, where));
    if (has(types.object)) options.push(objectExpression(conditions.objects, this, where));
    return options;
  }

  /** An expression that is made once for each name. */
  private once(name: string, make: () => Expression): Expression {
    const expression = this.shared.get(name) ?? make();
    this.shared.set(name, expression);
    return expression;
  }

  private inlineOrRule(dfa: Dfa, where: string): Expression {
    return dfa.numStates <= INLINE_STATES ? automaton(dfa) : this.rule(where, automaton(dfa));
  }

  private numberOf(dfa: Dfa | undefined): number {
    if (!dfa) return -1;
    const number = this.numbersOfDfa.get(dfa) ?? this.numbersOfDfa.size;
    this.numbersOfDfa.set(dfa, number);
    return number;
  }

  /** The texts of numbers; undefined of those that may have an exponent. */
  private decimals({ language, isWhole, isExact, digits }: NumberConditions, where: string): Dfa | undefined {
    const { languages } = this;
    if (!language && !isWhole) return undefined;
    const forms = [...(isWhole ? [jsonInteger] : []), ...(isExact ? [canonicalDecimal] : [])];
    const all = forms.map((form) => languages.of(form, where));
    if (digits !== "no" && !isExact) all.push(shortDecimals(digits === "all", languages, where));
    const dfa = (language ? [language, ...all] : all).reduce((a, b) => languages.intersection(a, b, where));
    return languages.difference(dfa, languages.of(negativeZero, where), where);
  }

  private number(numbers: NumberConditions, where: string): Expression {
    const name = `number ${this.numberOf(numbers.language)} ${numbers.isWhole} ${numbers.isExact} ${numbers.digits}`;
    return this.once(name, () => {
      const dfa = this.decimals(numbers, where);
      return this.rule("numbers", dfa ? automaton(dfa) : jsonNumber);
    });
  }

  /** The texts of strings that have a language, without quotes. */
  private contents({ language, min, max }: StringConditions, where: string): Dfa | undefined {
    if (!language) return undefined;
    return min === 0 && max === INFINITE ? language : this.languages.ofLength(language, min, max, where);
  }

  private string(strings: StringConditions, where: string): Expression {
    const { language, min, max } = strings;
    return this.once(`string ${this.numberOf(language)} ${min} ${max}`, () => {
      const contents = this.contents(strings, where);
      if (contents) return this.inlineOrRule(quotedLanguage(contents, this.languages, where), where);
      this.character ??= this.languages.of(jsonCharacter, "JSON strings");
      return this.rule("strings", new CountedString(min, max, this.character));
    });
  }

  get anyName(): Expression {
    return this.string({ min: 0, max: INFINITE }, "names");
  }

  name(language: Dfa, where: string): Expression {
    return this.inlineOrRule(quotedLanguage(language, this.languages, where), where);
  }

  namesWith(source: string, path: string): Dfa {
    const dfa = this.patterns.get(source) ?? searchLanguage(source, placeOf(path), this.languages);
    this.patterns.set(source, dfa);
    return dfa;
  }

  namesOf(schemas: All, where: string): Dfa | undefined {
    if (schemas.length === 0) return undefined;
    const { languages } = this;
    const options = this.reader.alternatives(schemas).filter((conditions) => conditions.types & types.string);
    if (options.some(({ strings }) => !strings.language && strings.min === 0 && strings.max === INFINITE))
      return undefined;
    const parts = options.map(
      ({ strings }) => this.contents({ ...strings, language: strings.language ?? languages.anyText }, where)!,
    );
    return languages.of(anyOf(parts.map(automaton)), where);
  }

  fewValues(schemas: All, most: number, where: string): string[] | undefined {
    const values = new Set<string>();
    for (const conditions of this.reader.alternatives(schemas)) {
      const texts = this.fewOf(conditions, most, where);
      if (!texts) return undefined;
      for (const value of texts) values.add(value);
    }
    return values.size <= most ? [...values] : undefined;
  }

  private fewOf({ types: mask, booleans, numbers, strings }: Conditions, most: number, where: string) {
    if (mask & (types.array | types.object)) return undefined;
    const texts = mask & types.null ? ["null"] : [];
    if (mask & types.boolean && booleans & 1) texts.push("true");
    if (mask & types.boolean && booleans & 2) texts.push("false");
    const decimals = mask & types.number ? this.decimals({ ...numbers, isExact: true }, where) : nowhere;
    const contents = mask & types.string ? this.contents(strings, where) : nowhere;
    if (!decimals || !contents) return undefined;
    const all = [decimals, quotedLanguage(contents, this.languages, where)].map((dfa) => textsOf(dfa, most));
    return all.includes(undefined) ? undefined : [...texts, ...all.flatMap((some) => some!)];
  }
}

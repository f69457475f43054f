import type { Dfa } from "../dfa.ts";
import { type Expression, ruleNumber } from "../expression.ts";
import type { Rule } from "../grammar.ts";
import type { Languages } from "../languages.ts";
import { isModern, type JsonSchema, SchemaDocument, type SchemaNode } from "./document.ts";
import { SchemaReader } from "./reader.ts";
import { type JsonLayout, SchemaWriter } from "./writer.ts";

/** The rules of many schemas in one grammar, which share those for what they have in common: strings, numbers. */
export class SchemaRules {
  private readonly rules: Rule[];
  private readonly languages: Languages;
  private readonly layout: JsonLayout;
  /** One for each of the two ways in which drafts read keywords. */
  private readonly writers = new Map<boolean, SchemaWriter>();
  private readonly roots = new Map<JsonSchema, SchemaNode>();

  /** @param rules of the grammar, to which those of schemas are added */
  constructor(rules: Rule[], languages: Languages, layout: JsonLayout) {
    this.rules = rules;
    this.languages = languages;
    this.layout = layout;
  }

  /**
   * The JSON that a schema allows.
   * @param root where its references are looked up. @default the schema
   * @throws OptionError as jsonSchemaGrammar
   */
  expression(schema: JsonSchema, root: JsonSchema = schema): Expression {
    const { writer, node } = this.place(schema, root);
    return ruleNumber(writer.write([{ node, isNegated: false }]));
  }

  /** The strings that a schema allows, as they are; undefined for any. */
  strings(schema: JsonSchema, root: JsonSchema = schema): Dfa | undefined {
    const { writer, node } = this.place(schema, root);
    return writer.namesOf([{ node, isNegated: false }], `JSON Schema, ${node.path}`);
  }

  private place(schema: JsonSchema, root: JsonSchema): { writer: SchemaWriter; node: SchemaNode } {
    const writer = this.writerOf(isModern(root));
    const outer = this.roots.get(root) ?? writer.document.add(root);
    this.roots.set(root, outer);
    return { writer, node: root === schema ? outer : writer.document.add(schema, outer) };
  }

  private writerOf(isOfModernDraft: boolean): SchemaWriter {
    const known = this.writers.get(isOfModernDraft);
    if (known) return known;
    const document = new SchemaDocument(
      isOfModernDraft ? true : { $schema: "http://json-schema.org/draft-07/schema#" },
    );
    const writer = new SchemaWriter(new SchemaReader(document, this.languages), this.layout, this.rules);
    this.writers.set(isOfModernDraft, writer);
    return writer;
  }
}

import { known, OptionError } from "../../../base/index.ts";
import { type Grammar, grammarOfRules } from "../grammar.ts";
import { Languages } from "../languages.ts";
import { SchemaDocument } from "./document.ts";
import { SchemaReader } from "./reader.ts";
import { type JsonLayout, SchemaWriter } from "./writer.ts";

export type { JsonLayout } from "./writer.ts";

/** How JSON by a schema is written. */
export interface JsonSchemaOptions {
  /**
   * White space: "compact" has none, "spaced" one space behind each comma and colon, "free" up to 40 spaces and line
   * ends wherever JSON allows some. @default "compact"
   */
  layout?: JsonLayout;
}

/**
 * A grammar of the JSON texts that a JSON Schema allows, of draft 2020-12 or draft 7. Properties come in the order in
 * which the schema names them, required or not; those that are not required may be left out; further ones, where they
 * are allowed, come behind. Formats are checked. Strings may have escapes, but for those that a pattern, format or enum
 * describes: they are written in one way alone, as numbers with bounds are, without an exponent.
 *
 * @example
 * const grammar = jsonSchemaGrammar({ type: "object", properties: { age: { type: "integer" } }, required: ["age"] });
 * matchesGrammar(grammar, '{"age":7}'); // true
 *
 * @throws OptionError naming the keyword that is not followed and where it stands, a fault of the schema, or a limit
 */
export function jsonSchemaGrammar(schema: unknown, options: JsonSchemaOptions = {}): Grammar {
  known("jsonSchemaGrammar", options, { layout: true });
  const { layout = "compact" } = options;
  if (!["compact", "spaced", "free"].includes(layout)) {
    throw new OptionError({
      where: "jsonSchemaGrammar",
      expected: 'layout of "compact", "spaced" or "free"',
      received: JSON.stringify(layout),
      fix: "choose one of them",
    });
  }
  const languages = new Languages();
  const document = new SchemaDocument(schema);
  const writer = new SchemaWriter(new SchemaReader(document, languages), layout);
  const root = writer.write([{ node: document.root, isNegated: false }]);
  return grammarOfRules(writer.rules, root, "JSON Schema", languages);
}

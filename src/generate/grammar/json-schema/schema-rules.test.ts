import { expect, test } from "vitest";
import { alternatives, type Expression, sequence, text } from "../expression.ts";
import { type Grammar, grammarOfRules, type Rule } from "../grammar.ts";
import { Languages } from "../languages.ts";
import { matchesGrammar } from "../pushdown.ts";
import { SchemaRules } from "./schema-rules.ts";

function grammarOf(write: (schemas: SchemaRules) => Expression[]): Grammar {
  const rules: Rule[] = [];
  const languages = new Languages();
  const options = write(new SchemaRules(rules, languages, "spaced"));
  rules.push({ name: "all", body: alternatives(...options.map((option, i) => sequence(text(`${i}:`), option))) });
  return grammarOfRules(rules, rules.length - 1, "test", languages);
}

test("references stay in the schema that they stand in", () => {
  const ofType = (type: string) => ({ $ref: "#/$defs/a", $defs: { a: { type } } });
  const old = { $schema: "http://json-schema.org/draft-07/schema#", $ref: "#/definitions/a", type: "null" };
  const grammar = grammarOf((schemas) => [
    schemas.expression(ofType("integer")),
    schemas.expression(ofType("boolean")),
    schemas.expression({ ...old, definitions: { a: { type: "string" } } }),
    schemas.expression(true),
  ]);
  for (const good of ["0:7", "1:true", '2:"x"', "3:[1, null]"])
    expect([good, matchesGrammar(grammar, good)]).toEqual([good, true]);
  for (const bad of ["0:true", "1:7", "2:null", "2:7", "3:[1,null]"])
    expect([bad, matchesGrammar(grammar, bad)]).toEqual([bad, false]);
});

test("a schema inside another finds what that one has", () => {
  const place = { type: "array", items: { $ref: "#/$defs/x" } };
  const root = { type: "object", properties: { place }, $defs: { x: { enum: [1, 2] } } };
  const grammar = grammarOf((schemas) => [
    schemas.expression(place, root),
    schemas.expression({ $ref: "#/$defs/x" }, root),
    schemas.expression(root),
  ]);
  for (const good of ["0:[1, 2]", "1:2", '2:{"place": [2]}']) expect(matchesGrammar(grammar, good)).toBe(true);
  for (const bad of ["0:[3]", "1:3", '2:{"place": [3]}']) expect(matchesGrammar(grammar, bad)).toBe(false);
  expect(() => grammarOf((schemas) => [schemas.expression({ $ref: "#/$defs/y" }, root)])).toThrow("same document");
  expect(() => grammarOf((schemas) => [schemas.expression({ $schema: "draft-03" })])).toThrow("draft 2020-12");
});

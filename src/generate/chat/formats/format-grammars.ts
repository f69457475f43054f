/** Parts of calls that several formats write alike, as grammars. */
import { allowedTypes, isTextOnly, resolvedSchema } from "../argument-values.ts";
import { type CallGrammar, choice, literal, sequence, type TextGrammar } from "../grammar.ts";
import type { ChatTool, JsonSchema } from "../tools.ts";
import type { TagSyntax } from "./tagged-calls.ts";
import {
  fixedValues,
  gemmaNotation,
  type Notation,
  optional,
  pythonNotation,
  separated,
  valueGrammar,
} from "./value-grammars.ts";

/** The JSON of a call's arguments. */
export const argumentsOf = ({ parameters }: ChatTool): CallGrammar => ({ kind: "schema", schema: parameters });

/** {"name": ..., "arguments": ...} */
export const jsonCall = (tool: ChatTool, key: "arguments" | "parameters", nameKey = "name"): CallGrammar =>
  sequence(literal(`{"${nameKey}": ${JSON.stringify(tool.name)}, "${key}": `), argumentsOf(tool), literal("}"));

interface Parameter {
  name: string;
  schema: JsonSchema | boolean;
  isRequired: boolean;
}

function parametersOf({ parameters }: ChatTool): Parameter[] {
  const { properties = {}, required = [] } = parameters as { properties?: object; required?: readonly string[] };
  return Object.entries(properties).map(([name, schema]) => ({ name, schema, isRequired: required.includes(name) }));
}

function mayBeText(schema: JsonSchema | boolean, root: JsonSchema): boolean {
  const types = allowedTypes(schema, root);
  return types.length === 0 || types.includes("string");
}

/** A value as text: texts as they are, all else as JSON. */
function plainValue(schema: JsonSchema | boolean, root: JsonSchema, text: TextGrammar): CallGrammar {
  if (!mayBeText(schema, root)) return { kind: "schema", schema, root };
  const fixed = fixedValues(resolvedSchema(schema, root));
  if (fixed === undefined) {
    const isText = typeof schema === "object" && isTextOnly(allowedTypes(schema, root));
    return isText ? { ...text, schema, root } : text;
  }
  return choice(fixed.map((value) => literal(typeof value === "string" ? value : JSON.stringify(value))));
}

/** Where a format breaks lines in a call in tags. */
export interface TagLayout {
  /** After the name. */
  nameBreak: string;
  /** From the name of a parameter to its value. */
  valueBegin: (isText: boolean) => string;
  /** After a parameter. */
  parameterBreak: string;
}

/** A call in tags, the parameters in the order of the schema. */
export function taggedCall(
  tool: ChatTool,
  { call, nameEnds, callEnd, parameter, valueEnd, isOnLines }: TagSyntax,
  { nameBreak, valueBegin, parameterBreak }: TagLayout,
): CallGrammar {
  const end = `${isOnLines ? "\n" : ""}${valueEnd}`;
  const parameters = parametersOf(tool);
  // what a parser reads as an end that was forgotten
  const nor = [
    [valueEnd, parameter],
    [valueEnd, callEnd],
    [callEnd, "<"],
    [`\n${parameter}`], // of any parameter: so all texts of a format are alike
  ];
  const text: TextGrammar = { kind: "text", without: end, ...(isOnLines && { nor }) };
  const named = parameters.map(({ name, schema, isRequired }) => {
    const item = sequence(
      literal(`${parameter}${name}${valueBegin(mayBeText(schema, tool.parameters))}${isOnLines ? "\n" : ""}`),
      plainValue(schema, tool.parameters, text),
      literal(`${end}${parameterBreak}`),
    );
    return isRequired ? item : optional(item);
  });
  const opening = literal(`${call}${tool.name}${call === "" ? "" : nameEnds[0]}${nameBreak}`);
  return sequence(opening, ...named, ...(callEnd === "" ? [] : [literal(callEnd)]));
}

/** name(key=value, ...) */
export const pythonCall = (tool: ChatTool): CallGrammar =>
  sequence(
    literal(`${tool.name}(`),
    members(tool, pythonNotation, (name) => `${name}=`),
    literal(")"),
  );

/** call:name{key:value,...} */
export const gemmaCall = (tool: ChatTool): CallGrammar =>
  sequence(literal(`call:${tool.name}{`), members(tool, gemmaNotation, gemmaNotation.key), literal("}"));

function members(tool: ChatTool, notation: Notation, key: (name: string) => string): CallGrammar {
  const items = parametersOf(tool).map(({ name, schema, isRequired }) => ({
    item: sequence(literal(key(name)), valueGrammar(schema, tool.parameters, notation)),
    isRequired,
  }));
  return separated(items, notation.comma);
}

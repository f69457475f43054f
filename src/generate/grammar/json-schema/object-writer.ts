import { type Arrow, anyOf, type Expression, empty, sequence, text } from "../expression.ts";
import { accepts, isEmptyLanguage } from "../languages.ts";
import { requireWithin } from "../limits.ts";
import { type All, allOf, type MemberRule, type ObjectConditions } from "./conditions.ts";
import { unsupported } from "./document.ts";
import type { ValueWriter } from "./value-writer.ts";

/** A property, or properties whose names are of a language, and what their values must meet. */
interface Property {
  readonly name: Expression;
  readonly schema: All;
  readonly isRequired: boolean;
}

/**
 * The objects that meet some conditions. Properties come in the order in which schemas name them, each at most once;
 * those that are not required may be left out. Behind them come those that only patterns or `additionalProperties`
 * allow.
 */
export function objectExpression(conditions: ObjectConditions, writer: ValueWriter, where: string): Expression {
  const named = namedProperties(conditions, writer, where);
  const free = freeProperties(conditions, writer, where);
  requireCountable(conditions, free);
  const { arrows, ends } = graphOf(conditions, named, free, writer, where);
  return sequence(text("{"), writer.space, { type: "graph", arrows, ends }, writer.space, text("}"));
}

/** Names of free properties are not compared with one another, so more than one cannot be counted on. */
function requireCountable({ min, required, minPath }: ObjectConditions, free: readonly Property[]): void {
  if (free.length === 0 || min - required.size <= 1) return;
  throw unsupported(
    minPath,
    "a least number of properties that is at most one above those that are required",
    "name the properties, or set additionalProperties to false",
  );
}

const isNever = (schema: All, { document }: ValueWriter) => schema.some(({ node }) => node === document.never);

function namedProperties(
  { members, required, names }: ObjectConditions,
  writer: ValueWriter,
  where: string,
): Property[] {
  const all = new Set([...members.flatMap(({ properties }) => [...properties.keys()]), ...required]);
  const allowed = writer.namesOf(names, where);
  return [...all].map((name) => {
    const isAllowed = !allowed || accepts(allowed, name);
    const never = { node: writer.document.never, isNegated: false };
    return {
      name: text(JSON.stringify(name)),
      schema: isAllowed ? allOf(...members.map((rule) => schemaOf(name, rule, writer))) : [never],
      isRequired: required.has(name),
    };
  });
}

/** What a rule says of a property. */
function schemaOf(name: string, { properties, patterns, additional }: MemberRule, writer: ValueWriter): All {
  const matching = patterns.filter((pattern) => accepts(writer.namesWith(pattern.source, pattern.path), name));
  const named = properties.get(name);
  if (!named && matching.length === 0) return additional;
  return allOf(named ?? [], ...matching.map(({ schema }) => schema));
}

/** Properties that are not named: for each combination of patterns that a name may match, one. */
function freeProperties(
  { members, required, names }: ObjectConditions,
  writer: ValueWriter,
  where: string,
): Property[] {
  const { languages } = writer;
  const patterns = new Map(
    members.flatMap((rule) => rule.patterns.map((pattern) => [pattern.source, pattern] as const)),
  );
  requireWithin("namePatterns", patterns.size, where, "patterns for names of one object");
  const taken = new Set([...members.flatMap(({ properties }) => [...properties.keys()]), ...required]);
  const allowed = writer.namesOf(names, where);
  const isAny = !allowed && taken.size === 0 && patterns.size === 0;
  const takenNames = languages.of(anyOf([...taken].map(text)), where);
  let groups = [
    { language: languages.difference(allowed ?? languages.anyText, takenNames, where), matched: new Set<string>() },
  ];
  for (const pattern of patterns.values()) {
    const language = writer.namesWith(pattern.source, pattern.path);
    groups = groups.flatMap((group) => [
      {
        language: languages.intersection(group.language, language, where),
        matched: new Set([...group.matched, pattern.source]),
      },
      { language: languages.difference(group.language, language, where), matched: group.matched },
    ]);
    groups = groups.filter((group) => !isEmptyLanguage(group.language));
  }
  return groups.flatMap(({ language, matched }) => {
    const schema = allOf(
      ...members.map((rule) => {
        const matching = rule.patterns.filter(({ source }) => matched.has(source));
        return matching.length === 0 ? rule.additional : allOf(...matching.map((pattern) => pattern.schema));
      }),
    );
    if (isEmptyLanguage(language) || isNever(schema, writer)) return [];
    return [{ name: isAny ? writer.anyName : writer.name(language, where), schema, isRequired: false }];
  });
}

/** A node for each named property and number of properties before it; behind the last one, free properties. */
function graphOf(
  { min, max }: ObjectConditions,
  named: readonly Property[],
  free: readonly Property[],
  writer: ValueWriter,
  where: string,
): { arrows: Arrow[]; ends: number[] } {
  const isEndless = max === Number.POSITIVE_INFINITY;
  const most = Math.max(1, isEndless ? min : free.length > 0 ? max : Math.min(max, named.length)); // above it all alike
  const width = most + 1;
  requireWithin("automatonStates", width * (named.length + 1), where, "places of an object");
  const arrows: Arrow[] = [];
  const labelOf = ({ name, schema }: Property, count: number) =>
    sequence(count > 0 ? writer.comma : empty, name, writer.colon, writer.valueOf(schema));
  for (const [i, property] of named.entries()) {
    for (let count = 0; count <= Math.min(i, most); count++) {
      const from = i * width + count;
      if (!property.isRequired) arrows.push({ from, to: from + width, label: empty });
      if (count < max && !isNever(property.schema, writer))
        arrows.push({ from, to: (i + 1) * width + Math.min(count + 1, most), label: labelOf(property, count) });
    }
  }
  const last = named.length * width;
  const ends: number[] = [];
  for (let count = 0; count <= most; count++) {
    if (count >= min) ends.push(last + count);
    if (count >= max) continue;
    for (const property of free)
      arrows.push({ from: last + count, to: last + Math.min(count + 1, most), label: labelOf(property, count) });
  }
  return { arrows, ends };
}

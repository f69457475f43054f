import { DataError } from "./errors.ts";
import { type LimitName, limits, overLimit } from "./limits.ts";

/** How `parseJson` names what it reads, and what it accepts. */
export interface ParseJsonOptions {
  /** What the text should be, for errors. @default "JSON" */
  expected?: string;
  /** @default "the file is damaged: fetch or make it again" */
  fix?: string;
}

/**
 * The value of a JSON text that somebody else wrote. How deep it goes and how many values it has is counted before any
 * of them is made.
 * @throws DataError naming the place, for what is no JSON, or more of it than real files have
 */
export function parseJson(
  text: string,
  where: string,
  { expected = "JSON", fix = "the file is damaged: fetch or make it again" }: ParseJsonOptions = {},
): unknown {
  const exceeded = exceededJsonLimit(text, fileLimits);
  if (exceeded) throw overLimit(exceeded, where, descriptions[exceeded], "more");
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DataError({ where, expected, received: (cause as Error).message, fix, cause });
  }
}

/** A JSON text in bytes, which must be UTF-8; otherwise as `parseJson`. */
export function parseJsonBytes(bytes: Uint8Array, where: string, options: ParseJsonOptions = {}): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const { expected = "JSON", fix = "the file is damaged: fetch or make it again" } = options;
    throw new DataError({ where, expected: `${expected} in UTF-8`, received: "other bytes", fix, cause });
  }
  return parseJson(text, where, options);
}

const descriptions = {
  jsonDepth: "lists and objects inside one another",
  jsonContainers: "lists and objects",
  jsonValues: "values",
} as const;
const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];

/** Limits of what a JSON text has. */
export interface JsonLimits<L extends LimitName = LimitName> {
  /** Of lists and objects inside one another. */
  depth: L;
  /** Of lists and objects. */
  containers: L;
  /** Of values. */
  values: L;
  /** Of names in objects. @default none */
  fields?: L;
}

/** What the JSON that a client sends, or a model writes, may have. */
export const requestLimits = {
  depth: "jsonDepth",
  containers: "requestContainers",
  values: "jsonValues",
  fields: "requestFields",
} as const;
const fileLimits = { depth: "jsonDepth", containers: "jsonContainers", values: "jsonValues" } as const;

const mostOf = (name: LimitName | undefined) => (name === undefined ? Number.POSITIVE_INFINITY : limits[name]);

/**
 * The limit that a JSON text is beyond, found before any of its values is made. It need not be sound: that is found out
 * afterwards.
 */
export function exceededJsonLimit<L extends LimitName>(text: string, names: JsonLimits<L>): L | undefined {
  const [maxDepth, maxContainers, maxValues, maxFields] = [
    names.depth,
    names.containers,
    names.values,
    names.fields,
  ].map(mostOf);
  let [depth, containers, values, fields] = [0, 0, 0, 0];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = stringEnd(text, at);
    } else if (code === COMMA) {
      if (++values > maxValues) return names.values;
    } else if (code === COLON) {
      if (++fields > maxFields) return names.fields;
    } else if ((code | 0x20) === 0x7b) {
      if (++depth > maxDepth) return names.depth; // [ or {
      if (++containers > maxContainers) return names.containers;
    } else if ((code | 0x20) === 0x7d) depth--; // ] or }
  }
  return undefined;
}

/** Where the string that begins at a quote ends; the end of the text where it does not. */
function stringEnd(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}

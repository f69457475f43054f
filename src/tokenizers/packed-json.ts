import { isCharacterModel, type Json, kindOfModel } from "./json-parts.ts";

/**
 * What a tokenizer.json holds, its vocabulary and merges as text: they are 100,000 objects and more, which a collector
 * would walk again and again, and which nobody reads once there is an engine. Data, which a thread may be sent.
 * @internal
 */
export interface PackedJson {
  /** All but the lists; of them the model has the keys alone. */
  readonly parts: Json & { model: Json };
  /** The lists of the model, by their keys: JSON in UTF-8. */
  readonly lists: Readonly<Record<string, Uint8Array>>;
  /** The kind of the model; older files do not name it. */
  readonly kind: string;
  /** Whether each character is a token. */
  readonly isCharacterModel: boolean;
}

const listKeys = new Set(["vocab", "merges"]);

/** The same as a `PackedJson`. The model's own check comes before: here any will do. */
export function packJson(json: Json): PackedJson {
  const model = json.model as Json;
  const utf8 = new TextEncoder();
  const present = Object.entries(model).filter(([key]) => listKeys.has(key));
  const lists = Object.fromEntries(present.map(([key, list]) => [key, utf8.encode(JSON.stringify(list ?? null))]));
  const emptied = Object.fromEntries(present.map(([key]) => [key, null]));
  return {
    parts: { ...json, model: { ...model, ...emptied } },
    lists,
    kind: kindOfModel(model),
    isCharacterModel: isCharacterModel(json),
  };
}

/** The tokenizer.json as it was, made anew: 0.05 s for 50,000 tokens, 0.2 for 150,000. @internal */
export function unpackJson({ parts, lists }: PackedJson): Json {
  const entries = Object.entries(lists).map(([key, list]) => [key, JSON.parse(textOf(list))]);
  return { ...parts, model: { ...parts.model, ...Object.fromEntries(entries) } };
}

/** The text of the tokenizer.json. */
export function printJson({ parts, lists }: PackedJson): string {
  const model = printed(parts.model, (key) => (Object.hasOwn(lists, key) ? textOf(lists[key]) : undefined));
  return printed(parts, (key) => (key === "model" ? model : undefined));
}

/** An object as JSON. @param textFor the text of a value that is known already, by its key */
function printed(object: Json, textFor: (key: string) => string | undefined): string {
  const entries = Object.entries(object).flatMap(([key, value]) => {
    const text = textFor(key) ?? JSON.stringify(value);
    return text === undefined ? [] : [`${JSON.stringify(key)}:${text}`];
  });
  return `{${entries.join(",")}}`;
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

import { type Json, kindOfModel } from "./json-parts.ts";

/**
 * What a tokenizer.json holds, its vocabulary and merges as text: they are 100,000 objects and more, which a collector
 * would walk again and again, and which nobody reads once there is an engine. Data, which a thread may be sent.
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

/** The tokenizer.json as it was. It takes some hundredths of a second. */
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

/** Byte-pair encoding that joins nothing, of texts that are not cut into words or written in bytes. */
export function isCharacterModel({ model, pre_tokenizer: cut }: Json): boolean {
  const { merges, byte_fallback: hasBytes } = model as Json;
  return kindOfModel(model as Json) === "BPE" && !cut && !hasBytes && Array.isArray(merges) && merges.length === 0;
}

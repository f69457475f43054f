/** What is said about a model: the front matter of its README.md, and "general." of a GGUF file. */
import {
  type Folder,
  GgufFloat,
  type GgufHeader,
  type GgufValue,
  type GgufWritable,
  readText,
} from "../../files/index.ts";

/** The name of a model card's file. */
export const CARD = "README.md";
const GENERAL = "general.";

/** Texts and lists of texts, by key. */
export type CardData = ReadonlyMap<string, string | readonly string[]>;

/** Keys of a card whose names in GGUF files are others. Every other key is called the same, with "." for "_". */
const namesInGguf: Readonly<Record<string, string>> = {
  license: "license",
  license_name: "license.name",
  license_link: "license.link",
  language: "languages",
  model_name: "name",
  source_url: "source.url",
  source_repo_url: "source.repo_url",
  repo_url: "repo_url",
  size_label: "size_label",
  quantized_by: "quantized_by",
};
const sameNames = [
  "tags",
  "author",
  "version",
  "organization",
  "finetune",
  "basename",
  "description",
  "url",
  "doi",
  "uuid",
];
const known = new Map([...Object.entries(namesInGguf), ...sameNames.map((name) => [name, name] as const)]);
const lists: readonly string[] = ["tags", "language"];

/** The front matter of a model card; nothing for a text without one. */
function parseCard(text: string): CardData {
  const [, front = ""] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(text) ?? [];
  const data = new Map<string, string | string[]>();
  let list: string[] | undefined;
  for (const line of front.split(/\r?\n/)) {
    const [, item] = /^\s*- (.+)$/.exec(line) ?? [];
    const [, key, value] = /^([\w-]+):\s*(.*)$/.exec(line) ?? [];
    if (item !== undefined) list?.push(plain(item));
    else if (key !== undefined && value === "") {
      list = [];
      data.set(key, list);
    } else if (key !== undefined) {
      list = undefined;
      const [, items] = /^\[(.*)\]$/.exec(value) ?? [];
      data.set(key, items === undefined ? plain(value) : items.split(",").map(plain).filter(Boolean));
    } else if (/^\S/.test(line)) list = undefined;
  }
  for (const [key, value] of data) if (typeof value !== "string" && value.length === 0) data.delete(key);
  return data;
}

/** A value without its quotes. */
function plain(value: string): string {
  const text = value.trim();
  try {
    if (/^".*"$/.test(text)) return String(JSON.parse(text));
  } catch {
    return text;
  }
  return /^'.*'$/.test(text) ? text.slice(1, -1).replaceAll("''", "'") : text;
}

/** A model card that says what is given. */
export function writeCard(data: CardData): string {
  const quoted = (value: string) =>
    /^[\w./ -]*\w$/.test(value) && !/^(true|false|null|yes|no|[\d.]+)$/i.test(value) ? value : JSON.stringify(value);
  const lines = [...data].map(([key, value]) =>
    typeof value === "string"
      ? `${key}: ${quoted(value)}`
      : `${key}:\n${value.map((item) => `- ${quoted(item)}`).join("\n")}`,
  );
  return `---\n${lines.join("\n")}\n---\n`;
}

/** The front matter of the card in a model's folder. */
export const readCard = async (folder: Folder): Promise<CardData> =>
  parseCard((await folder.has(CARD)) ? await readText(folder.file(CARD)) : "");

/** Metadata of GGUF for a card. */
export function cardToGguf(card: CardData): Map<string, GgufWritable> {
  return new Map(
    [...card].flatMap(([key, value]): [string, GgufWritable][] => {
      const name = known.get(key);
      if (name === undefined) return [];
      const isList = lists.includes(key);
      return [[GENERAL + name, isList ? [value].flat() : [value].flat().join(", ")]];
    }),
  );
}

/** A card for the metadata of a GGUF file. */
export function cardFromGguf({ metadata }: Pick<GgufHeader, "metadata">): CardData {
  const isTexts = (value: GgufValue | undefined): value is readonly string[] =>
    Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string");
  return new Map(
    [...known].flatMap(([key, name]): [string, string | readonly string[]][] => {
      const value = metadata.get(GENERAL + name);
      return typeof value === "string" || isTexts(value) ? [[key, value]] : [];
    }),
  );
}

/**
 * What a GGUF file says that does not follow from the weights and how they are stored: it goes along when they are
 * stored in another way.
 */
export function keptMetadata({ metadata, floats }: Pick<GgufHeader, "metadata" | "floats">): Map<string, GgufWritable> {
  const architecture = String(metadata.get("general.architecture"));
  const isStored = /^(general\.(architecture|file_type|quantization_version|alignment)|split\..*|quantize\..*)$/;
  const kept = [...metadata].filter(([key]) => !isStored.test(key) && !key.startsWith(`${architecture}.`));
  const asFloats = (value: GgufValue) =>
    Array.isArray(value) ? Float32Array.from(value as number[]) : new GgufFloat(value as number);
  return new Map(kept.map(([key, value]) => [key, floats.has(key) ? asFloats(value) : value]));
}

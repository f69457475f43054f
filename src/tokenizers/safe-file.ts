import { DataError, withinLimit } from "../base/index.ts";
import { byteCharacters } from "./byte-level.ts";
import { CharsMap } from "./engine/charsmap.ts";
import { type Json, kindOfModel } from "./json-parts.ts";
import { requireLinear } from "./regex/index.ts";

const isObject = (value: unknown): value is Json =>
  value !== null && typeof value === "object" && !Array.isArray(value);
type Fail = (part: string, expected: string, received: unknown) => DataError;
const PARTS = ["normalizer", "pre_tokenizer", "post_processor", "decoder"];

/**
 * Checks in a tokenizer.json what the native library does not survive: it would end the process, or not come back.
 * Truncation and padding are taken out: they are options of each call here.
 * @throws DataError naming the part
 */
export function checkedTokenizer(path: string, json: Json): Json {
  const fail: Fail = (part, expected, received) =>
    new DataError({
      where: `${path}, ${part}`,
      expected,
      received: (JSON.stringify(received) ?? "none").slice(0, 80),
      fix: "fetch the file again, from a source that you trust",
    });
  if (!isObject(json.model)) throw fail("model", "an object", json.model);
  for (const part of PARTS) checkPart(path, json[part], part, fail);
  checkIds(json, fail);
  checkMerges(json.model, fail);
  checkUnknown(json, json.model, fail);
  return { ...json, truncation: null, padding: null };
}

/** A part, and those within. */
function checkPart(path: string, value: unknown, part: string, fail: Fail, depth = 0): void {
  withinLimit("jsonDepth", depth, path, "parts inside one another");
  if (Array.isArray(value)) {
    for (const [i, child] of value.entries()) checkPart(path, child, `${part}.${i}`, fail, depth + 1);
    return;
  }
  if (!isObject(value)) return;
  if (value.type === "Replace" && isObject(value.pattern) && value.pattern.String === "")
    throw fail(part, "a pattern that is not empty", value.pattern);
  if (value.type === "FixedLength" && !(Number(value.length) >= 1))
    throw fail(part, "a length of at least 1", value.length);
  if (value.type === "Precompiled" && value.precompiled_charsmap !== null)
    checkCharsMap(path, value.precompiled_charsmap, part, fail);
  if (value.type === "TemplateProcessing") checkTemplate(value, part, fail);
  if (typeof value.Regex === "string") requireLinear(value.Regex, `${path}, ${part}`);
  for (const [key, child] of Object.entries(value)) checkPart(path, child, `${part}.${key}`, fail, depth + 1);
}

function checkCharsMap(path: string, value: unknown, part: string, fail: Fail): void {
  if (typeof value !== "string") throw fail(part, "a sound precompiled_charsmap", value);
  new CharsMap(value, `${path}, ${part}.precompiled_charsmap`);
}

/** Every special token of a template is explained. */
function checkTemplate(template: Json, part: string, fail: Fail): void {
  const known = isObject(template.special_tokens) ? template.special_tokens : {};
  for (const key of ["single", "pair"]) {
    for (const piece of (Array.isArray(template[key]) ? template[key] : []) as unknown[]) {
      const special = isObject(piece) && isObject(piece.SpecialToken) ? piece.SpecialToken.id : undefined;
      if (special !== undefined && !Object.hasOwn(known, String(special)))
        throw fail(`${part}.${key}`, `"${special}" in special_tokens`, Object.keys(known));
    }
  }
}

/** Largest id that is accepted: lists of tokens are as long. The largest vocabularies have 2^18. */
const LARGEST_ID = 2 ** 24;

function checkIds({ model, added_tokens: added }: Json, fail: Fail): void {
  const isId = (id: unknown) => typeof id !== "number" || (Number.isInteger(id) && id >= 0 && id <= LARGEST_ID);
  const { vocab } = model as Json;
  const expected = `ids from 0 to ${LARGEST_ID}`;
  for (const [token, id] of isObject(vocab) ? Object.entries(vocab) : [])
    if (!isId(id)) throw fail(`model.vocab, ${JSON.stringify(token.slice(0, 40))}`, expected, id);
  for (const [i, token] of (Array.isArray(added) ? added : []).entries())
    if (isObject(token) && !isId(token.id)) throw fail(`added_tokens.${i}.id`, expected, token.id);
}

/** The library cuts as many bytes off the right side of a merge as the prefix has characters. */
function checkMerges({ continuing_subword_prefix: prefix, merges }: Json, fail: Fail): void {
  if (typeof prefix !== "string" || prefix === "" || !Array.isArray(merges)) return;
  const length = Array.from(prefix).length;
  const utf8 = new TextEncoder();
  for (const [i, merge] of merges.entries()) {
    const right: unknown =
      typeof merge === "string" ? merge.split(" ")[1] : Array.isArray(merge) ? merge[1] : undefined;
    if (typeof right !== "string") continue;
    const bytes = utf8.encode(right);
    const isBoundary = bytes.length === length || (bytes.length > length && (bytes[length] & 0xc0) !== 0x80);
    if (!isBoundary)
      throw fail(`model.merges.${i}`, `a right side that begins with the prefix ${JSON.stringify(prefix)}`, right);
  }
}

/** What a character is shown as that the vocabulary lacks must be in it, unless there is no such character. */
function checkUnknown(json: Json, model: Json, fail: Fail): void {
  const kind = kindOfModel(model);
  const { unk_token: unknown = kind === "WordPiece" ? "[UNK]" : undefined, vocab } = model;
  if (typeof unknown !== "string" || !isObject(vocab) || !["BPE", "WordPiece", "WordLevel"].includes(kind)) return;
  if (Object.hasOwn(vocab, unknown) || (kind === "BPE" && hasAllBytes(json, model, vocab))) return;
  throw fail("model.unk_token", "a token of the vocabulary", unknown);
}

function hasAllBytes(json: Json, { byte_fallback: hasFallback }: Json, vocab: Json): boolean {
  const isWritten = /"type":"ByteLevel"/.test(JSON.stringify([json.normalizer ?? null, json.pre_tokenizer ?? null]));
  if (isWritten && byteCharacters.every((character) => Object.hasOwn(vocab, character))) return true;
  const nameOf = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
  return (
    hasFallback === true &&
    Array.from({ length: 256 }, (_, byte) => nameOf(byte)).every((name) => Object.hasOwn(vocab, name))
  );
}

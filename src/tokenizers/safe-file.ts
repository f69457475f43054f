import { DataError } from "../ir/index.ts";
import type { Json } from "./json-parts.ts";

const isObject = (value: unknown): value is Json => value !== null && typeof value === "object" && !Array.isArray(value);

/**
 * Checks in a tokenizer.json what the native library does not survive: it would end the process. Truncation and padding are taken out: they are
 * options of each call here.
 * @throws DataError naming the part
 */
export function checkedTokenizer(path: string, json: Json): Json {
  const fail = (part: string, expected: string, received: unknown): DataError =>
    new DataError({
      where: `${path}, ${part}`,
      expected,
      received: (JSON.stringify(received) ?? "none").slice(0, 80),
      fix: "fetch the file again, from a source that you trust",
    });
  if (!isObject(json.model)) throw fail("model", "an object", json.model);
  const visit = (value: unknown, part: string): void => {
    if (Array.isArray(value)) {
      for (const [i, child] of value.entries()) visit(child, `${part}.${i}`);
      return;
    }
    if (!isObject(value)) return;
    if (value.type === "Replace" && isObject(value.pattern) && value.pattern.String === "") throw fail(part, "a pattern that is not empty", value.pattern);
    if (value.type === "FixedLength" && !(Number(value.length) >= 1)) throw fail(part, "a length of at least 1", value.length);
    if (value.type === "Precompiled" && !isCharsMap(value.precompiled_charsmap)) throw fail(part, "a sound precompiled_charsmap", value.precompiled_charsmap);
    if (value.type === "TemplateProcessing") checkTemplate(value, part, fail);
    for (const [key, child] of Object.entries(value)) visit(child, `${part}.${key}`);
  };
  for (const part of ["normalizer", "pre_tokenizer", "post_processor", "decoder"]) visit(json[part], part);
  return { ...json, truncation: null, padding: null };
}

/** Every special token of a template is explained. */
function checkTemplate(template: Json, part: string, fail: (part: string, expected: string, received: unknown) => DataError): void {
  const known = isObject(template.special_tokens) ? template.special_tokens : {};
  for (const key of ["single", "pair"]) {
    for (const piece of (Array.isArray(template[key]) ? template[key] : []) as unknown[]) {
      const special = isObject(piece) && isObject(piece.SpecialToken) ? piece.SpecialToken.id : undefined;
      if (special !== undefined && !Object.hasOwn(known, String(special))) throw fail(`${part}.${key}`, `"${special}" in special_tokens`, Object.keys(known));
    }
  }
}

/** SentencePiece's rules: the size of a trie, the trie in units of four bytes, then its texts. */
function isCharsMap(value: unknown): boolean {
  if (value === null) return true;
  if (typeof value !== "string" || value.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(value)) return false;
  const bytes = Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
  if (bytes.length < 4) return false;
  const size = new DataView(bytes.buffer).getUint32(0, true);
  return size > 0 && size % 4 === 0 && 4 + size < bytes.length && bytes[bytes.length - 1] === 0;
}

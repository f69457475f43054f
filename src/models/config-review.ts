/** What a config.json says that its family does not follow: refused, or noted, as transformers does. */
import { DataError, nearest } from "../base/index.ts";
import { type FieldSpec, requireJson } from "./config.ts";
import type { Json } from "./labels.ts";
import type { ConfigKeys, Family } from "./model.ts";
import { reviewRope } from "./rope-review.ts";

/**
 * Keys of every config.json that would change what is computed: the values that are supported, the first of which is
 * the default.
 */
const supportedEverywhere = { per_layer_config: [null] };

/**
 * A config.json with other names of keys brought to the usual ones, and without what nothing reads.
 * @throws DataError naming the key, for a value that would change the result and is not supported
 */
export function reviewConfig(
  path: string,
  json: Json,
  { configKeys }: Pick<Family, "configKeys">,
  notes: string[],
): Json {
  requireFloats(path, json);
  const { parts = {}, ...top } = typeof configKeys === "function" ? configKeys(json) : configKeys;
  const reviewed = reviewPart(path, json, { ...top, supported: { ...supportedEverywhere, ...top.supported } }, notes);
  for (const [name, keys] of Object.entries(parts)) {
    const part = json[name];
    if (part !== null && typeof part === "object")
      reviewed[name] = reviewPart(`${path}, ${name}`, part as Json, keys, notes);
  }
  return reviewLabels(path, reviewed, notes);
}

/** Shorter keys are near to too many others. */
const LEAST_LETTERS = 5;
const MOST_EDITS = 2;

/**
 * Looks for keys that nothing reads and that are one that is read, and absent, but for a letter or two: what somebody
 * writes by hand would not be followed.
 * @throws DataError naming both
 */
export function requireSpelling(path: string, json: Json, { configKeys, translate }: Family): void {
  if (translate) return; // keys of another program
  const { parts = {}, ...top } = typeof configKeys === "function" ? configKeys(json) : configKeys;
  requirePartSpelling(path, json, top);
  for (const [name, keys] of Object.entries(parts)) {
    const part = json[name];
    if (part !== null && typeof part === "object") requirePartSpelling(`${path}, ${name}`, part as Json, keys);
  }
}

function requirePartSpelling(path: string, json: Json, keys: ConfigKeys): void {
  const { fields, aliases = {}, supported = {}, training = {} } = keys;
  const read = Object.values<FieldSpec>(fields as Record<string, FieldSpec>).map(({ key }) => key);
  const known = new Set([...read, ...Object.keys({ ...aliases, ...supported, ...training })]);
  const absent = [...known].filter((key) => json[key] === undefined);
  for (const key of Object.keys(json)) {
    if (known.has(key) || key.length < LEAST_LETTERS) continue;
    const near = nearest(key, absent, MOST_EDITS);
    if (near === undefined) continue;
    const fix = `did you mean "${near}"?`;
    throw new DataError({ where: path, expected: "keys that the model reads", received: `"${key}"`, fix });
  }
}

/** @throws DataError for weights that are stored as quantized numbers */
function requireFloats(path: string, { quantization_config: quantization }: Json): void {
  if (quantization === undefined || quantization === null) return;
  const { quant_method: received = "quantization_config" } = quantization as { quant_method?: string };
  const fix = "use the model's original weights, or a GGUF file";
  throw new DataError({
    where: `${path}, quantization_config`,
    expected: "weights that are not quantized",
    received,
    fix,
  });
}

function reviewPart(
  path: string,
  json: Json,
  { fields, aliases = {}, supported = {}, training = {}, rope }: ConfigKeys,
  notes: string[],
): Json {
  const renamed = { ...json };
  for (const [alias, key] of Object.entries(aliases)) if (json[alias] !== undefined) renamed[key] = json[alias];
  requireJson(path, renamed, supported);
  for (const [key, values] of Object.entries(training)) {
    const value = renamed[key] ?? values[0];
    if (!values.includes(value))
      notes.push(`${path}, ${key}: ${JSON.stringify(value)} would matter in training, and is not followed`);
  }
  noteTokens(path, renamed, fields, notes);
  return rope ? reviewRope(path, renamed, rope, notes) : renamed;
}

/** Token ids outside of the vocabulary: -1 is taken as none. */
function noteTokens(path: string, json: Json, fields: ConfigKeys["fields"], notes: string[]): void {
  const read = Object.values<FieldSpec>(fields as Record<string, FieldSpec>);
  const vocabSize = json.vocab_size ?? read.find(({ key }) => key === "vocab_size")?.default;
  if (typeof vocabSize !== "number") return;
  for (const { key } of read) {
    const id = json[key];
    if (!key.endsWith("_token_id") || typeof id !== "number" || (id >= 0 && id < vocabSize)) continue;
    notes.push(`${path}, ${key}: ${id} is no token of a vocabulary of ${vocabSize}`);
  }
}

/** Labels as transformers takes them: num_labels counts where it contradicts id2label. */
function reviewLabels(path: string, json: Json, notes: string[]): Json {
  const { id2label, num_labels: count, ...rest } = json;
  if (id2label === null || typeof id2label !== "object" || Array.isArray(id2label)) return json;
  const names = Object.entries(id2label).map(([id, name]) => [Number(id), name] as const);
  if (typeof count === "number" && count !== names.length) {
    notes.push(`${path}, num_labels: ${count}, but id2label has ${names.length} names, which are not used`);
    return { ...rest, num_labels: count };
  }
  if (names.length === 0) return { ...rest, num_labels: count };
  const isNumbered = names.every(([id]) => Number.isInteger(id));
  const known = new Map(names);
  const unnamed = names.map((_, i) => i).filter((i) => !known.has(i));
  if (!isNumbered || unnamed.length === 0) return json;
  notes.push(`${path}, id2label: no names for ${unnamed.join(", ")}`);
  return { ...rest, id2label: Object.fromEntries(names.map((_, i) => [i, known.get(i) ?? `LABEL_${i}`])) };
}

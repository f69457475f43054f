import { type GgufValue, type GgufWritable, readGgufHeader } from "../../files/index.ts";
import { DataError, OptionError } from "../../ir/index.ts";
import { addedToken, bpeModel, byteLevel, byteLevelDigits, frameProcessor, type Json, splitToBytes, tokenizerJson } from "../json-parts.ts";
import type { SpecialTokens } from "../settings.ts";
import type { Tokenizer, TokenizerFiles } from "../tokenizer.ts";
import { sentencePieceTokenizer } from "./sentencepiece.ts";
import { type PieceType, pieceTypes } from "./sentencepiece-model.ts";
import { tiktokenPatterns } from "./tiktoken.ts";

/** llama.cpp's number of a kind of token, which is SentencePiece's. */
const kindNumber = (kind: PieceType) => pieceTypes.indexOf(kind) + 1;
const CONTROL = kindNumber("control");
const USER_DEFINED = kindNumber("user-defined");

/** How text is cut before merging, by llama.cpp's names. */
const cuts: Readonly<Record<string, { preTokenizer: Json; ignoresMerges?: boolean }>> = {
  "gpt-2": { preTokenizer: byteLevel() },
  smollm: { preTokenizer: byteLevelDigits },
  "llama-bpe": { preTokenizer: splitToBytes(tiktokenPatterns.llama3), ignoresMerges: true },
  qwen2: { preTokenizer: splitToBytes(tiktokenPatterns.llama3.replace("{1,3}", "")) }, // each digit by itself
};

/**
 * The tokenizer and the chat template inside a GGUF file, as what a tokenizer.json and a tokenizer_config.json hold: byte-level BPE as GPT-2, SmolLM,
 * Llama 3 and Qwen2 have it, or SentencePiece's as Llama 2.
 * @throws DataError for another kind of tokenizer, or lists that do not fit
 */
export async function readGgufTokenizer(path: string): Promise<TokenizerFiles> {
  const { metadata } = await readGgufHeader(path);
  const template = metadata.get("tokenizer.chat_template");
  const { json, special } = tokenizerOf(path, metadata);
  const named = Object.entries(special).map(([role, token]) => [`${role}_token`, token]);
  const config = { ...Object.fromEntries(named), ...(typeof template === "string" && { chat_template: template }) };
  return { file: path, json, config, isOriginal: false };
}

type Metadata = ReadonlyMap<string, GgufValue>;
const isText = (value: GgufValue): value is string => typeof value === "string";
const isNumber = (value: GgufValue): value is number => typeof value === "number";
const wrong = (path: string, key: string, expected: string, received: unknown) =>
  new DataError({ where: `${path}, tokenizer.${key}`, expected, received: String(received), fix: "use the original model's tokenizer.json" });

function listOf<T extends GgufValue>(path: string, metadata: Metadata, key: string, isFine: (value: GgufValue) => value is T): readonly T[] {
  const values = metadata.get(`tokenizer.${key}`);
  if (Array.isArray(values) && values.every(isFine)) return values;
  throw wrong(path, key, "a list", typeof values);
}

function tokenizerOf(path: string, metadata: Metadata): { json: Json; special: SpecialTokens } {
  const model = metadata.get("tokenizer.ggml.model");
  const tokens = listOf(path, metadata, "ggml.tokens", isText);
  const types = listOf(path, metadata, "ggml.token_type", isNumber);
  if (types.length !== tokens.length) throw wrong(path, "ggml.token_type", `one for each of ${tokens.length} tokens`, types.length);
  if (model === "llama") return sentencePiece(path, metadata, tokens, types);
  if (model !== "gpt2") throw wrong(path, "ggml.model", '"gpt2", byte-level BPE, or "llama", SentencePiece', model);
  const cut = metadata.get("tokenizer.ggml.pre") ?? "gpt-2";
  if (typeof cut !== "string" || !Object.hasOwn(cuts, cut)) throw wrong(path, "ggml.pre", `one of ${Object.keys(cuts).join(", ")}`, cut);
  const merges = listOf(path, metadata, "ggml.merges", isText).map((merge) => {
    const [left, right, ...more] = merge.split(" ");
    if (right === undefined || more.length > 0) throw wrong(path, "ggml.merges", "pairs with a space between", JSON.stringify(merge));
    return [left, right] as [string, string];
  });
  const { preTokenizer, ignoresMerges = false } = cuts[cut];
  const added = tokens.flatMap((token, id) => {
    if (types[id] !== CONTROL && types[id] !== USER_DEFINED) return [];
    return [{ ...addedToken(id, token), special: types[id] === CONTROL }];
  });
  const json = tokenizerJson({
    added_tokens: added,
    normalizer: cut === "qwen2" ? { type: "NFC" } : null,
    pre_tokenizer: preTokenizer,
    post_processor: frame(path, metadata, tokens, false),
    decoder: byteLevel(),
    model: bpeModel({ vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges, ignore_merges: ignoresMerges }),
  });
  return { json, special: specialOf(metadata, tokens) };
}

function sentencePiece(path: string, metadata: Metadata, tokens: readonly string[], types: readonly number[]) {
  const scores = listOf(path, metadata, "ggml.scores", isNumber);
  if (scores.length !== tokens.length) throw wrong(path, "ggml.scores", `one for each of ${tokens.length} tokens`, scores.length);
  const pieces = tokens.map((text, id) => ({ text, score: scores[id], type: pieceTypes[types[id] - 1] ?? "unused" }));
  const unknown = Number(metadata.get("tokenizer.ggml.unknown_token_id") ?? 0);
  if (pieces[unknown] === undefined) throw wrong(path, "ggml.unknown_token_id", `an id below ${tokens.length}`, unknown);
  pieces[unknown] = { ...pieces[unknown], type: "unknown" };
  const flag = (key: string, otherwise: boolean) => (metadata.get(`tokenizer.ggml.${key}`) ?? otherwise) === true;
  const json = sentencePieceTokenizer({
    pieces,
    modelType: "bpe",
    byteFallback: pieces.some(({ type }) => type === "byte"),
    treatWhitespaceAsSuffix: false,
    charsMap: new Uint8Array(),
    addDummyPrefix: flag("add_space_prefix", true),
    removeExtraWhitespaces: flag("remove_extra_whitespaces", false),
  });
  return { json: { ...json, post_processor: frame(path, metadata, tokens, true) }, special: specialOf(metadata, tokens) };
}

/** The tokens that the model expects around a text. */
function frame(path: string, metadata: Metadata, tokens: readonly string[], addsBos: boolean): Json | null {
  const partOf = (name: "bos" | "eos", adds: boolean) => {
    const stated = metadata.get(`tokenizer.ggml.add_${name}_token`);
    const id = metadata.get(`tokenizer.ggml.${name}_token_id`);
    if ((stated ?? (adds && id !== undefined)) !== true) return [];
    if (typeof id !== "number" || tokens[id] === undefined) throw wrong(path, `ggml.${name}_token_id`, "a token's id", id);
    return [tokens[id]];
  };
  const [before, after] = [partOf("bos", addsBos), partOf("eos", false)];
  if (before.length + after.length === 0) return null;
  const around = (text: "A" | "B") => [...before, text, ...after];
  return frameProcessor(around("A"), [...around("A"), ...around("B")], (token) => tokens.indexOf(token));
}

const roles = { bos: "bos", eos: "eos", unk: "unknown", pad: "padding", sep: "separator", mask: "mask" } as const;

function specialOf(metadata: Metadata, tokens: readonly string[]): SpecialTokens {
  return Object.fromEntries(
    Object.entries(roles).flatMap(([name, theirs]) => {
      const id = metadata.get(`tokenizer.ggml.${theirs}_token_id`);
      return typeof id === "number" && tokens[id] !== undefined ? [[name, tokens[id]]] : [];
    }),
  );
}

/**
 * A tokenizer as metadata of a GGUF file: byte-level BPE of a cut that llama.cpp knows, or BPE with byte fallback as Llama 2's.
 * @param options chatTemplate: @default the tokenizer's
 * @throws OptionError for a tokenizer that llama.cpp has no name for
 */
export function ggufTokenizer(tokenizer: Tokenizer, { chatTemplate = tokenizer.chatTemplate }: { chatTemplate?: string } = {}): Map<string, GgufWritable> {
  const {
    model,
    added_tokens: added = [],
    pre_tokenizer: preTokenizer,
    post_processor: postProcessor,
  } = tokenizer.toJson() as {
    model: { type: string; vocab: Record<string, number>; merges: ([string, string] | string)[]; byte_fallback?: boolean };
    added_tokens?: { id: number; content: string; special: boolean }[];
    pre_tokenizer: Json | null;
    post_processor: Json | null;
  };
  const unsupported = (received: string) =>
    new OptionError({
      where: "GGUF tokenizer",
      expected: `byte-level BPE cut as ${Object.keys(cuts).join(", ")}, or BPE with byte fallback`,
      received,
      fix: "write the model without its tokenizer",
    });
  if (model.type !== "BPE") throw unsupported(model.type);
  const cut = Object.entries(cuts).find(([, { preTokenizer: theirs }]) => isSameCut(preTokenizer, theirs))?.[0];
  if (cut === undefined && !model.byte_fallback) throw unsupported(JSON.stringify(preTokenizer).slice(0, 120));
  const size = Math.max(...Object.values(model.vocab), ...added.map(({ id }) => id)) + 1;
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(size).fill(kindNumber("unused"));
  for (const [token, id] of Object.entries(model.vocab)) {
    tokens[id] = token;
    types[id] = cut === undefined && /^<0x[0-9A-F]{2}>$/.test(token) ? kindNumber("byte") : kindNumber("normal");
  }
  for (const { id, content, special } of added) {
    tokens[id] = content;
    types[id] = special ? CONTROL : USER_DEFINED;
  }
  const found = new Map<string, GgufWritable>([
    ["tokenizer.ggml.model", cut === undefined ? "llama" : "gpt2"],
    ...(cut === undefined ? [] : ([["tokenizer.ggml.pre", cut]] as [string, GgufWritable][])),
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", types],
  ]);
  if (cut === undefined)
    found.set(
      "tokenizer.ggml.scores",
      Float32Array.from(tokens, (_, id) => -id),
    );
  else
    found.set(
      "tokenizer.ggml.merges",
      model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" "))),
    );
  const { before, after } = framing(postProcessor);
  const ids = new Map([
    ...specialIds(tokenizer),
    ...(before === undefined ? [] : [["bos", before] as const]),
    ...(after === undefined ? [] : [["eos", after] as const]),
  ]);
  for (const [name, id] of ids) found.set(`tokenizer.ggml.${name}_token_id`, id);
  found.set("tokenizer.ggml.add_bos_token", before !== undefined);
  found.set("tokenizer.ggml.add_eos_token", after !== undefined);
  if (chatTemplate !== undefined) found.set("tokenizer.chat_template", chatTemplate);
  return found;
}

interface Template {
  type: "TemplateProcessing";
  single: { SpecialToken?: { id: string } }[];
  special_tokens: Record<string, { ids: number[] }>;
}

/** The tokens that a post-processor puts before and after a text. */
function framing(processor: Json | null): { before?: number; after?: number } {
  const all = (processor?.processors ?? [processor]) as (Template | null)[];
  const template = all.find((part): part is Template => part?.type === "TemplateProcessing");
  const idOf = (part: Template["single"][number] | undefined) => part?.SpecialToken && template?.special_tokens[part.SpecialToken.id]?.ids[0];
  return { before: idOf(template?.single[0]), after: idOf(template?.single.at(-1)) };
}

function specialIds(tokenizer: Tokenizer): [string, number][] {
  return Object.entries(roles).flatMap(([name, theirs]) => {
    const token = tokenizer.special[name as keyof SpecialTokens];
    const id = token === undefined ? null : tokenizer.tokenToId(token);
    return id === null ? [] : [[theirs, id] as [string, number]];
  });
}

/** Whether two pre-tokenizers cut alike; offsets play no part. */
function isSameCut(a: Json | null, b: Json): boolean {
  const bare = (value: unknown): string => JSON.stringify(value, (key, child) => (key === "trim_offsets" ? undefined : child));
  return a !== null && bare(a) === bare(b);
}

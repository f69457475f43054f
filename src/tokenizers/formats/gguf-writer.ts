/** Tokenizers as metadata of GGUF files. */

import { openEngine } from "#tokenizers/engine";
import { OptionError, warnOnConsole } from "../../base/index.ts";
import type { GgufValue, GgufWritable } from "../../files/index.ts";
import { type Json, tokenizerJson } from "../json-parts.ts";
import { packJson } from "../packed-json.ts";
import type { SpecialTokens } from "../settings.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { type GgufCut, ggufCuts } from "./gguf-cuts.ts";
import { fillerToken, ggufVocabulary, kindNumber, specialRoles, type TokenRole } from "./gguf-vocabulary.ts";

/** What of a tokenizer is written otherwise than it says itself. */
export interface GgufTokenizerOptions {
  /** By name; the usual one is "default". @default the tokenizer's */
  chatTemplates?: ReadonlyMap<string, string>;
  /** Tokens that end a generation, the usual one first. @default the tokenizer's end of text */
  endIds?: readonly number[];
  /** Rows of the model's embedding, which may be more than there are tokens. @default as many as there are tokens */
  vocabSize?: number;
}

interface TokenizerParts {
  model: {
    type: string;
    vocab: Record<string, number>;
    merges: ([string, string] | string)[];
    byte_fallback?: boolean;
    ignore_merges?: boolean;
  };
  added_tokens?: { id: number; content: string; special: boolean }[];
  normalizer: Json | null;
  pre_tokenizer: Json | null;
  post_processor: Json | null;
}

/**
 * A tokenizer as metadata of a GGUF file: byte-level BPE of a cut that llama.cpp knows, or BPE with byte fallback as
 * Llama 2's.
 * @throws OptionError for a tokenizer that llama.cpp has no name for
 */
export async function ggufTokenizer(
  tokenizer: Tokenizer,
  options: GgufTokenizerOptions = {},
): Promise<Map<string, GgufWritable>> {
  const parts = tokenizer.toJson() as unknown as TokenizerParts;
  if (parts.model.type !== "BPE") throw unsupported(parts.model.type);
  const cut = parts.model.byte_fallback ? undefined : await cutOf(parts);
  const { tokens, types } = tokenLists(parts, options.vocabSize ?? 0);
  const metadata = new Map<string, GgufWritable>([
    ["tokenizer.ggml.model", cut ? "gpt2" : "llama"],
    ...(cut ? [["tokenizer.ggml.pre", cut.names[0]] as [string, GgufWritable]] : []),
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.token_type", types],
  ]);
  if (cut)
    metadata.set(
      "tokenizer.ggml.merges",
      parts.model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" "))),
    );
  else {
    metadata.set("tokenizer.ggml.scores", scoresOf(tokens, parts.model.merges));
    metadata.set("tokenizer.ggml.add_space_prefix", beginsWithSpace(parts));
  }
  setRoles(metadata, tokenizer, framing(parts.post_processor), options.endIds);
  setTemplates(metadata, options.chatTemplates ?? tokenizer.chatTemplates);
  return metadata;
}

const unsupported = (received: string) =>
  new OptionError({
    where: "GGUF tokenizer",
    expected: `byte-level BPE cut as ${ggufCuts.map(({ names }) => names[0]).join(", ")}, or BPE with byte fallback`,
    received,
    fix: "use a byte-level tokenizer, or write the model without one: saveGguf(model, path, { tokenizer: null })",
  });

/** Texts of many kinds, which tokenizers cut at different places. */
const PROBE =
  "Hello, I'm Ishmael's; WE'LL go  to   NewYork.\n\n\n  \tand  \r\n  9 10 123 1234567890 3.14159 ³½ Ⅷ x2y (a|b)!? ...!!!\n/ 'tis don't DON'T \u2019s " +
  "camelCaseWords HTTPServer ΑΒΓ αβγ Привет мир déjà vu e\u0301te\u0301 naïve ſ's ñandú 你好，世界。こんにちは カタカナ 안녕하세요 สวัสดี नमस्ते দুঃখ العربية، עברית ۔ । " +
  "😀👍🏽 <|tag|> #@$%^&*+=~`\u00a0\u3000end\u2028line __init__ $100 <b>bold</b> a/b\\c file_name.txt  ";

/**
 * llama.cpp's name for how a tokenizer cuts: that of the cut with the same words. @throws OptionError where there is
 * none
 */
async function cutOf({ model, pre_tokenizer: preTokenizer }: TokenizerParts): Promise<GgufCut> {
  const words = JSON.stringify(await wordsOf(preTokenizer));
  const alike: GgufCut[] = [];
  for (const cut of ggufCuts) if (JSON.stringify(await wordsOf(cut.preTokenizer)) === words) alike.push(cut);
  const cut = alike.find(({ ignoresMerges = false }) => ignoresMerges === (model.ignore_merges ?? false)) ?? alike[0];
  if (cut) return cut;
  throw unsupported(JSON.stringify(preTokenizer).slice(0, 120));
}

/** Where the words of the probe begin and end: each becomes the one token of a vocabulary of that alone. */
async function wordsOf(preTokenizer: Json | null): Promise<[number, number][]> {
  const json = tokenizerJson({
    pre_tokenizer: preTokenizer,
    model: { type: "WordLevel", vocab: { "?": 0 }, unk_token: "?" },
  });
  const engine = await openEngine("pre_tokenizer", packJson(json), json);
  const [{ offsets }] = await engine.encode(PROBE, undefined, false, undefined);
  return offsets;
}

/** Texts and kinds of the tokens by their ids; ids without a token get one of no text. */
function tokenLists(
  { model, added_tokens: added = [] }: TokenizerParts,
  vocabSize: number,
): { tokens: string[]; types: number[] } {
  const ids = [...Object.values(model.vocab), ...added.map(({ id }) => id)];
  const size = ids.reduce((most, id) => Math.max(most, id + 1), vocabSize);
  const tokens = Array.from({ length: size }, (_, id) => fillerToken(id));
  const types = new Array<number>(size).fill(kindNumber("unused"));
  for (const [token, id] of Object.entries(model.vocab)) {
    tokens[id] = token;
    types[id] = model.byte_fallback && /^<0x[0-9A-F]{2}>$/.test(token) ? kindNumber("byte") : kindNumber("normal");
  }
  for (const { id, content, special } of added) {
    tokens[id] = content;
    types[id] = kindNumber(special ? "control" : "user-defined");
  }
  return { tokens, types };
}

/**
 * llama.cpp joins what gives the token of the highest score: those that merges make come in their order, all others
 * after them.
 */
function scoresOf(tokens: readonly string[], merges: TokenizerParts["model"]["merges"]): Float32Array {
  const ranks = new Map<string, number>();
  for (const [rank, merge] of merges.entries()) {
    const token = typeof merge === "string" ? merge.replace(" ", "") : merge.join("");
    if (!ranks.has(token)) ranks.set(token, rank);
  }
  return Float32Array.from(tokens, (token, id) => -(ranks.get(token) ?? merges.length + id));
}

/** Whether a space is put before a text. */
function beginsWithSpace({ normalizer, pre_tokenizer: preTokenizer }: TokenizerParts): boolean {
  const parts = [normalizer, preTokenizer].flatMap(
    (part) => (part?.normalizers ?? part?.pretokenizers ?? (part ? [part] : [])) as Json[],
  );
  return parts.some(
    ({ type, prepend_scheme: scheme, add_prefix_space: adds = true }) =>
      type === "Prepend" || (type === "Metaspace" && (scheme ?? adds) !== "never" && adds !== false),
  );
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
  const idOf = (part: Template["single"][number] | undefined) =>
    part?.SpecialToken && template?.special_tokens[part.SpecialToken.id]?.ids[0];
  return { before: idOf(template?.single[0]), after: idOf(template?.single.at(-1)) };
}

/** Ids of the tokens with a part to play, and of those that end a generation which their texts do not tell. */
function setRoles(
  metadata: Map<string, GgufWritable>,
  tokenizer: Tokenizer,
  { before, after }: ReturnType<typeof framing>,
  endIds?: readonly number[],
): void {
  const roles = new Map(specialIds(tokenizer));
  if (before !== undefined) roles.set("bos", before);
  const [end = after ?? roles.get("eos")] = endIds ?? [];
  if (end === undefined) roles.delete("eos");
  else roles.set("eos", end);
  const set = (role: TokenRole, id: number) => metadata.set(`tokenizer.ggml.${role}_token_id`, id);
  for (const [role, id] of roles) set(role, id);
  metadata.set("tokenizer.ggml.add_bos_token", before !== undefined);
  metadata.set("tokenizer.ggml.add_eos_token", after !== undefined && after === end);
  if (after !== undefined && after !== end)
    warnOnConsole({
      where: "GGUF tokenizer",
      notes: [
        `token ${after} is put after each text, ${end} ends one: llama.cpp knows one for both, and puts none after a text`,
      ],
    });
  const withoutScores = [...metadata].filter(([key]) => !key.endsWith(".scores")) as [string, GgufValue][];
  const { endIds: told } = ggufVocabulary("GGUF tokenizer", new Map(withoutScores));
  const [eot, eom, ...others] = (endIds ?? []).filter((id) => !told.includes(id));
  if (eot !== undefined) set("eot", eot);
  if (eom !== undefined) set("eom", eom);
  if (others.length > 0)
    warnOnConsole({
      where: "GGUF tokenizer",
      notes: [`there is no place for more ending tokens: ${others.join(", ")} will not end a text`],
    });
}

function specialIds(tokenizer: Tokenizer): [TokenRole, number][] {
  return Object.entries(specialRoles).flatMap(([name, role]) => {
    const token = tokenizer.special[name as keyof SpecialTokens];
    const id = token === undefined ? null : tokenizer.tokenToId(token);
    return id === null ? [] : [[role, id] as [TokenRole, number]];
  });
}

function setTemplates(metadata: Map<string, GgufWritable>, templates: ReadonlyMap<string, string>): void {
  const named = [...templates].filter(([name]) => name !== "default");
  const usual = templates.get("default");
  if (named.length > 0)
    metadata.set(
      "tokenizer.chat_templates",
      named.map(([name]) => name),
    );
  for (const [name, template] of named) metadata.set(`tokenizer.chat_template.${name}`, template);
  if (usual !== undefined) metadata.set("tokenizer.chat_template", usual);
}

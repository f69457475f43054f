/** What the metadata of a GGUF file say of its tokens, with llama.cpp's defaults where they say nothing. */

import { DataError, warnOnConsole } from "../../base/index.ts";
import type { GgufValue } from "../../files/index.ts";
import type { SpecialTokens } from "../settings.ts";
import { cutNames, type GgufCut, ggufCuts } from "./gguf-cuts.ts";
import { type PieceType, pieceTypes } from "./piece-types.ts";

/** The keys and values of a GGUF file. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Tokens with a part to play, by llama.cpp's names: tokenizer.ggml.<name>_token_id. */
const tokenRoles = ["bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask"] as const;
export type TokenRole = (typeof tokenRoles)[number];

/** The tokenizer that the metadata of a GGUF file describes. */
export interface GgufVocabulary {
  /** SentencePiece's BPE as of Llama 2, or byte-level BPE as of GPT-2. */
  model: "llama" | "gpt2";
  tokens: readonly string[];
  kinds: readonly PieceType[];
  scores: readonly number[];
  /** Of byte-level BPE. */
  cut?: GgufCut;
  roles: Readonly<Partial<Record<TokenRole, number>>>;
  /** Tokens that end a generation, the file's eos first. */
  endIds: readonly number[];
  addsBos: boolean;
  addsEos: boolean;
  addsSpacePrefix: boolean;
}

const PREFIX = "tokenizer.ggml.";

/** llama.cpp's number of a kind of token, which is SentencePiece's. */
export const kindNumber = (kind: PieceType): number => pieceTypes.indexOf(kind) + 1;

export const wrongMetadata = (path: string, key: string, expected: string, received: unknown) =>
  new DataError({
    where: `${path}, ${key}`,
    expected,
    received: String(received),
    fix: "use the original model's tokenizer.json",
  });

const isText = (value: GgufValue): value is string => typeof value === "string";
const isNumber = (value: GgufValue): value is number => typeof value === "number";

/** A list of the metadata; undefined where there is none. @throws DataError for another value */
function listOf<T extends GgufValue>(
  path: string,
  metadata: GgufMetadata,
  key: string,
  isFine: (value: GgufValue) => value is T,
): readonly T[] | undefined {
  const values = metadata.get(PREFIX + key);
  if (values === undefined) return undefined;
  if (Array.isArray(values) && values.every(isFine)) return values;
  throw wrongMetadata(path, PREFIX + key, "a list", typeof values);
}

/** @throws DataError for another kind of tokenizer, or lists that do not fit */
export function ggufVocabulary(path: string, metadata: GgufMetadata): GgufVocabulary {
  const model = metadata.get(`${PREFIX}model`);
  if (model !== "llama" && model !== "gpt2")
    throw wrongMetadata(path, `${PREFIX}model`, '"gpt2", byte-level BPE, or "llama", SentencePiece', model);
  const cut = model === "gpt2" ? cutOf(path, metadata) : undefined;
  const roles = ggufRoles(path, metadata);
  const { tokens } = roles;
  if (tokens.length === 0) throw wrongMetadata(path, `${PREFIX}tokens`, "a list of tokens", "none");
  const flag = (key: string, otherwise: boolean) => (metadata.get(PREFIX + key) ?? otherwise) === true;
  return {
    model,
    ...roles,
    scores: perToken(path, metadata, "scores", tokens) ?? new Array<number>(tokens.length).fill(0),
    cut,
    addsBos: flag("add_bos_token", model === "llama" || cut?.addsBos === true),
    addsEos: flag("add_eos_token", false),
    addsSpacePrefix: flag("add_space_prefix", model === "llama"),
  };
}

type Roles = Pick<GgufVocabulary, "tokens" | "kinds" | "roles" | "endIds">;
const knownRoles = new WeakMap<GgufMetadata, Roles>();

/**
 * Tokens and the parts they play, of a tokenizer of any kind; no tokens where a file has none. Of metadata that do not
 * change: the work is done once. @throws DataError for lists that do not fit
 */
export function ggufRoles(path: string, metadata: GgufMetadata): Roles {
  const known = knownRoles.get(metadata) ?? readRoles(path, metadata);
  knownRoles.set(metadata, known);
  return known;
}

function readRoles(path: string, metadata: GgufMetadata): Roles {
  const tokens = tokensOf(path, metadata);
  const types = perToken(path, metadata, "token_type", tokens);
  const stored = tokens.map((_, id): PieceType => (types ? (pieceTypes[types[id] - 1] ?? "unused") : "normal"));
  const roles = rolesOf(path, metadata, tokens);
  return { tokens, roles, ...endsOf(tokens, stored, roles, metadata) };
}

/** A number for each token. */
function perToken(
  path: string,
  metadata: GgufMetadata,
  key: string,
  tokens: readonly string[],
): readonly number[] | undefined {
  const values = listOf(path, metadata, key, isNumber);
  if (values === undefined || values.length >= tokens.length) return values;
  throw wrongMetadata(path, PREFIX + key, `one for each of ${tokens.length} tokens`, values.length);
}

function tokensOf(path: string, metadata: GgufMetadata): string[] {
  const tokens = (listOf(path, metadata, "tokens", isText) ?? []).map((token, id) => token || `[EMPTY_${id}]`);
  const ids = new Map<string, number>();
  for (const [id, token] of tokens.entries()) {
    const earlier = ids.get(token);
    if (earlier !== undefined)
      throw wrongMetadata(
        path,
        `${PREFIX}tokens`,
        "tokens that differ",
        `${JSON.stringify(token)} as ${earlier} and ${id}`,
      );
    ids.set(token, id);
  }
  return tokens;
}

/** The pairs of byte-level BPE that join, best first. @throws DataError for what is no pair */
export function ggufMerges(path: string, metadata: GgufMetadata): [string, string][] {
  const merges = listOf(path, metadata, "merges", isText);
  if (!merges) throw wrongMetadata(path, `${PREFIX}merges`, "a list", "none");
  return merges.map((merge) => {
    const at = merge.indexOf(" ", 1);
    if (at < 0) throw wrongMetadata(path, `${PREFIX}merges`, "pairs with a space between", JSON.stringify(merge));
    return [merge.slice(0, at), merge.slice(at + 1)];
  });
}

function cutOf(path: string, metadata: GgufMetadata): GgufCut {
  const name = metadata.get(`${PREFIX}pre`);
  if (name === undefined)
    warnOnConsole({
      where: path,
      notes: [
        `there is no ${PREFIX}pre: texts are cut as llama.cpp does by default, which may not be how the model learned them`,
      ],
    });
  const cut = ggufCuts.find(({ names }) => names.includes(name === undefined ? "default" : String(name)));
  if (cut) return cut;
  throw wrongMetadata(path, `${PREFIX}pre`, `one of ${cutNames.join(", ")}`, name);
}

/**
 * llama.cpp's ids where a file has none; for byte-level BPE it takes Falcon's 11, a comma elsewhere: that is not
 * followed.
 */
const sentencePieceRoles: Partial<Record<TokenRole, number>> = { bos: 1, eos: 2, unknown: 0 };

function rolesOf(path: string, metadata: GgufMetadata, tokens: readonly string[]): Partial<Record<TokenRole, number>> {
  const isSentencePiece = metadata.get(`${PREFIX}model`) === "llama";
  // without tokens ids are all there is
  const isToken = (id: number) => tokens.length === 0 || tokens[id] !== undefined;
  const roles: Partial<Record<TokenRole, number>> = {};
  for (const role of tokenRoles) {
    const key = `${PREFIX}${role}_token_id`;
    const otherwise = isSentencePiece ? sentencePieceRoles[role] : undefined;
    if (otherwise !== undefined && otherwise < tokens.length) roles[role] = otherwise;
    const id = metadata.get(key) ?? (role === "seperator" ? metadata.get(`${PREFIX}separator_token_id`) : undefined);
    if (id === undefined) continue;
    if (typeof id === "number" && isToken(id)) roles[role] = id;
    else if (id !== 2 ** 32 - 1)
      // -1 stands for none
      warnOnConsole({ where: path, notes: [`${key} is ${id}, which is no token: ${roles[role] ?? "none"} is used`] });
  }
  return roles;
}

/** Texts of tokens that end a turn or an answer, in models whose files say it nowhere else. */
const endTexts: ReadonlySet<string> = new Set(
  [
    [
      "<|eot_id|>",
      "<|eom_id|>",
      "<|im_end|>",
      "<|end|>",
      "<|return|>",
      "<|call|>",
      "<|flush|>",
      "<|calls|>",
      "<end_of_turn>",
      "<|endoftext|>",
      "</s>",
    ],
    [
      "<|end_of_text|>",
      "<EOT>",
      "_<EOT>",
      "[EOT]",
      "[EOS]",
      "<end_of_utterance>",
      "<eos>",
      "<turn|>",
      "<|tool_response>",
      "<｜end▁of▁sentence｜>",
      "[e~[",
    ],
  ].flat(),
);
/** Texts of tokens around code that is filled in, of which some end a generation too. */
const fillTexts = {
  fim_pad: ["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"],
  fim_rep: ["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"],
  fim_sep: ["<|file_sep|>"],
} as const;
/** Marks of gpt-oss's format, which are shown. */
const shownTexts: ReadonlySet<string> = new Set(["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"]);

/** Which tokens end a generation, as llama.cpp finds them; those are control tokens, whatever the file says. */
function endsOf(
  tokens: readonly string[],
  stored: readonly PieceType[],
  roles: GgufVocabulary["roles"],
  metadata: GgufMetadata,
): Pick<GgufVocabulary, "endIds" | "kinds"> {
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const has = (...texts: string[]) => texts.every((text) => idOf.has(text));
  const fillIds = Object.entries(fillTexts).flatMap(([name, texts]) => {
    const id =
      metadata.get(`${PREFIX}${name}_token_id`) ??
      texts.map((text) => idOf.get(text)).find((tokenId) => tokenId !== undefined);
    return typeof id === "number" && tokens[id] !== undefined ? [id] : [];
  });
  // where there are marks of tool calls, these ordinary looking ones end only a part of an answer
  const isPart = (text: string) =>
    text === "<|end|>"
      ? has("<|return|>", "<|call|>") || has("<|calls|>", "<|flush|>")
      : text === "</s>" && has("<|tool_response>");
  const named = [...idOf].flatMap(([text, id]) => (endTexts.has(text) && !isPart(text) ? [id] : []));
  const kinds = stored.map((kind, id): PieceType => {
    const text = tokens[id];
    if (shownTexts.has(text) || (text === "<|end|>" && isPart(text))) return "user-defined";
    return named.includes(id) || fillIds.includes(id) ? "control" : kind;
  });
  const first = [roles.eos, roles.eot, roles.eom].filter((id) => id !== undefined);
  return { kinds, endIds: [...new Set([...first, ...[...named, ...fillIds].sort((a, b) => a - b)])] };
}

/** What fills a gap among the ids: a token of no text. */
export const fillerToken = (id: number): string => `[PAD${id}]`;

/** Our names of roles, of those that both have. */
export const specialRoles: Readonly<Partial<Record<keyof SpecialTokens, TokenRole>>> = {
  bos: "bos",
  eos: "eos",
  unk: "unknown",
  pad: "padding",
  sep: "seperator",
  mask: "mask",
};

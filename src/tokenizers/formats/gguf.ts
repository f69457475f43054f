import { readGgufHeader, type StoredFile } from "../../files/index.ts";
import { addedToken, bpeModel, byteLevel, frameProcessor, type Json, tokenizerJson } from "../json-parts.ts";
import type { TokenizerFiles } from "../tokenizer-files.ts";
import {
  fillerToken,
  type GgufMetadata,
  type GgufVocabulary,
  ggufMerges,
  ggufVocabulary,
  specialRoles,
  type TokenRole,
  wrongMetadata,
} from "./gguf-vocabulary.ts";
import { sentencePieceTokenizer } from "./sentencepiece.ts";

/**
 * The tokenizer and the chat templates inside a GGUF file, as what a tokenizer.json and a tokenizer_config.json hold:
 * byte-level BPE of any cut that llama.cpp knows, or SentencePiece's as Llama 2. Token kinds, ids and defaults are read
 * as llama.cpp reads them.
 * @throws DataError for another kind of tokenizer, or lists that do not fit
 */
export async function readGgufTokenizer(file: StoredFile): Promise<TokenizerFiles> {
  const { name: path } = file;
  const { metadata } = await readGgufHeader(file);
  const vocabulary = ggufVocabulary(path, metadata);
  const json =
    vocabulary.model === "llama" ? sentencePieceJson(vocabulary) : bytePairJson(vocabulary, ggufMerges(path, metadata));
  const config = { ...namedTokens(vocabulary), ...chatTemplates(metadata) };
  return { file: path, json: { ...json, post_processor: frame(path, vocabulary) }, config, isOriginal: false };
}

const TEMPLATE = "tokenizer.chat_template";

/** The chat templates by name: the usual one, which may be listed as "default", and others. */
function chatTemplates(metadata: GgufMetadata): Json {
  const named = new Map<string, string>();
  for (const [key, value] of metadata)
    if (key.startsWith(`${TEMPLATE}.`) && typeof value === "string") named.set(key.slice(TEMPLATE.length + 1), value);
  const usual = metadata.get(TEMPLATE);
  if (typeof usual === "string") named.set("default", usual);
  return named.size > 0 ? { chat_template: Object.fromEntries(named) } : {};
}

const isFiller = ({ tokens, kinds }: GgufVocabulary, id: number) =>
  kinds[id] === "unused" && tokens[id] === fillerToken(id);

/**
 * Control tokens stand for no text, user-defined ones are whole wherever they are in a text and stand for their own
 * text.
 */
function addedTokens({ tokens, kinds }: GgufVocabulary): Json[] {
  return tokens.flatMap((token, id) => {
    const kind = kinds[id];
    if (kind !== "control" && kind !== "unknown" && kind !== "user-defined") return [];
    return [{ ...addedToken(id, token), special: kind !== "user-defined" }];
  });
}

function bytePairJson(vocabulary: GgufVocabulary, merges: [string, string][]): Json {
  const { tokens, cut } = vocabulary;
  const vocab = tokens.flatMap((token, id): [string, number][] => (isFiller(vocabulary, id) ? [] : [[token, id]]));
  return tokenizerJson({
    added_tokens: addedTokens(vocabulary),
    normalizer: cut?.normalizer ?? null,
    pre_tokenizer: cut?.preTokenizer ?? null,
    decoder: byteLevel(),
    model: bpeModel({ vocab: Object.fromEntries(vocab), merges, ignore_merges: cut?.ignoresMerges === true }),
  });
}

function sentencePieceJson(vocabulary: GgufVocabulary): Json & { model: Json } {
  const { tokens, scores, kinds, roles, addsSpacePrefix } = vocabulary;
  const unknown = roles.unknown ?? 0;
  // user-defined tokens are normal pieces to what makes the model: they are cut out of a text before, as added tokens
  const pieces = tokens.map((text, id) => {
    const kind = kinds[id] === "user-defined" ? "normal" : kinds[id];
    return { text, score: scores[id], type: id === unknown ? ("unknown" as const) : kind };
  });
  const json = sentencePieceTokenizer({
    pieces,
    modelType: "bpe",
    byteFallback: pieces.some(({ type }) => type === "byte"),
    treatWhitespaceAsSuffix: false,
    charsMap: new Uint8Array(),
    addDummyPrefix: addsSpacePrefix,
    removeExtraWhitespaces: false,
  });
  const model = json.model as Json & { vocab: Record<string, number> };
  const vocab = Object.entries(model.vocab).filter(([, id]) => !isFiller(vocabulary, id));
  return { ...json, added_tokens: addedTokens(vocabulary), model: { ...model, vocab: Object.fromEntries(vocab) } };
}

/** The tokens that the model expects around a text. */
function frame(path: string, { tokens, roles, addsBos, addsEos }: GgufVocabulary): Json | null {
  const partOf = (role: "bos" | "eos", adds: boolean) => {
    const id = roles[role];
    if (!adds) return [];
    if (id === undefined) throw wrongMetadata(path, `tokenizer.ggml.${role}_token_id`, "a token's id", "none");
    return [tokens[id]];
  };
  const [before, after] = [partOf("bos", addsBos), partOf("eos", addsEos)];
  if (before.length + after.length === 0) return null;
  const around = (text: "A" | "B") => [...before, text, ...after];
  return frameProcessor(around("A"), [...around("A"), ...around("B")], (token) => tokens.indexOf(token));
}

/** Roles that some files give to the first token, whatever it is. */
const careless: ReadonlySet<TokenRole | undefined> = new Set(["padding", "seperator", "mask"]);

/**
 * Tokens with a part to play, by the keys of a tokenizer_config.json. A named token is found in texts and left out of
 * them, which ordinary ones must not be.
 */
function namedTokens({ tokens, kinds, roles }: GgufVocabulary): Json {
  return Object.fromEntries(
    Object.entries(specialRoles).flatMap(([name, role]) => {
      const id = roles[role];
      const isNone = id === undefined || (careless.has(role) && kinds[id] === "normal");
      return isNone ? [] : [[`${name}_token`, tokens[id]]];
    }),
  );
}

import { readGgufHeader } from "../../files/index.ts";
import { addedToken, bpeModel, byteLevel, frameProcessor, type Json, tokenizerJson } from "../json-parts.ts";
import { type SpecialTokens, TextTokenizer } from "../text-tokenizer.ts";
import { type GgufMetadata, type GgufVocabulary, ggufMerges, ggufVocabulary, type TokenRole, wrongMetadata } from "./gguf-vocabulary.ts";
import { sentencePieceTokenizer } from "./sentencepiece.ts";

/** What a GGUF file has for texts: the tokenizer, and the templates of chats, the usual one and others by name. */
export interface GgufTexts {
  tokenizer: TextTokenizer;
  chatTemplate: string | undefined;
  namedTemplates: ReadonlyMap<string, string>;
}

/**
 * The tokenizer and the chat templates inside a GGUF file: byte-level BPE of any cut that llama.cpp knows, or SentencePiece's as Llama 2. Token kinds,
 * ids and defaults are read as llama.cpp reads them.
 * @throws DataError for another kind of tokenizer, or lists that do not fit
 */
export async function loadGgufTokenizer(path: string): Promise<GgufTexts> {
  const { metadata } = await readGgufHeader(path);
  const vocabulary = ggufVocabulary(path, metadata);
  const json = vocabulary.model === "llama" ? sentencePieceJson(vocabulary) : bytePairJson(vocabulary, ggufMerges(path, metadata));
  const tokenizer = await TextTokenizer.fromJson({ ...json, post_processor: frame(path, vocabulary) }, specialOf(vocabulary));
  return { tokenizer, ...ggufTemplates(metadata) };
}

const TEMPLATE = "tokenizer.chat_template";

/** The chat templates: the usual one, which may be listed as "default", and those of other names. */
export function ggufTemplates(metadata: GgufMetadata): Pick<GgufTexts, "chatTemplate" | "namedTemplates"> {
  const named = new Map<string, string>();
  for (const [key, value] of metadata) if (key.startsWith(`${TEMPLATE}.`) && typeof value === "string") named.set(key.slice(TEMPLATE.length + 1), value);
  const usual = metadata.get(TEMPLATE) ?? named.get("default");
  named.delete("default");
  return { chatTemplate: typeof usual === "string" ? usual : undefined, namedTemplates: named };
}

/** What fills a gap among the ids: a token of no text. */
export const fillerToken = (id: number): string => `[PAD${id}]`;
const isFiller = ({ tokens, kinds }: GgufVocabulary, id: number) => kinds[id] === "unused" && tokens[id] === fillerToken(id);

/** Control tokens stand for no text, user-defined ones are whole wherever they are in a text and stand for their own text. */
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

/** Our names of roles, of those that both have. */
export const specialRoles: Readonly<Partial<Record<keyof SpecialTokens, TokenRole>>> = {
  bos: "bos",
  eos: "eos",
  unk: "unknown",
  pad: "padding",
  sep: "seperator",
  mask: "mask",
};

function specialOf({ tokens, roles }: GgufVocabulary): SpecialTokens {
  return Object.fromEntries(
    Object.entries(specialRoles).flatMap(([name, role]) => {
      const id = roles[role];
      return id === undefined ? [] : [[name, tokens[id]]];
    }),
  );
}

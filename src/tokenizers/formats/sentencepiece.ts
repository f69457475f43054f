/**
 * SentencePiece models as tokenizer.json. Kudo and Richardson 2018, arXiv:1808.06226. The ids are those of
 * SentencePiece itself, which differ in places from those of transformers' own conversions; what a family adds around
 * texts is as transformers has it.
 */
import { DataError, nearest } from "../../base/index.ts";
import { toBase64 } from "../base64.ts";
import {
  type AddedToken,
  addedToken,
  anyOf,
  bpeModel,
  frameProcessor,
  type Json,
  splitBy,
  tokenizerJson,
} from "../json-parts.ts";
import { parseSentencePiece, type SentencePiece, type SentencePieceModel } from "./sentencepiece-model.ts";

const SPACE = "▁";
const replace = (pattern: object, content: string) => ({ type: "Replace", pattern, content });

/** What a family does with the pieces of its model. */
interface FamilyRules {
  /** Other pieces, with other ids. */
  pieces?(model: SentencePieceModel, config: Json): SentencePiece[];
  /** What is done to a text before all else. */
  normalizers?(config: Json): Json[];
  /** What is cut before all else. */
  preTokenizers?(config: Json): Json[];
  /** Tokens before and after a text, and between two; "A" and "B" are the texts. */
  frame(model: SentencePieceModel, config: Json): { single: string[]; pair: string[] };
}

const control = (text: string): SentencePiece => ({ text, score: 0, type: "control" });
const plainFrame = { single: ["A"], pair: ["A", "B"] };

/** Llama and Gemma: the beginning of the text, where tokenizer_config.json does not switch it off. */
const beginning: FamilyRules = {
  frame: ({ pieces, bosId, eosId }, { add_bos_token: addsBos = true, add_eos_token: addsEos = false }) => {
    const before = addsBos && pieces[bosId] ? [pieces[bosId].text] : [];
    const after = addsEos && pieces[eosId] ? [pieces[eosId].text] : [];
    return { single: [...before, "A", ...after], pair: [...before, "A", ...after, ...before, "B", ...after] };
  },
};
const bertLike: FamilyRules = {
  frame: () => ({ single: ["[CLS]", "A", "[SEP]"], pair: ["[CLS]", "A", "[SEP]", "B", "[SEP]"] }),
};
const DEFAULT_EXTRA_IDS = 100;

/** By tokenizer_class, without "Fast". */
const families: Readonly<Record<string, FamilyRules>> = {
  LlamaTokenizer: beginning,
  GemmaTokenizer: beginning,
  AlbertTokenizer: {
    ...bertLike,
    normalizers: ({ do_lower_case: lowers = true, keep_accents: keeps = false }) => [
      replace({ String: "``" }, '"'),
      replace({ String: "''" }, '"'),
      ...(keeps ? [] : [{ type: "NFKD" }, { type: "StripAccents" }]),
      ...(lowers ? [{ type: "Lowercase" }] : []),
    ],
  },
  DebertaV2Tokenizer: {
    ...bertLike,
    normalizers: ({ do_lower_case: lowers = false }) => (lowers ? [{ type: "Lowercase" }] : []),
    preTokenizers: ({ split_by_punct: splits = false }) =>
      splits ? [{ type: "Punctuation", behavior: "Isolated" }] : [],
    pieces: ({ pieces }) => [...pieces, ...(pieces.some(({ text }) => text === "[MASK]") ? [] : [control("[MASK]")])],
  },
  T5Tokenizer: {
    pieces: ({ pieces }, { extra_ids: count = DEFAULT_EXTRA_IDS }) => [
      ...pieces,
      ...Array.from({ length: count as number }, (_, i) => control(`<extra_id_${(count as number) - 1 - i}>`)),
    ],
    frame: ({ pieces, eosId }) => {
      const end = pieces[eosId] ? [pieces[eosId].text] : [];
      return { single: ["A", ...end], pair: ["A", ...end, "B", ...end] };
    },
  },
  XLMRobertaTokenizer: {
    pieces: ({ pieces }) => [
      control("<s>"),
      control("<pad>"),
      control("</s>"),
      { text: "<unk>", score: 0, type: "unknown" },
      ...pieces.slice(3),
      control("<mask>"),
    ],
    frame: () => ({ single: ["<s>", "A", "</s>"], pair: ["<s>", "A", "</s>", "</s>", "B", "</s>"] }),
  },
};
const plain: FamilyRules = { frame: () => plainFrame };

function rulesFor(path: string, { tokenizer_class: className }: Json): FamilyRules {
  const name = typeof className === "string" ? className.replace(/Fast$/, "") : undefined;
  if (name === undefined || name === "PreTrainedTokenizer" || name === "TokenizersBackend") return plain;
  if (Object.hasOwn(families, name)) return families[name];
  const near = nearest(name, Object.keys(families));
  throw new DataError({
    where: `${path}, tokenizer_class`,
    expected: `one of ${Object.keys(families).join(", ")} for a model without tokenizer.json`,
    received: name,
    fix: near ? `did you mean "${near}"?` : "use a repository that has a tokenizer.json",
  });
}

/** What matters of a model to its conversion. */
export type SentencePieceRules = Omit<SentencePieceModel, "unkId" | "bosId" | "eosId">;

/** A tokenizer.json of pieces, without what a family adds around texts. */
export function sentencePieceTokenizer(
  model: SentencePieceRules,
  pieces: readonly SentencePiece[] = model.pieces,
): Json {
  return tokenizerJson({
    added_tokens: addedTokens(pieces, model),
    normalizer: normalizerOf(model),
    pre_tokenizer: cutAtUserDefined(model),
    decoder: decoderOf(model),
    model: modelOf(model, pieces),
  });
}

/**
 * A tokenizer.json from the bytes of a SentencePiece model. @param config tokenizer_config.json of the model's folder
 * @throws DataError for a damaged model, or a tokenizer_class whose rules are not known
 */
export function sentencePieceJson(path: string, bytes: Uint8Array, config: Json = {}): Json {
  const parsed = parseSentencePiece(path, bytes);
  const model = config.add_prefix_space === false ? { ...parsed, addDummyPrefix: false } : parsed;
  const rules = rulesFor(path, config);
  const pieces = rules.pieces?.(model, config) ?? model.pieces;
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  const { single, pair } = rules.frame(model, config);
  const missing = single.find((part) => part !== "A" && !ids.has(part));
  if (missing !== undefined)
    throw new DataError({
      where: path,
      expected: `a piece ${missing}`,
      received: "none",
      fix: "check tokenizer_class",
    });
  const json = sentencePieceTokenizer(model, pieces);
  const [normalizers, cuts] = [rules.normalizers?.(config) ?? [], rules.preTokenizers?.(config) ?? []];
  return {
    ...json,
    normalizer: {
      type: "Sequence",
      normalizers: [...normalizers, ...(json.normalizer as { normalizers: Json[] }).normalizers],
    },
    ...(cuts.length > 0 && {
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [...cuts, ...(json.pre_tokenizer ? [json.pre_tokenizer] : [])],
      },
    }),
    post_processor: single.length === 1 ? null : frameProcessor(single, pair, (token) => ids.get(token) as number),
  };
}

function modelOf(model: SentencePieceRules, pieces: readonly SentencePiece[]): Json {
  const { modelType, byteFallback } = model;
  const unkId = pieces.findIndex(({ type }) => type === "unknown");
  if (modelType === "unigram")
    return {
      type: "Unigram",
      unk_id: unkId,
      vocab: pieces.map(({ text, score }) => [text, score]),
      byte_fallback: byteFallback,
    };
  const vocab = new Map(pieces.map(({ text }, id) => [text, id]));
  return bpeModel({
    unk_token: pieces[unkId].text,
    fuse_unk: true,
    byte_fallback: byteFallback,
    ignore_merges: isCut(model), // user-defined pieces are not made of others
    vocab: Object.fromEntries(vocab),
    merges: mergesOf(pieces),
  });
}

/**
 * SentencePiece joins whatever gives the piece with the highest score: all ways to make each piece of two others, in
 * this order.
 */
function mergesOf(pieces: readonly SentencePiece[]): [string, string][] {
  const vocab = new Set(pieces.map(({ text }) => text));
  const merges: [string, string][] = [];
  const ordered = [...pieces].sort((a, b) => b.score - a.score);
  for (const { text } of ordered) {
    const characters = Array.from(text);
    for (let at = 1; at < characters.length; at++) {
      const [left, right] = [characters.slice(0, at).join(""), characters.slice(at).join("")];
      if (vocab.has(left) && vocab.has(right)) merges.push([left, right]);
    }
  }
  return merges;
}

/**
 * User-defined pieces stand by themselves wherever they are in the text, the longest first. They are added tokens, but
 * for models that write a space in front of a text: that would come after each added token too. There the text is cut
 * at them.
 */
function addedTokens(pieces: readonly SentencePiece[], { addDummyPrefix }: SentencePieceRules): AddedToken[] {
  return pieces.flatMap(({ text, type }, id) => {
    if (type === "unknown" || type === "control") return [addedToken(id, text)];
    return type === "user-defined" && !addDummyPrefix
      ? [{ ...addedToken(id, text), special: false, normalized: true }]
      : [];
  });
}

const isCut = ({ pieces, addDummyPrefix }: SentencePieceRules): boolean =>
  addDummyPrefix && pieces.some(({ type }) => type === "user-defined");

function cutAtUserDefined(model: SentencePieceRules): Json | null {
  if (!isCut(model)) return null;
  return splitBy(anyOf(model.pieces.filter(({ type }) => type === "user-defined").map(({ text }) => text)));
}

function normalizerOf({
  charsMap,
  removeExtraWhitespaces,
  addDummyPrefix,
  treatWhitespaceAsSuffix,
}: SentencePieceRules): Json {
  const prefix = treatWhitespaceAsSuffix ? replace({ Regex: "$" }, SPACE) : { type: "Prepend", prepend: SPACE };
  const normalizers = [
    ...(charsMap.length > 0 ? [{ type: "Precompiled", precompiled_charsmap: toBase64(charsMap) }] : []),
    ...(removeExtraWhitespaces ? [replace({ Regex: "^ +" }, ""), replace({ Regex: " {2,}" }, " ")] : []),
    replace({ String: " " }, SPACE),
    // those that were written as such too; looked for once in a run
    ...(removeExtraWhitespaces ? [replace({ Regex: `(?<!${SPACE})${SPACE}+$` }, "")] : []),
    ...(addDummyPrefix ? [prefix] : []),
  ];
  return { type: "Sequence", normalizers };
}

/** More spaces than a text begins with. */
const ALL_SPACES = 1000;

function decoderOf({ byteFallback, addDummyPrefix, removeExtraWhitespaces }: SentencePieceRules): Json {
  const spaces = removeExtraWhitespaces ? ALL_SPACES : addDummyPrefix ? 1 : 0;
  const decoders = [
    replace({ String: SPACE }, " "),
    ...(byteFallback ? [{ type: "ByteFallback" }] : []),
    { type: "Fuse" },
    ...(spaces > 0 ? [{ type: "Strip", content: " ", start: spaces, stop: 0 }] : []),
  ];
  return { type: "Sequence", decoders };
}

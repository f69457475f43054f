/** Parts of a tokenizer.json that several tokenizers have. */

export type Json = Record<string, unknown>;

/** Separates documents, in the tokenizers that are trained here and in GPT-2's. */
export const END_OF_TEXT = "<|endoftext|>";

export interface AddedToken {
  id: number;
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  normalized: boolean;
  special: boolean;
}

/** The added_tokens entry of a special token. */
export const addedToken = (id: number, content: string): AddedToken => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** The vocabulary of a tokenizer.json, however its model writes it. */
export interface Vocabulary {
  readonly size: number;
  idOf(token: string): number | undefined;
}

export function vocabularyOf({ model }: Json): Vocabulary {
  const vocab = (model as Json | null | undefined)?.vocab ?? {};
  if (Array.isArray(vocab)) {
    const ids = new Map(vocab.map((entry, id) => [String((entry as unknown[] | null)?.[0]), id]));
    return { size: vocab.length, idOf: (token) => ids.get(token) };
  }
  const table = vocab as Record<string, number>;
  return { size: Object.keys(table).length, idOf: (token) => (Object.hasOwn(table, token) ? table[token] : undefined) };
}

/** The kind of a model; older files do not name it. */
export function kindOfModel(model: Json): string {
  if (model.type !== undefined) return String(model.type);
  return model.merges
    ? "BPE"
    : model.unk_id !== undefined
      ? "Unigram"
      : model.continuing_subword_prefix !== undefined
        ? "WordPiece"
        : "WordLevel";
}

/**
 * Whether each character is a token: byte-pair encoding that joins nothing, of texts that are not cut into words or
 * written in bytes.
 */
export function isCharacterModel({ model, pre_tokenizer: cut }: Json): boolean {
  const { merges, byte_fallback: hasBytes } = model as Json;
  return kindOfModel(model as Json) === "BPE" && !cut && !hasBytes && Array.isArray(merges) && merges.length === 0;
}

/** The added tokens of a tokenizer.json; none where they are damaged, which the check of the file reports. */
export function addedTokensOf({ added_tokens: added }: Json): readonly AddedToken[] {
  return Array.isArray(added) && added.every((token) => typeof token?.content === "string") ? added : [];
}

/** A whole tokenizer.json; parts that are not given are none. */
export const tokenizerJson = ({ model, ...parts }: Json & { model: Json }): Json => ({
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
  ...parts,
  model,
});

/** A model of byte-pair encoding. */
export const bpeModel = ({
  vocab,
  merges,
  ...options
}: Json & { vocab: Json; merges: readonly (readonly string[])[] }): Json => ({
  type: "BPE",
  dropout: null,
  unk_token: null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
  ...options,
  vocab,
  merges,
});

/** Bytes as characters: a pre-tokenizer, a post-processor or a decoder. @default GPT-2's cut */
export const byteLevel = (
  options: { add_prefix_space?: boolean; trim_offsets?: boolean; use_regex?: boolean } = {},
): Json => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: true,
  ...options,
});
export const byteLevelDecoder = byteLevel({ add_prefix_space: true });

/** Texts cut by a regular expression, what it finds and what is between. */
export const splitBy = (regex: string): Json => ({
  type: "Split",
  pattern: { Regex: regex },
  behavior: "Isolated",
  invert: false,
});
/** The same, then written in bytes. */
export const splitToBytes = (regex: string): Json => ({
  type: "Sequence",
  pretokenizers: [splitBy(regex), byteLevel({ use_regex: false })],
});
/** GPT-2's cut, each digit by itself. */
export const byteLevelDigits: Json = {
  type: "Sequence",
  pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevel()],
};

/** A post-processor that puts tokens around texts: "A" and "B" are these, everything else is a token. */
export function frameProcessor(
  single: readonly string[],
  pair: readonly string[],
  idOf: (token: string) => number,
): Json {
  const isText = (part: string) => part === "A" || part === "B";
  const partsOf = (frame: readonly string[]) =>
    frame.map((part) => ({ [isText(part) ? "Sequence" : "SpecialToken"]: { id: part, type_id: 0 } }));
  const used = [...new Set([...single, ...pair])].filter((part) => !isText(part));
  const special = used.map((token) => [token, { id: token, ids: [idOf(token)], tokens: [token] }]);
  return {
    type: "TemplateProcessing",
    single: partsOf(single),
    pair: partsOf(pair),
    special_tokens: Object.fromEntries(special),
  };
}

/** A regular expression for any of some texts, the longest first. */
export const anyOf = (texts: Iterable<string>): string =>
  [...texts]
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("|");

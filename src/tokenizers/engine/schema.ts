/** What a tokenizer.json must hold for the engine to run it. */
import { z } from "zod";
import { DataError } from "../../base/index.ts";
import { type Json, kindOfModel } from "../json-parts.ts";

const pattern = z.union([z.object({ String: z.string() }), z.object({ Regex: z.string() })]);
const behavior = z.enum(["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]);
const flag = z.boolean().nullish();
const character = z.string().refine((text) => Array.from(text).length === 1, "one character");
const id = z.int().min(0);
const kind = <K extends string, S extends z.ZodRawShape>(type: K, shape: S = {} as S) =>
  z.looseObject({ type: z.literal(type), ...shape });

const normalizer: z.ZodType = z.lazy(() =>
  z.discriminatedUnion("type", [
    kind("Sequence", { normalizers: z.array(normalizer) }),
    ...(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"] as const).map((type) =>
      kind(type),
    ),
    kind("Strip", { strip_left: flag, strip_right: flag }),
    kind("Replace", { pattern, content: z.string() }),
    kind("Prepend", { prepend: z.string() }),
    kind("BertNormalizer", { clean_text: flag, handle_chinese_chars: flag, strip_accents: flag, lowercase: flag }),
    kind("Precompiled", { precompiled_charsmap: z.string().nullish() }),
  ]),
);

const preTokenizer: z.ZodType = z.lazy(() =>
  z.discriminatedUnion("type", [
    kind("Sequence", { pretokenizers: z.array(preTokenizer) }),
    ...(["BertPreTokenizer", "Whitespace", "WhitespaceSplit", "UnicodeScripts"] as const).map((type) => kind(type)),
    kind("ByteLevel", { add_prefix_space: flag, use_regex: flag }),
    kind("Digits", { individual_digits: flag }),
    kind("Punctuation", { behavior: behavior.optional() }),
    kind("CharDelimiterSplit", { delimiter: character }),
    kind("Split", { pattern, behavior, invert: flag }),
    kind("Metaspace", {
      replacement: character,
      prepend_scheme: z.enum(["always", "first", "never"]).optional(),
      split: flag,
    }),
    kind("FixedLength", { length: z.int().min(1) }),
  ]),
);

const named = z.tuple([z.string(), id]);
const templatePart = z.looseObject({
  Sequence: z.object({ id: z.enum(["A", "B"]), type_id: id }).optional(),
  SpecialToken: z.object({ id: z.string(), type_id: id }).optional(),
});
const postProcessor: z.ZodType = z.lazy(() =>
  z.discriminatedUnion("type", [
    kind("Sequence", { processors: z.array(postProcessor) }),
    kind("ByteLevel", { trim_offsets: flag, add_prefix_space: flag }),
    kind("RobertaProcessing", { sep: named, cls: named, trim_offsets: flag, add_prefix_space: flag }),
    kind("BertProcessing", { sep: named, cls: named }),
    kind("TemplateProcessing", {
      single: z.array(templatePart),
      pair: z.array(templatePart),
      special_tokens: z.record(z.string(), z.object({ id: z.string(), ids: z.array(id), tokens: z.array(z.string()) })),
    }),
  ]),
);

const decoder: z.ZodType = z.lazy(() =>
  z.discriminatedUnion("type", [
    kind("Sequence", { decoders: z.array(decoder) }),
    ...(["ByteLevel", "ByteFallback", "Fuse"] as const).map((type) => kind(type)),
    kind("Metaspace", { replacement: character, prepend_scheme: z.enum(["always", "first", "never"]).optional() }),
    kind("WordPiece", { prefix: z.string(), cleanup: flag }),
    kind("BPEDecoder", { suffix: z.string() }),
    kind("Strip", { content: character, start: id, stop: id }),
    kind("Replace", { pattern, content: z.string() }),
    kind("CTC", { pad_token: z.string(), word_delimiter_token: z.string(), cleanup: flag }),
  ]),
);

const vocab = z.record(z.string(), id);
const unknown = z.string().nullish();
const models = {
  BPE: z.looseObject({
    vocab,
    merges: z.array(z.union([z.string().regex(/^\S+ \S+$/), z.tuple([z.string(), z.string()])])),
    unk_token: unknown,
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
    fuse_unk: flag,
    byte_fallback: flag,
    ignore_merges: flag,
  }),
  WordPiece: z.looseObject({
    vocab,
    unk_token: z.string().optional(),
    continuing_subword_prefix: z.string().optional(),
    max_input_chars_per_word: id.optional(),
  }),
  WordLevel: z.looseObject({ vocab, unk_token: z.string() }),
  Unigram: z.looseObject({
    vocab: z.array(z.tuple([z.string(), z.number()])).min(1),
    unk_id: id.nullish(),
    byte_fallback: flag,
  }),
};

const file = z.looseObject({
  normalizer: normalizer.nullish(),
  pre_tokenizer: preTokenizer.nullish(),
  post_processor: postProcessor.nullish(),
  decoder: decoder.nullish(),
  added_tokens: z
    .array(
      z.looseObject({
        content: z.string(),
        single_word: flag,
        lstrip: flag,
        rstrip: flag,
        normalized: flag,
        special: flag,
      }),
    )
    .nullish(),
  model: z.looseObject({}),
});

/** The file with the kind of its model. @throws DataError naming the part that is wrong */
export function checkedFile(path: string, json: object): Json & { model: Json } {
  const fail = ({ path: part, message }: z.core.$ZodIssue, prefix: string[] = []) =>
    new DataError({
      where: `${path}, ${[...prefix, ...part.map(String)].join(".")}`,
      expected: "a sound part of a tokenizer.json",
      received: message,
      fix: "fetch the file again",
    });
  const parsed = file.safeParse(json);
  if (!parsed.success) throw fail(parsed.error.issues[0]);
  const type = kindOfModel(parsed.data.model);
  const schema = Object.hasOwn(models, type) ? models[type as keyof typeof models] : undefined;
  if (!schema)
    throw new DataError({
      where: `${path}, model`,
      expected: `one of ${Object.keys(models).join(", ")}`,
      received: type,
      fix: "fetch the file again",
    });
  const model = schema.safeParse(parsed.data.model);
  if (!model.success) throw fail(model.error.issues[0], ["model"]);
  return { ...parsed.data, model: { ...parsed.data.model, type } };
}

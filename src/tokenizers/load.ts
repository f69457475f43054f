import { join } from "node:path";
import { z } from "zod";
import { readJson, writeJson } from "../files/index.ts";
import { DataError } from "../ir/index.ts";
import { BytePairTokenizer } from "./bpe.ts";
import { CharacterTokenizer } from "./char.ts";
import { TextTokenizer } from "./text-tokenizer.ts";
import { END_OF_TEXT, type PromptTokenizer, type Tokenizer } from "./tokenizer.ts";

/** Larger ids than any real vocabulary has would only exhaust memory. */
const MAX_ID = 2 ** 24;
const id = z.number().int().min(0).max(MAX_ID);
const nothing = z.null().optional();

const byteLevel = z.object({ type: z.literal("ByteLevel"), add_prefix_space: z.literal(false).optional(), use_regex: z.literal(true).optional() });
const digits = z.object({ type: z.literal("Digits"), individual_digits: z.literal(true) });

/** The parts of a tokenizer.json that decide what we can load. */
const tokenizerFile = z.object({
  added_tokens: z.array(z.object({ id, content: z.string().min(1) })).default([]),
  normalizer: nothing,
  pre_tokenizer: z.union([byteLevel, z.object({ type: z.literal("Sequence"), pretokenizers: z.tuple([digits, byteLevel]) })]).nullish(),
  model: z.object({
    type: z.literal("BPE"),
    vocab: z.record(z.string(), id),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});

/**
 * Loads a tokenizer.json: byte-level BPE as GPT-2's or SmolLM's, or a character tokenizer of ours.
 * @throws DataError when the file is missing, damaged or of another kind
 */
export async function loadTokenizer(path: string): Promise<PromptTokenizer> {
  return promptTokenizerFromJson(await readJson(path), path);
}

/** The same for what the file holds. */
export function promptTokenizerFromJson(json: unknown, path = "tokenizer.json"): PromptTokenizer {
  const parsed = tokenizerFile.safeParse(json);
  const fix = "use a GPT-2 tokenizer.json or one that Kindling wrote";
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new DataError({ where: `${path}, ${issue.path.join(".")}`, expected: "byte-level BPE or characters", received: issue.message, fix });
  }
  const { added_tokens: added, pre_tokenizer: pretokenizer, model } = parsed.data;
  const special = new Map(added.map(({ content, id }) => [content, id]));
  const plain = new Map(Object.entries(model.vocab).filter(([token]) => !special.has(token)));
  if (!pretokenizer) {
    if (model.merges.length > 0) throw new DataError({ where: path, expected: "a ByteLevel pre_tokenizer", received: "none", fix });
    return new CharacterTokenizer([...plain].sort(([, a], [, b]) => a - b).map(([character]) => character));
  }
  const pairs = model.merges.map((merge) => (typeof merge === "string" ? merge.split(" ") : merge) as [string, string]); // older files write "a b"
  return new BytePairTokenizer({ vocab: plain, merges: pairs, special, splitsDigits: pretokenizer.type === "Sequence" });
}

/** Opens the tokenizer of a model's folder. @throws as `TextTokenizer.open` */
export const openTokenizer = (folder: string): Promise<TextTokenizer> => TextTokenizer.open(folder);

/**
 * Writes tokenizer.json, and the tokenizer_config.json without which transformers would take GPT-2's own tokenizer for a
 * model of that type.
 */
export async function saveTokenizer(folder: string, tokenizer: Tokenizer): Promise<void> {
  if (tokenizer instanceof TextTokenizer) return tokenizer.save(folder);
  await writeJson(join(folder, "tokenizer.json"), tokenizer.toJson());
  const endOfText = tokenizer.endOfTextId === null ? undefined : END_OF_TEXT;
  const special = { bos: endOfText, eos: endOfText };
  await writeJson(join(folder, "tokenizer_config.json"), {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
    ...Object.fromEntries(Object.entries(special).map(([name, token]) => [`${name}_token`, token])),
  });
}

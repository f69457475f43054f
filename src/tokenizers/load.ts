import { join } from "node:path";
import { readJson, writeJson } from "../files/index.ts";
import { DataError } from "../ir/index.ts";
import { BytePairTokenizer } from "./bpe.ts";
import { CharacterTokenizer } from "./char.ts";
import { END_OF_TEXT, type Tokenizer } from "./tokenizer.ts";

/**
 * Loads a tokenizer.json: byte-level BPE as GPT-2's, or a character tokenizer of ours.
 * @throws DataError when the file is missing, damaged or of another kind
 */
export async function loadTokenizer(path: string): Promise<Tokenizer> {
  const json = (await readJson(path)) as TokenizerJson;
  const fail = (expected: string, received: unknown) =>
    new DataError({
      where: path,
      expected,
      received: JSON.stringify(received)?.slice(0, 80) ?? "none",
      fix: "use a GPT-2 tokenizer.json or one that Kindling wrote",
    });
  const { model } = json;
  if (model?.type !== "BPE") throw fail("a model of type BPE", model?.type);
  const { vocab, merges } = model;
  if (!isVocabulary(vocab)) throw fail("a vocab of tokens and integer ids", vocab);
  if (!Array.isArray(merges)) throw fail("a list of merges", merges);
  const special = new Map((json.added_tokens ?? []).map(({ content, id }) => [content, id]));
  const plain = new Map(Object.entries(vocab).filter(([token]) => !special.has(token)));
  if (json.pre_tokenizer === null || json.pre_tokenizer === undefined) {
    if (merges.length > 0) throw fail("a ByteLevel pre_tokenizer", json.pre_tokenizer);
    return new CharacterTokenizer([...plain].sort(([, a], [, b]) => a - b).map(([character]) => character));
  }
  if (json.pre_tokenizer.type !== "ByteLevel" || json.normalizer) throw fail("a ByteLevel pre_tokenizer and no normalizer", json.pre_tokenizer);
  const pairs = merges.map((merge) => (typeof merge === "string" ? merge.split(" ") : merge) as [string, string]); // older files write "a b"
  return new BytePairTokenizer({ vocab: plain, merges: pairs, special });
}

interface TokenizerJson {
  added_tokens?: { id: number; content: string }[];
  normalizer?: unknown;
  pre_tokenizer?: { type?: string } | null;
  model?: { type?: string; vocab?: unknown; merges?: unknown };
}

function isVocabulary(vocab: unknown): vocab is Record<string, number> {
  return vocab !== null && typeof vocab === "object" && Object.values(vocab).every((id) => Number.isSafeInteger(id) && id >= 0);
}

/**
 * Writes tokenizer.json, and the tokenizer_config.json without which transformers would take GPT-2's own tokenizer for a
 * model of that type.
 */
export async function saveTokenizer(folder: string, tokenizer: Tokenizer): Promise<void> {
  await writeJson(join(folder, "tokenizer.json"), tokenizer.toJson());
  const endOfText = tokenizer.endOfTextId === null ? null : END_OF_TEXT;
  await writeJson(join(folder, "tokenizer_config.json"), {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
    bos_token: endOfText,
    eos_token: endOfText,
  });
}

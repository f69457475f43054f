/** Tokenizers in files of any kind, as what a tokenizer.json holds. */
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { exists, readBytes, readJson } from "../files/index.ts";
import { sentencePieceJson } from "./formats/sentencepiece.ts";
import { type TiktokenOptions, tiktokenJson } from "./formats/tiktoken.ts";
import { bytePairJson, wordPieceJson } from "./formats/vocabulary.ts";
import type { Json } from "./json-parts.ts";

/** A tokenizer's file, and of a folder its tokenizer_config.json and special_tokens_map.json. @throws DataError when it is missing or damaged */
export async function readTokenizerFiles(path: string, ranks?: TiktokenOptions): Promise<{ file: string; json: Json; config: Json; map: Json }> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
  const file = isFolder ? await tokenizerFile(path) : path;
  const config = isFolder ? await readJson(join(path, "tokenizer_config.json")).catch(() => ({})) : {};
  const map = isFolder ? await readJson(join(path, "special_tokens_map.json")).catch(() => ({})) : {};
  return { file, json: await readTokenizer(file, config, ranks), config, map };
}

/** Names of the files that a model's folder may have, the best first. */
const fileNames = ["tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "spm.model", "tiktoken.model", "vocab.json", "vocab.txt"];

async function tokenizerFile(folder: string): Promise<string> {
  for (const name of fileNames) if (await exists(join(folder, name))) return join(folder, name);
  return join(folder, fileNames[0]);
}

/** What a tokenizer.json holds, from a file of any kind. */
async function readTokenizer(path: string, config: Json, ranks?: TiktokenOptions): Promise<Json> {
  const text = async (name: string) => new TextDecoder().decode(await readBytes(name));
  if (/\.tiktoken$|(^|[/\\])tiktoken\.model$/.test(path)) return tiktokenJson(path, await text(path), ranks);
  if (path.endsWith(".model")) return sentencePieceJson(path, await readBytes(path), config);
  if (basename(path) === "vocab.txt") return wordPieceJson(path, await text(path), config);
  if (basename(path) === "vocab.json") return bytePairJson(path, await readJson(path), await text(join(dirname(path), "merges.txt")), config);
  return readJson(path);
}

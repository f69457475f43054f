/** tiktoken's rank files, as tokenizer.json: github.com/openai/tiktoken. */
import { DataError } from "../../base/index.ts";
import { fromBase64 } from "../base64.ts";
import { byteCharacters } from "../byte-level.ts";
import {
  addedToken,
  bpeModel,
  byteLevel,
  byteLevelDecoder,
  type Json,
  splitToBytes,
  tokenizerJson,
} from "../json-parts.ts";

/** What a tiktoken file of ranks leaves open. */
export interface TiktokenOptions {
  /**
   * How texts are cut into words: a file of ranks does not say it. Or the name of an encoding of OpenAI's. @default
   * Llama 3's, as in transformers
   */
  pattern?: string;
  /** Tokens after the ranks, that stand for no text. @default none */
  specialTokens?: readonly string[];
}

/** Patterns of encodings whose files have no pattern in them. */
export const tiktokenPatterns = {
  r50k_base: String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s`,
  cl100k_base: String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s`,
  llama3: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
} as const;

/**
 * A tokenizer.json from a rank file: lines of a token in base64 and its rank. @throws DataError naming the line that is
 * none
 */
export function tiktokenJson(
  path: string,
  text: string,
  { pattern = "llama3", specialTokens = [] }: TiktokenOptions = {},
): Json {
  const ranks = ranksOf(path, text);
  const regex = Object.hasOwn(tiktokenPatterns, pattern)
    ? tiktokenPatterns[pattern as keyof typeof tiktokenPatterns]
    : pattern;
  return tokenizerJson({
    added_tokens: specialTokens.map((token, i) => addedToken(ranks.size + i, token)),
    pre_tokenizer: splitToBytes(regex),
    post_processor: byteLevel({ trim_offsets: false }),
    decoder: byteLevelDecoder,
    model: bpeModel({ ignore_merges: true, vocab: Object.fromEntries(ranks), merges: mergesOf(ranks) }),
  });
}

/** Tokens in the byte-level alphabet, with their ranks, in the order of these. */
function ranksOf(path: string, text: string): Map<string, number> {
  const ranks: [string, number][] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line === "") continue;
    const [, base64, rank] = line.match(/^([A-Za-z0-9+/]+={0,2}) (\d{1,8})$/) ?? [];
    if (base64 === undefined) {
      const received = JSON.stringify(line.slice(0, 60));
      throw new DataError({
        where: `${path}, line ${i + 1}`,
        expected: "a token in base64, a space, its rank",
        received,
        fix: "fetch the file again",
      });
    }
    ranks.push([Array.from(fromBase64(base64), (byte) => byteCharacters[byte]).join(""), Number(rank)]);
  }
  ranks.sort(([, a], [, b]) => a - b);
  const rankOf = new Map(ranks);
  const isGapless = rankOf.size === ranks.length && ranks.every(([, rank], i) => rank === i);
  if (isGapless && rankOf.size > 0) return rankOf;
  throw new DataError({
    where: path,
    expected: "tokens that differ, with the ranks 0, 1, ...",
    received: `${ranks.length} lines`,
    fix: "fetch the file again",
  });
}

/** All ways to make a token of two others, in the order of the tokens; of one token those of lower ranks first. */
function mergesOf(ranks: ReadonlyMap<string, number>): [string, string][] {
  const merges: [string, string][] = [];
  for (const token of ranks.keys()) {
    const ways: [number, number, string, string][] = [];
    for (let at = 1; at < token.length; at++) {
      const [left, right] = [token.slice(0, at), token.slice(at)];
      const [a, b] = [ranks.get(left), ranks.get(right)];
      if (a !== undefined && b !== undefined) ways.push([a, b, left, right]);
    }
    ways.sort((x, y) => x[0] - y[0] || x[1] - y[1]);
    for (const [, , left, right] of ways) merges.push([left, right]);
  }
  return merges;
}

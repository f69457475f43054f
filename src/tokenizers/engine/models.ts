/** What makes ids of words. */
import { DataError } from "../../base/index.ts";
import { type Join, joinPairs } from "../join-pairs.ts";
import type { Json } from "../json-parts.ts";
import { type Makers, make } from "./kinds.ts";
import { byteTokens, type Model, type Token } from "./model.ts";
import { unigramModel } from "./unigram.ts";

/** @throws DataError for a kind that is not known, or a vocabulary that lacks what it needs */
export function modelOf(where: string, json: Json): Model {
  return make(makers, where, json);
}

const makers: Makers<Model> = {
  BPE: bytePairModel,
  WordPiece: wordPieceModel,
  WordLevel: ({ vocab, unk_token: unknown }, where) => {
    const vocabulary = vocabularyOf(vocab);
    return {
      vocabulary,
      tokens: (characters) => [
        {
          id: vocabulary.get(characters.join("")) ?? need(where, vocabulary, String(unknown)),
          start: 0,
          end: characters.length,
        },
      ],
    };
  },
  Unigram: unigramModel,
};

const vocabularyOf = (vocab: unknown) => new Map(Object.entries(vocab as Record<string, number>));

function need(where: string, vocabulary: ReadonlyMap<string, number>, token: string): number {
  const id = vocabulary.get(token);
  if (id !== undefined) return id;
  throw new DataError({
    where,
    expected: `"${token}" in the vocabulary`,
    received: "none",
    fix: "fetch the file again",
  });
}

/** Words whose tokens are remembered. */
const CACHE_LIMIT = 50_000;
const CACHED_LENGTH = 64;

/** Byte-pair encoding over characters. Sennrich et al. 2015, arXiv:1508.07909. */
function bytePairModel(json: Json, where: string): Model {
  const { vocab, merges, unk_token: unknown, fuse_unk: fuses, byte_fallback: hasBytes, ignore_merges: ignores } = json;
  const prefix = (json.continuing_subword_prefix as string | null) ?? "";
  const suffix = (json.end_of_word_suffix as string | null) ?? "";
  const vocabulary = vocabularyOf(vocab);
  let size = 1; // above every id
  for (const id of vocabulary.values()) size = Math.max(size, id + 1);
  const joins = new Map<number, Join>();
  for (const [rank, merge] of (merges as (string | [string, string])[]).entries()) {
    const [left, right] = typeof merge === "string" ? (merge.split(" ") as [string, string]) : merge;
    const id = need(
      where,
      vocabulary,
      left + (prefix !== "" && right.startsWith(prefix) ? right.slice(prefix.length) : right),
    );
    // the last rank of a pair counts
    joins.set(need(where, vocabulary, left) * size + need(where, vocabulary, right), { rank, id });
  }
  const cache = new Map<string, Token[]>();

  /** Ids of one character in its place: itself, its bytes, or none where both are unknown. */
  function idsOf(character: string, isFirst: boolean, isLast: boolean): readonly number[] | undefined {
    const symbol = (isFirst ? "" : prefix) + character + (isLast ? suffix : "");
    const id = vocabulary.get(symbol);
    return id !== undefined ? [id] : hasBytes ? byteTokens(vocabulary, symbol) : undefined;
  }

  /** Characters as they are in the vocabulary; what is not is written in bytes, or unknown. */
  function symbolsOf(characters: readonly string[]): Token[] {
    const symbols: Token[] = [];
    let open: Token | undefined; // unknown characters that may become one
    for (const [i, character] of characters.entries()) {
      const ids = idsOf(character, i === 0, i === characters.length - 1);
      if (ids) {
        open = undefined;
        for (const id of ids) symbols.push({ id, start: i, end: i + 1 });
      } else if (open && fuses) open.end = i + 1;
      else if (unknown !== null && unknown !== undefined) {
        open = { id: need(where, vocabulary, String(unknown)), start: i, end: i + 1 };
        symbols.push(open);
      }
    }
    return symbols;
  }

  function merged(characters: readonly string[]): Token[] {
    const symbols = symbolsOf(characters);
    const { ids, counts } = joinPairs(
      symbols.map(({ id }) => id),
      (left, right) => joins.get(left * size + right),
    );
    let at = 0;
    return ids.map((id, i) => {
      const [first, last] = [symbols[at], symbols[at + counts[i] - 1]];
      at += counts[i];
      return { id, start: first.start, end: last.end };
    });
  }

  return {
    vocabulary,
    tokens: (characters) => {
      const word = characters.join("");
      const whole = ignores ? vocabulary.get(word) : undefined;
      if (whole !== undefined) return [{ id: whole, start: 0, end: characters.length }];
      const known = cache.get(word);
      if (known) return known;
      const tokens = merged(characters);
      if (characters.length <= CACHED_LENGTH) {
        if (cache.size >= CACHE_LIMIT) cache.clear();
        cache.set(word, tokens);
      }
      return tokens;
    },
  };
}

/**
 * The longest beginning that is in the vocabulary, then the longest of the rest. Schuster and Nakajima 2012; Devlin et
 * al. 2018, arXiv:1810.04805.
 */
function wordPieceModel(json: Json, where: string): Model {
  const {
    vocab,
    unk_token: unknown = "[UNK]",
    continuing_subword_prefix: prefix = "##",
    max_input_chars_per_word: longest = 100,
  } = json;
  const vocabulary = vocabularyOf(vocab);
  return {
    vocabulary,
    tokens: (characters) => {
      const none = () => [{ id: need(where, vocabulary, String(unknown)), start: 0, end: characters.length }];
      if (characters.length > (longest as number)) return none();
      const tokens: Token[] = [];
      for (let start = 0; start < characters.length; ) {
        let end = characters.length;
        let id: number | undefined;
        for (; end > start; end--) {
          id = vocabulary.get((start > 0 ? String(prefix) : "") + characters.slice(start, end).join(""));
          if (id !== undefined) break;
        }
        if (id === undefined) return none();
        tokens.push({ id, start, end });
        start = end;
      }
      return tokens;
    },
  };
}

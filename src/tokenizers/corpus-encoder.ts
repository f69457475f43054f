/**
 * Tokens of large texts, for training data: without offsets, by a light reader where that is certain to give the
 * tokenizer's own ids.
 */
import { characterBytes, pretokens, toByteCharacters } from "./byte-level.ts";
import { type Join, joinPairs } from "./join-pairs.ts";
import {
  type AddedToken,
  addedTokensOf,
  anyOf,
  isCharacterModel,
  type Json,
  kindOfModel,
  vocabularyOf,
} from "./json-parts.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Ids of a text, without what belongs around it. */
export type CorpusEncoder = (text: string) => Promise<number[]>;

/**
 * Encodes texts as `tokenizer.encode` does, several times faster for byte-level BPE as GPT-2 and SmolLM have it and for
 * tokenizers of characters. The parts of the tokenizer.json decide whether the light reader knows all of them;
 * characters that the two may class differently, since each has its own version of Unicode, are tried in both.
 */
export function corpusEncoder(tokenizer: Tokenizer): CorpusEncoder {
  const whole: CorpusEncoder = (text) => tokenizer.encode(text, { addSpecialTokens: false });
  const json = tokenizer.toJson();
  const added = plainAddedTokens(json, tokenizer);
  const words = added && (characterWords(json) ?? bytePairWords(json));
  if (!words) return whole;
  const light = lightEncoder(words, added);
  const { cut } = words;
  if (!cut) return async (text) => light(text);
  const isCutAlike = characterCheck(tokenizer, cut);
  return async (text) => ((await isCutAlike(text)) ? light(text) : whole(text));
}

/** What makes ids of a piece between added tokens. */
interface Words {
  /** Ids of a word, or of the whole piece where there are no words. */
  idsOf(word: string): readonly number[];
  /** The words of a piece. @default the piece */
  cut?(text: string): string[];
}

/** Ids of added tokens, if they are found in a text wherever they are written; undefined where flags say more. */
function plainAddedTokens(json: Json, tokenizer: Tokenizer): ReadonlyMap<string, number> | undefined {
  const tokens = addedTokensOf(json);
  const isPlain = ({ content, lstrip, rstrip, single_word, normalized }: AddedToken) =>
    content !== "" && !lstrip && !rstrip && !single_word && Boolean(normalized) === Boolean(tokens[0].normalized);
  if (json.normalizer || !tokens.every(isPlain)) return undefined;
  return new Map(tokens.map(({ content }) => [content, tokenizer.tokenToId(content) as number]));
}

const isOff = (value: unknown) =>
  value === null || value === undefined || value === false || value === "" || value === 0;

/** Options of a BPE model that change nothing. */
function isPlainModel(model: Json): boolean {
  const {
    dropout,
    continuing_subword_prefix: prefix,
    end_of_word_suffix: suffix,
    byte_fallback: bytes,
    ignore_merges: ignores,
  } = model;
  return kindOfModel(model) === "BPE" && [dropout, prefix, suffix, bytes, ignores].every(isOff);
}

/** Characters, each of which is a token: BPE without merges, as `CharacterTrainer` makes it. */
function characterWords(json: Json): Words | undefined {
  const model = json.model as Json;
  if (!isCharacterModel(json) || !isPlainModel(model) || !isOff(model.fuse_unk)) return undefined;
  const { idOf } = vocabularyOf(json);
  const unknown = typeof model.unk_token === "string" ? idOf(model.unk_token) : undefined;
  if (typeof model.unk_token === "string" && unknown === undefined) return undefined;
  return {
    idsOf: (text) => {
      const ids: number[] = [];
      for (const character of text) {
        const id = idOf(character) ?? unknown;
        if (id !== undefined) ids.push(id); // without an unknown token, as the reference, it is dropped
      }
      return ids;
    },
  };
}

/** Words whose tokens are remembered; natural text repeats its words. */
const CACHE_LIMIT = 100_000;
/** Longer pieces are rarely met again, so they are not remembered. */
const CACHED_WORD = 64;

/**
 * Byte-level BPE whose words are GPT-2's, or SmolLM's, which has each digit by itself. Sennrich et al. 2015,
 * arXiv:1508.07909; Radford et al. 2019.
 */
function bytePairWords(json: Json): Words | undefined {
  const model = json.model as Json;
  const cut = gpt2Cut(json.pre_tokenizer as Json | null | undefined);
  if (!cut || !isPlainModel(model) || !isOff(model.unk_token)) return undefined;
  const { idOf, size } = vocabularyOf(json);
  const base = Array.from(characterBytes.keys(), idOf);
  if (base.includes(undefined)) return undefined;
  const joins = joinsOf(model.merges as (string | [string, string])[], idOf, size);
  if (!joins) return undefined;
  const cache = new Map<string, readonly number[]>();
  const idsOf = (word: string): readonly number[] => {
    const known = cache.get(word);
    if (known) return known;
    const symbols = Array.from(
      toByteCharacters(word),
      (character) => base[characterBytes.get(character) as number] as number,
    );
    const { ids } = joinPairs(symbols, (left, right) => joins.get(left * size + right));
    if (word.length <= CACHED_WORD) {
      if (cache.size >= CACHE_LIMIT) cache.clear();
      cache.set(word, ids);
    }
    return ids;
  };
  return { idsOf, cut };
}

/**
 * For a pair of ids (left * size + right): rank and id of the joined token. Undefined where a part is missing, or ids
 * are not those of a list.
 */
function joinsOf(
  merges: readonly (string | [string, string])[],
  idOf: (token: string) => number | undefined,
  size: number,
): Map<number, Join> | undefined {
  const joins = new Map<number, Join>();
  for (const [rank, merge] of merges.entries()) {
    const [left, right] = typeof merge === "string" ? merge.split(" ") : merge; // older files write "a b"
    const [a, b, id] = [idOf(left), idOf(right), idOf(left + right)];
    if (a === undefined || b === undefined || id === undefined || Math.max(a, b) >= size) return undefined;
    joins.set(a * size + b, { rank, id }); // the last rank of a pair counts, as in the reference
  }
  return joins;
}

/** The words of GPT-2's pre-tokenizer, or of SmolLM's; undefined for another. */
function gpt2Cut(json: Json | null | undefined): ((text: string) => string[]) | undefined {
  const parts =
    json?.type === "Sequence" && Array.isArray(json.pretokenizers) ? (json.pretokenizers as Json[]) : [json];
  const [digits, byteLevel] = parts.length === 2 ? parts : [undefined, parts[0]];
  if (
    parts.length > 2 ||
    byteLevel?.type !== "ByteLevel" ||
    byteLevel.add_prefix_space !== false ||
    byteLevel.use_regex === false
  )
    return undefined;
  if (digits && (digits.type !== "Digits" || digits.individual_digits !== true)) return undefined;
  return (text) => (digits ? text.split(/(\p{N})/u) : [text]).flatMap((piece) => piece.match(pretokens()) ?? []);
}

function lightEncoder({ idsOf, cut }: Words, added: ReadonlyMap<string, number>): (text: string) => number[] {
  const special = added.size > 0 ? new RegExp(`(${anyOf(added.keys())})`, "u") : undefined;
  return (text) => {
    const out: number[] = [];
    const push = (word: string) => {
      for (const id of idsOf(word)) out.push(id);
    };
    for (const [i, piece] of (special ? text.split(special) : [text]).entries()) {
      if (i % 2 === 1) out.push(added.get(piece) as number);
      else if (!cut) push(piece);
      else for (const word of cut(piece)) push(word);
    }
    return out;
  };
}

/**
 * Whether all characters of a text are letters, numbers, spaces or none of these to the tokenizer as they are to the
 * light reader.
 */
function characterCheck(tokenizer: Tokenizer, cut: (text: string) => string[]): (text: string) => Promise<boolean> {
  const known = new Map<string, boolean>();
  /** How many words there are in each of three places tells the class of a character. */
  const probes = (character: string) => [`a${character}a`, `1${character}1`, `!${character}!`];
  const isAlike = async (character: string): Promise<boolean> => {
    for (const text of probes(character)) {
      const { wordIds } = await tokenizer.encodeText(text, { addSpecialTokens: false, isLiteral: true });
      if (new Set(wordIds).size !== cut(text).length) return false;
    }
    return true;
  };
  return async (text) => {
    let isFine = true;
    for (const character of new Set(text.match(/[^\0-\x7f]/gu))) {
      if (!known.has(character)) known.set(character, await isAlike(character));
      isFine &&= known.get(character) as boolean;
    }
    return isFine;
  };
}

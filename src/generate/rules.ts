import { DataError } from "../ir/index.ts";

/** Rules of generation_config.json that change the logits before a token is picked, as transformers' logits processors. */
export interface GenerationRules {
  /** Divides positive and multiplies negative logits of tokens that there are already. Keskar et al. 2019, arXiv:1909.05858. @default 1 */
  repetitionPenalty: number;
  /** No sequence of so many tokens comes twice. @default 0, no limit */
  noRepeatNgramSize: number;
  /** Sequences that are never completed. */
  badWords: readonly (readonly number[])[];
  /** Least number of tokens, the start included, before the text may end. */
  minLength: number;
  minNewTokens: number;
  /** The first token after a start of one, and the last when the text reaches its greatest length. */
  forcedBos: number | null;
  forcedEos: readonly number[];
  /** Tokens that are never picked, and those that are not picked first. */
  suppressed: readonly number[];
  suppressedFirst: readonly number[];
  eos: readonly number[];
  /** Of speech models: tokens that say times come in pairs and in order. @default none, they are tokens as others */
  times: TimeRule | null;
}

/** How tokens that stand for times are picked. Radford et al. 2022, arXiv:2212.04356, section 2.3. */
export interface TimeRule {
  /** The token in front of that for 0 seconds; it is never picked. */
  noTimestamps: number;
  /** Ends a text; what is below it is text. */
  eos: number;
  /** The largest time that a text may begin with, in steps. @default null, any */
  largestFirst: number | null;
}

const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isIds = (value: unknown): value is number[] => Array.isArray(value) && value.every(isId);

/**
 * Reads the rules of a generation_config.json.
 * @throws DataError naming the key, for a value that cannot be followed
 */
export function rulesFrom(json: Readonly<Record<string, unknown>>): GenerationRules {
  const read = <T>(key: string, fallback: T, expected: string, isFine: (value: unknown) => boolean): T => {
    const value = json[key];
    if (value === undefined || value === null) return fallback;
    if (!isFine(value))
      throw new DataError({ where: `generation_config.json, ${key}`, expected, received: JSON.stringify(value).slice(0, 60), fix: "correct it" });
    return value as T;
  };
  const isNumber = (value: unknown) => typeof value === "number" && value >= 0;
  const ids = (key: string) => [read<number | number[]>(key, [], "token ids", (value) => isId(value) || isIds(value))].flat();
  const eos = ids("eos_token_id");
  const badWords = read<number[][]>("bad_words_ids", [], "lists of token ids", (value) => Array.isArray(value) && value.every(isIds));
  return {
    repetitionPenalty: read("repetition_penalty", 1, "a number above 0", (value) => isNumber(value) && (value as number) > 0),
    noRepeatNgramSize: read("no_repeat_ngram_size", 0, "a number of tokens", isId),
    badWords: badWords.filter((word) => !(word.length === 1 && eos.includes(word[0]))),
    minLength: read("min_length", 0, "a number of tokens", isId),
    minNewTokens: read("min_new_tokens", 0, "a number of tokens", isId),
    forcedBos: read("forced_bos_token_id", null, "a token id", isId),
    forcedEos: ids("forced_eos_token_id"),
    suppressed: ids("suppress_tokens"),
    suppressedFirst: ids("begin_suppress_tokens"),
    eos,
    times: null,
  };
}

/** Where the text is: its tokens so far, how many of them were given, and how many there may be. */
export interface Progress {
  ids: readonly number[];
  startLength: number;
  maxLength: number;
}

/** Applies the rules to the logits of the next token, in place, in the order of transformers. */
export function applyRules(logits: Float32Array, rules: GenerationRules, { ids, startLength, maxLength }: Progress): void {
  const ban = (id: number) => {
    logits[id] = Number.NEGATIVE_INFINITY;
  };
  penalize(logits, rules.repetitionPenalty, ids);
  for (const id of [...repeating(ids, rules.noRepeatNgramSize), ...completed(ids, rules.badWords)]) ban(id);
  const isEarly = ids.length < rules.minLength || ids.length - startLength < rules.minNewTokens;
  if (isEarly) for (const id of rules.eos) ban(id);
  const forced = ids.length === 1 && rules.forcedBos !== null ? [rules.forcedBos] : ids.length === maxLength - 1 ? rules.forcedEos : [];
  if (forced.length > 0) {
    logits.fill(Number.NEGATIVE_INFINITY);
    for (const id of forced) logits[id] = 0;
  }
  for (const id of rules.suppressed) ban(id);
  const first = startLength === 1 && rules.forcedBos !== null ? 2 : startLength;
  if (ids.length === first) for (const id of rules.suppressedFirst) ban(id);
  if (rules.times) keepTimesInOrder(logits, rules.times, ids.slice(startLength));
}

/** Allows the times that can follow, and nothing else where a time is likelier than any text. */
function keepTimesInOrder(logits: Float32Array, { noTimestamps, eos, largestFirst }: TimeRule, made: readonly number[]): void {
  const zero = noTimestamps + 1;
  const isTime = (id: number | undefined) => id !== undefined && id >= zero;
  const ban = (start: number, end: number) => logits.fill(Number.NEGATIVE_INFINITY, start, end);
  ban(noTimestamps, zero);
  const isAfterOne = isTime(made.at(-1));
  const isAfterTwo = isAfterOne && (made.length < 2 || isTime(made.at(-2)));
  if (isAfterTwo) ban(zero, logits.length);
  else if (isAfterOne) ban(0, eos);
  const last = made.findLast(isTime);
  // the end of a part may be the start of the next; a time is otherwise never given again
  if (last !== undefined) ban(zero, isAfterOne && !isAfterTwo ? last : last + 1);
  if (made.length === 0) {
    ban(0, zero);
    if (largestFirst !== null) ban(zero + largestFirst + 1, logits.length);
  }
  if (logSumExp(logits.subarray(zero)) > maxOf(logits.subarray(0, zero))) ban(0, zero);
}

const maxOf = (values: Float32Array) => values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);

/** The logarithm of the sum of e to each value. */
export function logSumExp(values: Float32Array): number {
  const largest = maxOf(values);
  if (largest === Number.NEGATIVE_INFINITY) return largest;
  let sum = 0;
  for (const value of values) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

/** Tokens that there are already become less likely, by a factor on their logits. */
function penalize(logits: Float32Array, penalty: number, ids: readonly number[]): void {
  if (penalty === 1) return;
  for (const id of new Set(ids)) logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
}

/** The last tokens of words of which everything before is there. */
function completed(ids: readonly number[], words: GenerationRules["badWords"]): number[] {
  const isThere = (before: readonly number[]) => before.every((id, i) => ids[ids.length - before.length + i] === id);
  return words.filter((word) => isThere(word.slice(0, -1))).map((word) => word[word.length - 1]);
}

/** Tokens that would make the last size tokens a sequence that was there before. */
function repeating(ids: readonly number[], size: number): number[] {
  if (size === 0 || ids.length + 1 < size) return [];
  const tail = ids.slice(ids.length - size + 1);
  const found: number[] = [];
  for (let i = 0; i + size <= ids.length; i++) if (tail.every((id, j) => ids[i + j] === id)) found.push(ids[i + size - 1]);
  return found;
}

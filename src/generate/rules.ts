import type { FollowedSettings } from "./generation-config.ts";

/** What changes the logits before a token is picked, as transformers' logits processors do. */
export interface GenerationRules
  extends Omit<FollowedSettings, "limits" | "maxNewTokens" | "maxLength" | "maxTime" | "stopStrings"> {
  /** Of speech models: tokens that say times come in pairs and in order. @default they are tokens as others */
  times?: TimeRule;
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

/** Where a text is. */
export interface Progress {
  /** Its tokens so far. */
  ids: readonly number[];
  /** How many of them it began with. */
  startLength: number;
  /** How many there may be. */
  maxLength: number;
  /** What an encoder read, or the prompt. @default none */
  source?: readonly number[];
}

/** Applies the rules to the logits of the next token, in place, in the order of transformers. */
export function applyRules(
  logits: Float32Array,
  rules: GenerationRules,
  { ids, startLength, maxLength, source = [] }: Progress,
): void {
  const ban = (banned: readonly number[]) => {
    for (const id of banned) logits[id] = Number.NEGATIVE_INFINITY;
  };
  for (const [id, bias] of biases(ids, rules.sequenceBias ?? [])) logits[id] += bias;
  penalize(logits, 1 / (rules.encoderRepetitionPenalty ?? 1), source);
  penalize(logits, rules.repetitionPenalty ?? 1, ids);
  ban(repeating(ids, ids, rules.noRepeatNgramSize ?? 0));
  ban(repeating(source, ids, rules.encoderNoRepeatNgramSize ?? 0));
  ban(
    completed(
      ids,
      (rules.badWordsIds ?? []).filter((word) => !(word.length === 1 && rules.eosTokenId.includes(word[0]))),
    ),
  );
  const newTokens = ids.length - startLength;
  if (ids.length < (rules.minLength ?? 0) || newTokens < (rules.minNewTokens ?? 0)) ban(rules.eosTokenId);
  force(logits, rules, ids.length, maxLength);
  if (rules.removeInvalidValues) removeInvalid(logits);
  hastenEnd(logits, rules, newTokens);
  ban(rules.suppressTokens ?? []);
  const first = startLength === 1 && rules.forcedBosTokenId !== undefined ? 2 : startLength;
  if (ids.length === first) ban(rules.beginSuppressTokens ?? []);
  if (rules.times) keepTimesInOrder(logits, rules.times, ids.slice(startLength));
  if (rules.renormalizeLogits) {
    const normalizer = logSumExp(logits);
    for (let id = 0; id < logits.length; id++) logits[id] -= normalizer;
  }
}

/** Leaves nothing but the token that has to stand second, or last. */
function force(
  logits: Float32Array,
  { forcedBosTokenId, forcedEosTokenId }: GenerationRules,
  length: number,
  maxLength: number,
): void {
  const forced =
    length === maxLength - 1 && forcedEosTokenId.length > 0
      ? forcedEosTokenId
      : length === 1
        ? [forcedBosTokenId ?? []].flat()
        : [];
  if (forced.length === 0) return;
  logits.fill(Number.NEGATIVE_INFINITY);
  for (const id of forced) logits[id] = 0;
}

const LARGEST = 3.4028234663852886e38; // of f32

function removeInvalid(logits: Float32Array): void {
  for (let id = 0; id < logits.length; id++)
    logits[id] = Number.isNaN(logits[id]) ? 0 : Math.max(-LARGEST, Math.min(LARGEST, logits[id]));
}

/** Makes the end likelier and likelier, from some length on. */
function hastenEnd(
  logits: Float32Array,
  { exponentialDecayLengthPenalty, eosTokenId }: GenerationRules,
  newTokens: number,
): void {
  if (!exponentialDecayLengthPenalty) return;
  const [start, factor] = exponentialDecayLengthPenalty;
  if (newTokens <= start) return;
  for (const id of eosTokenId)
    if (Number.isFinite(logits[id])) logits[id] += Math.abs(logits[id]) * (factor ** (newTokens - start) - 1);
}

/** Allows the times that can follow, and nothing else where a time is likelier than any text. */
function keepTimesInOrder(
  logits: Float32Array,
  { noTimestamps, eos, largestFirst }: TimeRule,
  written: readonly number[],
): void {
  const zero = noTimestamps + 1;
  const isTime = (id: number | undefined) => id !== undefined && id >= zero;
  const ban = (start: number, end: number) => logits.fill(Number.NEGATIVE_INFINITY, start, end);
  ban(noTimestamps, zero);
  const isAfterOne = isTime(written.at(-1));
  const isAfterTwo = isAfterOne && (written.length < 2 || isTime(written.at(-2)));
  if (isAfterTwo) ban(zero, logits.length);
  else if (isAfterOne) ban(0, eos);
  const last = written.findLast(isTime);
  // the end of a part may be the start of the next; a time is otherwise never given again
  if (last !== undefined) ban(zero, isAfterOne && !isAfterTwo ? last : last + 1);
  if (written.length === 0) {
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

/** Whether a text ends with some tokens. */
const endsWith = (ids: readonly number[], tokens: readonly number[]) =>
  tokens.every((id, i) => ids[ids.length - tokens.length + i] === id);

/** The last tokens of words of which everything before is there. */
function completed(ids: readonly number[], words: readonly (readonly number[])[]): number[] {
  return words.filter((word) => endsWith(ids, word.slice(0, -1))).map((word) => word[word.length - 1]);
}

/** Tokens that would complete a sequence, with its bias; of those that are there twice the last counts. */
function biases(ids: readonly number[], pairs: NonNullable<GenerationRules["sequenceBias"]>): [number, number][] {
  const unique = new Map(pairs.map((pair) => [pair[0].join(), pair]));
  return [...unique.values()]
    .filter(([word]) => endsWith(ids, word.slice(0, -1)))
    .map(([word, bias]) => [word[word.length - 1], bias]);
}

/** Tokens that would make the last `size` tokens of a text a sequence that is in another. */
function repeating(source: readonly number[], ids: readonly number[], size: number): number[] {
  if (size === 0 || ids.length + 1 < size) return [];
  const tail = ids.slice(ids.length - size + 1);
  const ends: number[] = [];
  for (let i = 0; i + size <= source.length; i++)
    if (tail.every((id, j) => source[i + j] === id)) ends.push(source[i + size - 1]);
  return ends;
}

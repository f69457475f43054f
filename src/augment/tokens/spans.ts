import { checkOptions, DataError, numberRules, requireNumbers } from "../../base/index.ts";
import type { Draws } from "../draws.ts";

/** How much of a text is taken out. */
export interface SpanNoise {
  /** Share of the tokens. @default 0.15 */
  noiseDensity?: number;
  /** Tokens of a span, as a mean. @default 3 */
  meanSpanLength?: number;
}

/** What is taken out of a text, and what stands for it. */
export interface CorruptSpansOptions extends SpanNoise {
  /** The id of the first span's sentinel, `<extra_id_0>`; those of the others are one less each. */
  firstSentinelId: number;
  /** Sentinels there are. @default 100 */
  numSentinels?: number;
  /** Ends both sides. @default neither side has an end */
  eosTokenId?: number;
}

/** A text with holes, and what was in them. */
export interface CorruptedSpans {
  inputIds: number[];
  labels: number[];
}

const NOISE = { noiseDensity: numberRules.innerShare, meanSpanLength: numberRules.positive };
const noiseOf = ({ noiseDensity = 0.15, meanSpanLength = 3 }: SpanNoise) => ({ noiseDensity, meanSpanLength });
/** Halves go to the even neighbour, as in Python. */
const roundHalfEven = (x: number) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

/**
 * Takes spans out of a text for a text-to-text model. A sentinel stands for each, and the labels are the sentinels,
 * each with what it stands for. Raffel et al. 2019, arXiv:1910.10683, section 3.1.4, as transformers' run_t5_mlm_flax.
 * A text begins with what stays and ends with a span.
 * @throws DataError for fewer than two tokens, or more spans than sentinels
 *
 * @example
 * const options = { firstSentinelId: 99, noiseDensity: 0.5, eosTokenId: 1 };
 * const { inputIds, labels } = corruptSpans([5, 6, 7, 8], options, drawsOf(0));
 * [...inputIds, 0, ...labels]; // [5, 6, 99, 1, 0, 99, 7, 8, 1]
 */
export function corruptSpans(ids: readonly number[], options: CorruptSpansOptions, draws: Draws): CorruptedSpans {
  const names = ["noiseDensity", "meanSpanLength", "firstSentinelId", "numSentinels", "eosTokenId"];
  checkOptions("corruptSpans", options, names);
  const { firstSentinelId, numSentinels = 100, eosTokenId } = options;
  const { wholeNumber, positiveInteger } = numberRules;
  const ends = eosTokenId ?? 0;
  requireNumbers(
    "corruptSpans",
    { ...noiseOf(options), firstSentinelId, numSentinels, eosTokenId: ends },
    { ...NOISE, firstSentinelId: wholeNumber, numSentinels: positiveInteger, eosTokenId: wholeNumber },
  );
  if (ids.length < 2)
    throw tooFew(`two tokens or more, of which one stays`, `${ids.length}`, "leave such texts out, or join them");
  const { kept, noise } = spanLengths(ids.length, noiseOf(options), draws);
  if (noise.length > numSentinels)
    throw tooFew(
      `at most ${numSentinels} spans, one for each sentinel`,
      `${noise.length}`,
      "cut the text into shorter ones",
    );
  const [inputIds, labels]: number[][] = [[], []];
  let at = 0;
  noise.forEach((length, span) => {
    const sentinel = firstSentinelId - span;
    const start = at + kept[span];
    inputIds.push(...ids.slice(at, start), sentinel);
    labels.push(sentinel, ...ids.slice(start, start + length));
    at = start + length;
  });
  const end = eosTokenId === undefined ? [] : [eosTokenId];
  return { inputIds: [...inputIds, ...end], labels: [...labels, ...end] };
}

const tooFew = (expected: string, received: string, fix: string) =>
  new DataError({ where: "corruptSpans", expected, received, fix });

/** Tokens that stay and tokens that are taken out, in turn. */
function spanLengths(
  length: number,
  { noiseDensity, meanSpanLength }: Required<SpanNoise>,
  draws: Draws,
): { kept: number[]; noise: number[] } {
  const numNoise = Math.min(Math.max(roundHalfEven(length * noiseDensity), 1), length - 1);
  const numKept = length - numNoise;
  const numSpans = Math.max(roundHalfEven(Math.min(numNoise, numKept) / meanSpanLength), 1);
  // a mean below one token asks for more spans than there are tokens for
  const spans = Math.min(numSpans, numNoise, numKept);
  const noise = segments(numNoise, spans, draws);
  return { noise, kept: segments(numKept, spans, draws) };
}

/** So many items in so many parts, none of them empty, each way as likely as the others. */
function segments(numItems: number, numSegments: number, draws: Draws): number[] {
  const isLast = draws.shuffled(Array.from({ length: numItems - 1 }, (_, i) => i < numSegments - 1));
  const lengths = [1];
  for (const ends of isLast) {
    if (ends) lengths.push(1);
    else lengths[lengths.length - 1]++;
  }
  return lengths;
}

/**
 * Tokens of a text that `corruptSpans` with `eosTokenId` brings to an input of at most a length, and the length of the
 * labels then: texts of so many tokens need no padding.
 *
 * @example
 * corruptedLengths(512).tokens; // 568
 */
export function corruptedLengths(inputLength: number, options: SpanNoise = {}): { tokens: number; labels: number } {
  checkOptions("corruptedLengths", options, ["noiseDensity", "meanSpanLength"]);
  const { noiseDensity, meanSpanLength } = noiseOf(options);
  const least = { range: "to be an integer of at least 3", isFine: (x: number) => Number.isSafeInteger(x) && x >= 3 };
  requireNumbers("corruptedLengths", { inputLength, noiseDensity, meanSpanLength }, { inputLength: least, ...NOISE });
  const sides = (tokens: number) => {
    const noise = roundHalfEven(tokens * noiseDensity);
    const spans = roundHalfEven(noise / meanSpanLength);
    return { input: tokens - noise + spans + 1, labels: noise + spans + 1 };
  };
  let tokens = inputLength;
  while (sides(tokens + 1).input <= inputLength) tokens++;
  // with half of the tokens taken out, labels that are one longer than the input would be padded to no use
  if (noiseDensity === 0.5 && sides(tokens).labels > sides(tokens).input)
    return { tokens: tokens - 1, labels: sides(tokens).labels - 1 };
  return { tokens, labels: sides(tokens).labels };
}

/** Pairs of texts as tokens, with the numbers of their texts. */
import { DataError, OptionError } from "../../base/index.ts";
import type { TextPair } from "../../data/index.ts";
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { MethodContext } from "../method.ts";
import { type EncodedText, encodeTexts, type TextForm } from "./encoded-texts.ts";

/** A pair of which each text is encoded. */
export interface EncodedPair {
  anchor: EncodedText;
  positive: EncodedText;
  negatives: readonly EncodedText[];
  score: number | undefined;
  /** Of the anchor's text, of the positive's, and of the negatives': the same for the same text. */
  numbers: readonly number[];
}

/** What stands in front of anchors, and of the texts that they are compared with. */
export interface PairPrompts {
  anchor: string;
  document: string;
}

/**
 * So many negatives does each pair have: the least of all, or what is asked for.
 * @throws DataError where a pair has fewer than are asked for
 */
export function negativesOf(pairs: readonly TextPair[], asked: number | undefined): number {
  const counts = pairs.map(({ negatives = [] }) => negatives.length);
  const least = counts.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  if (asked === undefined || asked <= least) return asked ?? least;
  throw new DataError({
    where: "data",
    expected: `${asked} negatives of each pair, as hardNegatives says`,
    received: `a pair with ${least}: ${JSON.stringify(pairs[counts.indexOf(least)].anchor.slice(0, 60))}`,
    fix: "ask for fewer, or give more",
  });
}

/** Encodes pairs, each text once, with the first `negatives` of their negatives. */
export async function encodePairs(
  pairs: readonly TextPair[],
  {
    tokenizer,
    form,
    prompts,
    negatives,
  }: { tokenizer: Tokenizer; form: TextForm; prompts: PairPrompts; negatives: number },
  context: MethodContext,
): Promise<EncodedPair[]> {
  const numbers = new Map<string, number>();
  const numberOf = (text: string) => {
    const number = numbers.get(text) ?? numbers.size;
    numbers.set(text, number);
    return number;
  };
  const wrongOf = (pair: TextPair) => (pair.negatives ?? []).slice(0, negatives);
  const anchors = await encodeDistinct(
    pairs.map(({ anchor }) => anchor),
    { tokenizer, form, prefix: prompts.anchor },
    context,
  );
  const documents = await encodeDistinct(
    pairs.flatMap((pair) => [pair.positive, ...wrongOf(pair)]),
    { tokenizer, form, prefix: prompts.document },
    context,
  );
  const document = (text: string) => documents.get(text) as EncodedText;
  return pairs.map((pair) => ({
    anchor: anchors.get(pair.anchor) as EncodedText,
    positive: document(pair.positive),
    negatives: wrongOf(pair).map(document),
    score: pair.score,
    numbers: [pair.anchor, pair.positive, ...wrongOf(pair)].map(numberOf),
  }));
}

async function encodeDistinct(
  texts: readonly string[],
  parts: { tokenizer: Tokenizer; form: TextForm; prefix: string },
  context: MethodContext,
): Promise<Map<string, EncodedText>> {
  const distinct = [...new Set(texts)];
  const encoded = await encodeTexts(distinct, parts, context);
  return new Map(distinct.map((text, i) => [text, encoded[i]]));
}

/** What a loss needs of pairs. */
export interface PairNeeds {
  loss: string;
  /** Whether every pair has a score. */
  scores?: boolean;
  /** Least and greatest score. @default any */
  range?: readonly [number, number];
  negatives?: boolean;
}

/** @throws OptionError or DataError for pairs that a loss cannot learn from */
export function requirePairParts(pairs: readonly TextPair[], negatives: number, needs: PairNeeds): void {
  const { loss, range } = needs;
  if (needs.negatives && negatives === 0)
    throw new OptionError({
      where: `config, method.loss: ${loss}`,
      expected: "rows with a negative each",
      received: "a row without one",
      fix: "give negatives, or learn from the others of a batch: loss: in-batch",
    });
  if (!needs.scores) return;
  const scores = pairs.map(({ score }) => score);
  const lacking = scores.indexOf(undefined);
  const wrong = (received: string, fix: string): never => {
    const span = range ? ` from ${range[0]} to ${range[1]}` : "";
    throw new DataError({ where: "data", expected: `a score${span} of each pair, for ${loss}`, received, fix });
  };
  if (lacking !== -1)
    wrong(`none of ${JSON.stringify(pairs[lacking].anchor.slice(0, 60))}`, "give scores, or take another loss");
  const strange = range && scores.find((score) => Number(score) < range[0] || Number(score) > range[1]);
  if (strange !== undefined) wrong(String(strange), "divide the scores by the highest");
  if (new Set(scores).size < 2) wrong(`${scores[0]} alone`, "give pairs of several scores: of one there is no order");
}

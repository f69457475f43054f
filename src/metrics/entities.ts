import { checkOptions, DataError } from "../base/index.ts";
import { requireChoice, requirePairs, type WarningOption } from "./checks.ts";
import {
  type ConllTag,
  type EntityScheme,
  type EntitySpan,
  entitySchemes,
  looseSpans,
  strictSpans,
} from "./entity-tags.ts";
import { type Average, averageScores, type ClassScores, scoresOf } from "./precision-recall.ts";

/** How entities are read from tags, and how types are averaged. */
export interface EntityOptions extends WarningOption {
  /**
   * Reads only what is well formed in this scheme, as seqeval's mode "strict" does. @default as conlleval does: an
   * entity begins wherever a tag of another type, or after an O, does
   */
  scheme?: EntityScheme;
  /** @default "micro" */
  average?: Exclude<Average, "binary">;
  /** What a share of nothing is. @default 0, with a warning */
  zeroDivision?: 0 | 1;
}

/** Precision, recall and F1 of entities: a hit has the type and both ends. */
export interface EntityScores extends ClassScores {
  /** The share of words with the right tag; only of tags. */
  accuracy?: number;
  /** By the type of entity. */
  types: Readonly<Record<string, ClassScores>>;
}

type Tags = ArrayLike<readonly string[]>;
type Spans = ArrayLike<readonly EntitySpan[]>;

const optionNames = ["scheme", "average", "zeroDivision", "onWarning"];

/**
 * Scores of named entities by the tags of sentences; seqeval's. Ramshaw and Marcus 1995, arXiv:cmp-lg/9505040.
 * @param predictions of each sentence the tags of its words, such as "B-PER", "I-PER" and "O"
 * @throws DataError where sentences or their tags differ in number, or a tag is none
 */
export function entityScores(predictions: Tags, labels: Tags, options: EntityOptions = {}): EntityScores {
  checkOptions("entityScores", options, optionNames);
  const { scheme } = options;
  const count = requirePairs("entityScores", predictions, labels);
  if (scheme !== undefined) requireChoice("entityScores", "scheme", scheme, entitySchemes);
  let [hits, words] = [0, 0];
  for (let i = 0; i < count; i++) {
    if (predictions[i].length !== labels[i].length)
      throw new DataError({
        where: "entityScores",
        expected: "as many predicted tags as labels in each sentence",
        received: `${predictions[i].length} and ${labels[i].length} in sentence ${i}`,
        fix: "give one tag for each word",
      });
    words += labels[i].length;
    hits += labels[i].filter((tag, at) => tag === predictions[i][at]).length;
  }
  const read = (tags: Tags) => Array.from(tags, (sentence, i) => spansOf(sentence, scheme, i));
  return { ...spanScores(read(predictions), read(labels), options), accuracy: hits / words };
}

/**
 * Scores of named entities by their places.
 * @param predictions of each sentence its entities
 * @throws DataError where sentences differ in number
 */
export function entityScoresOfSpans(
  predictions: Spans,
  labels: Spans,
  options: Omit<EntityOptions, "scheme"> = {},
): EntityScores {
  checkOptions("entityScoresOfSpans", options, optionNames.slice(1));
  requirePairs("entityScoresOfSpans", predictions, labels);
  return spanScores(Array.from(predictions), Array.from(labels), options);
}

/**
 * The entities that the tags of a sentence stand for.
 * @param sentence its number, for the error
 * @throws DataError for what is no tag, or none of the scheme
 */
export function spansOf(tags: readonly string[], scheme?: EntityScheme, sentence = 0): EntitySpan[] {
  const parsed = tags.map((tag, at): ConllTag => {
    const match = /^(?:O|([BIESLU])(?:-(.*))?)$/su.exec(tag);
    const prefix = match?.[1] ?? "O";
    const isKnown = match !== null && (scheme === undefined ? "OBIES" : schemeLetters[scheme]).includes(prefix);
    if (isKnown) return { prefix, type: prefix === "O" ? "" : match[2] || "_" };
    throw new DataError({
      where: "entityScores",
      expected: `tags of ${scheme ?? "IOB2, IOE2 or IOBES"}, such as "B-PER" and "O"`,
      received: `${JSON.stringify(tag)}, word ${at} of sentence ${sentence}`,
      fix: "write the place in front of the type, or choose the scheme of these tags",
    });
  });
  return scheme === undefined ? looseSpans(parsed) : strictSpans(parsed, scheme);
}

const schemeLetters: Readonly<Record<EntityScheme, string>> = {
  IOB2: "OBI",
  IOE2: "OIE",
  IOBES: "OBIES",
  BILOU: "OBILU",
};

function spanScores(
  predictions: readonly (readonly EntitySpan[])[],
  labels: readonly (readonly EntitySpan[])[],
  { average = "micro", zeroDivision, onWarning }: EntityOptions,
): EntityScores {
  requireChoice("entityScores", "average", average, ["micro", "macro", "weighted"]);
  const types = [...new Set([...predictions, ...labels].flat().map(({ type }) => type))].sort();
  const places = new Map(types.map((type, i) => [type, i]));
  const [hits, predicted, actual] = [0, 0, 0].map(() => new Float64Array(types.length));
  const keyOf = ({ type, start, end }: EntitySpan) => `${start} ${end} ${type}`;
  for (const [i, spans] of labels.entries()) {
    const truth = new Map(spans.map((span) => [keyOf(span), span]));
    const guesses = new Map(predictions[i].map((span) => [keyOf(span), span]));
    for (const { type } of truth.values()) actual[places.get(type) as number]++;
    for (const [key, { type }] of guesses) {
      predicted[places.get(type) as number]++;
      if (truth.has(key)) hits[places.get(type) as number]++;
    }
  }
  const counts = { hits, predicted, actual };
  const options = { average, zeroDivision, onWarning };
  const scores = scoresOf(counts, types, { zeroDivision });
  const isEmpty = types.length === 0 && average !== "micro";
  const overall = averageScores(counts, types, isEmpty ? { ...options, average: "micro" } : options);
  return { ...overall, types: Object.fromEntries(types.map((type, i) => [type, scores[i]])) };
}

/** How hypotheses are weighed; names and defaults are those of generation_config.json. */
export interface BeamSettings {
  /** Hypotheses that are followed at the same time. */
  numBeams: number;
  /** The score of a text is divided by its length to this power: above 0 favours long texts. @default 1 */
  lengthPenalty?: number;
  /**
   * true ends when numBeams texts are whole, false when no better one is likely, "never" when no better one is
   * possible. @default false
   */
  earlyStopping?: boolean | "never";
  /** Hypotheses are followed in so many groups, each apart from those before it. @default 1 */
  numBeamGroups?: number;
  /** With groups: taken from the score of a token for each time that a group before has picked it. @default 0 */
  diversityPenalty?: number;
  /** Sequences that a text has to have; of a list of sequences one. @default none */
  forceWordsIds?: readonly ForcedWords[];
  /** How many texts are asked for. @default 1 */
  numReturnSequences?: number;
}

/** A sequence of tokens that is to be in a text, or several of which one is. */
export type ForcedWords = readonly number[] | readonly (readonly number[])[];

/** A beginning of a text. */
export interface Hypothesis {
  ids: readonly number[];
  /** Sum of log probabilities. */
  score: number;
}

/** A hypothesis that goes on from that of number `parent`. */
export interface Running extends Hypothesis {
  parent: number;
}

/** A text of a search. */
export interface BeamText {
  /** The tokens after the start, without the one that ends the text. */
  ids: readonly number[];
  /** Sum of log probabilities, divided by a power of the length. */
  score: number;
  finishReason: "stop" | "length";
}

/** How contrastive search weighs tokens; names are those of generation_config.json. */
export interface ContrastiveSettings {
  /** How much the likeness to tokens before counts, from 0 to 1. */
  penaltyAlpha: number;
  /** Of how many of the likeliest tokens one is taken. */
  topK: number;
}

/** Where a search begins, and where its texts end. */
export interface SearchBounds {
  start: readonly number[];
  /** Most tokens of a text, its start included. */
  maxLength: number;
  /** Tokens that end a text. */
  ends: ReadonlySet<number>;
}

/**
 * The scores of the next token of a running hypothesis: log probabilities after all settings, f32 [V], good until the
 * next call. otherTokens: what groups before have picked at this place.
 */
export type ScoresOf = (row: number, otherTokens?: readonly number[]) => Float32Array;

/** A search that goes on by one token of all its hypotheses at a time. */
export interface HypothesisSearch {
  /** Beginnings; the next scores are asked for these. */
  readonly running: readonly Running[];
  readonly isDone: boolean;
  /** Goes on by one token. isLate: no further one is to be begun. */
  advance(scoresOf: ScoresOf, isLate?: boolean): void;
  /** The best texts, as many as are asked for, the best first. */
  results(): BeamText[];
}

/** Below every score that a text can have. */
export const LEAST = -1e9;

/** All begin alike: only the first may go on, or all would do the same. */
export const beginnings = (start: readonly number[], count: number): Running[] =>
  Array.from({ length: count }, (_, i) => ({ ids: start, score: i === 0 ? 0 : LEAST, parent: i }));

/** How many of the likeliest continuations have so many that do not end. */
export const continuationCount = (numBeams: number, ends: ReadonlySet<number>): number =>
  Math.max(2, 1 + ends.size) * numBeams;

/** A token after a running hypothesis. */
export interface Continuation {
  parent: number;
  id: number;
  score: number;
}

/** The likeliest continuations of some hypotheses, the likeliest first. */
export class Continuations {
  readonly best: Continuation[] = [];
  private readonly count: number;

  constructor(count: number) {
    this.count = count;
  }

  /** Adds those of one hypothesis. parent: its number; before: its score. */
  add(parent: number, before: number, scores: Float32Array): void {
    const { best, count } = this;
    for (let id = 0; id < scores.length; id++) {
      const score = before + scores[id];
      if (best.length === count && !(score > best[count - 1].score)) continue;
      let place = best.length;
      while (place > 0 && score > best[place - 1].score) place--;
      best.splice(place, 0, { parent, id, score });
      if (best.length > count) best.pop();
    }
  }
}

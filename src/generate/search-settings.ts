import { OptionError } from "../base/index.ts";
import { hasBeginnings } from "./beams/constraints.ts";
import type { ForcedWords } from "./beams/hypotheses.ts";
import { type Field, isBoolean, isCount, isNumber, isSequence } from "./setting-values.ts";

/** Settings of searches that look at several texts at once; generation_config.json has them too. */
export interface SearchSettings {
  /**
   * Hypotheses that are followed at the same time; 1 takes token by token. @default what the file says, or 1
   */
  numBeams?: number;
  /** With `numBeams`: the score of a text is divided by its length to this power. @default 1 */
  lengthPenalty?: number;
  /**
   * With `numBeams`: true ends when so many texts are whole, "never" when no better one is possible. @default false,
   * when none is likely
   */
  earlyStopping?: boolean | "never";
  /**
   * With `numBeams`: hypotheses are followed in so many groups, each apart from those before it. Vijayakumar et al.
   * 2016, arXiv:1610.02424. @default 1
   */
  numBeamGroups?: number;
  /** With `numBeamGroups`: taken from the score of a token for each time that a group before has picked it. */
  diversityPenalty?: number;
  /**
   * With `numBeams`: sequences that the text has to have; of a list of sequences one. Post and Vilar 2018,
   * arXiv:1804.06609. @default none
   */
  forceWordsIds?: readonly ForcedWords[];
  /** With `numBeams`: how many texts `generateSequences` gives, at most `numBeams`. @default 1 */
  numReturnSequences?: number;
  /**
   * Above 0 takes that of the `topK` likeliest tokens which is probable, and by this share unlike those before it. Su
   * et al. 2022, arXiv:2202.06417. @default 0, off
   */
  penaltyAlpha?: number;
}

/** What a generator can do that others cannot. */
export interface BuiltWays {
  /** Beam search. @default false */
  hasBeams?: boolean;
  /** Several texts of one prompt. @default false */
  hasSequences?: boolean;
  /** Contrastive search. @default false */
  hasContrastive?: boolean;
}

const isForced = (value: unknown) =>
  Array.isArray(value) &&
  value.every((words) => isSequence(words) || (Array.isArray(words) && words.length > 0 && words.every(isSequence)));

export const searchFields: Record<keyof SearchSettings, Field> = {
  numBeams: ["num_beams", "a number above 0", isCount],
  lengthPenalty: ["length_penalty", "a number", isNumber],
  earlyStopping: ["early_stopping", 'true, false or "never"', (value) => isBoolean(value) || value === "never"],
  numBeamGroups: ["num_beam_groups", "a number above 0", isCount],
  diversityPenalty: ["diversity_penalty", "a number of at least 0", (value) => isNumber(value) && value >= 0],
  forceWordsIds: ["force_words_ids", "lists of token ids, or lists of such lists", isForced],
  numReturnSequences: ["num_return_sequences", "a number above 0", isCount],
  penaltyAlpha: ["penalty_alpha", "a number from 0 to 1", (value) => isNumber(value) && value >= 0 && value <= 1],
};

/** What is followed, what of it the caller has said, and what can be. */
interface Searches {
  settings: SearchSettings;
  asked: SearchSettings;
  /** Whether nothing is drawn. */
  isGreedy: boolean;
  /** Whether candidates are weighed by contrastive search. */
  isContrastive: boolean;
  built: BuiltWays;
}

/** @throws OptionError for searches that are not built, and for settings that do not go together */
export function requireSearches({ settings, asked, isGreedy, isContrastive, built }: Searches): void {
  const {
    numBeams = 1,
    numBeamGroups = 1,
    diversityPenalty = 0,
    forceWordsIds = [],
    numReturnSequences = 1,
  } = settings;
  const refuse = (name: keyof SearchSettings, expected: string, fix?: string) => {
    const isAsked = asked[name] !== undefined;
    const key = searchFields[name][0];
    throw new OptionError({
      where: isAsked ? `generate, ${name}` : `generation_config.json, ${key}`,
      expected,
      received: JSON.stringify(settings[name]).slice(0, 60),
      fix: fix ?? (isAsked ? `leave ${name} out` : `remove ${key} from the file`),
    });
  };
  const BUILT = "a way to write texts that is built";
  const hasBeams = built.hasBeams === true;
  if (numBeams > 1 && !(hasBeams && isGreedy))
    refuse(
      "numBeams",
      "1, or nothing that is drawn, looked at or held to a constraint, and no timestamps",
      "give numBeams: 1 to go token by token, with other texts than those of beam search",
    );
  if (isContrastive && !built.hasContrastive) refuse("penaltyAlpha", BUILT);
  if (numReturnSequences > 1 && !built.hasSequences) refuse("numReturnSequences", BUILT);
  if (numBeamGroups > 1 && !hasBeams) refuse("numBeamGroups", BUILT);
  if (forceWordsIds.length > 0 && !hasBeams) refuse("forceWordsIds", BUILT);
  if (asked.penaltyAlpha && !isContrastive)
    refuse("penaltyAlpha", "no numBeams, nothing that is drawn and a topK above 1 with penaltyAlpha");
  if (numBeams % numBeamGroups !== 0) refuse("numBeamGroups", `a number that numBeams, ${numBeams}, can be divided by`);
  if (numBeamGroups > 1 && diversityPenalty === 0)
    refuse("numBeamGroups", "a diversityPenalty above 0 with groups, which would be alike");
  if (asked.diversityPenalty && numBeamGroups === 1) refuse("diversityPenalty", "numBeamGroups above 1 with it");
  if (numReturnSequences > numBeams) refuse("numReturnSequences", `at most numBeams, ${numBeams}`);
  if (forceWordsIds.length === 0) return;
  if (numBeams === 1) refuse("forceWordsIds", "numBeams above 1 with forceWordsIds");
  if (numBeamGroups > 1) refuse("forceWordsIds", "no numBeamGroups with forceWordsIds");
  if (forceWordsIds.some(hasBeginnings)) refuse("forceWordsIds", "alternatives none of which begins with another");
}

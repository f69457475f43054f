import type { Tokenizer } from "../../tokenizers/index.ts";
import type { Grammar } from "./grammar.ts";
import { TokenGrammar } from "./token-grammar.ts";
import type { TokenMask } from "./token-mask.ts";
import { TokenVocabulary } from "./vocabulary.ts";

/** Which tokens may follow in one text: it is told which was picked. `TokenConstraint` is one, by a grammar. */
export interface PickConstraint {
  /**
   * undefined where any token may follow; never empty.
   * @param numTokens how many may still follow, with one that ends the text: what cannot come to its end in so many is
   *   not in the mask
   */
  mask(numTokens?: number): TokenMask | undefined;
  /**
   * Works out what `mask` is going to give, a few milliseconds at a time, so that others have turns in between.
   * @default nothing: `mask` does it at once
   */
  prepare?(numTokens?: number): Iterable<void>;
  /** Goes on with a token that it allows, also with one that ends the text. */
  accept(id: number): void;
  /** Whether nothing may follow: the text ends. */
  readonly isComplete: boolean;
}

/** Makes the constraint of a text. @param endTokens that end it */
export type ConstraintMaker = (endTokens: readonly number[]) => PickConstraint;

/** One for each tokenizer: it is as large as the vocabulary. */
const vocabularies = new WeakMap<Tokenizer, TokenVocabulary>();
/** What was worked out for a grammar, by vocabulary and end tokens. */
const compiled = new WeakMap<Grammar, Map<TokenVocabulary, Map<string, TokenGrammar>>>();

/** The tokens of a tokenizer as bytes. @throws OptionError for one whose tokens are no bytes of a text, as BERT's */
function vocabularyOf(tokenizer: Tokenizer): TokenVocabulary {
  const known = vocabularies.get(tokenizer) ?? TokenVocabulary.of(tokenizer);
  vocabularies.set(tokenizer, known);
  return known;
}

/**
 * Holds texts to a grammar. What is worked out for its tokens is kept with the grammar, for all its texts.
 * @throws OptionError for a tokenizer whose tokens are no bytes of a text, as BERT's
 */
export function grammarConstraint(grammar: Grammar, tokenizer: Tokenizer): ConstraintMaker {
  const vocabulary = vocabularyOf(tokenizer);
  const ofGrammar = compiled.get(grammar) ?? new Map<TokenVocabulary, Map<string, TokenGrammar>>();
  compiled.set(grammar, ofGrammar);
  const byEnds = ofGrammar.get(vocabulary) ?? new Map<string, TokenGrammar>();
  ofGrammar.set(vocabulary, byEnds);
  return (endTokens) => {
    // a model without any ends where nothing may follow; the id behind the last is none that it gives
    const ends = endTokens.length > 0 ? endTokens : [vocabulary.size];
    const tokens = byEnds.get(ends.join()) ?? new TokenGrammar(grammar, vocabulary, ends);
    byEnds.set(ends.join(), tokens);
    return tokens.start();
  };
}

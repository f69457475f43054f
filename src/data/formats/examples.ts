/** Examples of training, however their files call the fields. */
import type { MixedMessage } from "../../tokenizers/index.ts";
import type { ClassValue } from "./class-names.ts";

/** A talk, with the functions that the assistant may call. */
export interface Conversation {
  messages: readonly MixedMessage[];
  /** In OpenAI's form. */
  tools?: readonly object[];
}

/** An answer to be continued to: the loss counts on the completion alone. */
export interface PromptCompletion {
  prompt: readonly MixedMessage[] | string;
  completion: readonly MixedMessage[] | string;
}

/** Two answers, of which one is preferred. DPO, Rafailov et al. 2023, arXiv:2305.18290. */
export interface Preference {
  prompt: readonly MixedMessage[] | string;
  chosen: readonly MixedMessage[] | string;
  rejected: readonly MixedMessage[] | string;
  /** How much better the chosen answer is, where the row says so. */
  margin?: number;
}

/** An answer that is wanted or not. KTO, Ethayarajh et al. 2024, arXiv:2402.01306. */
export interface RatedCompletion extends PromptCompletion {
  isDesirable: boolean;
}

/**
 * A text, or a pair of them, and its class as the file writes it: a name, a number or a truth value; or a list of all
 * classes that it has.
 */
export interface ClassifiedText {
  text: string;
  textPair?: string;
  label: ClassValue | readonly ClassValue[];
}

/** Texts that belong together, for embeddings: with texts that do not, or with a number that says how much. */
export interface TextPair {
  anchor: string;
  positive: string;
  negatives?: readonly string[];
  score?: number;
}

/** A question whose answer stands in a text; no answers where there is none. SQuAD 2.0, arXiv:1806.03822. */
export interface ExtractiveQuestion {
  question: string;
  context: string;
  /** `start` in UTF-16 units of the context. */
  answers: readonly { text: string; start: number }[];
}

/** Words and the tag of each. */
export interface TaggedTokens {
  tokens: readonly string[];
  tags: readonly (string | number)[];
}

/** A text in two languages. */
export interface TranslationPair {
  source: string;
  target: string;
  /** Codes of the languages, such as "en" and "zh", where the file names them. */
  languages?: readonly [string, string];
}

/** Example types by the names of formats. */
export interface Examples {
  messages: Conversation;
  sharegpt: Conversation;
  alpaca: PromptCompletion;
  "prompt-completion": PromptCompletion;
  preference: Preference;
  kto: RatedCompletion;
  classification: ClassifiedText;
  pairs: TextPair;
  "question-answering": ExtractiveQuestion;
  "token-classification": TaggedTokens;
  translation: TranslationPair;
  text: { text: string };
}

/** The name of a format of examples. */
export type ExampleFormat = keyof Examples;

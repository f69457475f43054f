/** Texts of an evaluation set in those for training. Brown et al. 2020 (GPT-3), arXiv:2005.14165, appendix C. */
import { checkOptions, numberRules, requireNumbers } from "../../base/index.ts";
import { wordsOf } from "./words.ts";

/** How overlap is looked for. */
export interface ContaminationOptions {
  /** Words in a row that must be the same. @default 13 */
  ngram?: number;
  /**
   * Sequences that are in more of the evaluation's texts than this are no sign: they are the wording of the task.
   * @default 10
   */
  maxDocuments?: number;
}

/** What a text has in common with the evaluation set. */
export interface Overlap {
  /** Numbers of the evaluation's texts that share a sequence with it. */
  documents: readonly number[];
  /** Share of the text's words that are in such a sequence. */
  share: number;
  /** The first sequence. */
  sequence: string;
}

/** Finds what of an evaluation set stands in other texts. */
export class ContaminationIndex {
  private readonly ngram: number;
  /** Texts by their sequences; a text that is shorter than a sequence has one, all of itself. */
  private readonly documents = new Map<string, Set<number>>();
  private readonly lengths = new Set<number>();
  private readonly maxDocuments: number;

  /** @throws OptionError for wrong options */
  constructor(evaluation: Iterable<string>, options: ContaminationOptions = {}) {
    checkOptions("ContaminationIndex", options, ["ngram", "maxDocuments"]);
    const { ngram = 13, maxDocuments = 10 } = options;
    const { positiveInteger } = numberRules;
    requireNumbers(
      "ContaminationIndex",
      { ngram, maxDocuments },
      { ngram: positiveInteger, maxDocuments: positiveInteger },
    );
    this.ngram = ngram;
    this.maxDocuments = maxDocuments;
    let document = 0;
    for (const text of evaluation) this.add(wordsOf(text), document++);
  }

  /** As GPT-3 has it, texts shorter than a sequence but of 8 words and more are looked for as a whole. */
  private add(words: readonly string[], document: number): void {
    const length = Math.min(this.ngram, words.length);
    if (length < Math.min(this.ngram, SHORTEST)) return;
    this.lengths.add(length);
    for (let i = 0; i + length <= words.length; i++) {
      const sequence = words.slice(i, i + length).join(" ");
      const documents = this.documents.get(sequence) ?? new Set();
      documents.add(document);
      this.documents.set(sequence, documents);
    }
  }

  /** What a text has in common with the evaluation set; undefined where that is nothing. */
  overlap(text: string): Overlap | undefined {
    const words = wordsOf(text);
    const shared = new Set<number>();
    const isCovered = new Uint8Array(words.length);
    let first: string | undefined;
    for (const length of this.lengths) {
      for (let i = 0; i + length <= words.length; i++) {
        const sequence = words.slice(i, i + length).join(" ");
        const documents = this.documents.get(sequence);
        if (!documents || documents.size > this.maxDocuments) continue;
        first ??= sequence;
        for (const document of documents) shared.add(document);
        isCovered.fill(1, i, i + length);
      }
    }
    if (first === undefined) return undefined;
    const covered = isCovered.reduce((sum, each) => sum + each, 0);
    return { documents: [...shared].sort((a, b) => a - b), share: covered / words.length, sequence: first };
  }
}

/** Shorter texts of the evaluation are in any large text. */
const SHORTEST = 8;

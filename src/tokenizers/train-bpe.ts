import { checkOptions, OptionError } from "../ir/index.ts";
import { BytePairTokenizer, MinHeap } from "./bpe.ts";
import { byteCharacters, pretokens, toByteCharacters } from "./byte-level.ts";
import { END_OF_TEXT } from "./tokenizer.ts";

export interface BpeTrainerOptions {
  /** Tokens in all, the 256 bytes and the special ones included. */
  vocabSize: number;
  /** Pairs seen less often are not joined. @default 2 */
  minFrequency?: number;
  /** @default ["<|endoftext|>"] */
  specialTokens?: readonly string[];
}

interface Candidate {
  left: number;
  right: number;
  count: number;
  /** Words the pair was met in. */
  words: Set<number>;
}

/**
 * Learns byte-level BPE merges. Feed it text with `add`, then call `train`. The algorithm and its order at ties are those of
 * Hugging Face tokenizers' BpeTrainer with the ByteLevel alphabet: the most frequent pair first, among equals the one with
 * the smaller ids.
 */
export class BpeTrainer {
  private readonly counts = new Map<string, number>();
  private readonly vocabSize: number;
  private readonly minFrequency: number;
  private readonly specialTokens: readonly string[];

  /** @throws OptionError when the vocabulary cannot hold the bytes and the special tokens */
  constructor(options: BpeTrainerOptions) {
    checkOptions("BpeTrainer", options, ["vocabSize", "minFrequency", "specialTokens"]);
    const { vocabSize, minFrequency = 2, specialTokens = [END_OF_TEXT] } = options;
    const least = byteCharacters.length + specialTokens.length;
    if (!Number.isInteger(vocabSize) || vocabSize < least) {
      throw new OptionError({
        where: "BpeTrainer",
        expected: `vocabSize of at least ${least} (256 bytes and ${specialTokens.length} special tokens)`,
        received: String(vocabSize),
        fix: "raise it, or use the character tokenizer",
      });
    }
    this.vocabSize = vocabSize;
    this.minFrequency = minFrequency;
    this.specialTokens = specialTokens;
  }

  /** Counts the words of a piece of text. */
  add(text: string): void {
    for (const [word] of text.matchAll(pretokens())) this.counts.set(word, (this.counts.get(word) ?? 0) + 1);
  }

  /** @throws OptionError when the text does not hold enough pairs for the vocabulary */
  train(): BytePairTokenizer {
    const tokens = [...this.specialTokens, ...[...byteCharacters].sort()];
    const ids = new Map(tokens.map((token, id) => [token, id]));
    const words = [...this.counts].map(([word, count]) => ({ count, symbols: Array.from(toByteCharacters(word), (c) => ids.get(c) as number) }));
    const merges: [string, string][] = [];

    const counts = new Map<string, Candidate>();
    const keyOf = (left: number, right: number) => `${left},${right}`;
    const change = (left: number, right: number, by: number, word: number): Candidate => {
      const key = keyOf(left, right);
      let candidate = counts.get(key);
      if (!candidate) {
        candidate = { left, right, count: 0, words: new Set() };
        counts.set(key, candidate);
      }
      candidate.count += by;
      if (by > 0) candidate.words.add(word);
      return candidate;
    };
    words.forEach(({ symbols, count }, word) => {
      for (let i = 0; i + 1 < symbols.length; i++) change(symbols[i], symbols[i + 1], count, word);
    });
    // entries keep the count they were pushed with; one that is out of date goes back in with the true count
    const heap = new MinHeap<{ count: number; candidate: Candidate }>(
      (a, b) => b.count - a.count || a.candidate.left - b.candidate.left || a.candidate.right - b.candidate.right,
    );
    for (const candidate of counts.values()) heap.push({ count: candidate.count, candidate });

    while (tokens.length < this.vocabSize) {
      const top = heap.pop();
      if (!top) break;
      const { candidate } = top;
      if (top.count !== candidate.count) {
        if (candidate.count > 0) heap.push({ count: candidate.count, candidate });
        continue;
      }
      if (candidate.count < Math.max(1, this.minFrequency)) break;
      const { left, right } = candidate;
      const joined = tokens[left] + tokens[right];
      let id = ids.get(joined);
      if (id === undefined) {
        id = tokens.push(joined) - 1;
        ids.set(joined, id);
      }
      merges.push([tokens[left], tokens[right]]);
      const grown = new Set<Candidate>();
      for (const word of candidate.words) {
        const { symbols, count } = words[word];
        mergeInWord(symbols, left, right, id, (a, b, by) => {
          const changed = change(a, b, by * count, word);
          if (by > 0) grown.add(changed);
        });
      }
      candidate.count = 0;
      candidate.words.clear();
      for (const pair of grown) if (pair !== candidate) heap.push({ count: pair.count, candidate: pair });
    }
    if (tokens.length < this.vocabSize) {
      throw new OptionError({
        where: "tokenizer",
        expected: `a text with enough repeated words for ${this.vocabSize} tokens`,
        received: `one that gives ${tokens.length}`,
        fix: `use --vocab-size ${tokens.length} or less, or more text`,
      });
    }
    const special = new Map(this.specialTokens.map((token, i) => [token, i]));
    const vocab = new Map(tokens.slice(special.size).map((token, i) => [token, i + special.size]));
    return new BytePairTokenizer({ vocab, merges, special });
  }
}

/** Joins each (left, right) in a word, and reports which neighbouring pairs appear (+1) and vanish (-1). */
function mergeInWord(symbols: number[], left: number, right: number, id: number, report: (a: number, b: number, by: number) => void): void {
  for (let i = 0; i + 1 < symbols.length; i++) {
    if (symbols[i] !== left || symbols[i + 1] !== right) continue;
    if (i > 0) {
      report(symbols[i - 1], left, -1);
      report(symbols[i - 1], id, 1);
    }
    symbols.splice(i, 2, id);
    if (i + 1 < symbols.length) {
      report(right, symbols[i + 1], -1);
      report(id, symbols[i + 1], 1);
    }
  }
}

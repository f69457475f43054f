import { checkOptions, OptionError } from "../../ir/index.ts";
import { BytePairTokenizer } from "../bpe.ts";
import { byteCharacters } from "../byte-level.ts";
import { END_OF_TEXT } from "../tokenizer.ts";
import { learnMerges } from "./merges.ts";
import { byteLevelCounter } from "./words.ts";

export interface BpeTrainerOptions {
  /** Most tokens in all, the 256 bytes and the special ones included. */
  vocabSize: number;
  /** Pairs seen less often are not joined. @default 2 */
  minFrequency?: number;
  /** @default ["<|endoftext|>"] */
  specialTokens?: readonly string[];
}

/**
 * Learns byte-level BPE as GPT-2 has it, for a tokenizer that needs no library. Feed it text with `add`, then call `train`. Other kinds are
 * learned by `TokenizerTrainer`.
 */
export class BpeTrainer {
  private readonly words = byteLevelCounter();
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
    this.words.add(text);
  }

  /** The vocabulary is smaller than asked for where the text repeats too little, as with Hugging Face's trainer. */
  train(): BytePairTokenizer {
    const { vocabSize, minFrequency, specialTokens } = this;
    const { tokens, merges } = learnMerges(this.words.counts(), { vocabSize, minFrequency, specialTokens, initialAlphabet: byteCharacters });
    const special = new Map(specialTokens.map((token, i) => [token, i]));
    const vocab = new Map(tokens.slice(special.size).map((token, i) => [token, i + special.size]));
    return new BytePairTokenizer({ vocab, merges, special });
  }
}

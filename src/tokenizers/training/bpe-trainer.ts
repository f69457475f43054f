import { checkOptions, OptionError } from "../../base/index.ts";
import { byteCharacters } from "../byte-level.ts";
import {
  addedToken,
  bpeModel,
  byteLevel,
  byteLevelDecoder,
  END_OF_TEXT,
  type Json,
  tokenizerJson,
} from "../json-parts.ts";
import { Tokenizer } from "../tokenizer.ts";
import { learnMerges } from "./merges.ts";
import { byteLevelCounter } from "./words.ts";

/** Settings of `BpeTrainer`. */
export interface BpeTrainerOptions {
  /** Most tokens in all, the 256 bytes and the special ones included. */
  vocabSize: number;
  /** Pairs seen less often are not joined. @default 2 */
  minFrequency?: number;
  /** @default ["<|endoftext|>"] */
  specialTokens?: readonly string[];
}

/**
 * Learns byte-level BPE as GPT-2 has it, for a tokenizer that needs no library. Feed it text with `add`, then call
 * `train`. Other kinds are learned by `TokenizerTrainer`.
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

  /**
   * The tokenizer.json that the texts give: its vocabulary is smaller than asked for where they repeat too little, as
   * with Hugging Face's trainer.
   */
  toJson(): Json {
    const { vocabSize, minFrequency, specialTokens } = this;
    const { tokens, merges } = learnMerges(this.words.counts(), {
      vocabSize,
      minFrequency,
      specialTokens,
      initialAlphabet: byteCharacters,
    });
    return tokenizerJson({
      added_tokens: specialTokens.map((token, id) => addedToken(id, token)),
      pre_tokenizer: byteLevel(),
      decoder: byteLevelDecoder,
      model: bpeModel({ vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges }),
    });
  }

  /** The tokenizer that the texts give. */
  train(): Promise<Tokenizer> {
    const ends = this.specialTokens.includes(END_OF_TEXT);
    return Tokenizer.fromJson(this.toJson(), ends ? { bos_token: END_OF_TEXT, eos_token: END_OF_TEXT } : {});
  }
}

import { DataError } from "../ir/index.ts";
import { addedToken, bpeModel, tokenizerJson } from "./json-parts.ts";
import { END_OF_TEXT, type PlainEncodeOptions, type PromptTokenizer, splitSpecial } from "./tokenizer.ts";

/**
 * One token for each character (Unicode code point) of a fixed alphabet. In tokenizer.json it is a BPE model without
 * merges, which Hugging Face's libraries load.
 */
export class CharacterTokenizer implements PromptTokenizer {
  readonly vocabSize: number;
  readonly endOfTextId: number;
  private readonly ids: ReadonlyMap<string, number>;
  private readonly characters: readonly string[];
  private readonly special: ReadonlyMap<string, number>;

  /** @param alphabet the characters, in the order of their ids, which start after <|endoftext|> at 0 */
  constructor(alphabet: readonly string[]) {
    this.special = new Map([[END_OF_TEXT, 0]]);
    this.endOfTextId = 0;
    this.characters = ["", ...alphabet];
    this.ids = new Map(alphabet.map((character, i) => [character, i + 1]));
    this.vocabSize = alphabet.length + 1;
  }

  readonly specialTexts = [END_OF_TEXT];

  /** @throws DataError at a character outside the alphabet */
  encode(text: string, { isLiteral = false }: PlainEncodeOptions = {}): number[] {
    return splitSpecial(text, isLiteral ? new Map() : this.special).flatMap((piece, i) => {
      if (i % 2 === 1) return [this.endOfTextId];
      return Array.from(piece, (character) => {
        const id = this.ids.get(character);
        if (id !== undefined) return id;
        throw new DataError({
          where: "character tokenizer",
          expected: `one of the ${this.ids.size} characters of the training text`,
          received: `${JSON.stringify(character)} (U+${(character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, "0")})`,
          fix: "leave it out, or train with the bpe tokenizer, which accepts any text",
        });
      });
    });
  }

  decode(ids: readonly number[]): string {
    return ids.map((id) => this.characters[id] ?? "\ufffd").join("");
  }

  stream() {
    return { push: (id: number) => this.decode([id]), flush: () => "" };
  }

  toJson(): Record<string, unknown> {
    const model = bpeModel({ vocab: Object.fromEntries([[END_OF_TEXT, 0], ...this.ids]), merges: [] });
    return tokenizerJson({ added_tokens: [addedToken(0, END_OF_TEXT)], decoder: { type: "Fuse" }, model });
  }
}

/** Collects the alphabet of a text. */
export class CharacterTrainer {
  private readonly seen = new Set<string>();

  add(text: string): void {
    for (const character of text) this.seen.add(character);
  }

  train(): CharacterTokenizer {
    return new CharacterTokenizer([...this.seen].sort((a, b) => (a.codePointAt(0) as number) - (b.codePointAt(0) as number)));
  }
}

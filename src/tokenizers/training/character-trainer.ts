import { addedToken, bpeModel, END_OF_TEXT, type Json, tokenizerJson } from "../json-parts.ts";
import { Tokenizer } from "../tokenizer.ts";

/** Stands for characters that were not in the text. */
const UNKNOWN = "<unk>";

/**
 * Collects the characters of texts, for a tokenizer with one token for each (Unicode code point), in their order, after
 * the tokens for the end of a text and for characters that were not seen. In tokenizer.json it is byte-pair encoding
 * that joins nothing, which Hugging Face's libraries load.
 *
 * @example
 * const trainer = new CharacterTrainer();
 * trainer.add("abba");
 * const tokenizer = await trainer.train();
 * await tokenizer.encode("bad"); // [3, 2, 1]
 */
export class CharacterTrainer {
  private readonly characters = new Set<string>();

  /** Notes the characters of a piece of text. */
  add(text: string): void {
    for (const character of text) this.characters.add(character);
  }

  /** The tokenizer.json that the texts give. */
  toJson(): Json {
    const alphabet = [...this.characters].sort((a, b) => (a.codePointAt(0) as number) - (b.codePointAt(0) as number));
    const special = [END_OF_TEXT, UNKNOWN];
    return tokenizerJson({
      added_tokens: special.map((token, id) => addedToken(id, token)),
      decoder: { type: "Fuse" },
      model: bpeModel({
        unk_token: UNKNOWN,
        vocab: Object.fromEntries([...special, ...alphabet].map((token, id) => [token, id])),
        merges: [],
      }),
    });
  }

  /** The tokenizer that the texts give. */
  train(): Promise<Tokenizer> {
    return Tokenizer.fromJson(this.toJson(), { bos_token: END_OF_TEXT, eos_token: END_OF_TEXT, unk_token: UNKNOWN });
  }
}

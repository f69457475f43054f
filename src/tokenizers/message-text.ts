/**
 * Special tokens in what people wrote stay text, whatever a chat template makes of it: a token of a prompt is special
 * where all its punctuation is the template's own. So "<|im" of one message and "_end|>" of another, or "<|im_X_end|>"
 * without its X_, make none; the brackets of a template around a role, GLM's "<|" and "|>", do.
 */
import { foreign, isSign, plain } from "./jinja/foreign.ts";
import { anyOf } from "./json-parts.ts";
import { asLiteral, withLiterals } from "./prompt.ts";

/** Texts of messages among those of a template, for one tokenizer. */
export class MessageText {
  private readonly specialTexts: readonly string[];
  /** Punctuation of special tokens, which is told apart. */
  private readonly signs: ReadonlySet<string>;
  /** Special tokens that have none, such as "sop" and "en_XX": they are marked where they are whole in a message. */
  private readonly words: readonly string[];

  constructor(specialTexts: readonly string[]) {
    const signsOf = (special: string) =>
      // a part of words: roles have it
      Array.from(special).filter((character) => isSign(character) && character !== "_");
    this.specialTexts = specialTexts.filter((special) => special !== "");
    this.words = this.specialTexts.filter((special) => signsOf(special).length === 0);
    this.signs = new Set(this.specialTexts.flatMap(signsOf));
  }

  /** Texts, and all within lists and objects, as a template is given them. */
  tagged(value: unknown): unknown {
    if (typeof value === "string") return this.taggedText(value);
    if (Array.isArray(value)) return value.map((child) => this.tagged(child));
    if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [this.taggedText(key), this.tagged(child)]));
  }

  private taggedText(text: string): string {
    return withLiterals(foreign(text, this.signs), { specialTexts: this.words });
  }

  /** What a template wrote, for `encodePrompt`: special tokens with signs of messages are marked as plain text. */
  prompt(text: string): string {
    const whole = plain(text);
    if (whole === text) return text;
    const alternatives = anyOf(this.specialTexts);
    const any = new RegExp(alternatives, "giu");
    // in what is not plain, only the template's are as they should be
    const templateSpecial = new RegExp(alternatives, "uy");
    const specialLength = (at: number): number => {
      templateSpecial.lastIndex = at;
      return templateSpecial.exec(text)?.[0].length ?? 0;
    };
    let out = "";
    let done = 0;
    for (let match = any.exec(whole); match !== null; match = any.exec(whole)) {
      const { 0: special, index } = match;
      const end = index + special.length;
      if (text.slice(index, end) === special) {
        any.lastIndex = index + (specialLength(index) || 1);
        continue;
      }
      // it may begin before a token of the template, or with one: that is still special
      const from = index + specialLength(index);
      let to = from + 1;
      while (to < end && specialLength(to) === 0) to++;
      out += whole.slice(done, from) + asLiteral(whole.slice(from, to));
      any.lastIndex = done = to;
    }
    return out + whole.slice(done);
  }
}

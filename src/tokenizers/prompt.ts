import { OptionError, warnOnConsole } from "../base/index.ts";
import { anyOf } from "./json-parts.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * Characters of private use around what is to be encoded literally; they are taken out of texts that come with them.
 */
const [OPEN, CLOSE] = ["\u{10fff0}", "\u{10fff1}"];
const marks = new RegExp(`[${OPEN}${CLOSE}]`, "gu");

/** A text that `encodePrompt` takes for plain text, whatever it looks like. */
export const asLiteral = (text: string): string => OPEN + text.replace(marks, "") + CLOSE;

/**
 * Marks in a text from outside what looks like a special token, so that `encodePrompt` takes it for plain text: nobody
 * can end their own message and begin another one's. In any case of letters: a template may lower or raise them.
 */
export function withLiterals(text: string, { specialTexts }: Pick<Tokenizer, "specialTexts">): string {
  const clean = text.replace(marks, "");
  const [lower, upper] = [clean.toLowerCase(), clean.toUpperCase()];
  const isIn = (special: string) => lower.includes(special.toLowerCase()) || upper.includes(special.toUpperCase());
  const wanted = specialTexts.filter((special) => special !== "" && isIn(special));
  if (wanted.length === 0) return clean;
  return clean.replace(new RegExp(anyOf(wanted), "giu"), asLiteral);
}

const codePoint = (character: string) =>
  `U+${(character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, "0")}`;

/**
 * Tells which characters of a prompt become the unknown token. @throws OptionError where there is none, and they would
 * be lost
 */
function checkCharacters(tokenizer: Tokenizer, prompt: string): void {
  const missing = tokenizer.missingCharacters(prompt.replace(marks, ""));
  if (missing.length === 0) return;
  const shown = missing.map((character) => `${JSON.stringify(character)} (${codePoint(character)})`).join(", ");
  const { unk } = tokenizer.special;
  if (unk !== undefined) {
    warnOnConsole({
      where: "prompt",
      notes: [`no token stands for ${shown}: read as ${unk}; a model trained with --tokenizer bpe reads any text`],
    });
    return;
  }
  const fix = "leave them out, or use a model trained with --tokenizer bpe, which reads any text";
  throw new OptionError({ where: "prompt", expected: "characters of the training text", received: shown, fix });
}

/**
 * Ids of a prompt; what `withLiterals` marked is plain text. @throws OptionError for characters that the tokenizer
 * cannot write
 */
export async function encodePrompt(
  tokenizer: Tokenizer,
  prompt: string,
  { addSpecialTokens = true }: { addSpecialTokens?: boolean } = {},
): Promise<number[]> {
  checkCharacters(tokenizer, prompt);
  if (!prompt.includes(OPEN)) return tokenizer.encode(prompt, { addSpecialTokens });
  const ids: number[] = [];
  const pieces = prompt.split(new RegExp(`${OPEN}([^${CLOSE}]*)${CLOSE}`, "u"));
  for (const [i, marked] of pieces.entries()) {
    const piece = marked.replace(marks, ""); // a template may have cut between two marks
    if (piece === "") continue;
    const part = await tokenizer.encode(
      piece,
      i % 2 === 1 ? { addSpecialTokens: false, isLiteral: true } : { addSpecialTokens: false },
    );
    for (const id of part) ids.push(id);
  }
  return ids;
}

/** The token that a tokenizer puts in front of texts as the start, such as "<s>"; undefined where it puts none. */
export async function startToken(tokenizer: Tokenizer): Promise<string | undefined> {
  const { bos } = tokenizer.special;
  if (bos === undefined) return undefined;
  const [first] = await tokenizer.encode("a");
  return first === tokenizer.tokenToId(bos) ? bos : undefined;
}

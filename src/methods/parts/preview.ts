/** Examples as they are learned, for people. */
import type { Tokenizer } from "../../tokenizers/index.ts";
import type { LearnedTokens } from "./conversation-tokens.ts";

/** Around what is learned. */
const [OPEN, CLOSE] = ["«", "»"];

/** Texts of examples, what is learned of them between «». */
export async function previewTokens(examples: readonly LearnedTokens[], tokenizer: Tokenizer): Promise<string> {
  const texts = await Promise.all(examples.map((example) => previewOf(example, tokenizer)));
  return texts.map((text, i) => `--- example ${i + 1} ---\n${text}`).join("\n");
}

/** The text of an example, what is learned of it between «». */
export async function previewOf({ ids, weights }: LearnedTokens, tokenizer: Tokenizer): Promise<string> {
  let text = "";
  for (let start = 0, end = 0; start < ids.length; start = end) {
    const isLearned = weights[start];
    while (end < ids.length && weights[end] === isLearned) end++;
    const piece = await tokenizer.decode([...ids.subarray(start, end)], { skipSpecialTokens: false });
    text += isLearned ? `${OPEN}${piece}${CLOSE}` : piece;
  }
  return text;
}

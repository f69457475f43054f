/** Rows with pictures as they are learned, for people. */
import type { Tokenizer } from "../../tokenizers/index.ts";
import { previewOf } from "../parts/preview.ts";
import type { LearnedRows, PicturedTokens } from "./tokens.ts";

/** Texts of rows, what is learned of them between «», and in place of a picture how many tokens it has. */
export async function previewPictured(
  { rows, kept }: LearnedRows,
  { count, tokenizer, imageTokenId }: { count: number; tokenizer: Tokenizer; imageTokenId: number },
): Promise<string> {
  const texts = await Promise.all(kept.slice(0, count).map((example) => textOf(example, tokenizer, imageTokenId)));
  return texts.map((text, i) => `--- ${rows.placeOf(kept[i].index)} ---\n${text}`).join("\n");
}

async function textOf({ ids, weights, places }: PicturedTokens, tokenizer: Tokenizer, token: number): Promise<string> {
  let text = "";
  let start = 0;
  let picture = 0;
  const upTo = async (end: number) => {
    if (end > start)
      text += await previewOf({ ids: ids.subarray(start, end), weights: weights.subarray(start, end) }, tokenizer);
  };
  for (let at = ids.indexOf(token); at >= 0; at = ids.indexOf(token, start)) {
    await upTo(at);
    const count = places[picture++];
    text += `[picture ${picture}: ${count} tokens]`;
    start = at + count;
  }
  await upTo(ids.length);
  return text;
}

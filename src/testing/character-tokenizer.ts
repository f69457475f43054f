import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../files/index.ts";

const END = "<eos>";

/** Writes the files of a tokenizer with a token for each character, and one for the end, which is the first. */
export async function saveCharacterTokenizer(folder: string, characters: string, chatTemplate?: string): Promise<void> {
  await makeFolder(folder);
  const vocab = Object.fromEntries([END, ...characters].map((text, id) => [text, id]));
  const special = { content: END, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [{ id: 0, ...special }],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: "Fuse" },
    model: { type: "BPE", vocab, merges: [] },
  };
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    eos_token: END,
    ...(chatTemplate && { chat_template: chatTemplate }),
  };
  await writeFile(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  await writeFile(join(folder, "tokenizer_config.json"), JSON.stringify(config));
}

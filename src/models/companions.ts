/** What stands beside a model's weights and goes along with them: tokenizer, chat templates, processors, licence. */
import { cp, readdir, realpath, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DataError, warnOnConsole } from "../base/index.ts";
import { exists, makeFolder, readGgufHeader } from "../files/index.ts";
import { removeOtherTokenizers, Tokenizer, tokenizerPaths } from "../tokenizers/index.ts";
import { CARD, cardFromGguf, writeCard } from "./formats/model-card.ts";

const tokenizerFile =
  /^(tokenizer.*|vocab.*|merges\.txt|special_tokens_map\.json|added_tokens\.json|chat_template.*|additional_chat_templates|spiece\.model|spm\.model|.*\.bpe\.model|.*\.tiktoken|tiktoken\.model)$/i;
const otherFile = /^(.*processor_config\.json|LICEN[CS]E.*|NOTICE.*)$/i;

export interface CompanionOptions {
  /** Whether the model is the same, stored in another way, so that its model card goes along. @default false */
  isSameModel?: boolean;
  /** The tokenizer, with its chat templates. @default that of the source */
  tokenizer?: { save(folder: string): Promise<void> };
}

/**
 * Brings what stands beside a model where it was loaded from into a folder: files of a folder, or what is inside a GGUF
 * file.
 */
export async function saveCompanions(
  source: string | undefined,
  folder: string,
  options: CompanionOptions = {},
): Promise<void> {
  await makeFolder(folder);
  if (source !== undefined && (await realpath(source).catch(() => source)) !== (await realpath(folder))) {
    if (source.endsWith(".gguf")) await saveFromGguf(source, folder, options);
    else await copyFiles(source, folder, options);
  }
  await options.tokenizer?.save(folder);
}

/** Whether a folder has files of a tokenizer. */
export async function hasTokenizer(folder: string): Promise<boolean> {
  return (await readdir(folder).catch(() => [])).some((name) => tokenizerFile.test(name));
}

async function copyFiles(
  source: string,
  folder: string,
  { isSameModel = false, tokenizer }: CompanionOptions,
): Promise<void> {
  const names = await readdir(source).catch(() => undefined);
  if (names === undefined)
    warnOnConsole({
      where: source,
      notes: ["what stood beside the weights is left out: the folder is not there any more"],
    });
  for (const name of names ?? []) {
    const goesAlong =
      otherFile.test(name) || (!tokenizer && tokenizerFile.test(name)) || (isSameModel && name === CARD);
    // links of a cache lead out of the folder
    if (goesAlong) await cp(join(source, name), join(folder, name), { recursive: true, dereference: true });
  }
  const copied = tokenizer ? [] : await tokenizerPaths(source);
  if (copied.length > 0) await removeOtherTokenizers(folder, copied);
}

async function saveFromGguf(
  source: string,
  folder: string,
  { isSameModel = false, tokenizer }: CompanionOptions,
): Promise<void> {
  const card = cardFromGguf(await readGgufHeader(source));
  if (isSameModel && card.size > 0 && !(await exists(join(folder, CARD))))
    await writeFile(join(folder, CARD), writeCard(card));
  if (tokenizer) return;
  const stored = await Tokenizer.open(source).catch((error) => {
    if (!(error instanceof DataError)) throw error;
    warnOnConsole({ where: source, notes: [`its tokenizer is left out: ${error.message}`] });
    return undefined;
  });
  await stored?.save(folder);
}

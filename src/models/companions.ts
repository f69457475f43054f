/** What stands beside a model's weights and goes along with them: tokenizer, chat templates, processors, licence. */
import { join, realpath, writeFile } from "#system";
import { DataError, warnOnConsole } from "../base/index.ts";
import {
  diskFile,
  diskFolder,
  exists,
  type Folder,
  isFile,
  makeFolder,
  readBytes,
  readGgufHeader,
  type StoredFile,
  writeFileAtomic,
} from "../files/index.ts";
import { removeOtherTokenizers, Tokenizer, tokenizerPaths } from "../tokenizers/index.ts";
import { CARD, cardFromGguf, writeCard } from "./formats/model-card.ts";

const tokenizerFile =
  /^(tokenizer.*|vocab.*|merges\.txt|special_tokens_map\.json|added_tokens\.json|chat_template.*|additional_chat_templates|spiece\.model|spm\.model|.*\.bpe\.model|.*\.tiktoken|tiktoken\.model)$/i;
const otherFile = /^(.*processor_config\.json|LICEN[CS]E.*|NOTICE.*)$/i;

/**
 * Which of the files beside a model go along into another folder: always processors and licences, and the tokenizer.
 */
export interface CompanionOptions {
  /** Whether the model is the same, stored in another way, so that its model card goes along. @default false */
  isSameModel?: boolean;
  /** The tokenizer, with its chat templates. @default that of the source */
  tokenizer?: {
    /** Writes its files into a folder. */
    save(folder: string): Promise<void>;
    /** Id of the token that ends a text: where a model that was made, not loaded, ends. @default that of the config */
    readonly endOfTextId?: number | null;
  };
}

/**
 * Brings what stands beside a model where it was loaded from into a folder: files of a folder, or what is inside a GGUF
 * file.
 */
export async function saveCompanions(
  source: string | Folder | StoredFile | undefined,
  folder: string,
  options: CompanionOptions = {},
): Promise<void> {
  await makeFolder(folder);
  const place = typeof source === "string" ? placeAt(source) : source;
  const real = place && (await realpath(place.name).catch(() => place.name));
  if (place && real !== (await realpath(folder))) {
    if (isFile(place)) await saveFromGguf(place, folder, options);
    else await copyFiles(place, folder, options);
  }
  await options.tokenizer?.save(folder);
}

const placeAt = (path: string) => (path.endsWith(".gguf") ? diskFile(path) : diskFolder(path));

/** Whether a folder has files of a tokenizer. */
export async function hasTokenizer(source: Folder | StoredFile): Promise<boolean> {
  return !isFile(source) && ((await source.list()) ?? []).some((name) => tokenizerFile.test(name));
}

async function copyFiles(
  source: Folder,
  folder: string,
  { isSameModel = false, tokenizer }: CompanionOptions,
): Promise<void> {
  const names = (await source.list()) ?? [];
  if (names.length === 0)
    warnOnConsole({
      where: source.name,
      notes: ["what stood beside the weights is left out: the folder is not there any more, or cannot be listed"],
    });
  for (const name of names) {
    const [first] = name.split("/");
    const goesAlong =
      otherFile.test(first) || (!tokenizer && tokenizerFile.test(first)) || (isSameModel && name === CARD);
    if (goesAlong) await writeFileAtomic(join(folder, name), await readBytes(source.file(name)));
  }
  const copied = tokenizer ? [] : await tokenizerPaths(source);
  if (copied.length > 0) await removeOtherTokenizers(folder, copied);
}

async function saveFromGguf(
  source: StoredFile,
  folder: string,
  { isSameModel = false, tokenizer }: CompanionOptions,
): Promise<void> {
  const card = cardFromGguf(await readGgufHeader(source));
  if (isSameModel && card.size > 0 && !(await exists(join(folder, CARD))))
    await writeFile(join(folder, CARD), writeCard(card));
  if (tokenizer) return;
  const stored = await Tokenizer.open(source).catch((error) => {
    if (!(error instanceof DataError)) throw error;
    warnOnConsole({ where: source.name, notes: [`its tokenizer is left out: ${error.message}`] });
    return undefined;
  });
  await stored?.save(folder);
}

/** What stands beside a model's weights and goes along with them: tokenizer, chat templates, processors, licence. */
import { copyFile, cp, mkdir, readdir, realpath, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { exists, readGgufHeader } from "../files/index.ts";
import { DataError, warnOnConsole } from "../ir/index.ts";
import { loadGgufTokenizer, NAMED_TEMPLATES, saveTokenizer } from "../tokenizers/index.ts";
import { CARD, cardFromGguf, writeCard } from "./formats/model-card.ts";

const companions =
  /^(tokenizer.*|vocab.*|merges\.txt|special_tokens_map\.json|added_tokens\.json|chat_template.*|.*processor_config\.json|spiece\.model|spm\.model|.*\.bpe\.model|tiktoken\.model|LICEN[CS]E.*|NOTICE.*)$/i;

export interface CompanionOptions {
  /** Whether the model is the same, stored in another way, so that its model card goes along. @default false */
  isSameModel?: boolean;
}

/** Brings what stands beside a model where it was loaded from into a folder: files of a folder, or what is inside a GGUF file. */
export async function saveCompanions(source: string, folder: string, { isSameModel = false }: CompanionOptions = {}): Promise<void> {
  await mkdir(folder, { recursive: true });
  if ((await realpath(source).catch(() => source)) === (await realpath(folder))) return;
  if (source.endsWith(".gguf")) return saveFromGguf(source, folder, isSameModel);
  for (const file of await readdir(source)) {
    if (companions.test(file) || (isSameModel && file === CARD)) await copyFile(join(source, file), join(folder, file));
  }
  const named = join(source, NAMED_TEMPLATES);
  if ((await stat(named).catch(() => undefined))?.isDirectory()) await cp(named, join(folder, NAMED_TEMPLATES), { recursive: true });
}

async function saveFromGguf(source: string, folder: string, isSameModel: boolean): Promise<void> {
  const card = cardFromGguf(await readGgufHeader(source));
  if (isSameModel && card.size > 0 && !(await exists(join(folder, CARD)))) await writeFile(join(folder, CARD), writeCard(card));
  const texts = await loadGgufTokenizer(source).catch((error) => {
    if (!(error instanceof DataError)) throw error;
    warnOnConsole({ where: source, notes: [`its tokenizer is left out: ${error.message}`] });
    return undefined;
  });
  if (!texts) return;
  await saveTokenizer(folder, texts.tokenizer);
  if (texts.chatTemplate !== undefined) await writeFile(join(folder, "chat_template.jinja"), texts.chatTemplate);
  if (texts.namedTemplates.size > 0) await mkdir(join(folder, NAMED_TEMPLATES), { recursive: true });
  for (const [name, template] of texts.namedTemplates) await writeFile(join(folder, NAMED_TEMPLATES, `${name.replace(/[^\w.-]/g, "_")}.jinja`), template);
}

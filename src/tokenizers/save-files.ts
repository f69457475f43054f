/** Writes a tokenizer into a folder, which has one. */
import { dirname, join, realpath, rm } from "#system";
import { DataError } from "../base/index.ts";
import { type Folder, folderAt, withWriteErrors, writeFileAtomic, writeJson } from "../files/index.ts";
import { CHAT_TEMPLATE, fileNames, MORE_TEMPLATES, otherNames, versionedName } from "./file-names.ts";
import type { Json } from "./json-parts.ts";

/**
 * Writes what `readTokenizerFiles` reads. A folder has one tokenizer: when all is written, files of another one that
 * was there are removed.
 * @param source the file that the tokenizer was opened from; vocabularies in its folder are the tokenizer's too
 */
export async function writeTokenizerFiles(
  folder: string,
  { json, config, chatTemplates, source }: WrittenFiles,
): Promise<void> {
  const templates = new Map([...chatTemplates].map(([name, template]) => [templateFile(folder, name), template]));
  await writeJson(join(folder, "tokenizer.json"), json);
  await writeJson(join(folder, "tokenizer_config.json"), config);
  for (const [name, template] of templates) await writeFileAtomic(join(folder, name), template);
  const isInPlace = (await realpath(dirname(source)).catch(() => undefined)) === (await realpath(folder));
  await removeOtherTokenizers(folder, [
    "tokenizer.json",
    "tokenizer_config.json",
    ...templates.keys(),
    ...(isInPlace ? [...fileNames, "merges.txt"] : []),
  ]);
}

interface WrittenFiles {
  json: Json;
  config: Json;
  chatTemplates: ReadonlyMap<string, string>;
  source: string;
}

/** Paths in a folder, with "/", of all files of tokenizers that `Tokenizer.open` would read there. */
export async function tokenizerPaths(folder: string | Folder): Promise<string[]> {
  const isTemplate = (name: string) => name.startsWith(`${MORE_TEMPLATES}/`) && name.endsWith(".jinja");
  const isKnown = (name: string) => fileNames.includes(name) || otherNames.includes(name) || versionedName.test(name);
  return ((await folderAt(folder).list()) ?? []).filter((name) => isKnown(name) || isTemplate(name));
}

/**
 * Removes files of tokenizers from a folder, all but some: those of a tokenizer that was there before would mix with
 * the one that has come. transformers leaves them, and mixes.
 * @throws WriteError for what the system refuses
 */
export async function removeOtherTokenizers(folder: string, kept: readonly string[]): Promise<void> {
  const others = (await tokenizerPaths(folder))
    .filter((path) => !kept.includes(path))
    .map((path) => join(folder, path));
  for (const path of others) await withWriteErrors(path, () => rm(path));
}

/** Where a chat template stands in a folder. @throws DataError for a name that would leave it */
function templateFile(folder: string, name: string): string {
  if (name === "default") return CHAT_TEMPLATE;
  if (/^[\w .-]+$/.test(name) && !/^\.+$/.test(name)) return `${MORE_TEMPLATES}/${name}.jinja`;
  const expected = "names of chat templates of letters, digits, _, - and .";
  throw new DataError({
    where: folder,
    expected,
    received: JSON.stringify(name),
    fix: "rename the template in tokenizer_config.json",
  });
}

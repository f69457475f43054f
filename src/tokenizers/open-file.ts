/** Tokenizers in files of any kind, as what a tokenizer.json holds. */
import { readdir, readFile, realpath, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { checkOptions, DataError, OptionError } from "../base/index.ts";
import { exists, readBytes, readJson, withWriteErrors, writeFileAtomic, writeJson } from "../files/index.ts";
import { classNameOf } from "./classes.ts";
import { readGgufTokenizer } from "./formats/gguf.ts";
import { sentencePieceJson } from "./formats/sentencepiece.ts";
import { type TiktokenOptions, tiktokenJson } from "./formats/tiktoken.ts";
import { bytePairJson, wordPieceJson } from "./formats/vocabulary.ts";
import type { Json } from "./json-parts.ts";
import { checkConfig, withOlderFiles } from "./settings.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";

/** Names of the files that a model's folder may have, the best first. */
const fileNames = [
  "tokenizer.json",
  "tokenizer.model",
  "spiece.model",
  "sentencepiece.bpe.model",
  "spm.model",
  "tiktoken.model",
  "vocab.json",
  "vocab.txt",
];
const CHAT_TEMPLATE = "chat_template.jinja";
const MORE_TEMPLATES = "additional_chat_templates";
/** Files beside these that `open` reads. */
const otherNames = [
  "merges.txt",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  CHAT_TEMPLATE,
  "chat_template.json",
];
const versionedName = /^tokenizer\.([\d.]+)\.json$/;
const isTiktoken = (path: string) => /\.tiktoken$|(^|[/\\])tiktoken\.model$/.test(path);

/** A tokenizer's file and what stands beside it. @throws DataError when it is missing or damaged */
export async function readTokenizerFiles(path: string, options: TiktokenOptions): Promise<TokenizerFiles> {
  checkOptions("Tokenizer.open", options, ["pattern", "specialTokens"]);
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
  const file = isFolder ? await tokenizerFile(path) : path;
  if (Object.keys(options).length > 0 && !isTiktoken(file)) {
    const fix = "leave the options out: this file says how texts are cut";
    throw new OptionError({
      where: "Tokenizer.open",
      expected: "ranks of tiktoken for a pattern or specialTokens",
      received: file,
      fix,
    });
  }
  if (file.endsWith(".gguf")) return readGgufTokenizer(file);
  const folder = isFolder || fileNames.includes(basename(file)) ? dirname(file) : undefined;
  const config = folder === undefined ? {} : await readConfig(folder);
  const modelConfig = folder === undefined ? {} : await readOptional(join(folder, "config.json"));
  const versioned = isFolder && basename(file) === "tokenizer.json" ? join(path, versionedFile(config)) : file;
  const json = await readTokenizer(
    versioned,
    { ...config, tokenizer_class: classNameOf(config, modelConfig) },
    options,
  );
  return {
    file: versioned,
    json,
    config,
    modelConfig,
    isOriginal: basename(file) !== "vocab.json" && file.endsWith(".json"),
  };
}

async function tokenizerFile(folder: string): Promise<string> {
  for (const name of fileNames) if (await exists(join(folder, name))) return join(folder, name);
  throw new DataError({
    where: folder,
    expected: `one of ${fileNames.join(", ")}`,
    received: "none of them",
    fix: "fetch the model's tokenizer files too",
  });
}

/** The release of transformers whose files are read. */
const RELEASE = "5.23.0";
const isAtMost = (version: string) => version.localeCompare(RELEASE, "en", { numeric: true }) <= 0;

/**
 * Of tokenizer.4.0.0.json and its like, which fast_tokenizer_files lists, the newest that is meant for this release.
 */
function versionedFile({ fast_tokenizer_files: names = [] }: Json): string {
  const versions = ((names ?? []) as string[]).flatMap((name) => versionedName.exec(name)?.[1] ?? []);
  const [newest] = versions.filter(isAtMost).sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
  return newest === undefined ? "tokenizer.json" : `tokenizer.${newest}.json`;
}

const readOptional = async (path: string): Promise<Json> => ((await exists(path)) ? readJson(path) : {});

/** tokenizer_config.json with what older files and template files add to it. */
async function readConfig(folder: string): Promise<Json> {
  const path = join(folder, "tokenizer_config.json");
  const config = await readOptional(path);
  checkConfig(path, config);
  const map = await readOptional(join(folder, "special_tokens_map.json"));
  checkConfig(join(folder, "special_tokens_map.json"), map);
  const added = await readOptional(join(folder, "added_tokens.json"));
  const templates = await readTemplates(folder);
  // older repositories of models that see
  const { chat_template: ofProcessor } = await readOptional(join(folder, "chat_template.json"));
  const usual = typeof ofProcessor === "string" ? { chat_template: ofProcessor } : {};
  return {
    ...usual,
    ...withOlderFiles(config, map, added),
    ...(templates.size > 0 && { chat_template: Object.fromEntries(templates) }),
  };
}

/** chat_template.jinja, and those of additional_chat_templates by their names. */
async function readTemplates(folder: string): Promise<Map<string, string>> {
  const templates = new Map<string, string>();
  const read = async (name: string, path: string) => {
    if (await exists(path)) templates.set(name, await readFile(path, "utf8"));
  };
  await read("default", join(folder, CHAT_TEMPLATE));
  const more = await readdir(join(folder, MORE_TEMPLATES)).catch(() => []);
  for (const name of more.filter((entry) => entry.endsWith(".jinja")).sort())
    await read(name.slice(0, -".jinja".length), join(folder, MORE_TEMPLATES, name));
  return templates;
}

/** What a tokenizer.json holds, from a file of any kind. */
async function readTokenizer(path: string, config: Json, ranks: TiktokenOptions): Promise<Json> {
  const text = async (name: string) => new TextDecoder().decode(await readBytes(name));
  if (isTiktoken(path)) return tiktokenJson(path, await text(path), ranks);
  if (path.endsWith(".model")) return sentencePieceJson(path, await readBytes(path), config);
  if (basename(path) === "vocab.txt") return wordPieceJson(path, await text(path), config);
  if (basename(path) === "vocab.json")
    return bytePairJson(path, await readJson(path), await text(join(dirname(path), "merges.txt")), config);
  return readJson(path);
}

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
export async function tokenizerPaths(folder: string): Promise<string[]> {
  const list = async (path: string) => ((await exists(path)) ? readdir(path) : []);
  const isKnown = (name: string) => fileNames.includes(name) || otherNames.includes(name) || versionedName.test(name);
  const templates = (await list(join(folder, MORE_TEMPLATES))).filter((name) => name.endsWith(".jinja"));
  return [...(await list(folder)).filter(isKnown), ...templates.map((name) => `${MORE_TEMPLATES}/${name}`)];
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

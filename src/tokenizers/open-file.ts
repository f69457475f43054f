/** Tokenizers in files of any kind, as what a tokenizer.json holds. */
import { DataError, OptionError } from "../base/index.ts";
import { type Folder, isFile, readBytes, readJson, readText, type StoredFile } from "../files/index.ts";
import { classNameOf } from "./classes.ts";
import { CHAT_TEMPLATE, fileNames, MORE_TEMPLATES, versionedName } from "./file-names.ts";
import { readGgufTokenizer } from "./formats/gguf.ts";
import { sentencePieceJson } from "./formats/sentencepiece.ts";
import { type TiktokenOptions, tiktokenJson } from "./formats/tiktoken.ts";
import { bytePairJson, wordPieceJson } from "./formats/vocabulary.ts";
import type { Json } from "./json-parts.ts";
import { checkConfig, withOlderFiles } from "./settings.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";

const isTiktoken = (name: string) => /\.tiktoken$|^tiktoken\.model$/.test(name);

/** A tokenizer's file and what stands beside it. @throws DataError when it is missing or damaged */
export async function readTokenizerFiles(
  place: Folder | StoredFile,
  options: TiktokenOptions,
): Promise<TokenizerFiles> {
  const file = isFile(place) ? place : await tokenizerFile(place);
  if (Object.keys(options).length > 0 && !isTiktoken(file.base)) {
    const fix = "leave the options out: this file says how texts are cut";
    throw new OptionError({
      where: "Tokenizer.open",
      expected: "ranks of tiktoken for a pattern or specialTokens",
      received: file.name,
      fix,
    });
  }
  if (file.base.endsWith(".gguf")) return readGgufTokenizer(file);
  const folder = !isFile(place) || fileNames.includes(file.base) ? file.folder() : undefined;
  const config = folder ? await readConfig(folder) : {};
  const modelConfig = folder ? await readOptional(folder, "config.json") : {};
  const isVersioned = !isFile(place) && file.base === "tokenizer.json";
  const versioned = isVersioned ? place.file(versionedFile(config)) : file;
  const json = await readTokenizer(
    versioned,
    { ...config, tokenizer_class: classNameOf(config, modelConfig) },
    options,
  );
  return {
    file: versioned.name,
    json,
    config,
    modelConfig,
    isOriginal: file.base !== "vocab.json" && file.base.endsWith(".json"),
  };
}

async function tokenizerFile(folder: Folder): Promise<StoredFile> {
  for (const name of fileNames) if (await folder.has(name)) return folder.file(name);
  throw new DataError({
    where: folder.name,
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

const readOptional = async (folder: Folder, name: string): Promise<Json> =>
  (await folder.has(name)) ? readJson(folder.file(name)) : {};

/** tokenizer_config.json with what older files and template files add to it. */
async function readConfig(folder: Folder): Promise<Json> {
  const [config, map] = await Promise.all(
    ["tokenizer_config.json", "special_tokens_map.json"].map(async (name) => {
      const json = await readOptional(folder, name);
      checkConfig(folder.file(name).name, json);
      return json;
    }),
  );
  const added = await readOptional(folder, "added_tokens.json");
  const templates = await readTemplates(folder);
  // older repositories of models that see
  const { chat_template: ofProcessor } = await readOptional(folder, "chat_template.json");
  const usual = typeof ofProcessor === "string" ? { chat_template: ofProcessor } : {};
  return {
    ...usual,
    ...withOlderFiles(config, map, added),
    ...(templates.size > 0 && { chat_template: Object.fromEntries(templates) }),
  };
}

/**
 * chat_template.jinja, and those of additional_chat_templates by their names, which only a folder that can be listed
 * tells.
 */
async function readTemplates(folder: Folder): Promise<Map<string, string>> {
  const templates = new Map<string, string>();
  if (await folder.has(CHAT_TEMPLATE)) templates.set("default", await readText(folder.file(CHAT_TEMPLATE)));
  const more = (await folder.list())?.filter((name) => name.startsWith(`${MORE_TEMPLATES}/`)) ?? [];
  for (const name of more.filter((entry) => entry.endsWith(".jinja")).sort())
    templates.set(name.slice(MORE_TEMPLATES.length + 1, -".jinja".length), await readText(folder.file(name)));
  return templates;
}

/** What a tokenizer.json holds, from a file of any kind. */
async function readTokenizer(file: StoredFile, config: Json, ranks: TiktokenOptions): Promise<Json> {
  const { name, base } = file;
  const text = async (each: StoredFile) => new TextDecoder().decode(await readBytes(each));
  if (isTiktoken(base)) return tiktokenJson(name, await text(file), ranks);
  if (base.endsWith(".model")) return sentencePieceJson(name, await readBytes(file), config);
  if (base === "vocab.txt") return wordPieceJson(name, await text(file), config);
  if (base === "vocab.json")
    return bytePairJson(name, await readJson(file), await text(file.folder().file("merges.txt")), config);
  return readJson(file);
}

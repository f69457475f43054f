import { stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { Generator, type GeneratorOptions } from "../generate/index.ts";
import { isRemoteName, pull } from "../hub/index.ts";
import { DataError } from "../ir/index.ts";
import { fromPretrained, type LoadOptions } from "../models/index.ts";
import type { ServedModel } from "../serve/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { progressOf } from "./pull.ts";

const infoOf = (path: string) => stat(path).catch(() => undefined);

/** The folder or file of a model named on the command line: a folder in Hugging Face layout, a .gguf file, a run's folder, or the name of a run. */
export async function findModel(name: string, runsFolder = "runs"): Promise<string> {
  if ((await infoOf(name))?.isFile()) return name;
  const parts = ["model", "model.old", "checkpoint", "checkpoint.old"]; // .old: left by a kill while it was replaced
  for (const place of [name, join(runsFolder, name)]) {
    for (const folder of [place, ...parts.map((part) => join(place, part))]) if (await infoOf(join(folder, "config.json"))) return folder;
  }
  const isRun = name.startsWith(`${runsFolder}/`) || name.startsWith(`${runsFolder}${sep}`);
  if (!isRun && (await isRemoteName(name))) return pull(name, progressOf());
  throw new DataError({
    where: "model",
    expected: "the name of a run, a folder with config.json, a .gguf file, or a repository such as owner/name",
    received: `"${name}"`,
    fix: "train one first: kindling train --text my.txt --name my",
  });
}

/** Of the generator, and of loading. */
export type OpenOptions = GeneratorOptions & Pick<LoadOptions, "mmap">;

/** Loads a model named on the command line. */
export async function openModel(name: string, runsFolder = "runs", { mmap, ...options }: OpenOptions = {}): Promise<ServedModel> {
  const folder = await findModel(name, runsFolder);
  const model = await fromPretrained(folder, { task: "causal-lm", weights: "blocks", mmap });
  const tokenizer = await Tokenizer.open(folder);
  const parent = /^(model|checkpoint)(\.old)?$/.test(basename(folder)) ? dirname(folder) : folder;
  return { id: basename(parent, ".gguf"), generator: new Generator(model, options), tokenizer, chatTemplate: tokenizer.chatTemplate };
}

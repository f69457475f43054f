import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { DataError, nearest } from "../base/index.ts";
import { exists, readJson } from "../files/index.ts";
import { Generator, type GeneratorOptions, ImageEmbedder } from "../generate/index.ts";
import { isRemoteName, pull, repositoryOf } from "../hub/index.ts";
import { type CausalLM, fromPretrained, type LoadOptions } from "../models/index.ts";
import { applyAdapter, readAdapter } from "../peft/index.ts";
import { ImageProcessor } from "../processors/index.ts";
import type { ImageSide, ServedModel } from "../serve/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { readRunConfig } from "../train/index.ts";
import { typed } from "./command.ts";
import { progressOf } from "./pull.ts";
import { openSpeculation, type ProposalOptions } from "./speculation.ts";

/** Endings that name a file, and never a run or a repository. */
const isModelFile = /\.(gguf|safetensors|bin|pt|pth|onnx)$/i;

const infoOf = (path: string) => stat(path).catch(() => undefined);

/**
 * The folder or file of a model named on the command line: a folder in Hugging Face layout, a .gguf file, a run's
 * folder, or the name of a run.
 */
export async function findModel(name: string, runsFolder = "runs"): Promise<string> {
  if ((await infoOf(name))?.isFile()) return name;
  const parts = ["model", "model.old", "checkpoint", "checkpoint.old"]; // .old: left by a kill while it was replaced
  for (const place of [name, join(runsFolder, name)]) {
    for (const folder of [place, ...parts.map((part) => join(place, part))])
      if (await infoOf(join(folder, "config.json"))) return folder;
  }
  const isRun = name.startsWith(`${runsFolder}/`) || name.startsWith(`${runsFolder}${sep}`);
  if (!isRun && (await isRemoteName(name))) return pull(name, progressOf());
  return refuseName(name, runsFolder);
}

/** Says what is wrong with a name that no model has. */
async function refuseName(name: string, runs: string): Promise<never> {
  for (const place of [name, join(runs, name)]) {
    if (!(await readRunConfig(place).catch(() => undefined))) continue;
    const train = typed(
      "train",
      "--name",
      basename(place),
      ...(dirname(place) === "runs" ? [] : ["--runs", dirname(place)]),
    );
    throw new DataError({
      where: place,
      expected: "a run with a model",
      received: "one that has saved nothing yet",
      fix: `train it first: ${train}`,
    });
  }
  if (isModelFile.test(name)) {
    throw new DataError({ where: name, expected: "a model's file", received: "no such file", fix: "check the path" });
  }
  const names = await runNames(runs);
  const near = nearest(name, names);
  const list =
    names.length > 0
      ? `the runs in ${runs} are ${names.join(", ")}`
      : `there are no runs in ${runs} yet: kindling train --text my.txt --name my`;
  throw new DataError({
    where: "model",
    expected: "the name of a run, a folder with config.json, a .gguf file, or a repository such as owner/name",
    received: `"${name}"`,
    fix: near === undefined ? list : `did you mean ${near}? ${list[0].toUpperCase()}${list.slice(1)}`,
  });
}

/** Names of the runs that are there. */
async function runNames(runs: string): Promise<string[]> {
  const names = (await readdir(runs).catch(() => [])).sort();
  const areRuns = await Promise.all(names.map((name) => infoOf(join(runs, name, "run.json"))));
  return names.filter((_, i) => areRuns[i]);
}

/** Of the generator, of loading, of adapters, and of proposals. */
export interface OpenOptions extends GeneratorOptions, ProposalOptions, Pick<LoadOptions, "mmap"> {
  /** The folder of an adapter that is applied. */
  adapter?: string;
  /** Adapters that texts may ask for. */
  adapters?: readonly NamedAdapter[];
}

/** An adapter by its name, and its folder. */
export interface NamedAdapter {
  name: string;
  folder: string;
}

/** Loads a model named on the command line. */
export async function openModel(name: string, runsFolder = "runs", options: OpenOptions = {}): Promise<ServedModel> {
  const path = await findModel(name, runsFolder);
  const assistant = options.assistant === undefined ? undefined : await findModel(options.assistant, runsFolder);
  return { id: idOf(path), ...(await openModelAt(path, { ...options, assistant })) };
}

/** The name of a model by its folder or file: a repository's, a run's, or the file's without its ending. */
export function idOf(path: string): string {
  const repository = repositoryOf(path);
  if (repository !== undefined) return repository;
  const parent = /^(model|checkpoint)(\.old)?$/.test(basename(path)) ? dirname(path) : path;
  return basename(parent, ".gguf");
}

/** Loads a model that writes. @param options with the path of the assistant, if there is one */
export async function openModelAt(
  path: string,
  { mmap, adapter, adapters = [], promptLookup, assistant, ...options }: OpenOptions,
): Promise<Omit<ServedModel, "id">> {
  const { model, images } = await loadModel(path, mmap);
  if (adapter !== undefined) applyAdapter(model, await readAdapter(adapter));
  const generator = new Generator(model, options);
  generator.prepare().catch(() => {}); // while the tokenizer is read; what fails does so again when it is needed
  const tokenizer = await Tokenizer.open(path);
  for (const { name, folder } of adapters) await generator.adapters.load(name, folder);
  const speculation = await openSpeculation({ promptLookup, assistant }, tokenizer, mmap);
  const { chatTemplate } = tokenizer;
  return { generator, tokenizer, chatTemplate, ...(images && { images }), ...(speculation && { speculation }) };
}

/** Whether the model in a folder reads images in its texts, by the class that config.json names. */
export async function takesImages(path: string): Promise<boolean> {
  const file = join(path, "config.json");
  if (!(await exists(file))) return false; // a GGUF file
  const { architectures } = await readJson(file);
  return Array.isArray(architectures) && isImageText.test(String(architectures[0]));
}

const isImageText = /^(Llava|Qwen2VL)ForConditionalGeneration$/;

/** A model that writes; or the text model of one that reads images too, with its image side. */
async function loadModel(path: string, mmap: boolean | undefined): Promise<{ model: CausalLM; images?: ImageSide }> {
  if (!(await takesImages(path)))
    return { model: await fromPretrained(path, { task: "causal-lm", weights: "blocks", mmap }) };
  const model = await fromPretrained(path, { task: "image-text-to-text", mmap });
  const images = { embedder: new ImageEmbedder(model), processor: await ImageProcessor.open(path) };
  return { model: model.languageModel, images };
}

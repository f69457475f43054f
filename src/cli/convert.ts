import { copyFile, mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DataError, OptionError } from "../ir/index.ts";
import {
  type CausalLM,
  exportModel,
  fromPretrained,
  type ggufTypes,
  inspectModel,
  type PretrainedModel,
  type SavedDType,
  saveGguf,
  savePretrained,
} from "../models/index.ts";
import { ggufTokenizer, Tokenizer } from "../tokenizers/index.ts";
import { findModel } from "./models.ts";
import { formatBytes } from "./terminal.ts";

export const targetFormats = ["safetensors", "gguf", "onnx"] as const;

export interface ConvertOptions {
  runs: string;
  /** @default by the ending of the target: .gguf is GGUF, everything else a folder with safetensors */
  to?: (typeof targetFormats)[number];
  /** Of weights in safetensors. @default as they are stored, or f32 */
  dtype?: SavedDType;
  /** Of weights in GGUF. @default f16 */
  type?: (typeof ggufTypes)[number];
  /** Largest file of weights, in GB. */
  shard?: number;
}

/** Files of a model's folder that go along as they are: tokenizers, templates, processors, licences. */
const companions =
  /^(tokenizer.*|vocab.*|merges\.txt|special_tokens_map\.json|added_tokens\.json|chat_template.*|.*processor_config\.json|spiece\.model|.*\.bpe\.model|generation_config\.json|LICEN[CS]E.*|README\.md)$/;

/** `kindling convert`: a model in another format, with its tokenizer. */
export async function convertCommand(name: string, target: string, options: ConvertOptions): Promise<void> {
  const source = (await stat(name).catch(() => undefined)) ? name : await findModel(name, options.runs);
  const to = options.to ?? (target.endsWith(".gguf") ? "gguf" : "safetensors");
  refuse(to === "gguf", options.dtype, "--dtype is for safetensors; for GGUF there is --type");
  refuse(to !== "gguf", options.type, "--type is for GGUF; for safetensors there is --dtype");
  if (source === target)
    throw new OptionError({ where: "convert", expected: "another target than the source", received: target, fix: "name a new folder or file" });
  const model = await fromPretrained(source);
  if (to === "gguf") await toGguf(model, source, target, options);
  else {
    await mkdir(target, { recursive: true });
    if (to === "onnx") await exportModel(model, target);
    else
      await savePretrained(model, target, {
        dtype: options.dtype ?? (await storedDType(source)),
        ...(options.shard && { maxShardBytes: options.shard * 1e9 }),
      });
    await copyCompanions(source, target, to === "onnx");
  }
  process.stdout.write(`${target}  ${formatBytes(await sizeOf(target))}\n`);
}

function refuse(isWrong: boolean, value: string | undefined, fix: string): void {
  if (isWrong && value !== undefined) throw new OptionError({ where: "convert", expected: "options of the target's format", received: value, fix });
}

async function toGguf(model: PretrainedModel, source: string, target: string, { type = "f16" }: ConvertOptions): Promise<void> {
  const found = await tokenizerOf(source);
  if (!found) process.stderr.write("note: the model has no tokenizer that GGUF can hold; the file is without one\n");
  const metadata = found && ggufTokenizer(found);
  await saveGguf(model as CausalLM, target, { type, ...(metadata && { metadata }) });
}

/** The tokenizer beside a model or inside its file; undefined where there is none. */
async function tokenizerOf(source: string): Promise<Tokenizer | undefined> {
  try {
    return await Tokenizer.open(source);
  } catch (error) {
    if (error instanceof DataError && !source.endsWith(".gguf")) return undefined;
    throw error;
  }
}

/** The dtype of most weights, where safetensors can keep it. */
async function storedDType(source: string): Promise<SavedDType> {
  const { dtypes } = await inspectModel(source);
  const [most] = Object.entries(dtypes).sort(([, a], [, b]) => b.parameters - a.parameters)[0] ?? ["f32"];
  const dtype = most.toLowerCase();
  return dtype === "f16" || dtype === "bf16" ? dtype : "f32";
}

async function copyCompanions(source: string, target: string, withConfig: boolean): Promise<void> {
  if (source.endsWith(".gguf")) {
    await (await Tokenizer.open(source)).save(target);
    return;
  }
  for (const file of await readdir(source)) {
    if (companions.test(file) || (withConfig && file === "config.json")) await copyFile(join(source, file), join(target, file));
  }
}

async function sizeOf(path: string): Promise<number> {
  const info = await stat(path);
  if (!info.isDirectory()) return info.size;
  const sizes = await Promise.all((await readdir(path)).map(async (name) => (await stat(join(path, name))).size));
  return sizes.reduce((a, b) => a + b, 0);
}

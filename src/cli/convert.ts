import { readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { OptionError } from "../base/index.ts";
import { diskFolder, exists } from "../files/index.ts";
import {
  exportModel,
  fromPretrained,
  type ggufTypes,
  hasTokenizer,
  inspectModel,
  type PretrainedModel,
  type SavedDType,
  type SavedGguf,
  saveCompanions,
  saveGguf,
  savePretrained,
} from "../models/index.ts";
import { Tokenizer } from "../tokenizers/index.ts";
import { findAdapter, openMerged, refuseUnmerged } from "./convert-adapter.ts";
import { checkTarget, fillFolder } from "./convert-target.ts";
import { findModel } from "./models.ts";
import { formatBytes, formatCount } from "./terminal.ts";

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
  /** Whether a model that is there already is replaced. @default false */
  force?: boolean;
  /** Of an adapter: the model that it was made for is written, with it in the weights. @default false */
  merge?: boolean;
  /** With merge, that model. @default what the adapter's config says */
  base?: string;
}

/** A model that is open, where it came from, and whether that is the same model. */
interface Source {
  model: PretrainedModel;
  place: string;
  isSameModel: boolean;
  /** Of an adapter that has one of its own. */
  tokenizer?: Tokenizer;
}

/** `kindling convert`: a model in another format, with its tokenizer and what else is beside it. */
export async function convertCommand(name: string, target: string, options: ConvertOptions): Promise<void> {
  const to = options.to ?? (target.endsWith(".gguf") ? "gguf" : "safetensors");
  refuse(to === "gguf", options.dtype, "--dtype is for safetensors; for GGUF there is --type");
  refuse(to !== "gguf", options.type, "--type is for GGUF; for safetensors there is --dtype");
  if (await exists(name)) await refuseSource(name, target);
  // before anything is fetched or read
  await checkTarget(target, { format: to, runs: options.runs, force: options.force ?? false });
  const { model, place, isSameModel, tokenizer } = await openSource(name, target, options);
  if (to === "gguf") report(await saveGguf(model, target, { type: options.type, tokenizer }), options.type);
  else {
    const dtype = options.dtype ?? (await storedDType(place));
    await fillFolder(target, async (folder) => {
      if (to === "onnx") await exportModel(model, folder);
      else await savePretrained(model, folder, { dtype, ...(options.shard && { maxShardBytes: options.shard * 1e9 }) });
      await saveCompanions(place, folder, { isSameModel, tokenizer });
    });
  }
  process.stdout.write(`${target}  ${formatBytes(await sizeOf(target))}\n`);
}

/** Opens what is to be converted: a model, or with an adapter merged the model that this was made for. */
async function openSource(name: string, target: string, { runs, merge, base }: ConvertOptions): Promise<Source> {
  const adapter = await findAdapter(name, runs);
  if (adapter === undefined) {
    refuse(merge === true, "--merge", "it is for adapters, and this is a model: leave it out");
    refuse(true, base, "--base is for adapters, with --merge");
    const isFileHere = (await stat(name).catch(() => undefined))?.isFile();
    const place = isFileHere ? name : await findModel(name, runs);
    await refuseSource(place, target);
    return { model: await fromPretrained(place), place, isSameModel: true };
  }
  if (!merge) return refuseUnmerged(adapter);
  await refuseSource(adapter, target);
  const { model, base: place } = await openMerged(adapter, base, runs);
  await refuseSource(place, target);
  const hasOwn = await hasTokenizer(diskFolder(adapter));
  return { model, place, isSameModel: false, ...(hasOwn && { tokenizer: await Tokenizer.open(adapter) }) };
}

function refuse(isWrong: boolean, value: string | undefined, fix: string): void {
  if (isWrong && value !== undefined)
    throw new OptionError({ where: "convert", expected: "options of the target's format", received: value, fix });
}

/** A source that is the target, or lies in it, would be gone before it is read. */
async function refuseSource(source: string, target: string): Promise<void> {
  const [from, into] = [await realpath(source), await realpath(target).catch(() => undefined)];
  if (into === undefined || (from !== into && !from.startsWith(into + sep))) return;
  throw new OptionError({
    where: "convert",
    expected: "another target than the source",
    received: target,
    fix: "name a new folder or file",
  });
}

/** Tells how the numbers are stored, where that is not what was asked for. */
function report({ numbers, fallbacks }: SavedGguf, type: ConvertOptions["type"]): void {
  const total = Object.values(numbers).reduce((a, b) => a + b, 0);
  for (const [stored, count] of Object.entries(fallbacks))
    process.stderr.write(
      `note: ${formatCount(count)} of ${formatCount(total)} numbers are ${stored}: their rows are no whole blocks of ${type}\n`,
    );
  const shares = Object.entries(numbers).map(([stored, count]) => `${formatCount(count)} ${stored}`);
  process.stdout.write(`numbers: ${shares.join(", ")}\n`);
}

/** The dtype of most weights, where safetensors can keep it. */
async function storedDType(source: string): Promise<SavedDType> {
  const { dtypes } = await inspectModel(source);
  const [most] = Object.entries(dtypes).sort(([, a], [, b]) => b.parameters - a.parameters)[0] ?? ["f32"];
  const dtype = most.toLowerCase();
  return dtype === "f16" || dtype === "bf16" ? dtype : "f32";
}

async function sizeOf(path: string): Promise<number> {
  const info = await stat(path);
  if (!info.isDirectory()) return info.size;
  const sizes = await Promise.all((await readdir(path)).map(async (name) => (await stat(join(path, name))).size));
  return sizes.reduce((a, b) => a + b, 0);
}

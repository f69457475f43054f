/**
 * Where `kindling convert` may write: what is there is never replaced unasked, and what is not a model's never at all.
 */
import { open, readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { OptionError } from "../base/index.ts";
import { exists, makeFolder, writeFolderAtomic } from "../files/index.ts";

/** What conversions write into a folder. */
const modelFiles = [
  /^(config|generation_config|special_tokens_map|added_tokens|[\w-]*processor_config)\.json$/,
  /^(model\.safetensors(\.index\.json)?|model-\d+-of-\d+\.safetensors)$/,
  /^(model|encoder_model|decoder_(model|with_past_model|model_merged)|vision_encoder|embed_tokens)\.onnx([._]data)?$/,
  /^(tokenizer(\.v\w+)?\.(json|model|model\.v\w+)|tokenizer_config\.json|vocab\.(json|txt)|merges\.txt|(spiece|spm|sentencepiece\.bpe|tiktoken)\.model|[\w-]+\.tiktoken)$/,
  /^(chat_template\.(jinja|json)|README\.md|(LICEN[CS]E|NOTICE)(\.\w+)?)$/,
];
const TEMPLATES = "additional_chat_templates";
/** Endings of single files of weights. */
const weightsFile = /\.(gguf|safetensors|bin|pt|pth|ckpt|onnx)$/i;
/** Folders that a run writes, and replaces. */
const runPart = /^(data|checkpoint|model)(\.tmp|\.old)?$/;
const GGUF_MAGIC = "GGUF";

export interface TargetOptions {
  format: "safetensors" | "gguf" | "onnx";
  runs: string;
  /** Whether a model that is there may be replaced. */
  force: boolean;
}

function refuse(received: string, fix: string, expected = "a target that is not there yet"): never {
  throw new OptionError({ where: "convert", expected, received, fix });
}

/**
 * @throws OptionError when the target is there and may not be replaced, lies in a run, or has a name of another format
 */
export async function checkTarget(target: string, { format, runs, force }: TargetOptions): Promise<void> {
  if (target.trim() === "" || target.includes("\0"))
    refuse(JSON.stringify(target), "name a folder, or a file that ends in .gguf", "a path");
  await refuseRuns(target, runs);
  const info = await stat(target).catch(() => undefined);
  if (format === "gguf") {
    if (info) await checkFile(target, info.isFile(), force);
  } else {
    if (weightsFile.test(basename(target))) {
      refuse(
        target,
        `name a folder, such as ${target.replace(/[/\\]+$/, "").replace(weightsFile, "")}; the file in it is written for you`,
        "a folder",
      );
    }
    if (info) await checkFolder(target, info.isDirectory(), force);
  }
}

/** The folder of all runs, what lies around it, and the parts of a run belong to runs. */
async function refuseRuns(target: string, runs: string): Promise<void> {
  const path = await realpath(target).catch(() => resolve(target));
  const runsPath = await realpath(runs).catch(() => resolve(runs));
  const way = relative(path, runsPath);
  const isAround = way.split(sep)[0] !== ".." && !isAbsolute(way);
  if (isAround && (await exists(runs)))
    refuse(`${target}, the folder of all runs or one around it`, "name a new folder", "a target apart from the runs");
  const isRun = await exists(join(path, "run.json"));
  const isPart = runPart.test(basename(path)) && (await exists(join(dirname(path), "run.json")));
  if (isRun || isPart) refuse(`${target}, which a run writes`, "name a new folder", "a target apart from the runs");
}

async function checkFile(target: string, isFile: boolean, force: boolean): Promise<void> {
  if (!isFile) refuse(`${target}, a folder`, `name a file, such as ${join(target, "model.gguf")}`, "a file to write");
  if (!force) refuse(`${target}, a file`, "choose another name, or add --force to replace it");
  if (!(await isGguf(target)))
    refuse(`${target}, a file of another kind`, "remove it yourself, or choose another name", "a GGUF file to replace");
}

async function isGguf(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(GGUF_MAGIC.length), 0, GGUF_MAGIC.length, 0);
    return buffer.toString("latin1") === GGUF_MAGIC;
  } finally {
    await file.close();
  }
}

async function checkFolder(target: string, isFolder: boolean, force: boolean): Promise<void> {
  if (!isFolder) refuse(`${target}, a file`, "choose another name", "a folder, or none yet");
  const entries = await readdir(target, { withFileTypes: true });
  if (entries.length === 0) return;
  const foreign = await foreignFile(target);
  if (foreign !== undefined) {
    refuse(
      `${target}, which holds ${foreign}`,
      "choose another name; a folder with anything but a model's files is never replaced",
      "a new or empty folder",
    );
  }
  if (!force) refuse(`${target}, a model's folder`, "choose another name, or add --force to replace all of it");
  for (const name of [`${target}.tmp`, `${target}.old`].map((path) => path.replace(/[/\\]+(?=\.(tmp|old)$)/, ""))) {
    if (await exists(name))
      refuse(
        name,
        "remove it, or choose another name",
        "nothing of this name, which is needed while the model is replaced",
      );
  }
}

/** What in a folder is not a model's, or undefined when it is a model and nothing else. */
async function foreignFile(folder: string): Promise<string | undefined> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isFile() && modelFiles.some((pattern) => pattern.test(entry.name))) continue;
    if (!entry.isDirectory() || entry.name !== TEMPLATES) return entry.name;
    const templates = await readdir(join(folder, TEMPLATES), { withFileTypes: true });
    const other = templates.find((file) => !file.isFile() || !file.name.endsWith(".jinja"));
    if (other) return join(TEMPLATES, other.name);
  }
  return (await exists(join(folder, "config.json"))) ? undefined : "no config.json";
}

/** Fills a checked folder. One that is replaced stays until the new one is whole, and leaves nothing behind in it. */
export async function fillFolder(target: string, fill: (folder: string) => Promise<void>): Promise<void> {
  const path = (await realpath(target).catch(() => undefined)) ?? resolve(target);
  // perhaps a mount, which cannot be renamed
  const isEmpty = (await readdir(path).catch(() => undefined))?.length === 0;
  if (!isEmpty && (await exists(path))) return writeFolderAtomic(path, fill);
  await makeFolder(path);
  await fill(path);
}

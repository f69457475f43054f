import { join, open, readdir, readFile, stat } from "#system";
import { DataError, isFloat } from "../base/index.ts";
import {
  diskFolder,
  exists,
  readBytes,
  readGgufHeader,
  readJson,
  readSafetensorsHeader,
  readTorch,
} from "../files/index.ts";
import { weightFiles } from "./weight-files.ts";

/**
 * What is in a model's folder or file, told from headers; of torch's files, which have none to be read alone, from all
 * that is in them.
 */
export interface ModelReport {
  format: "Hugging Face" | "safetensors" | "torch" | "GGUF" | "ONNX";
  /** Such as "GPT2LMHeadModel" or, in GGUF, "llama". */
  architecture: string | null;
  parameters: number;
  /** Numbers and bytes by the dtype they are stored in. */
  dtypes: Record<string, { parameters: number; bytes: number }>;
  /** Parameters by module; layers of the same kind are one entry, with "*" for their number. */
  modules: Record<string, { parameters: number; tensors: number }>;
  tokenizer: { kind: string; vocabSize: number } | null;
  licence: string | null;
  memory: {
    /** Bytes of the weights as they are stored. */
    stored: number;
    /** Bytes of the weights in f32. */
    run: number;
    /** Bytes of weights, gradients and AdamW's two moments in f32; activations come on top. */
    train: number;
  };
}

interface Entry {
  dtype: string;
  shape: readonly number[];
  bytes: number;
}

/**
 * Looks at a folder in Hugging Face layout, or a .safetensors, .gguf, .onnx or torch file (.bin, .pt, .pth).
 * @throws DataError when there is no model, or its file is damaged
 */
export async function inspectModel(path: string): Promise<ModelReport> {
  const info = await stat(path).catch(() => undefined);
  if (!info)
    throw new DataError({
      where: path,
      expected: "a folder, or a .safetensors, .gguf, .onnx or torch file",
      received: "nothing there",
      fix: "check the path",
    });
  if (info.isDirectory()) return inspectFolder(path);
  const start = await readStart(path, 9);
  if (start.toString("latin1", 0, 4) === "GGUF") return inspectGguf(path);
  if (path.endsWith(".onnx")) return inspectOnnx(path);
  if (isTorch(path)) return report("torch", await torchEntries(path), {});
  if (path.endsWith(".safetensors") || isSafetensors(start, info.size))
    return report("safetensors", await safetensorsEntries(path), {});
  throw new DataError({
    where: path,
    expected: "a model: a folder, or a .safetensors, .gguf, .onnx or torch file",
    received: `a file that begins with ${JSON.stringify(start.toString("latin1", 0, 8))}`,
    fix: "name the model's folder or file",
  });
}

/** Whether a file begins with the length of a JSON object, as safetensors do. */
const isSafetensors = (start: Buffer, size: number): boolean =>
  start.length === 9 &&
  start.readBigUInt64LE(0) <= BigInt(Math.max(0, size - 8)) &&
  start.toString("latin1", 8) === "{";

async function readStart(path: string, length: number): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

const isTorch = (path: string) => /\.(bin|pt|pth)$/.test(path);

async function torchEntries(path: string): Promise<Map<string, Entry>> {
  return new Map(
    [...(await readTorch(path))].map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, bytes: data.byteLength },
    ]),
  );
}

async function inspectOnnx(path: string): Promise<ModelReport> {
  const { entries, producer } = await onnxHeader(path);
  return report("ONNX", entries, { architecture: producer });
}

/** The weights of an ONNX file: its constants but for sizes, indices and numbers of the graph itself. */
async function onnxHeader(path: string): Promise<{ entries: Map<string, Entry>; producer: string | null }> {
  const { describeOnnx } = await import("../onnx/index.ts");
  const { producer, weights } = await describeOnnx(await readBytes(path));
  const isOfGraph = (name: string) => producer === "kindling" && /^c\d+$/.test(name);
  const isWeight = ({ name, dtype, shape }: (typeof weights)[number]) =>
    (isFloat(dtype) || /^[iu]8$/.test(dtype)) && shape.length > 0 && !isOfGraph(name);
  return { producer, entries: new Map(weights.filter(isWeight).map(({ name, ...entry }) => [name, entry])) };
}

async function entriesOf(path: string): Promise<Map<string, Entry>> {
  if (path.endsWith(".onnx")) return (await onnxHeader(path)).entries;
  return isTorch(path) ? torchEntries(path) : safetensorsEntries(path);
}

async function safetensorsEntries(path: string): Promise<Map<string, Entry>> {
  const { tensors } = await readSafetensorsHeader(path);
  return new Map(
    [...tensors].map(([name, { dtype, shape, begin, end }]) => [name, { dtype, shape, bytes: end - begin }]),
  );
}

async function inspectFolder(folder: string): Promise<ModelReport> {
  const names = (await readdir(folder)).sort();
  const files = await presentFiles(folder, names);
  if (files.length === 0) {
    const near = names.find((name) => name.endsWith(".gguf") || name.endsWith(".onnx"));
    throw new DataError({
      where: folder,
      expected: "a folder with .safetensors, pytorch_model.bin or .onnx files",
      received: names.length > 0 ? `one with ${names.slice(0, 4).join(", ")}` : "an empty one",
      fix: near ? `inspect ${join(folder, near)}` : "name a model's folder",
    });
  }
  const entries = new Map<string, Entry>();
  for (const path of files) for (const [key, entry] of await entriesOf(path)) entries.set(key, entry);
  const config: Record<string, unknown> = names.includes("config.json")
    ? await readJson(join(folder, "config.json"))
    : {};
  const [architecture = config.model_type ?? null] = (config.architectures ?? []) as string[];
  return report("Hugging Face", entries, {
    architecture: architecture as string | null,
    tokenizer: names.includes("tokenizer.json") ? await tokenizerOf(join(folder, "tokenizer.json")) : null,
    licence: names.includes("README.md") ? licenceOf(await readFile(join(folder, "README.md"), "utf8")) : null,
  });
}

/** The files of a model's weights; where they have other names all safetensors, but for what an optimizer keeps. */
async function presentFiles(folder: string, names: readonly string[]): Promise<string[]> {
  const files = (await weightFiles(diskFolder(folder))).map(({ name }) => name);
  if (await exists(files[0])) return files;
  return names
    .filter((name) => name.endsWith(".safetensors") && !name.startsWith("optimizer"))
    .map((name) => join(folder, name));
}

async function tokenizerOf(path: string): Promise<ModelReport["tokenizer"]> {
  const { model, added_tokens: added } = (await readJson(path)) as {
    model?: { type?: string; vocab?: object | unknown[] };
    added_tokens?: { id: number }[];
  };
  const { type = "unknown", vocab = {} } = model ?? {};
  const ids = Array.isArray(vocab) ? vocab.length : Object.keys(vocab).length;
  return { kind: type, vocabSize: Math.max(ids, ...(added ?? []).map(({ id }) => id + 1)) };
}

/** The licence that a model card names in its front matter. */
function licenceOf(card: string): string | null {
  const [, front] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card) ?? [];
  return (front && /^license:\s*(\S.*?)\s*$/m.exec(front)?.[1]) || null;
}

async function inspectGguf(path: string): Promise<ModelReport> {
  const { metadata, tensors } = await readGgufHeader(path);
  const text = (key: string) => {
    const value = metadata.get(key);
    return typeof value === "string" ? value : null;
  };
  const tokens = metadata.get("tokenizer.ggml.tokens");
  const kind = text("tokenizer.ggml.model");
  return report(
    "GGUF",
    new Map(
      [...tensors].map(([name, { type, shape, begin, end }]) => [name, { dtype: type, shape, bytes: end - begin }]),
    ),
    {
      architecture: text("general.architecture"),
      tokenizer: kind && Array.isArray(tokens) ? { kind, vocabSize: tokens.length } : null,
      licence: text("general.license"),
    },
  );
}

function report(
  format: ModelReport["format"],
  entries: ReadonlyMap<string, Entry>,
  {
    architecture = null,
    tokenizer = null,
    licence = null,
  }: Partial<Pick<ModelReport, "architecture" | "tokenizer" | "licence">>,
): ModelReport {
  const dtypes: ModelReport["dtypes"] = {};
  const modules: ModelReport["modules"] = {};
  let [parameters, stored] = [0, 0];
  for (const [name, { dtype, shape, bytes }] of entries) {
    const count = shape.reduce((a, b) => a * b, 1);
    parameters += count;
    stored += bytes;
    dtypes[dtype] ??= { parameters: 0, bytes: 0 };
    dtypes[dtype].parameters += count;
    dtypes[dtype].bytes += bytes;
    const module = moduleOf(name);
    modules[module] ??= { parameters: 0, tensors: 0 };
    modules[module].parameters += count;
    modules[module].tensors++;
  }
  return {
    format,
    architecture,
    parameters,
    dtypes,
    modules,
    tokenizer,
    licence,
    memory: { stored, run: 4 * parameters, train: 16 * parameters },
  };
}

/** "model.layers.3.mlp.up_proj.weight" belongs to "model.layers.*.mlp.up_proj". */
const moduleOf = (name: string): string =>
  name
    .split(".")
    .slice(0, -1)
    .map((part) => (/^\d+$/.test(part) ? "*" : part))
    .join(".") || name;

/** Where a folder in Hugging Face layout has its weights. */
import { DataError } from "../base/index.ts";
import {
  eachSafetensor,
  type Folder,
  type ReadOptions,
  readBytes,
  readJson,
  readTorch,
  type StoredFile,
  type StoredTensor,
} from "../files/index.ts";
import { INDEX, WEIGHTS } from "./save-pretrained.ts";

const TORCH_WEIGHTS = "pytorch_model.bin";
const TORCH_INDEX = "pytorch_model.bin.index.json";
/**
 * Files that have all weights together: of models of one part, of encoder-decoders, of models that read images in a
 * text.
 */
const ONNX_PARTS = [
  ["model.onnx"],
  ["encoder_model.onnx", "decoder_model.onnx"],
  ["vision_encoder.onnx", "embed_tokens.onnx", "decoder_model_merged.onnx"],
];

/**
 * The file with the weights, or the shards that an index names: safetensors, or else what torch.save wrote, or ONNX,
 * which may lie in a folder "onnx" of its own.
 * @param variant of several sets of weights the one with this in its files' names, such as "fp16"
 * @throws DataError for a folder without weights that can be read, and for an index that points elsewhere
 */
export async function weightFiles(folder: Folder, variant?: string): Promise<StoredFile[]> {
  await refuseAdapter(folder);
  const candidates = [WEIGHTS, INDEX, TORCH_WEIGHTS, TORCH_INDEX].map((name) => withVariant(name, variant));
  for (const name of candidates) {
    if (!(await folder.has(name))) continue;
    return name.endsWith(".json") ? shardsOf(folder.file(name)) : [folder.file(name)];
  }
  const onnx = variant === undefined ? await onnxFiles(folder) : undefined;
  if (onnx) return onnx;
  const listed = await folder.list();
  const names = listed?.filter((name) => !name.includes("/")) ?? [];
  const there =
    names.length > 0 ? `a folder with ${names.slice(0, 5).join(", ")}` : "nothing there, or an empty folder";
  const received = listed ? there : "none of them";
  throw new DataError({
    where: folder.name,
    expected: `one of ${candidates.join(", ")}, or ONNX files`,
    received,
    fix: whatToOpen(folder, names),
  });
}

/** model.safetensors -> model.fp16.safetensors, model.safetensors.index.json -> model.safetensors.index.fp16.json */
const withVariant = (name: string, variant: string | undefined) =>
  variant === undefined ? name : name.replace(/\.\w+$/, (end) => `.${variant}${end}`);

/** @throws DataError for the weights of an adapter, which are added to another model's */
async function refuseAdapter(folder: Folder): Promise<void> {
  if (!(await folder.has("adapter_config.json"))) return;
  throw new DataError({
    where: folder.name,
    expected: "a model's own weights",
    received: "adapter_config.json, of weights that are added to another model's",
    fix: "open the model, and apply the adapter to it: applyAdapter(model, await readAdapter(folder))",
  });
}

/** What to do about a folder whose weights are not where they are looked for. */
function whatToOpen(folder: Folder, names: readonly string[]): string {
  const like = (pattern: RegExp) => names.map((name) => pattern.exec(name)).find((match) => match !== null);
  const variant = like(/^(?:model|pytorch_model)\.([\w-]+?)(?:-\d+-of-\d+)?\.(?:safetensors|bin)$/);
  if (variant) return `name the variant: { variant: "${variant[1]}" }`;
  const gguf = like(/\.gguf$/);
  if (gguf) return `open ${folder.file(gguf.input).name}`;
  const foreign = like(/^(consolidated.*\.(safetensors|pth)|tf_model\.h5|flax_model\.msgpack|rust_model\.ot)$/);
  return foreign
    ? `${foreign.input} has a layout that is not read: save the model with transformers' save_pretrained`
    : "check the path, and that the weights are there";
}

/** ONNX files that have a model's weights together; undefined where there are none. */
async function onnxFiles(folder: Folder): Promise<StoredFile[] | undefined> {
  for (const place of [folder, folder.folder("onnx")]) {
    for (const parts of ONNX_PARTS) {
      const present = await Promise.all(parts.map((name) => place.has(name)));
      if (present.every(Boolean)) return parts.map((name) => place.file(name));
    }
  }
  return undefined;
}

/** Whether `exportModel` wrote an ONNX file. */
export async function isOwnOnnx(file: StoredFile): Promise<boolean> {
  const { describeOnnx } = await import("../onnx/index.ts");
  return (await describeOnnx(await readBytes(file))).producer === "kindling";
}

async function shardsOf(index: StoredFile): Promise<StoredFile[]> {
  const { weight_map: map } = await readJson(index);
  const names = map !== null && typeof map === "object" ? [...new Set(Object.values(map))] : [];
  const wrong = names.find((name) => typeof name !== "string" || !/^[\w-][\w.-]*\.(safetensors|bin)$/.test(name));
  if (names.length === 0 || wrong !== undefined) {
    throw new DataError({
      where: index.name,
      expected: "a weight_map from tensors to files beside it",
      received: JSON.stringify(wrong) ?? "none",
      fix: "fetch the model again, from a source that you trust",
    });
  }
  return names.sort().map((name) => index.folder().file(name as string));
}

/**
 * The tensors of a file, one after another. A torch file keeps no order by which parts could be read alone: it is read
 * whole, as ONNX is.
 */
export async function* tensorsIn(
  file: StoredFile,
  options?: ReadOptions,
): AsyncGenerator<[name: string, StoredTensor], void, void> {
  if (file.base.endsWith(".onnx")) {
    const { onnxWeights } = await import("../onnx/index.ts");
    return yield* onnxWeights(file);
  }
  if (!file.base.endsWith(".bin")) return yield* eachSafetensor(file, options);
  const tensors = await readTorch(file);
  for (const [name, tensor] of tensors) {
    tensors.delete(name); // its memory may be needed
    yield [name, tensor];
  }
}

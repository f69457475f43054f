/** Where a folder in Hugging Face layout has its weights. */
import { join } from "node:path";
import { eachSafetensor, exists, type ReadOptions, readBytes, readJson, readTorch, type StoredTensor } from "../files/index.ts";
import { DataError } from "../ir/index.ts";
import { describeOnnx, onnxWeights } from "../onnx/index.ts";
import { INDEX, WEIGHTS } from "./save-pretrained.ts";

const TORCH_WEIGHTS = "pytorch_model.bin";
const TORCH_INDEX = "pytorch_model.bin.index.json";
/** Files that have all weights together: of models of one part, of encoder-decoders, of models that read images in a text. */
const ONNX_PARTS = [["model.onnx"], ["encoder_model.onnx", "decoder_model.onnx"], ["vision_encoder.onnx", "embed_tokens.onnx", "decoder_model_merged.onnx"]];

/**
 * The file with the weights, or the shards that an index names: safetensors, or else what torch.save wrote, or ONNX, which may lie in a folder
 * "onnx" of its own.
 * @throws DataError for an index that points elsewhere
 */
export async function weightFiles(folder: string): Promise<string[]> {
  const candidates = [WEIGHTS, INDEX, TORCH_WEIGHTS, TORCH_INDEX].map((name) => join(folder, name));
  for (const path of candidates) if (await exists(path)) return path.endsWith(".json") ? shardsOf(path, folder) : [path];
  return (await onnxFiles(folder)) ?? [join(folder, WEIGHTS)];
}

/** ONNX files that have a model's weights together; undefined where there are none. */
async function onnxFiles(folder: string): Promise<string[] | undefined> {
  for (const place of [folder, join(folder, "onnx")]) {
    for (const parts of ONNX_PARTS) {
      const paths = parts.map((name) => join(place, name));
      if ((await Promise.all(paths.map(exists))).every(Boolean)) return paths;
    }
  }
  return undefined;
}

/** Whether `exportModel` wrote an ONNX file. */
export const isOwnOnnx = async (path: string): Promise<boolean> => describeOnnx(await readBytes(path)).producer === "kindling";

async function shardsOf(index: string, folder: string): Promise<string[]> {
  const { weight_map: map } = await readJson(index);
  const names = map !== null && typeof map === "object" ? [...new Set(Object.values(map))] : [];
  const wrong = names.find((name) => typeof name !== "string" || !/^[\w-][\w.-]*\.(safetensors|bin)$/.test(name));
  if (names.length === 0 || wrong !== undefined) {
    throw new DataError({
      where: index,
      expected: "a weight_map from tensors to files beside it",
      received: JSON.stringify(wrong) ?? "none",
      fix: "fetch the model again, from a source that you trust",
    });
  }
  return names.sort().map((name) => join(folder, name as string));
}

/** The tensors of a file, one after another. A torch file keeps no order by which parts could be read alone: it is read whole, as ONNX is. */
export async function* tensorsIn(path: string, options?: ReadOptions): AsyncGenerator<[name: string, StoredTensor], void, void> {
  if (path.endsWith(".onnx")) return yield* onnxWeights(path);
  if (!path.endsWith(".bin")) return yield* eachSafetensor(path, options);
  const tensors = await readTorch(path);
  for (const [name, tensor] of tensors) {
    tensors.delete(name); // its memory may be needed
    yield [name, tensor];
  }
}

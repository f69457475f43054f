/** Bytes and numbers of a folder's weights: from the index of its shards, or the headers of its files. */
import { DataError, isObject } from "../base/index.ts";
import { type Folder, readJson, readSafetensorsHeader } from "../files/index.ts";
import type { WeightSizes } from "./model-shape.ts";

const INDEX = "model.safetensors.index.json";
const WEIGHTS = "model.safetensors";
const BYTES: Readonly<Record<string, number>> = { float32: 4, float16: 2, bfloat16: 2 };
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0;

/** @throws DataError for a folder without safetensors */
export async function readWeights(folder: Folder, config: Readonly<Record<string, unknown>>): Promise<WeightSizes> {
  if (await folder.has(INDEX)) return fromIndex(folder, config);
  if (await folder.has(WEIGHTS)) return fromHeaders(folder, [WEIGHTS]);
  const fix = "convert the weights: kindling convert <model> <folder>";
  throw new DataError({ where: folder.name, expected: `${INDEX} or ${WEIGHTS}`, received: "neither", fix });
}

/** The index tells the size of all, so that no shard needs to be there; headers do where it does not. */
async function fromIndex(folder: Folder, config: Readonly<Record<string, unknown>>): Promise<WeightSizes> {
  const { metadata, weight_map: map } = await readJson(folder.file(INDEX));
  const { total_size: size, total_parameters: total } = isObject(metadata) ? metadata : {};
  const bytes = BYTES[String(config.dtype ?? config.torch_dtype)];
  const isQuantized = isObject(config.quantization_config);
  if (!isCount(size) || (bytes === undefined && !isQuantized))
    return fromHeaders(folder, [...new Set(Object.values(isObject(map) ? map : {}).map(String))]);
  const parameters = isCount(total) ? total : isQuantized ? undefined : size / bytes;
  return { storedBytes: size, f32Bytes: bytes === 4 && !isQuantized ? size : 0, parameters };
}

async function fromHeaders(folder: Folder, names: readonly string[]): Promise<WeightSizes> {
  const sizes = { storedBytes: 0, f32Bytes: 0, parameters: 0 };
  for (const name of names) {
    const { tensors } = await readSafetensorsHeader(folder.file(name));
    for (const { dtype, shape, begin, end } of tensors.values()) {
      sizes.storedBytes += end - begin;
      if (dtype === "f32") sizes.f32Bytes += end - begin;
      sizes.parameters += shape.reduce((a, b) => a * b, 1);
    }
  }
  return sizes;
}

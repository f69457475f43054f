/** Adapters as peft's folders have them: adapter_config.json and adapter_model.safetensors. */
import { DataError, HalfArray, isFloat } from "../base/index.ts";
import {
  eachSafetensor,
  type Folder,
  folderAt,
  readJson,
  readTorch,
  type StoredFile,
  type StoredTensor,
} from "../files/index.ts";
import type { StateTensor } from "../nn/index.ts";
import { type AdapterConfig, configFromJson, isPrompt } from "./adapter-config.ts";
import { type BottleneckPart, bottlenecksIn, HUB_TORCH, HUB_WEIGHTS } from "./adapter-hub.ts";

/** The config of an adapter. */
export const ADAPTER_CONFIG = "adapter_config.json";
/** The weights of an adapter. */
export const ADAPTER_WEIGHTS = "adapter_model.safetensors";
const ADAPTER_TORCH = "adapter_model.bin";

/** What the tensors of a layer's adapter are, by the ends of their names. */
const partNames = {
  "lora_A.weight": "a",
  "lora_B.weight": "b",
  "lora_B.bias": "bias",
  lora_magnitude_vector: "magnitude",
  "lora_magnitude_vector.weight": "magnitude",
  lora_embedding_A: "a",
  lora_embedding_B: "b",
  ia3_l: "factors",
} as const;

/** One of the tensors of a layer's adapter. */
export type LayerPart = (typeof partNames)[keyof typeof partNames] | BottleneckPart;

/** The numbers of an adapter, which fit one model or another. */
export interface Adapter<C extends AdapterConfig = AdapterConfig> {
  /** For messages: its folder. */
  readonly name: string;
  readonly config: C;
  /** By the paths of the layers. */
  readonly layers: ReadonlyMap<string, Readonly<Partial<Record<LayerPart, StateTensor>>>>;
  /** Weights that take the place of the model's, by the model's names. */
  readonly replaced: ReadonlyMap<string, StateTensor>;
  /**
   * Learned states before a text: [P, D]; of a prefix [P, 2 L K Dh], for each of the L layers its keys and then its
   * values. @default the kind of adapter has none
   */
  readonly prompt?: StateTensor;
}

/** The name of learned states before a text in a file. */
export const PROMPT = "prompt_embeddings";

/**
 * Reads an adapter from a folder as peft writes it (LoRA, rsLoRA, DoRA, IA3, prompt tuning, p-tuning, prefix tuning),
 * or a bottleneck adapter as Python's adapters writes it.
 * @param place a path, or files in memory (memoryFolder)
 * @throws DataError for a folder without an adapter, for other kinds, and for what is not followed, by name
 *
 * @example
 * // const adapter = await readAdapter("adapters/sql");
 */
export async function readAdapter(place: string | Folder): Promise<Adapter> {
  const folder = folderAt(place);
  const configFile = folder.file(ADAPTER_CONFIG);
  const config = configFromJson(configFile.name, await readJson(configFile));
  const weights = await weightsIn(folder);
  if (isPrompt(config)) return readPrompt(folder.name, config, weights);
  if (config.type === "BOTTLENECK") {
    const layers = await bottlenecksIn(weights.name, config, floatsIn(weights));
    return { name: folder.name, config, layers, replaced: new Map() };
  }
  const layers = new Map<string, Partial<Record<LayerPart, StateTensor>>>();
  const replaced = new Map<string, StateTensor>();
  for await (const [stored, tensor] of tensorsIn(weights)) {
    const where = `${weights.name}, tensor ${stored}`;
    const place = placeOf(stored, where);
    if (!place) continue;
    const { path, part } = place;
    const layer: Partial<Record<LayerPart, StateTensor>> = layers.get(path) ?? {};
    const isRepeated = part === undefined ? replaced.has(path) : layer[part] !== undefined;
    // peft lists a bias of a module that is saved whole twice, with bias="all"
    if (isRepeated && !stored.includes(".modules_to_save."))
      throw unreadable(where, "one tensor for each weight", "two");
    const numbers = floats(where, tensor);
    if (part === undefined) replaced.set(path, numbers);
    else layers.set(path, { ...layer, [part]: numbers });
  }
  return { name: folder.name, config, layers, replaced };
}

/** The tensor that learned states before a text are. */
async function readPrompt(name: string, config: AdapterConfig, weights: StoredFile): Promise<Adapter> {
  let prompt: StateTensor | undefined;
  for await (const [stored, tensor] of tensorsIn(weights)) {
    const where = `${weights.name}, tensor ${stored}`;
    if (stored !== PROMPT) throw unreadable(where, `${PROMPT} alone`, stored);
    prompt = floats(where, tensor);
  }
  if (!prompt) throw unreadable(weights.name, PROMPT, "no tensor");
  return { name, config, layers: new Map(), replaced: new Map(), prompt };
}

async function weightsIn(folder: Folder): Promise<StoredFile> {
  for (const name of [ADAPTER_WEIGHTS, ADAPTER_TORCH, HUB_WEIGHTS, HUB_TORCH])
    if (await folder.has(name)) return folder.file(name);
  throw unreadable(folder.name, `${ADAPTER_WEIGHTS} or ${ADAPTER_TORCH}`, "neither");
}

async function* tensorsIn(file: StoredFile): AsyncGenerator<[name: string, StoredTensor], void, void> {
  if (file.base.endsWith(".bin")) yield* await readTorch(file);
  else yield* eachSafetensor(file);
}

async function* floatsIn(file: StoredFile): AsyncGenerator<[name: string, StateTensor], void, void> {
  for await (const [stored, tensor] of tensorsIn(file))
    yield [stored, floats(`${file.name}, tensor ${stored}`, tensor)];
}

/** What peft puts before the model's names. */
const PREFIX = "base_model.model.";
/** Parts with the name of the adapter between, as state_dict has them: q_proj.lora_A.default.weight. */
const PART =
  /^(.+)\.((?:lora_(?:A|B|embedding_A|embedding_B|magnitude_vector)|ia3_l))(?:\.([\w-]+))?(?:\.(weight|bias))?$/;

/**
 * What a stored tensor is: part of a layer's adapter, or with no part a weight of the model. Undefined for what is of
 * the model before the adapter, which peft writes beside some modules that are saved whole.
 */
function placeOf(stored: string, where: string): { path: string; part?: LayerPart } | undefined {
  if (!stored.startsWith(PREFIX)) throw unreadable(where, `a name that begins with ${PREFIX}`, stored);
  const name = stored.slice(PREFIX.length);
  if (/\.original_module\./.test(name)) return undefined;
  const match = PART.exec(name);
  // of two names behind, the first is the adapter's; of one, "weight" and "bias" are the tensor's
  if (match) {
    const [, path, kind, between, end] = match;
    const last = end ?? (between === "weight" || between === "bias" ? between : undefined);
    const part = partNames[(last ? `${kind}.${last}` : kind) as keyof typeof partNames];
    if (part) return { path, part };
  }
  if (/\.(lora|ia3)_/.test(name)) throw unreadable(where, `one of ${Object.keys(partNames).join(", ")}`, name);
  const path = name.replace(/\.base_layer(?=\.)/, "").replace(/\.modules_to_save(?:\.default)?(?=\.)/, "");
  return { path };
}

/** @throws DataError for integers */
function floats(where: string, { dtype, shape, data }: StoredTensor): StateTensor {
  if (!isFloat(dtype)) throw unreadable(where, "float numbers", dtype);
  const numbers = dtype === "f32" ? (data as Float32Array) : new HalfArray(dtype, data as Uint16Array);
  return { dtype: "f32", shape, data: numbers };
}

const unreadable = (where: string, expected: string, received: string): DataError =>
  new DataError({ where, expected, received, fix: "save the adapter with peft's save_pretrained" });

/** The numbers of a tensor of an adapter, in f32. */
export const widened = ({ data }: StateTensor): Float32Array => (data instanceof HalfArray ? data.widened() : data);

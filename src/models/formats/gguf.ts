import { type BlockSource, HalfArray, handOver, hostArrayFromBytes } from "../../base/index.ts";
import {
  blockSource,
  decodeBlocks,
  fileAt,
  GgufFile,
  type GgufType,
  isMapped,
  releasePages,
  type StoredFile,
} from "../../files/index.ts";
import { shapesEqual } from "../../ir/index.ts";
import { type BlockLayerOptions, blockKeys, loadStateDict, type StateTensor, useBlocks } from "../../nn/index.ts";
import { randomKey } from "../../tensor/index.ts";
import type { CausalLM } from "../decoders/causal-lm.ts";
import { decoderFamilies } from "../decoders/families.ts";
import { createModel, findFamily } from "../family.ts";
import type { Json } from "../labels.ts";
import { keepStorage } from "../load-weights.ts";
import type { GgufArchitecture } from "./gguf-architectures.ts";
import { architectureOf, configFromGguf } from "./gguf-config.ts";
import { generationFromGguf } from "./gguf-generation.ts";
import {
  type GgufPart,
  type Heads,
  isNoWeight,
  partsOf,
  ropeTensors,
  rowOrder,
  rowsOf,
  transpose,
} from "./gguf-tensors.ts";
import { keptBlocks } from "./kept-blocks.ts";

/** How the weights of a GGUF file are kept in memory, and what their layers' inputs are rounded to. */
export interface GgufOptions extends BlockLayerOptions {
  /**
   * "f32" expands quantized weights, so that they can be trained; "blocks" runs them as they are stored, in 4 or 8
   * bits; "stored" does so too, and keeps large weights in 16 bits as they are. @default "f32"
   */
  weights?: "f32" | "blocks" | "stored";
  /** See LoadOptions. @default true */
  mmap?: boolean;
}

/** What is read of a file: weights in blocks, and weights as numbers. */
interface Weights {
  matrices: Map<string, BlockSource>;
  state: Map<string, StateTensor>;
}

/**
 * Loads a GGUF file of one of our families of decoders as a model, ready to run; and, in f32, to train.
 * @throws DataError for a damaged file, another architecture or a scaling of positions that is not known;
 *   CheckpointError or ShapeError when tensors do not fit the metadata
 */
export async function loadGguf(
  place: string | StoredFile,
  { weights = "f32", activations, mmap: mayMap = true }: GgufOptions = {},
): Promise<CausalLM> {
  const source = fileAt(place);
  const { name: path } = source;
  const file = await GgufFile.open(source);
  try {
    const { header } = file;
    const architecture = architectureOf(path, header);
    const { json, heads } = configFromGguf(path, architecture, header, await ropeFactors(file));
    const family = findFamily(path, decoderFamilies, json);
    const [name] = Object.keys(family.classes);
    const model = createModel(family, name, path, json, randomKey(0)) as CausalLM;
    const parameters = model.namedState();
    const { matrices, state } = await readWeights(file, architecture, heads, {
      inBlocks: weights === "f32" ? new Map() : blockKeys(model),
      keepsHalves: weights === "stored",
      mayMap,
    });
    for (const [key, { shape }] of parameters) {
      // llama.cpp takes biases for optional where a family has them
      if (key.endsWith(".bias") && !state.has(key))
        state.set(key, { dtype: "f32", shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) });
    }
    const kept = mayMap && matrices.size > 0 ? keptBlocks(path) : undefined;
    let isDone = false;
    try {
      useBlocks(model, (key) => matrices.get(key), { activations, keep: kept?.keep });
      isDone = true;
    } finally {
      kept?.close(isDone);
    }
    for (const { data } of state.values()) if (data instanceof Float32Array) handOver(data); // no other has these
    loadStateDict(path, model.namedState(), state);
    if (weights === "stored") keepStorage(model, state);
    model.generationConfig = generationFromGguf(path, header);
    model.source = source;
    return model;
  } finally {
    await file.close();
  }
}

/**
 * What config.json would say of a GGUF file's model, by its header alone.
 * @throws DataError for a damaged file, another architecture or a scaling of positions that is not known
 */
export async function ggufConfig(place: string | StoredFile): Promise<Json> {
  const file = await GgufFile.open(fileAt(place));
  try {
    const { header, path } = file;
    return configFromGguf(path, architectureOf(path, header), header, await ropeFactors(file)).json;
  } finally {
    await file.close();
  }
}

/** Factors of wavelengths, which are no weights. */
async function ropeFactors(file: GgufFile): Promise<Map<string, Float32Array>> {
  const factors = new Map<string, Float32Array>();
  for (const name of Object.values(ropeTensors))
    if (file.header.tensors.has(name)) factors.set(name, (await file.read(name)).data);
  return factors;
}

interface Reading {
  /** Keys and shapes of weights that may stay in blocks. */
  inBlocks: ReadonlyMap<string, readonly number[]>;
  /** Numbers in 16 bits stay so. */
  keepsHalves: boolean;
  mayMap: boolean;
}

/** Reads all weights, one tensor of the file after another. */
async function readWeights(
  file: GgufFile,
  architecture: GgufArchitecture,
  heads: Heads,
  { inBlocks, keepsHalves, mayMap }: Reading,
): Promise<Weights> {
  const weights: Weights = { matrices: new Map(), state: new Map() };
  for (const name of file.header.tensors.keys()) {
    if (isNoWeight(name)) continue;
    const { info, bytes } = await file.readBlocks(name, { mayMap });
    let isKept = false;
    for (const part of partsOf(file.path, architecture, heads, name, info)) {
      const { key, shape } = part;
      const rows = rowsOf(bytes, info.type, part, rowOrder(architecture, heads, key, shape[0]));
      const blocks = shapesEqual(inBlocks.get(key) ?? [], shape) ? blockSource(info.type, rows) : undefined;
      if (blocks) {
        weights.matrices.set(key, letGo(blocks, rows));
        isKept = true; // until it is packed
      } else {
        const halves = keepsHalves ? halvesOf(architecture, part, info.type, rows) : undefined;
        const numbers = halves ?? numbersOf(architecture, part, decodeBlocks(info.type, rows));
        weights.state.set(key, numbers);
        isKept ||= isMapped(numbers.data instanceof HalfArray ? numbers.data.bits : numbers.data);
      }
    }
    if (!isKept) releasePages(bytes);
  }
  return weights;
}

/** Blocks whose pages are given back when they have been packed. */
const letGo = ({ kind, pack }: BlockSource, rows: Uint8Array): BlockSource => ({
  kind,
  pack: (into, first) => {
    pack(into, first);
    releasePages(rows);
  },
});

/** A weight in 16 bits as the file has it; undefined for other types, and where its numbers are not the file's. */
function halvesOf(
  { transposed, normOffset = 0 }: GgufArchitecture,
  { key, shape }: GgufPart,
  type: GgufType,
  rows: Uint8Array,
): StateTensor | undefined {
  const dtype = type === "f16" || type === "bf16" ? type : undefined;
  if (!dtype || transposed?.test(key) || (normOffset > 0 && isNorm(key))) return undefined;
  return { dtype: "f32", shape, data: new HalfArray(dtype, hostArrayFromBytes(dtype, rows)) };
}

/** A weight as we have it, of the numbers in the file. */
function numbersOf(
  { transposed, normOffset = 0 }: GgufArchitecture,
  { key, shape }: GgufPart,
  data: Float32Array,
): StateTensor {
  if (transposed?.test(key)) return { dtype: "f32", shape: [...shape].reverse(), data: transpose(data, shape) };
  return { dtype: "f32", shape, data: normOffset > 0 && isNorm(key) ? data.map((x) => x - normOffset) : data };
}

/** Whether a key is the weight of a norm. */
export const isNorm = (key: string): boolean => /norm\.weight$/.test(key);

/** The shape of a model in a GGUF file, from its header. */
import { DataError } from "../base/index.ts";
import { type GgufHeader, type GgufValue, readGgufHeader, type StoredFile } from "../files/index.ts";
import { ConfigValues } from "./config-values.ts";
import type { LayerCache, ModelShape, WeightSizes } from "./model-shape.ts";

/** Keys of metadata, after the name of the architecture. */
export async function ggufShape(file: StoredFile, name: string): Promise<ModelShape> {
  const header = await readGgufHeader(file);
  const { metadata } = header;
  const architecture = metadata.get("general.architecture");
  if (typeof architecture !== "string") {
    const fix = "name the GGUF file of a language model";
    throw new DataError({ where: name, expected: "general.architecture", received: "none", fix });
  }
  const prefix = `${architecture}.`;
  const entries = [...metadata].filter(([key]) => key.startsWith(prefix));
  const values = new ConfigValues(
    name,
    Object.fromEntries(entries.map(([key, value]): [string, GgufValue] => [key.slice(prefix.length), value])),
  );
  const hiddenSize = values.size("embedding_length");
  const numHeads = largest(values, "attention.head_count") ?? values.size("attention.head_count");
  const headDim =
    values.optional("attention.key_length_mla", "attention.key_length") ?? Math.floor(hiddenSize / numHeads);
  const latentDim = values.optional("attention.kv_lora_rank");
  const tokens = metadata.get("tokenizer.ggml.tokens");
  return {
    name,
    format: "gguf",
    architecture,
    weights: weightsOf(header),
    layers: layersOf(values, architecture, numHeads),
    keyDim: headDim,
    valueDim: values.optional("attention.value_length_mla", "attention.value_length") ?? headDim,
    ...(latentDim !== undefined && { latent: { latentDim, ropeDim: values.size("rope.dimension_count") } }),
    numHeads,
    hiddenSize,
    intermediateSize: largest(values, "feed_forward_length") ?? 4 * hiddenSize,
    vocabSize: Array.isArray(tokens) ? tokens.length : values.size("vocab_size"),
    maxContext: values.size("context_length"),
  };
}

/** A number, or the largest of a list with one for each layer. */
function largest(values: ConfigValues, key: string): number | undefined {
  const value = values.raw(key);
  return Array.isArray(value) ? Math.max(...value.map(Number)) : values.optional(key);
}

function weightsOf({ tensors }: GgufHeader): WeightSizes {
  let [storedBytes, parameters] = [0, 0];
  for (const { shape, begin, end } of tensors.values()) {
    storedBytes += end - begin;
    parameters += shape.reduce((a, b) => a * b, 1);
  }
  return { storedBytes, f32Bytes: 0, parameters };
}

/** Layers of these architectures without a window: every n-th. llama.cpp knows them by name, too. */
const PATTERNS: Readonly<Record<string, number>> = { gemma2: 2, gemma3: 6, cohere2: 4, "gpt-oss": 2 };

function layersOf(values: ConfigValues, architecture: string, numHeads: number): LayerCache[] {
  const numLayers = values.size("block_count");
  if (numLayers > 10_000) throw values.refused("at most 10000 layers", String(numLayers));
  const heads = values.raw("attention.head_count_kv");
  const shared = Array.isArray(heads) ? 0 : (values.optional("attention.head_count_kv") ?? numHeads);
  const window = values.optional("attention.sliding_window") ?? null;
  const pattern = values.raw("attention.sliding_window_pattern");
  const period = typeof pattern === "number" ? pattern : PATTERNS[architecture];
  const isWindowed = (i: number) =>
    Array.isArray(pattern) ? pattern[i] === true : period !== undefined && (i + 1) % period !== 0;
  return Array.from({ length: numLayers }, (_, i) => ({
    keyValueHeads: Array.isArray(heads) ? Number(heads[i] ?? 0) : shared,
    window: window !== null && isWindowed(i) ? window : null, // others keep all, whatever they look at
  }));
}

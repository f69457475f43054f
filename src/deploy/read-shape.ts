/** Reads what decides the memory of a model: config.json and headers, never weights. */
import { DataError, isObject } from "../base/index.ts";
import { type Folder, isFile, readJson, type StoredFile } from "../files/index.ts";
import { ConfigValues } from "./config-values.ts";
import { ggufShape } from "./gguf-shape.ts";
import type { LayerCache, ModelShape } from "./model-shape.ts";
import { readWeights } from "./weights.ts";

/** What llama-gguf-split writes. */
const PART = /-\d{5}-of-\d{5}\.gguf$/i;

/**
 * Reads headers and configs only: of a folder, a GGUF file, or a repository that is read part by part.
 * @throws DataError for a model whose memory cannot be told
 */
export async function readModelShape(place: Folder | StoredFile, name = place.name): Promise<ModelShape> {
  if (isFile(place)) {
    if (PART.test(place.base)) {
      const fix = "join the parts: llama-gguf-split --merge";
      throw new DataError({
        where: name,
        expected: "a GGUF file of all weights",
        received: "one of several parts",
        fix,
      });
    }
    if (place.base.toLowerCase().endsWith(".gguf")) return ggufShape(place, name);
    const fix = "name the folder that it is in";
    throw new DataError({ where: name, expected: "a model's folder or a GGUF file", received: place.base, fix });
  }
  const config = await readJson(place.file("config.json"));
  const text = isObject(config.text_config) ? config.text_config : config; // of models that see, too
  const values = new ConfigValues(`${name}, config.json`, text);
  return { name, ...shapeOf(values, text), weights: await readWeights(place, config) };
}

function shapeOf(
  values: ConfigValues,
  config: Readonly<Record<string, unknown>>,
): Omit<ModelShape, "name" | "weights"> {
  const numHeads = values.size("num_attention_heads", "n_head");
  const hiddenSize = values.size("hidden_size", "n_embd", "d_model");
  const architectures = Array.isArray(config.architectures) ? config.architectures : [];
  const latentDim = values.optional("kv_lora_rank");
  const headDim = values.optional("head_dim") ?? Math.floor(hiddenSize / numHeads);
  const widths =
    latentDim === undefined
      ? { keyDim: headDim, valueDim: headDim }
      : {
          keyDim: values.size("qk_nope_head_dim") + values.size("qk_rope_head_dim"),
          valueDim: values.size("v_head_dim"),
          latent: { latentDim, ropeDim: values.size("qk_rope_head_dim") },
        };
  return {
    format: "safetensors",
    architecture: String(architectures[0] ?? values.raw("model_type") ?? "unknown"),
    ...widths,
    layers: layersOf(values, numHeads),
    numHeads,
    hiddenSize,
    intermediateSize: values.optional("intermediate_size", "n_inner") ?? 4 * hiddenSize,
    vocabSize: values.size("vocab_size"),
    maxContext: values.size("max_position_embeddings", "n_positions", "n_ctx"),
  };
}

function layersOf(values: ConfigValues, numHeads: number): LayerCache[] {
  const numLayers = values.size("num_hidden_layers", "n_layer", "num_layers");
  if (numLayers > 10_000) throw values.refused("at most 10000 layers", String(numLayers));
  const isSingle = values.raw("multi_query") === true && values.raw("new_decoder_architecture") !== true;
  const keyValueHeads = values.optional("num_key_value_heads", "num_kv_heads") ?? (isSingle ? 1 : numHeads);
  const windows = windowsOf(values, numLayers);
  return windows.map((window) => ({ keyValueHeads, window }));
}

/** Families with windows in all layers but every n-th, a number that their configs may leave out. */
const PATTERNS: Readonly<Record<string, number>> = { gemma2: 2, gemma3_text: 6, gemma3: 6, cohere2: 4 };

/** The window of each layer. @throws DataError for layers of another kind than attention */
function windowsOf(values: ConfigValues, numLayers: number): (number | null)[] {
  const window = values.optional("sliding_window") ?? null;
  const types = values.raw("layer_types");
  if (Array.isArray(types)) {
    if (types.length !== numLayers) throw values.refused(`${numLayers} layer_types`, String(types.length));
    return types.map((type) => {
      if (type === "full_attention") return null;
      if (type === "sliding_attention" && window !== null) return window;
      throw values.refused('layer_types of "full_attention" and "sliding_attention"', JSON.stringify(type));
    });
  }
  if (window === null || values.raw("use_sliding_window") === false) return Array(numLayers).fill(null);
  const pattern = values.optional("sliding_window_pattern") ?? PATTERNS[String(values.raw("model_type"))];
  const firstWindowed = values.raw("use_sliding_window") === true ? Number(values.raw("max_window_layers") ?? 0) : 0;
  return Array.from({ length: numLayers }, (_, i) =>
    (pattern !== undefined && (i + 1) % pattern === 0) || i < firstWindowed ? null : window,
  );
}

import { GgufFile, type GgufHeader, type GgufValue } from "../files/index.ts";
import { DataError, nearest } from "../ir/index.ts";
import { CheckpointError, loadStateDict, type RopeParameters, type StateTensor } from "../nn/index.ts";
import { randomKey } from "../tensor/index.ts";
import type { DecoderForCausalLM } from "./decoders/decoder.ts";
import { makeDecoder } from "./decoders/family.ts";
import { type LlamaConfig, llamaFamily, qwen2Family, qwen3Family } from "./decoders/llama.ts";

/** llama.cpp's names of our modules. */
const moduleNames: Readonly<Record<string, string>> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
  attn_norm: "input_layernorm",
  ffn_norm: "post_attention_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** How each architecture is made of what the metadata say. */
const makers = {
  llama: (config: Partial<LlamaConfig>) => makeDecoder(llamaFamily, config, randomKey(0)),
  qwen2: ({ mlpBias: _, attentionBias: __, ...config }: Partial<LlamaConfig>) => makeDecoder(qwen2Family, config, randomKey(0)),
  qwen3: ({ mlpBias: _, ...config }: Partial<LlamaConfig>) => makeDecoder(qwen3Family, config, randomKey(0)),
} satisfies Readonly<Record<string, (config: Partial<LlamaConfig>) => DecoderForCausalLM>>;
type Architecture = keyof typeof makers;
const architectures = Object.keys(makers);

/**
 * Loads a GGUF file of the Llama, Qwen2 or Qwen3 family as a model in f32, ready to run and to train.
 * @throws DataError for a damaged file, another architecture or a scaling of positions that is not known; CheckpointError or
 *   ShapeError when tensors do not fit the metadata
 */
export async function loadGguf(path: string): Promise<DecoderForCausalLM> {
  const file = await GgufFile.open(path);
  try {
    const { architecture, config } = configOf(path, file.header);
    const model = makers[architecture](config) as DecoderForCausalLM;
    const { numHeads, numKeyHeads } = model.config;
    const state = new Map<string, StateTensor>();
    for (const name of file.header.tensors.keys()) {
      const { shape, data } = await file.read(name);
      const key = keyOf(path, name);
      // llama.cpp turns neighbouring features, and so stores the rows of Llama's queries and keys in another order
      const heads = architecture !== "llama" ? 0 : /\.q_proj\./.test(key) ? numHeads : /\.k_proj\./.test(key) ? numKeyHeads : 0;
      state.set(key, { dtype: "f32", shape, data: heads > 0 ? halvesFromPairs(data, heads, shape) : data });
    }
    loadStateDict(path, model.namedParameters(), state);
    return model;
  } finally {
    await file.close();
  }
}

/** "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight" */
function keyOf(path: string, name: string): string {
  const [, layer, module, kind] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const known = module === undefined ? undefined : moduleNames[module];
  if (!known) {
    throw new CheckpointError({
      where: path,
      expected: "the tensors of a Llama model",
      received: name,
      fix: name === "rope_freqs.weight" ? "load the original model: this file's scaling of positions is not supported" : "load the original model instead",
    });
  }
  return `${layer === undefined ? "" : `model.layers.${layer}.`}${known}.${kind}`;
}

/** Within each head: rows 0, 1, 2, ... come from 0, half, 1, half + 1, ... and go back. */
function halvesFromPairs(data: Float32Array, heads: number, shape: readonly number[]): Float32Array {
  const columns = shape.length === 1 ? 1 : shape[1];
  const width = shape[0] / heads;
  const out = new Float32Array(data.length);
  for (let row = 0; row < shape[0]; row++) {
    const [head, feature] = [Math.floor(row / width), row % width];
    const target = head * width + (feature % 2) * (width / 2) + Math.floor(feature / 2);
    out.set(data.subarray(row * columns, (row + 1) * columns), target * columns);
  }
  return out;
}

function configOf(path: string, { metadata, tensors }: GgufHeader): { architecture: Architecture; config: Partial<LlamaConfig> } {
  const architecture = metadata.get("general.architecture");
  if (!architectures.includes(architecture as string)) {
    const near = nearest(String(architecture), architectures);
    throw new DataError({
      where: `${path}, general.architecture`,
      expected: `one of ${architectures.join(", ")}`,
      received: String(architecture),
      fix: near ? `did you mean "${near}"?` : "load the original model instead",
    });
  }
  const number = <T>(key: string, otherwise: T) => typed(path, metadata, `${architecture}.${key}`, "number", otherwise);
  const vocabulary = tensors.get("token_embd.weight");
  const numHeads = number("attention.head_count", 0);
  const hiddenSize = number("embedding_length", 0);
  const headDim = number("attention.key_length", hiddenSize / numHeads);
  const config: Partial<LlamaConfig> = {
    vocabSize: vocabulary?.shape[0] ?? 0,
    hiddenSize,
    headDim,
    numHeads,
    numKeyHeads: number("attention.head_count_kv", numHeads),
    numLayers: number("block_count", 0),
    intermediateSize: number("feed_forward_length", 0),
    maxPositionEmbeddings: number("context_length", 0),
    rmsNormEpsilon: number("attention.layer_norm_rms_epsilon", 1e-6),
    tieWordEmbeddings: !tensors.has("output.weight"),
    attentionBias: tensors.has("blk.0.attn_output.bias"),
    mlpBias: tensors.has("blk.0.ffn_up.bias"),
    bosTokenId: typed(path, metadata, "tokenizer.ggml.bos_token_id", "number", null),
    eosTokenId: typed(path, metadata, "tokenizer.ggml.eos_token_id", "number", null),
    rope: {
      rope_theta: number("rope.freq_base", 10000),
      partial_rotary_factor: number("rope.dimension_count", headDim) / headDim,
      ...scalingOf(typed(path, metadata, `${architecture}.rope.scaling.type`, "string", "none"), number),
    },
  };
  return { architecture: architecture as Architecture, config };
}

function scalingOf(type: string, number: <T>(key: string, otherwise: T) => number | T): RopeParameters {
  if (type === "none") return {};
  const scaling = { rope_type: type as RopeParameters["rope_type"], factor: number("rope.scaling.factor", 1) };
  if (type !== "yarn") return scaling; // what is not known is refused by RotaryEmbedding
  const attention = number("rope.scaling.attn_factor", undefined);
  return {
    ...scaling,
    original_max_position_embeddings: number("rope.scaling.original_context_length", undefined),
    ...(attention === undefined ? {} : { attention_factor: attention }),
  };
}

type Kinds = { number: number; string: string };
function typed<K extends keyof Kinds, T>(path: string, metadata: ReadonlyMap<string, GgufValue>, key: string, kind: K, otherwise: T): Kinds[K] | T {
  const value = metadata.get(key);
  if (value === undefined) return otherwise;
  if (typeof value === kind) return value as Kinds[K];
  throw new DataError({ where: `${path}, ${key}`, expected: `a ${kind}`, received: typeof value, fix: "the file is damaged: fetch it again" });
}

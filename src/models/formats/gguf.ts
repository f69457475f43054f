import { decodeBlocks, GgufFile, type GgufHeader, type GgufValue, packBlocks } from "../../files/index.ts";
import { type BlockMatrix, DataError, nearest, shapesEqual } from "../../ir/index.ts";
import { type BlockLayerOptions, CheckpointError, loadStateDict, type RopeParameters, RotaryEmbedding, type StateTensor, useBlocks } from "../../nn/index.ts";
import { randomKey } from "../../tensor/index.ts";
import type { DecoderForCausalLM } from "../decoders/decoder.ts";
import { makeDecoder, type RopeDecoderConfig } from "../decoders/family.ts";
import { type LlamaConfig, llamaFamily, qwen2Family, qwen3Family } from "../decoders/llama.ts";

/** llama.cpp's names of our modules, without "model.layers.N." for those of a layer. */
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

/** The other way round: llama.cpp's name by ours. */
export const ggufNames: ReadonlyMap<string, string> = new Map(Object.entries(moduleNames).map(([theirs, ours]) => [ours, theirs]));

/** The heads of a weight whose rows llama.cpp has in another order, since it turns neighbouring features: queries and keys of Llama; or 0. */
export function reorderedHeads(architecture: string, key: string, { numHeads, numKeyHeads }: { numHeads: number; numKeyHeads: number }): number {
  if (architecture !== "llama") return 0;
  return /\.q_proj\./.test(key) ? numHeads : /\.k_proj\./.test(key) ? numKeyHeads : 0;
}

/** How each architecture is made of what the metadata say. */
const makers = {
  llama: (config: Partial<LlamaConfig>) => makeDecoder(llamaFamily, config, randomKey(0)),
  qwen2: ({ mlpBias: _, attentionBias: __, ...config }: Partial<LlamaConfig>) => makeDecoder(qwen2Family, config, randomKey(0)),
  qwen3: ({ mlpBias: _, ...config }: Partial<LlamaConfig>) => makeDecoder(qwen3Family, config, randomKey(0)),
} satisfies Readonly<Record<string, (config: Partial<LlamaConfig>) => DecoderForCausalLM>>;
type Architecture = keyof typeof makers;
const architectures = Object.keys(makers);

export interface GgufOptions extends BlockLayerOptions {
  /** "f32" expands quantized weights, so that they can be trained; "blocks" runs them as they are stored, in 4 or 8 bits. @default "f32" */
  weights?: "f32" | "blocks";
}

/**
 * Loads a GGUF file of the Llama, Qwen2 or Qwen3 family as a model, ready to run; and, in f32, to train.
 * @throws DataError for a damaged file, another architecture or a scaling of positions that is not known; CheckpointError or
 *   ShapeError when tensors do not fit the metadata
 */
export async function loadGguf(path: string, { weights = "f32", activations }: GgufOptions = {}): Promise<DecoderForCausalLM> {
  const file = await GgufFile.open(path);
  try {
    const { architecture, config } = configOf(path, file.header);
    const factors = file.header.tensors.has(ROPE_FACTORS) ? (await file.read(ROPE_FACTORS)).data : undefined;
    if (factors) config.rope = { ...config.rope, ...llama3From(path, factors, config as RopeDecoderConfig) };
    const model = makers[architecture](config) as DecoderForCausalLM;
    const state = new Map<string, StateTensor>();
    const matrices = new Map<string, BlockMatrix>();
    const parameters = model.namedParameters();
    for (const name of file.header.tensors.keys()) {
      if (name === ROPE_FACTORS) continue;
      const key = keyOf(path, name);
      const { info, bytes } = await file.readBlocks(name);
      const heads = reorderedHeads(architecture, key, model.config);
      const ordered = <T extends Float32Array | Uint8Array>(data: T): T => (heads > 0 ? halvesFromPairs(data, heads, info.shape[0]) : data);
      const blocks = weights === "blocks" ? packBlocks(info.type, bytes) : undefined;
      if (blocks && shapesEqual(parameters.get(key)?.shape ?? [], info.shape)) {
        const minimums = blocks.minimums && ordered(blocks.minimums);
        matrices.set(key, { ...blocks, packed: ordered(blocks.packed), scales: ordered(blocks.scales), minimums });
      } else state.set(key, { dtype: "f32", shape: info.shape, data: ordered(decodeBlocks(info.type, bytes)) });
    }
    useBlocks(model, (key) => matrices.get(key), { activations });
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
      fix: "load the original model instead",
    });
  }
  return `${layer === undefined ? "" : `model.layers.${layer}.`}${known}.${kind}`;
}

/** Within each head llama.cpp has our rows 0, half, 1, half + 1, ... `data` is [rows, ...]. */
function reorder<T extends Float32Array | Uint8Array>(data: T, heads: number, rows: number, toPairs: boolean): T {
  const columns = data.length / rows;
  const width = rows / heads;
  const out = data.slice() as T;
  for (let head = 0; head < heads; head++) {
    for (let feature = 0; feature < width; feature++) {
      const [ours, theirs] = [head * width + (feature % 2) * (width / 2) + Math.floor(feature / 2), head * width + feature];
      const [from, to] = toPairs ? [ours, theirs] : [theirs, ours];
      out.set(data.subarray(from * columns, (from + 1) * columns), to * columns);
    }
  }
  return out;
}
const halvesFromPairs = <T extends Float32Array | Uint8Array>(data: T, heads: number, rows: number): T => reorder(data, heads, rows, false);
export const pairsFromHalves = <T extends Float32Array | Uint8Array>(data: T, heads: number, rows: number): T => reorder(data, heads, rows, true);

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

export const ROPE_FACTORS = "rope_freqs.weight";
/** What Llama 3.1 to 3.3 have; the factor on long wavelengths is the largest. */
const LLAMA3 = { rope_type: "llama3", low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 } as const;

/** Llama 3's scaling from the factors that it divides frequencies by. @throws DataError for those of another scaling */
function llama3From(path: string, factors: Float32Array, config: RopeDecoderConfig): RopeParameters {
  const scaling = { ...LLAMA3, factor: Math.round(Math.max(...factors)) };
  const expected = ropeFactors({ ...config, rope: { rope_theta: config.rope.rope_theta, ...scaling } });
  if (factors.length === expected.length && factors.every((factor, i) => Math.abs(expected[i] - factor) < 1e-3 * factor)) return scaling;
  const fix = "load the original model: this scaling of positions is not supported";
  throw new DataError({ where: `${path}, ${ROPE_FACTORS}`, expected: "the factors of Llama 3's scaling", received: `${[...factors.slice(0, 4)]}, ...`, fix });
}

/** What llama.cpp divides each frequency by, of Llama 3's scaling. */
export function ropeFactors({ rope, headDim, maxPositionEmbeddings }: RopeDecoderConfig): Float32Array {
  const frequencies = (parameters: RopeParameters) => new RotaryEmbedding(headDim, maxPositionEmbeddings, parameters).inverseFrequencies;
  const scaled = frequencies(rope);
  return Float32Array.from(frequencies({ rope_theta: rope.rope_theta }), (plain, i) => plain / scaled[i]);
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

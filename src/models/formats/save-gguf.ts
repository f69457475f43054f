import { blockFormats, GgufFloat, type GgufTensor, type GgufType, type GgufWritable, writeGguf } from "../../files/index.ts";
import { DataError, nearest, OptionError } from "../../ir/index.ts";
import type { RopeParameters } from "../../nn/index.ts";
import type { RopeDecoderConfig } from "../decoders/family.ts";
import type { PretrainedModel } from "../model.ts";
import { ggufNames, pairsFromHalves, ROPE_FACTORS, reorderedHeads, ropeFactors } from "./gguf.ts";

/** Types that are written. */
export const ggufTypes = ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q4_k"] as const satisfies readonly GgufType[];
export type WritableGgufType = (typeof ggufTypes)[number];

export interface SaveGgufOptions {
  /** How matrices are stored; vectors are f32. With 4 bits the token embeddings and the output layer have 8. @default "f16" */
  type?: WritableGgufType;
  /** Further metadata, such as the tokenizer's. */
  metadata?: ReadonlyMap<string, GgufWritable>;
}

/** llama.cpp's architectures of our families. */
const architectures: Readonly<Record<string, string>> = { llama: "llama", mistral: "llama", qwen2: "qwen2", qwen3: "qwen3" };
/** llama.cpp's numbers of what most tensors are. */
const fileTypes: Readonly<Record<WritableGgufType, number>> = { f32: 0, f16: 1, q4_0: 2, q4_1: 3, q8_0: 7, q4_k: 15, bf16: 32 };

/**
 * Writes a decoder as a GGUF file that llama.cpp runs: Llama, Mistral without a window, Qwen2, Qwen3.
 * @throws OptionError for another model, or settings that llama.cpp has no place for
 */
export async function saveGguf(model: PretrainedModel, path: string, { type = "f16", metadata = new Map() }: SaveGgufOptions = {}): Promise<void> {
  if (!ggufTypes.includes(type)) {
    const near = nearest(type, ggufTypes);
    const fix = near ? `did you mean "${near}"?` : "choose one of them";
    throw new OptionError({ where: "saveGguf", expected: `a type of ${ggufTypes.join(", ")}`, received: type, fix });
  }
  const architecture = architectures[model.modelType];
  if (model.task !== "causal-lm" || architecture === undefined) {
    const expected = `a language model of ${Object.keys(architectures).join(", ")}`;
    throw new OptionError({ where: "saveGguf", expected, received: model.architecture, fix: "save it as safetensors or ONNX" });
  }
  const config = model.config as RopeDecoderConfig;
  const { slidingWindow = null, useSlidingWindow = true } = config as { slidingWindow?: number | null; useSlidingWindow?: boolean };
  if (slidingWindow !== null && useSlidingWindow && slidingWindow < config.maxPositionEmbeddings) {
    const fix = "save it as safetensors, or with a context no longer than the window";
    throw new OptionError({ where: "saveGguf", expected: "attention to all positions", received: `a window of ${slidingWindow}`, fix });
  }
  const tensors = new Map<string, GgufTensor>();
  for (const [key, variable] of model.namedParameters()) {
    const { shape } = variable;
    const data = Float32Array.from(await variable.read());
    const heads = reorderedHeads(architecture, key, config);
    tensors.set(nameOf(path, key), { type: typeFor(key, shape, type), shape, data: heads > 0 ? pairsFromHalves(data, heads, shape[0]) : data });
  }
  if (config.rope.rope_type === "llama3") {
    const factors = ropeFactors(config);
    tensors.set(ROPE_FACTORS, { type: "f32", shape: [factors.length], data: factors });
  }
  await writeGguf(path, new Map([...metadataOf(architecture, config, type), ...metadata]), tensors);
}

/** Blocks need rows of whole blocks; vectors are not worth it. */
function typeFor(key: string, shape: readonly number[], type: WritableGgufType): GgufType {
  if (shape.length < 2) return "f32";
  const isOuter = /(embed_tokens|lm_head)\.weight$/.test(key);
  const wanted = isOuter && type.startsWith("q4") ? "q8_0" : type;
  return ([wanted, "q8_0"] as const).find((candidate) => shape[1] % blockFormats[candidate].size === 0) ?? "f16";
}

/** "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight" */
function nameOf(path: string, key: string): string {
  const [, layer, module, kind] = /^(?:model\.layers\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(key) ?? [];
  const known = ggufNames.get(module);
  if (!known) throw new DataError({ where: path, expected: "a weight that llama.cpp has", received: key, fix: "save the model as safetensors" });
  return `${layer === undefined ? "" : `blk.${layer}.`}${known}.${kind}`;
}

function metadataOf(architecture: string, config: RopeDecoderConfig, type: WritableGgufType): Map<string, GgufWritable> {
  const own = (key: string, value: GgufWritable | undefined): [string, GgufWritable][] => (value === undefined ? [] : [[`${architecture}.${key}`, value]]);
  const { rope } = config;
  return new Map<string, GgufWritable>([
    ["general.architecture", architecture],
    ["general.file_type", fileTypes[type]],
    ["general.quantization_version", 2],
    ...own("vocab_size", config.vocabSize),
    ...own("context_length", config.maxPositionEmbeddings),
    ...own("embedding_length", config.hiddenSize),
    ...own("block_count", config.numLayers),
    ...own("feed_forward_length", config.intermediateSize),
    ...own("attention.head_count", config.numHeads),
    ...own("attention.head_count_kv", config.numKeyHeads),
    ...own("attention.key_length", config.headDim),
    ...own("attention.value_length", config.headDim),
    ...own("attention.layer_norm_rms_epsilon", new GgufFloat(config.rmsNormEpsilon)),
    ...own("rope.dimension_count", Math.floor(config.headDim * (rope.partial_rotary_factor ?? 1))),
    ...own("rope.freq_base", new GgufFloat(rope.rope_theta ?? 10000)),
    ...scalingOf(rope, config).flatMap(([key, value]) => own(`rope.scaling.${key}`, value)),
  ]);
}

function scalingOf(rope: RopeParameters, { maxPositionEmbeddings }: RopeDecoderConfig): [string, GgufWritable][] {
  const type = rope.rope_type ?? "default";
  if (type === "default" || type === "llama3") return []; // llama3 is a tensor of factors
  if (type !== "linear" && type !== "yarn") {
    const fix = "save the model as safetensors";
    throw new OptionError({ where: "saveGguf", expected: "rotary positions of type default, linear, yarn or llama3", received: type, fix });
  }
  const scaling: [string, GgufWritable][] = [
    ["type", type],
    ["factor", new GgufFloat(rope.factor ?? 1)],
  ];
  if (type === "linear") return scaling;
  const attention: [string, GgufWritable][] = rope.attention_factor ? [["attn_factor", new GgufFloat(rope.attention_factor)]] : [];
  return [...scaling, ["original_context_length", rope.original_max_position_embeddings ?? maxPositionEmbeddings], ...attention];
}

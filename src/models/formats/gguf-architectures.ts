/**
 * llama.cpp's architectures of our decoders: what they call settings and weights, and where they store weights in
 * another way.
 */
import type { Json } from "../labels.ts";

/** How a setting is stored. */
export type GgufKind = "count" | "float" | "flag";

/**
 * How llama.cpp stores one kind of decoder: settings and weights by its names, and what it lays out in another way than
 * transformers.
 */
export interface GgufArchitecture {
  /** general.architecture */
  name: string;
  /** model_type of config.json. */
  modelType: string;
  /** Which models a file of this name holds, where several share it. @default all */
  isOf?(setting: (key: string) => unknown): boolean;
  /** Keys after the architecture's name, with those of config.json. */
  keys: Readonly<Record<string, readonly [key: string, kind: GgufKind]>>;
  /** What config.json says of all models that llama.cpp has a place for. */
  fixed?: Json;
  /** Rotary positions: "layers" where those with a window have their own. @default "usual" */
  rope?: "none" | "usual" | "layers";
  /** Base of the wavelengths of layers with a window, where a file does not say. @default that of the others */
  windowTheta?: number;
  /** A layer in so many sees everything; the others have a window. @default all layers are alike */
  windowPeriod?: number;
  /**
   * Layers of the one size of model whose scores are divided by the root of hiddenSize / numHeads in place of headDim.
   */
  widelyScaledLayers?: number;
  /** Names of our modules by llama.cpp's: outside of layers, and of a layer. "*" is the number of an expert. */
  outer: Readonly<Record<string, string>>;
  layer: Readonly<Record<string, string>>;
  /** What stands before a layer's number in our names. */
  layers: string;
  /** Queries and keys are stored so that neighbouring features turn together. @default false */
  turnsNeighbours?: boolean;
  /** Queries, keys and values of one weight are stored one after another, and not head by head. @default false */
  splitsQkv?: boolean;
  /** Our weights that are stored transposed. @default none */
  transposed?: RegExp;
  /** Added to the weights of norms in the file. @default 0 */
  normOffset?: number;
  /** llama.cpp needs an output layer, be it the embedding again. @default false */
  needsOutput?: boolean;
}

const sizes = {
  context_length: ["max_position_embeddings", "count"],
  embedding_length: ["hidden_size", "count"],
  block_count: ["num_hidden_layers", "count"],
  feed_forward_length: ["intermediate_size", "count"],
  "attention.head_count": ["num_attention_heads", "count"],
} as const satisfies GgufArchitecture["keys"];

const decoderKeys = {
  ...sizes,
  "attention.head_count_kv": ["num_key_value_heads", "count"],
  "attention.key_length": ["head_dim", "count"],
  "attention.value_length": ["head_dim", "count"],
  "attention.layer_norm_rms_epsilon": ["rms_norm_eps", "float"],
} as const satisfies GgufArchitecture["keys"];

const windowKey = {
  "attention.sliding_window": ["sliding_window", "count"],
} as const satisfies GgufArchitecture["keys"];

const attention = {
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
};
const headNorms = { attn_q_norm: "self_attn.q_norm", attn_k_norm: "self_attn.k_norm" };
const gatedMlp = { ffn_gate: "mlp.gate_proj", ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj" };
const fusedMlp = { ffn_up: "mlp.gate_up_proj", ffn_down: "mlp.down_proj" };
const usualNorms = { attn_norm: "input_layernorm", ffn_norm: "post_attention_layernorm" };

/** The shape of Llama's relatives. */
const decoder = {
  keys: decoderKeys,
  fixed: { hidden_act: "silu" },
  outer: { token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" },
  layer: { ...usualNorms, ...attention, ...gatedMlp },
  layers: "model.layers.",
} as const;

const experts = (gate: string, [gateProj, upProj, downProj]: readonly string[], mlp = "mlp") => ({
  ffn_gate_inp: `${mlp}.${gate}`,
  ffn_gate_exps: `${mlp}.experts.*.${gateProj}`,
  ffn_up_exps: `${mlp}.experts.*.${upProj}`,
  ffn_down_exps: `${mlp}.experts.*.${downProj}`,
});

const hasExperts = (setting: (key: string) => unknown) => Number(setting("expert_count") ?? 0) > 0;
const hasWindow = (setting: (key: string) => unknown) => Number(setting("attention.sliding_window") ?? 0) > 0;

const llama: GgufArchitecture = {
  ...decoder,
  name: "llama",
  modelType: "llama",
  isOf: (setting) => !hasExperts(setting),
  turnsNeighbours: true,
};

/** Gemma's norms are stored with the 1 that is added to them. */
const gemma = { ...decoder, fixed: { attention_bias: false }, normOffset: 1 } as const;
const gemma2Layer = {
  ...attention,
  ...gatedMlp,
  attn_norm: "input_layernorm",
  post_attention_norm: "post_attention_layernorm",
  ffn_norm: "pre_feedforward_layernorm",
  post_ffw_norm: "post_feedforward_layernorm",
};

const olmo2 = {
  ...decoder,
  name: "olmo2",
  fixed: { hidden_act: "silu", attention_bias: false },
  layer: {
    ...attention,
    ...headNorms,
    ...gatedMlp,
    post_attention_norm: "post_attention_layernorm",
    post_ffw_norm: "post_feedforward_layernorm",
  },
  needsOutput: true,
} as const;

/** The first of a name and of a model_type is the one that counts. */
export const ggufArchitectures: readonly GgufArchitecture[] = [
  llama,
  {
    ...decoder,
    name: "llama",
    modelType: "mixtral",
    isOf: hasExperts,
    keys: {
      ...decoderKeys,
      expert_count: ["num_local_experts", "count"],
      expert_used_count: ["num_experts_per_tok", "count"],
    },
    layer: { ...usualNorms, ...attention, ...experts("gate", ["w1", "w3", "w2"], "block_sparse_moe") },
    turnsNeighbours: true,
  },
  { ...llama, modelType: "mistral" },
  // queries, keys and values always have one
  { ...decoder, name: "qwen2", modelType: "qwen2", fixed: { hidden_act: "silu", attention_bias: false } },
  { ...decoder, name: "qwen3", modelType: "qwen3", layer: { ...decoder.layer, ...headNorms } },
  {
    ...decoder,
    name: "qwen3moe",
    modelType: "qwen3_moe",
    keys: {
      ...decoderKeys,
      expert_count: ["num_experts", "count"],
      expert_used_count: ["num_experts_per_tok", "count"],
      expert_feed_forward_length: ["moe_intermediate_size", "count"],
    },
    fixed: { hidden_act: "silu", norm_topk_prob: true, decoder_sparse_step: 1, mlp_only_layers: [] },
    layer: { ...usualNorms, ...attention, ...headNorms, ...experts("gate", ["gate_proj", "up_proj", "down_proj"]) },
  },
  {
    ...decoder,
    name: "smollm3",
    modelType: "smollm3",
    fixed: { hidden_act: "silu", no_rope_layer_interval: 4 },
    turnsNeighbours: true,
  },
  { ...olmo2, modelType: "olmo2", isOf: (setting) => !hasWindow(setting) },
  {
    ...olmo2,
    modelType: "olmo3",
    isOf: hasWindow,
    keys: { ...decoderKeys, ...windowKey },
    rope: "layers",
    windowPeriod: 4,
  },
  {
    ...gemma,
    name: "gemma",
    modelType: "gemma",
    fixed: { ...gemma.fixed, hidden_act: "gelu_pytorch_tanh", tie_word_embeddings: true },
  },
  {
    ...gemma,
    name: "gemma2",
    modelType: "gemma2",
    keys: {
      ...decoderKeys,
      ...windowKey,
      attn_logit_softcapping: ["attn_logit_softcapping", "float"],
      final_logit_softcapping: ["final_logit_softcapping", "float"],
    },
    fixed: { ...gemma.fixed, hidden_activation: "gelu_pytorch_tanh", tie_word_embeddings: true },
    layer: gemma2Layer,
    windowPeriod: 2,
    widelyScaledLayers: 46,
  },
  {
    ...gemma,
    name: "gemma3",
    modelType: "gemma3_text",
    keys: { ...decoderKeys, ...windowKey },
    fixed: { ...gemma.fixed, hidden_activation: "gelu_pytorch_tanh", final_logit_softcapping: null },
    layer: { ...gemma2Layer, ...headNorms },
    rope: "layers",
    windowTheta: 10000,
    windowPeriod: 6,
    widelyScaledLayers: 62,
  },
  {
    ...decoder,
    name: "phi3",
    modelType: "phi3",
    keys: { ...decoderKeys, ...windowKey },
    layer: { ...usualNorms, ...fusedMlp, attn_qkv: "self_attn.qkv_proj", attn_output: "self_attn.o_proj" },
  },
  { ...decoder, name: "chatglm", modelType: "glm", layer: { ...usualNorms, ...attention, ...fusedMlp } },
  {
    ...decoder,
    name: "glm4",
    modelType: "glm4",
    layer: {
      ...attention,
      ...fusedMlp,
      attn_norm: "input_layernorm",
      post_attention_norm: "post_self_attn_layernorm",
      ffn_norm: "post_attention_layernorm",
      post_ffw_norm: "post_mlp_layernorm",
    },
  },
  {
    name: "gpt2",
    modelType: "gpt2",
    keys: {
      context_length: ["n_positions", "count"],
      embedding_length: ["n_embd", "count"],
      block_count: ["n_layer", "count"],
      feed_forward_length: ["n_inner", "count"],
      "attention.head_count": ["n_head", "count"],
      "attention.layer_norm_epsilon": ["layer_norm_epsilon", "float"],
    },
    fixed: { activation_function: "gelu_new", scale_attn_weights: true, scale_attn_by_inverse_layer_idx: false },
    rope: "none",
    outer: {
      token_embd: "transformer.wte",
      position_embd: "transformer.wpe",
      output_norm: "transformer.ln_f",
      output: "lm_head",
    },
    layer: {
      attn_norm: "ln_1",
      attn_qkv: "attn.c_attn",
      attn_output: "attn.c_proj",
      ffn_norm: "ln_2",
      ffn_up: "mlp.c_fc",
      ffn_down: "mlp.c_proj",
    },
    layers: "transformer.h.",
    transposed: /\.(c_attn|c_proj|c_fc)\.weight$/,
  },
  {
    name: "gptneox",
    modelType: "gpt_neox",
    keys: {
      ...sizes,
      "attention.layer_norm_epsilon": ["layer_norm_eps", "float"],
      use_parallel_residual: ["use_parallel_residual", "flag"],
    },
    fixed: { hidden_act: "gelu", attention_bias: true },
    outer: { token_embd: "gpt_neox.embed_in", output_norm: "gpt_neox.final_layer_norm", output: "embed_out" },
    layer: {
      attn_norm: "input_layernorm",
      attn_qkv: "attention.query_key_value",
      attn_output: "attention.dense",
      ffn_norm: "post_attention_layernorm",
      ffn_up: "mlp.dense_h_to_4h",
      ffn_down: "mlp.dense_4h_to_h",
    },
    layers: "gpt_neox.layers.",
    splitsQkv: true,
    needsOutput: true,
  },
];

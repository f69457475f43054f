/** Configs of known models, without weights: what their memory is told by. */
import { type Folder, memoryFolder } from "../files/index.ts";

type Config = Readonly<Record<string, unknown>>;

/** Sizes of published config.json files; bytes of the weights by their indices. */
export const deployedModels = {
  // meta-llama/Meta-Llama-3-8B
  "llama-3-8b": {
    bytes: 16_060_522_496,
    config: {
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      hidden_size: 4096,
      intermediate_size: 14_336,
      max_position_embeddings: 8192,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      torch_dtype: "bfloat16",
      vocab_size: 128_256,
    },
  },
  // Qwen/Qwen2.5-0.5B
  "qwen2.5-0.5b": {
    bytes: 988_065_536,
    config: {
      architectures: ["Qwen2ForCausalLM"],
      model_type: "qwen2",
      hidden_size: 896,
      intermediate_size: 4864,
      max_position_embeddings: 32_768,
      max_window_layers: 24,
      num_attention_heads: 14,
      num_hidden_layers: 24,
      num_key_value_heads: 2,
      sliding_window: 32_768,
      use_sliding_window: false,
      torch_dtype: "bfloat16",
      vocab_size: 151_936,
    },
  },
  // deepseek-ai/DeepSeek-V3: 671 billion parameters in f8, and those of the next token's prediction
  "deepseek-v3": {
    bytes: 688_586_727_753,
    config: {
      architectures: ["DeepseekV3ForCausalLM"],
      model_type: "deepseek_v3",
      hidden_size: 7168,
      intermediate_size: 18_432,
      kv_lora_rank: 512,
      max_position_embeddings: 163_840,
      num_attention_heads: 128,
      num_hidden_layers: 61,
      num_key_value_heads: 128,
      q_lora_rank: 1536,
      qk_nope_head_dim: 128,
      qk_rope_head_dim: 64,
      v_head_dim: 128,
      quantization_config: { quant_method: "fp8" },
      torch_dtype: "bfloat16",
      vocab_size: 129_280,
    },
  },
  // google/gemma-3-12b-it: it reads images, and looks back 1024 tokens in five of six layers
  "gemma-3-12b": {
    bytes: 24_374_650_592,
    config: {
      architectures: ["Gemma3ForConditionalGeneration"],
      model_type: "gemma3",
      torch_dtype: "bfloat16",
      text_config: {
        model_type: "gemma3_text",
        head_dim: 256,
        hidden_size: 3840,
        intermediate_size: 15_360,
        max_position_embeddings: 131_072,
        num_attention_heads: 16,
        num_hidden_layers: 48,
        num_key_value_heads: 8,
        sliding_window: 1024,
        sliding_window_pattern: 6,
        vocab_size: 262_208,
      },
    },
  },
} as const satisfies Readonly<Record<string, { bytes: number; config: Config }>>;

export type DeployedModel = keyof typeof deployedModels;

/** A folder with a config and an index of the weights; further keys of the config go before. */
export function deployedFolder(name: DeployedModel, further: Config = {}): Folder {
  const { bytes, config } = deployedModels[name];
  return memoryFolder(
    {
      "config.json": JSON.stringify({ ...config, ...further }),
      "model.safetensors.index.json": JSON.stringify({ metadata: { total_size: bytes }, weight_map: {} }),
    },
    name,
  );
}

"""Makes golden/decoders/<case>/: tiny random decoder-only models as transformers saves them, and what they answer.

expected.json has logits of a plain, a left-padded and a right-padded batch, a
loss, and greedy runs; gradients.safetensors the loss' gradients.

    python golden/make_decoders.py [CASE...]
"""

import sys

import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    DeepseekV3Config,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    Glm4Config,
    GlmConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    Olmo3Config,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
)
from transformers.core_model_loading import revert_weight_conversion

from common import GOLDEN, greedy_runs, made_by, tensor_json, write_json

SIZES = dict(vocab_size=43, hidden_size=16, intermediate_size=28, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", rope_theta=1000.0, factor=4.0, original_max_position_embeddings=16)
WIDE = SIZES | dict(num_attention_heads=2)  # heads of 8 features, of which a part turns
SHORT, LONG = [1.0, 1.3, 1.7, 2.2], [1.5, 3.0, 6.0, 12.0]
MLA = dict(
    num_key_value_heads=4, kv_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=6, v_head_dim=5, moe_intermediate_size=6,
    first_k_dense_replace=1,
)
CASES = {
    "llama": LlamaConfig(**SIZES, num_key_value_heads=2, rope_parameters=LLAMA3),
    "llama-yarn": LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_parameters=YARN),
    "llama-linear": LlamaConfig(
        **SIZES, num_key_value_heads=1, head_dim=6, rms_norm_eps=1e-3, hidden_act="gelu",
        rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.5),
    ),
    "llama-dynamic": LlamaConfig(**SIZES, rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0)),
    "mistral": MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=5),
    "qwen2": Qwen2Config(**SIZES, num_key_value_heads=2, tie_word_embeddings=True),
    "qwen2-window": Qwen2Config(**SIZES, num_key_value_heads=2, use_sliding_window=True, sliding_window=4, max_window_layers=1),
    "qwen3": Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=8),
    "gpt-neox": GPTNeoXConfig(**WIDE, rope_parameters=dict(rope_theta=1000.0, partial_rotary_factor=0.25)),
    "gpt-neox-sequential": GPTNeoXConfig(
        **WIDE, use_parallel_residual=False, attention_bias=False, layer_norm_eps=1e-3,
        rope_parameters=dict(rope_theta=1000.0, partial_rotary_factor=0.5),
    ),
    "gemma": GemmaConfig(**SIZES, num_key_value_heads=1, head_dim=6),
    "gemma2": Gemma2Config(
        **SIZES, num_key_value_heads=2, head_dim=6, query_pre_attn_scalar=10, sliding_window=4,
        attn_logit_softcapping=1.5, final_logit_softcapping=2.5,
    ),
    "gemma3": Gemma3TextConfig(
        **SIZES | dict(num_hidden_layers=4), num_key_value_heads=2, head_dim=6, query_pre_attn_scalar=10, sliding_window=4,
        sliding_window_pattern=3,
        rope_parameters=dict(
            sliding_attention=dict(rope_type="default", rope_theta=100.0),
            full_attention=dict(rope_type="linear", rope_theta=1000.0, factor=2.0),
        ),
    ),
    "phi3": Phi3Config(**WIDE, num_key_value_heads=1, sliding_window=5, rope_parameters=dict(rope_theta=1000.0, partial_rotary_factor=0.5)),
    # greedy runs pass the original length
    "phi3-longrope": Phi3Config(
        **WIDE, original_max_position_embeddings=16,
        rope_parameters=dict(rope_type="longrope", rope_theta=1000.0, short_factor=SHORT, long_factor=LONG),
    ),
    # everything is longer than the original length
    "phi3-longrope-long": Phi3Config(
        **WIDE, original_max_position_embeddings=4,
        rope_parameters=dict(
            rope_type="longrope", rope_theta=1000.0, partial_rotary_factor=0.5, short_factor=SHORT[:2], long_factor=LONG[:2],
        ),
    ),
    "olmo2": Olmo2Config(**SIZES, num_key_value_heads=2),
    "smollm3": SmolLM3Config(**SIZES, num_key_value_heads=2, no_rope_layer_interval=2),
    "smollm3-window": SmolLM3Config(
        **SIZES | dict(num_hidden_layers=3), num_key_value_heads=2, no_rope_layers=[1, 0, 1], use_sliding_window=True, sliding_window=4,
        tie_word_embeddings=False,
    ),
    "mixtral": MixtralConfig(**SIZES | dict(intermediate_size=10), num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2),
    "qwen3-moe": Qwen3MoeConfig(
        **SIZES | dict(num_hidden_layers=3), num_key_value_heads=2, head_dim=8, moe_intermediate_size=6, num_experts=5,
        num_experts_per_tok=2, norm_topk_prob=True, mlp_only_layers=[1],
    ),
    "qwen3-moe-sparse-step": Qwen3MoeConfig(
        **SIZES | dict(num_hidden_layers=3), num_key_value_heads=2, head_dim=8, moe_intermediate_size=6, num_experts=6,
        num_experts_per_tok=3, norm_topk_prob=False, decoder_sparse_step=2,
    ),
    "glm": GlmConfig(**SIZES, num_key_value_heads=2, head_dim=8),
    "glm4": Glm4Config(**SIZES, num_key_value_heads=2, head_dim=8),
    "deepseek-v3": DeepseekV3Config(
        **SIZES, **MLA, q_lora_rank=10, n_routed_experts=8, n_group=4, topk_group=2, num_experts_per_tok=3,
        rope_parameters=dict(YARN, mscale=0.7, mscale_all_dim=1.0),
    ),
    "deepseek-v3-plain-query": DeepseekV3Config(
        **SIZES, **MLA, q_lora_rank=None, attention_bias=True, rope_interleave=False, n_routed_experts=6, n_group=1, topk_group=1,
        num_experts_per_tok=2, n_shared_experts=2, norm_topk_prob=False, routed_scaling_factor=1.5,
    ),
    "olmo3": Olmo3Config(
        **SIZES | dict(num_hidden_layers=4), num_key_value_heads=2, sliding_window=4,
        rope_parameters=dict(sliding_attention=dict(rope_type="default", rope_theta=100.0), full_attention=YARN),
    ),
    "qwen2-windows": Qwen2Config(**SIZES, num_key_value_heads=2, use_sliding_window=True, sliding_window=4, max_window_layers=0),
}
LEAST_MARGIN = 1e-3  # routing with a closer choice than this could differ by rounding
LEAST_TOKENS = 3  # different ones of a greedy run


def routing_margin(router, logits):
    """The least lead of a chosen expert's score, or group's, over the best that is not chosen."""

    def lead(scores, count):
        top = scores.topk(count + 1).values
        return (top[..., count - 1] - top[..., count]).min().item()

    if not hasattr(router, "e_score_correction_bias"):
        return lead(logits.softmax(-1), router.top_k)
    scores = logits.sigmoid() + router.e_score_correction_bias
    groups = scores.view(len(scores), router.num_group, -1)  # [tokens, groups, experts of a group]
    sums = groups.topk(2).values.sum(-1)
    chosen = sums >= sums.topk(router.topk_group).values[:, -1:]
    margin = lead(groups.masked_fill(~chosen[..., None], -torch.inf).flatten(1), router.top_k)
    return min(margin, lead(sums, router.topk_group)) if router.topk_group < router.num_group else margin


def make(name, config, seed):
    """Makes a case; false when it tests little: a close choice of experts, an expert unused, a greedy run that repeats few tokens."""
    torch.manual_seed(seed)
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", experts_implementation="eager").eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            start = parameter.flatten()[0].item() if "norm" in key else 0  # 1, or 0 where 1 is added in the model
            parameter.normal_(std=0.3)
            if start:
                parameter.add_(start)
        for key, buffer in model.named_buffers():
            if key.endswith("e_score_correction_bias"):
                buffer.normal_(std=0.3)
    margins = []
    for module in model.modules():
        if module.__class__.__name__.lower().endswith("topkrouter"):
            module.register_forward_hook(lambda router, _, output: margins.append(routing_margin(router, output[0].detach())))
    folder = GOLDEN / "decoders" / name
    model.save_pretrained(folder)

    batches = []
    ids = torch.randint(config.vocab_size, (3, 12))
    lengths = torch.tensor([12, 7, 4])
    places = torch.arange(12)
    for mask in (None, places >= 12 - lengths[:, None], places < lengths[:, None]):
        positions = None if mask is None else (mask.long().cumsum(-1) - 1).clamp(min=0)
        with torch.no_grad():
            logits = model(ids, attention_mask=None if mask is None else mask.long(), position_ids=positions).logits
        batch = {"inputIds": ids.tolist(), "logits": tensor_json(logits)}
        if mask is not None:
            batch |= {"mask": mask.long().tolist(), "positions": positions.tolist()}
        batches.append(batch)

    targets = torch.randint(config.vocab_size, (3, 12))
    targets[1, 3] = -100
    loss = torch.nn.functional.cross_entropy(model(ids).logits.view(-1, config.vocab_size), targets.view(-1))
    loss.backward()
    gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
    gradients = {key: gradient.contiguous() for key, gradient in revert_weight_conversion(model, gradients).items()}  # keys of the file
    save_file(gradients, folder / "gradients.safetensors")

    runs = greedy_runs(model, config.vocab_size)
    expected = {"madeBy": made_by(__file__), "batches": batches, "targets": targets.tolist(), "loss": loss.item(), "greedy": runs}
    write_json(folder / "expected.json", expected)
    is_varied = all(len(set(run["outputIds"][-run["maxNewTokens"] :])) >= LEAST_TOKENS for run in runs)
    return is_varied and min(margins, default=1) > LEAST_MARGIN and all(gradient.any() for gradient in gradients.values())


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        seed = 3000 + list(CASES).index(name)
        while not make(name, CASES[name], seed):
            seed += 1000  # another draw

"""Makes golden/decoders/<case>/: tiny random decoder-only models as transformers saves them, and what they answer.

expected.json has logits of a plain, a left-padded and a right-padded batch, a
loss, and greedy runs; gradients.safetensors the loss' gradients.

    python golden/make_decoders.py
"""

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

from common import GOLDEN, greedy_runs, made_by, tensor_json, write_json

SIZES = dict(vocab_size=43, hidden_size=16, intermediate_size=28, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", rope_theta=1000.0, factor=4.0, original_max_position_embeddings=16)
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
}


def make(name, config, seed):
    torch.manual_seed(seed)
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            parameter.normal_(std=0.3)
            if "norm" in key:
                parameter.add_(1)
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
    save_file({key: parameter.grad for key, parameter in model.named_parameters()}, folder / "gradients.safetensors")

    runs = greedy_runs(model, config.vocab_size)
    expected = {"madeBy": made_by(__file__), "batches": batches, "targets": targets.tolist(), "loss": loss.item(), "greedy": runs}
    write_json(folder / "expected.json", expected)


if __name__ == "__main__":
    for index, (name, config) in enumerate(CASES.items()):
        make(name, config, seed=3000 + index)

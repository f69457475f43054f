"""Makes golden/gpt2/<case>/: tiny random GPT-2 models as transformers saves them, and what they answer.

Each folder has config.json, generation_config.json, model.safetensors and
expected.json with the logits of a 1x9 and a 3x5 batch and two greedy runs.

    python golden/make_gpt2.py
"""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from common import GOLDEN, greedy_runs, made_by, tensor_json, write_json

CASES = {
    "a": dict(vocab_size=101, n_positions=64, n_embd=32, n_layer=2, n_head=4),
    "b": dict(
        vocab_size=67, n_positions=48, n_embd=48, n_layer=1, n_head=3,
        n_inner=100, activation_function="gelu", layer_norm_epsilon=1e-6,
    ),
    "c": dict(
        vocab_size=131, n_positions=40, n_embd=40, n_layer=3, n_head=5,
        scale_attn_by_inverse_layer_idx=True,
    ),
    "d": dict(
        vocab_size=101, n_positions=64, n_embd=24, n_layer=2, n_head=3,
        tie_word_embeddings=False,
    ),
}


@torch.no_grad()
def make(name, settings, seed):
    torch.manual_seed(seed)
    config = GPT2Config(**settings, bos_token_id=None, eos_token_id=None)
    model = GPT2LMHeadModel._from_config(config, attn_implementation="eager").eval()
    for key, parameter in model.named_parameters():
        parameter.normal_(std=0.3)
        if ".ln_" in key and key.endswith("weight"):
            parameter.add_(1)
    folder = GOLDEN / "gpt2" / name
    model.save_pretrained(folder)

    batches = []
    for shape in ((1, 9), (3, 5)):
        ids = torch.randint(config.vocab_size, shape)
        batches.append({"inputIds": ids.tolist(), "logits": tensor_json(model(ids).logits)})

    runs = greedy_runs(model, config.vocab_size)
    expected = {"madeBy": made_by(__file__), "batches": batches, "greedy": runs}
    write_json(folder / "expected.json", expected)


if __name__ == "__main__":
    for index, (name, settings) in enumerate(CASES.items()):
        make(name, settings, seed=1000 + index)

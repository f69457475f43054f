"""generation.json: what transformers makes of generation_config.json.

keys: every key that GenerationConfig knows. processed: logits before and after the processors that `generate` would use, in its order.
greedy: tokens that `generate` gives with decoders/llama.

usage: python golden/make_generation.py   (versions: golden/requirements.txt)
"""

import math

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from common import GOLDEN, floats, made_by, write_json

VOCABULARY = 24
EOS = 5
#: The start of the text, and what was written since.
PROMPT, WRITTEN = [7, 1, 12, 9, 1, 4], [2, 12, 9, 8, 1, 12]

PROCESSED = {
    "nothing": {},
    "repetition_penalty": {"repetition_penalty": 1.7},
    "encoder_repetition_penalty": {"encoder_repetition_penalty": 1.7},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 3},
    "encoder_no_repeat_ngram_size": {"encoder_no_repeat_ngram_size": 3},
    "bad_words_ids": {"bad_words_ids": [[3], [1, 12, 6], [9, 2], [EOS]]},
    "min_length": {"min_length": 13},
    "min_length that is reached": {"min_length": 12},
    "min_new_tokens": {"min_new_tokens": 7},
    "forced_bos_token_id": {"forced_bos_token_id": 3},
    "forced_eos_token_id": {"forced_eos_token_id": EOS, "max_length": 13},
    "forced_eos_token_id earlier": {"forced_eos_token_id": EOS, "max_length": 14},
    "remove_invalid_values": {"remove_invalid_values": True, "suppress_tokens": [3]},
    "remove_invalid_values, -inf": {"remove_invalid_values": True, "min_new_tokens": 9},
    "exponential_decay_length_penalty": {"exponential_decay_length_penalty": [2, 1.3]},
    "exponential_decay_length_penalty later": {"exponential_decay_length_penalty": [6, 1.3]},
    "suppress_tokens": {"suppress_tokens": [3, 8]},
    "sequence_bias": {"sequence_bias": [[[3], -2.5], [[1, 12, 6], 4.0], [[9, 2], 4.0], [[3], 1.5]]},
    "renormalize_logits": {"renormalize_logits": True, "suppress_tokens": [1]},
    "all together": {
        "sequence_bias": [[[3], 2.5]],
        "repetition_penalty": 1.3,
        "encoder_repetition_penalty": 1.2,
        "no_repeat_ngram_size": 4,
        "min_new_tokens": 8,
        "exponential_decay_length_penalty": [2, 1.3],
        "suppress_tokens": [0],
        "renormalize_logits": True,
    },
    "sampling": {"do_sample": True},
    "temperature": {"do_sample": True, "temperature": 0.6, "top_k": 0},
    "top_k": {"do_sample": True, "top_k": 5},
    "top_k above all": {"do_sample": True, "top_k": 500},
    "top_p": {"do_sample": True, "top_k": 0, "top_p": 0.7},
    "top_p of one": {"do_sample": True, "top_k": 0, "top_p": 0.05},
    "min_p": {"do_sample": True, "top_k": 0, "min_p": 0.2},
    "top_h": {"do_sample": True, "top_k": 0, "top_h": 0.5},
    "top_h after top_k": {"do_sample": True, "top_k": 6, "top_h": 0.8},
    "typical_p": {"do_sample": True, "top_k": 0, "typical_p": 0.6},
    "typical_p, low temperature": {"do_sample": True, "top_k": 0, "typical_p": 0.8, "temperature": 0.5},
    "epsilon_cutoff": {"do_sample": True, "top_k": 0, "epsilon_cutoff": 0.04},
    "epsilon_cutoff above all": {"do_sample": True, "top_k": 0, "epsilon_cutoff": 0.9},
    "eta_cutoff": {"do_sample": True, "top_k": 0, "eta_cutoff": 0.6},
    "all of sampling": {
        **{"do_sample": True, "temperature": 1.4, "top_k": 18, "top_p": 0.97, "min_p": 0.05, "typical_p": 0.95},
        **{"epsilon_cutoff": 0.03, "eta_cutoff": 0.02, "repetition_penalty": 1.2, "suppress_tokens": [3]},
    },
    "sampling keys without do_sample": {"temperature": 0.6, "top_k": 2, "top_p": 0.5},
}

#: The first token of the greedy text of decoders/llama.
FIRST = 20

GREEDY = {
    "nothing": {"max_new_tokens": 12},
    "sampling keys without do_sample": {"temperature": 0.6, "top_k": 2, "max_new_tokens": 12},
    "exponential_decay_length_penalty": {"exponential_decay_length_penalty": [2, 1.5], "max_new_tokens": 12},
    "sequence_bias": {"sequence_bias": [[[FIRST], -100.0], [[3], 2.0]], "max_new_tokens": 12},
    "encoder_repetition_penalty": {"encoder_repetition_penalty": 3.0, "max_new_tokens": 12},
    "encoder_no_repeat_ngram_size": {"encoder_no_repeat_ngram_size": 1, "max_new_tokens": 12},
    "repetition_penalty": {"repetition_penalty": 1.5, "max_new_tokens": 12},
    "max_length": {"max_length": 8},
    "max_new_tokens": {"max_new_tokens": 4},
    "max_new_tokens before max_length": {"max_new_tokens": 4, "max_length": 12},
    "forced_eos_token_id": {"forced_eos_token_id": 2, "max_new_tokens": 6},
    "begin_suppress_tokens": {"begin_suppress_tokens": list(range(30)), "max_new_tokens": 6},
}


def processed(model, name: str, settings: dict) -> dict:
    torch.manual_seed(len(name))
    logits = (torch.randn(1, VOCABULARY) * 1.2).float()
    config = GenerationConfig(eos_token_id=EOS, pad_token_id=EOS, **settings)
    defaults = GenerationConfig._get_default_generation_params()
    for key, value in defaults.items():
        if getattr(config, key, None) is None:
            setattr(config, key, value)
    model._prepare_special_tokens(config, True, device="cpu")
    prompt = torch.tensor([PROMPT])
    processors = model._get_logits_processor(
        config, input_ids_seq_length=len(PROMPT), encoder_input_ids=prompt, device="cpu", model_kwargs={}
    )
    expected = processors(torch.tensor([PROMPT + WRITTEN]), logits.clone())[0]
    shown = [None if math.isinf(value) else value for value in floats(expected)]
    return {"name": name, "config": {"eos_token_id": EOS, **settings}, "logits": floats(logits[0]), "expected": shown}


def main() -> None:
    keys = sorted(key for key in vars(GenerationConfig()) if not key.startswith("_") and key != "transformers_version")
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / "decoders" / "llama").eval()
    model.config.vocab_size = VOCABULARY
    cases = [processed(model, name, settings) for name, settings in PROCESSED.items()]
    greedy = []
    for name, settings in GREEDY.items():
        fresh = AutoModelForCausalLM.from_pretrained(GOLDEN / "decoders" / "llama").eval()
        fresh.generation_config = GenerationConfig(eos_token_id=2, pad_token_id=0, **settings)
        prompt = torch.tensor([[3, 9, 6]])
        out = fresh.generate(prompt, attention_mask=torch.ones_like(prompt))[0, 3:].tolist()
        greedy.append({"name": name, "config": {"eos_token_id": 2, **settings}, "prompt": prompt[0].tolist(), "outputIds": out})
    parts = {"keys": keys, "prompt": PROMPT, "written": WRITTEN, "processed": cases, "greedy": greedy}
    write_json(GOLDEN / "generation.json", {"madeBy": made_by(__file__), **parts})


main()

"""generation.json: what transformers makes of generation_config.json.

keys: every key that GenerationConfig knows. processed: logits before and after the processors that `generate` would use, in its order.
greedy: tokens that `generate` gives with decoders/llama. beams: tokens that beam search gives with encoder-decoders of models/.

usage: python golden/make_generation.py   (versions: golden/requirements.txt)
"""

import math

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig

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


BEAM_MODELS = ["t5", "bart", "marian"]
BEAM_TEXT = [5, 9, 12, 3, 7, 15, 1]
BEAMS = {
    "plain": {"num_beams": 3},
    "long texts": {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True, "no_repeat_ngram_size": 2},
    "short texts": {"num_beams": 2, "length_penalty": -1.0, "early_stopping": "never"},
    "never": {"num_beams": 3, "length_penalty": 0.5, "early_stopping": "never", "repetition_penalty": 1.3},
    "many": {"num_beams": 6, "min_new_tokens": 5, "bad_words_ids": [[4]]},
}


def beam_runs(name: str) -> list:
    """Beam search of a model that ends with any of several tokens, which a greedy text of it has."""
    runs = []
    for case, settings in BEAMS.items():
        model = AutoModelForSeq2SeqLM.from_pretrained(GOLDEN / "models" / name).eval()
        start = model.config.decoder_start_token_id
        text = torch.tensor([BEAM_TEXT])
        given = dict(attention_mask=torch.ones_like(text), decoder_start_token_id=start, pad_token_id=model.config.pad_token_id)
        model.generation_config = GenerationConfig()
        plain = model.generate(text, max_new_tokens=12, eos_token_id=-1, do_sample=False, **given)[0, 1:].tolist()
        ends = sorted({plain[4], plain[-1]})
        for eos in ([ends[0]], ends)[: len(ends)]:
            config = {"eos_token_id": eos, "decoder_start_token_id": start, "max_new_tokens": 12, **settings}
            model.generation_config = GenerationConfig(**config, pad_token_id=model.config.pad_token_id)
            out = model.generate(text, attention_mask=given["attention_mask"])[0, 1:].tolist()
            runs.append({"name": f"{name}, {case}, {len(eos)} ends", "model": name, "config": config, "inputIds": BEAM_TEXT, "outputIds": out})
    return runs


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
    beams = [run for name in BEAM_MODELS for run in beam_runs(name)]
    parts = {"keys": keys, "prompt": PROMPT, "written": WRITTEN, "processed": cases, "greedy": greedy, "beams": beams}
    write_json(GOLDEN / "generation.json", {"madeBy": made_by(__file__), **parts})


main()

"""searches.json: searches that transformers 5 does not have in its core any more: diverse beam search, constrained beam search, contrastive search.

Each case: the model, its generation_config.json, what it reads (encoder-decoders) or continues, and the tokens of each text that `generate` returns, its
start left out. Runs in an environment of its own (golden/requirements-4.52.txt).

Two things are set right for it. DisjunctiveConstraint.copy shares the list of its progress with the copy, so that one alternative changes another: it copies
the list here. A group of diverse beam search that has ended goes on with padding, which later groups are penalized for: the padding is a token that is banned.

usage: python golden/make_searches.py
"""

import re

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, DisjunctiveConstraint, GenerationConfig

from common import GOLDEN, made_by, write_json

ENCODER_DECODERS = ["models/t5", "models/bart", "models/marian"]
DECODERS = ["gpt2/a", "decoders/llama", "decoders/qwen2"]
TEXT = [5, 9, 12, 3, 7, 15, 1]
PROMPT = [3, 9, 6, 20]
#: Padding; it is banned, so that nothing comes of it.
PADDING = 2
BANNED = {"suppress_tokens": [PADDING]}

GROUPS = {
    "two groups": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.4},
    "groups of one": {"num_beams": 3, "num_beam_groups": 3, "diversity_penalty": 1.5, "num_return_sequences": 3},
    "three groups, long texts": {"num_beams": 6, "num_beam_groups": 3, "diversity_penalty": 0.8, "length_penalty": 2.0, "early_stopping": True, "num_return_sequences": 4},
    "never": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.3, "length_penalty": 0.5, "early_stopping": "never", "num_return_sequences": 2},
    "with penalties": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.9, "repetition_penalty": 1.4, "sequence_bias": [[[7], 1.5]], "min_new_tokens": 4, "num_return_sequences": 4},
}
CONSTRAINTS = {
    "a token": {"num_beams": 3, "force_words_ids": [[11]]},
    "a sequence": {"num_beams": 4, "force_words_ids": [[11, 4, 17]], "num_return_sequences": 2},
    "two sequences": {"num_beams": 5, "force_words_ids": [[11, 4], [8, 30, 8]], "length_penalty": 0.7, "num_return_sequences": 3},
    "alternatives": {"num_beams": 4, "force_words_ids": [[[11, 4], [11, 5, 6], [8]]], "num_return_sequences": 2},
    "alternatives and a sequence": {"num_beams": 6, "force_words_ids": [[[31, 4, 6], [31, 5, 6], [14, 14]], [10, 10]], "early_stopping": True, "num_return_sequences": 3},
    "more than there is room for": {"num_beams": 3, "force_words_ids": [[11, 4, 17, 5, 8, 30], [1, 2, 3, 4, 5, 6, 7]], "num_return_sequences": 2},
    "a token of the start": {"num_beams": 3, "force_words_ids": [[20], [13]]},
}
#: Tokens of constraints; none of them ends a text.
FORCED = {int(token) for token in re.findall(r"\d+", str([settings["force_words_ids"] for settings in CONSTRAINTS.values()]))}
CONTRASTIVE = {
    "contrastive": {"penalty_alpha": 0.6, "top_k": 4},
    "contrastive, a large penalty": {"penalty_alpha": 0.95, "top_k": 6, "repetition_penalty": 1.1},
    "contrastive, two candidates": {"penalty_alpha": 0.3, "top_k": 2},
}


def copy(self, stateful=False):
    other = DisjunctiveConstraint(self.token_ids)
    if stateful:
        other.current_seq, other.completed = list(self.current_seq), self.completed
    return other


DisjunctiveConstraint.copy = copy


def opened(name: str, kind):
    """transformers 4 has other keys for rotary embeddings than those that transformers 5 has written."""
    config = AutoConfig.from_pretrained(GOLDEN / name)
    rope = getattr(config, "rope_parameters", None)
    if rope:
        config.rope_theta = rope["rope_theta"]
        config.rope_scaling = rope if rope["rope_type"] != "default" else None
    return kind.from_pretrained(GOLDEN / name, config=config).eval()


def ends_of(model, inputs: dict, **start) -> list:
    """Two tokens that a greedy text has in its middle and at its end, so that searches come to an end."""
    model.generation_config = GenerationConfig()
    prompt = start.get("decoder_start_token_id")
    length = 1 if prompt is not None else inputs["input_ids"].shape[1]
    text = model.generate(**inputs, **start, max_new_tokens=12, do_sample=False, eos_token_id=PADDING, pad_token_id=PADDING, suppress_tokens=[PADDING, *FORCED])
    plain = text[0, length:].tolist()
    return sorted({plain[4], plain[-1]})


def runs(name: str, cases: dict, kind: str) -> list:
    is_decoder = name in DECODERS
    written = []
    for case, settings in cases.items():
        model = opened(name, AutoModelForCausalLM if is_decoder else AutoModelForSeq2SeqLM)
        ids = PROMPT if is_decoder else TEXT
        inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        begin = {} if is_decoder else {"decoder_start_token_id": model.config.decoder_start_token_id}
        ends = ends_of(model, inputs, **begin)
        for eos in ([ends[0]], ends)[: len(ends)]:
            config = {"eos_token_id": eos, "max_new_tokens": 12, **BANNED, **begin, **settings}
            model.generation_config = GenerationConfig(**config, pad_token_id=PADDING)
            length = len(ids) if is_decoder else 1
            rows = model.generate(**inputs)[:, length:].tolist()
            texts = [cut(row, eos) for row in rows]
            written.append({"name": f"{name}, {case}, {len(eos)} ends", "kind": kind, "model": name, "config": config, "ids": ids, "texts": texts})
    return written


def cut(ids: list, ends: list) -> dict:
    """A text without what follows it, and whether it has come to an end. Searches of transformers 4 write the first of the ends for any of them."""
    stop = next((i for i, token in enumerate(ids) if token in ends), None)
    return {"ids": ids if stop is None else ids[:stop], "isWhole": stop is not None}


def main() -> None:
    both = DECODERS + ENCODER_DECODERS
    groups = [run for name in both for run in runs(name, GROUPS, "groups")]
    constraints = [run for name in both for run in runs(name, CONSTRAINTS, "constraints")]
    contrastive = [run for name in DECODERS for run in runs(name, CONTRASTIVE, "contrastive")]
    write_json(GOLDEN / "searches.json", {"madeBy": made_by(__file__), "runs": groups + constraints + contrastive})


main()

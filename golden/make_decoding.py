"""decoding.json: how tokens are picked in ways that generation_config.json does not know.

processed: logits before and after. What transformers has is computed by its processors (logit bias: SequenceBiasLogitsProcessor, allowed tokens:
PrefixConstrainedLogitsProcessor); presence and frequency penalties are the formulas of OpenAI's API reference ("Frequency and presence penalties"),
over what was written, after the repetition penalty, as vLLM documents them; DRY is the description in text-generation-webui's pull request 5677.
warped: the tokens that are left, by the descriptions of XTC (text-generation-webui's pull request 6335, llama.cpp's "xtc-probability") and of top-n-sigma
(arXiv:2411.07641, with the standard deviation over all scores). mirostat: tokens drawn by version 2 of arXiv:2007.14966, as its authors' repository describes it.
logprobs: PyTorch's log softmax, and its largest values. sequences: the texts of beam search that `generate` returns, of decoders too; their start is left out,
and scores are those of its `sequences_scores`. lookups: what transformers' PromptLookupCandidateGenerator proposes.

usage: python golden/make_decoding.py   (versions: golden/requirements.txt)
"""

import math

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GenerationConfig,
    LogitsProcessorList,
    PrefixConstrainedLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    SuppressTokensLogitsProcessor,
)
from transformers.generation.candidate_generator import PromptLookupCandidateGenerator

from common import GOLDEN, floats, made_by, write_json

VOCABULARY = 24
PROMPT, WRITTEN = [7, 1, 12, 9, 1, 4], [2, 12, 9, 8, 1, 12]
LOOP = [3, 8, 8, 5, 1, 8, 8, 5, 1, 8, 8, 5, 2, 6, 8, 8, 5]
SAME = [4] * 9

PENALTIES = {
    "presence penalty": {"presencePenalty": 0.7},
    "negative presence penalty": {"presencePenalty": -1.5},
    "frequency penalty": {"frequencyPenalty": 0.4},
    "both, and repetition": {"presencePenalty": 0.3, "frequencyPenalty": 0.9, "repetitionPenalty": 1.4},
    "logit bias": {"logitBias": {3: -2.5, 12: 4.25, 23: 100.0}},
    "allowed tokens": {"allowedTokenIds": [22, 3, 0, 8, 3]},
    "allowed tokens, the last": {"allowedTokenIds": [23]},
    "biased and allowed": {"logitBias": {3: 2.5}, "allowedTokenIds": [3, 4]},
}
#: Settings of DRY, the prompt and what was written.
DRY = {
    "dry": ({"dryMultiplier": 0.8}, LOOP[:6], LOOP[6:]),
    "dry, longer": ({"dryMultiplier": 1.1, "dryBase": 1.4, "dryAllowedLength": 3}, LOOP[:9], LOOP[9:]),
    "dry, of one token": ({"dryMultiplier": 0.5, "dryAllowedLength": 1}, LOOP[:6], LOOP[6:]),
    "dry, always the same": ({"dryMultiplier": 0.5, "dryAllowedLength": 2}, SAME[:3], SAME[3:]),
    "dry, breaker in the sequence": ({"dryMultiplier": 2.0, "dryAllowedLength": 1, "drySequenceBreakerIds": [8]}, LOOP[:6], LOOP[6:]),
    "dry, breaker follows": ({"dryMultiplier": 2.0, "drySequenceBreakerIds": [1, 2]}, LOOP[:6], LOOP[6:]),
    "dry, breaker at the end": ({"dryMultiplier": 2.0, "dryAllowedLength": 1, "drySequenceBreakerIds": [5]}, LOOP[:6], LOOP[6:]),
    "dry, of the last tokens": ({"dryMultiplier": 0.8, "dryPenaltyLastN": 9}, LOOP[:6], LOOP[6:]),
    "dry, of fewer tokens than a repetition": ({"dryMultiplier": 0.8, "dryPenaltyLastN": 2}, LOOP[:6], LOOP[6:]),
    "dry, without bounds": ({"dryMultiplier": 1.0, "dryBase": 1e10, "dryAllowedLength": 1}, SAME[:3], SAME[3:]),
    "dry, nothing written": ({"dryMultiplier": 0.8, "dryAllowedLength": 1}, LOOP, []),
}


def random_logits(name: str, width: int = VOCABULARY) -> torch.Tensor:
    torch.manual_seed(len(name))
    return (torch.randn(width) * 1.5).float()


def penalized(logits: torch.Tensor, settings: dict) -> torch.Tensor:
    ids = torch.tensor([PROMPT + WRITTEN])
    scores = logits.clone()[None]
    if "logitBias" in settings:
        scores = SequenceBiasLogitsProcessor({(id,): bias for id, bias in settings["logitBias"].items()})(ids, scores)
    if "repetitionPenalty" in settings:
        scores = RepetitionPenaltyLogitsProcessor(settings["repetitionPenalty"])(ids, scores)
    counts = torch.bincount(torch.tensor(WRITTEN), minlength=VOCABULARY)
    scores = scores - settings.get("frequencyPenalty", 0) * counts - settings.get("presencePenalty", 0) * (counts > 0)
    if "allowedTokenIds" in settings:
        scores = PrefixConstrainedLogitsProcessor(lambda batch, ids: settings["allowedTokenIds"], 1)(ids, scores)
    return scores[0]


def dry(logits: torch.Tensor, ids: list, settings: dict) -> torch.Tensor:
    """For each earlier place of the last token: how far back do the tokens before both agree, and what came next there?"""
    multiplier, base = settings["dryMultiplier"], settings.get("dryBase", 1.75)
    allowed, breakers = settings.get("dryAllowedLength", 2), settings.get("drySequenceBreakerIds", [])
    ids = ids[-settings["dryPenaltyLastN"] :] if "dryPenaltyLastN" in settings else ids
    out = logits.double().numpy().copy()
    if ids[-1] in breakers:
        return torch.tensor(out).float()
    lengths = {}
    for place in range(len(ids) - 1):
        if ids[place] != ids[-1] or ids[place + 1] in breakers:
            continue
        length = 1
        while place - length >= 0 and ids[place - length] == ids[-1 - length] and ids[place - length] not in breakers:
            length += 1
        lengths[ids[place + 1]] = max(length, lengths.get(ids[place + 1], 0))
    for token, length in lengths.items():
        if length >= allowed:
            out[token] -= min(multiplier * base ** (length - allowed), float(np.finfo(np.float32).max))
    return torch.tensor(out).float()


def shown(values: torch.Tensor) -> list:
    return [None if math.isinf(value) else value for value in floats(values)]


def processed() -> list:
    cases = []
    for name, settings in PENALTIES.items():
        logits = random_logits(name)
        expected = penalized(logits, settings)
        cases.append({"name": name, "settings": settings, "prompt": PROMPT, "written": WRITTEN, "logits": floats(logits), "expected": shown(expected)})
    for name, (settings, prompt, written) in DRY.items():
        logits = random_logits(name)
        expected = dry(logits, prompt + written, settings)
        cases.append({"name": name, "settings": settings, "prompt": prompt, "written": written, "logits": floats(logits), "expected": shown(expected)})
    return cases


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def xtc(logits: np.ndarray, uniform: float, probability: float, threshold: float) -> list:
    everything = list(range(len(logits)))
    if uniform >= probability:
        return everything
    probabilities = softmax(logits)
    top = sorted((i for i in everything if probabilities[i] >= threshold), key=lambda i: -probabilities[i])
    return sorted(set(everything) - set(top[:-1]))


def top_n_sigma(logits: np.ndarray, count: float) -> list:
    return [i for i, logit in enumerate(logits) if logit >= logits.max() - count * logits.std()]


def warped() -> list:
    cases = []
    for name, settings, uniform, width in [
        ("xtc", {"xtcProbability": 0.5, "xtcThreshold": 0.1}, 0.2, 10),
        ("xtc, a low threshold", {"xtcProbability": 0.5, "xtcThreshold": 0.02}, 0.49, 24),
        ("xtc, not this time", {"xtcProbability": 0.5, "xtcThreshold": 0.02}, 0.5, 24),
        ("xtc, fewer than two are likely", {"xtcProbability": 1, "xtcThreshold": 0.4}, 0.9, 24),
        ("xtc, the threshold by default", {"xtcProbability": 1}, 0.9, 12),
    ]:
        logits = random_logits(name, width).double().numpy()
        kept = xtc(logits, uniform, settings["xtcProbability"], settings.get("xtcThreshold", 0.1))
        cases.append({"name": name, "limits": settings, "uniform": uniform, "logits": floats(torch.tensor(logits)), "kept": kept})
    for name, count in [("top n sigma", 1.0), ("top n sigma of little", 0.1), ("top n sigma of much", 9.0)]:
        logits = random_logits(name).double().numpy()
        for temperature in (1, 3.5):
            limits = {"topNSigma": count, "temperature": temperature}
            cases.append({"name": f"{name} at {temperature}", "limits": limits, "uniform": 0, "logits": floats(torch.tensor(logits)), "kept": top_n_sigma(logits, count)})
    return cases


def mirostat(tau: float, eta: float, temperature: float) -> dict:
    """Draws 12 tokens, by their ids, with the numbers of `uniforms`."""
    rng = np.random.default_rng(5)
    rows = (rng.standard_normal((12, VOCABULARY)) * 2).astype(np.float32)
    uniforms = rng.random(12)
    mu, ids = 2 * tau, []
    for row, uniform in zip(rows, uniforms):
        probabilities = softmax(row.astype(np.float64) / temperature)
        kept = (-np.log2(probabilities) <= mu) | (probabilities == probabilities.max())
        left = np.where(kept, probabilities, 0) / probabilities[kept].sum()
        drawn = int(np.searchsorted(np.cumsum(left), uniform, side="right"))
        mu -= eta * (-math.log2(left[drawn]) - tau)
        ids.append(drawn)
    limits = {"mirostat": 2, "mirostatTau": tau, "mirostatEta": eta, "temperature": temperature}
    return {"limits": limits, "logits": [floats(torch.tensor(row)) for row in rows], "uniforms": uniforms.tolist(), "ids": ids}


def logprobs() -> dict:
    logits = random_logits("logprobs", 40)
    values = torch.log_softmax(logits.double(), dim=-1)
    top = values.topk(5)
    return {"logits": floats(logits), "logprobs": values.tolist(), "top": [list(pair) for pair in zip(top.indices.tolist(), top.values.tolist())]}


ENCODER_DECODERS = ["models/t5", "models/bart", "models/marian"]
DECODERS = ["gpt2/a", "decoders/llama", "decoders/qwen2"]
TEXT, START = [5, 9, 12, 3, 7, 15, 1], [3, 9, 6, 20]
SEQUENCES = {
    "plain": {"num_beams": 3, "num_return_sequences": 3},
    "long texts": {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True, "no_repeat_ngram_size": 2, "num_return_sequences": 2},
    "never": {"num_beams": 3, "length_penalty": 0.5, "early_stopping": "never", "repetition_penalty": 1.3, "num_return_sequences": 3},
    "one of many": {"num_beams": 6, "min_new_tokens": 5, "bad_words_ids": [[4]]},
}


def cut(ids: list, ends: list) -> dict:
    stop = next((i for i, token in enumerate(ids) if token in ends), None)
    return {"ids": ids if stop is None else ids[:stop], "isWhole": stop is not None}


def sequences(name: str) -> list:
    """Texts that end with either of two tokens that a greedy text has."""
    is_decoder = name in DECODERS
    model = (AutoModelForCausalLM if is_decoder else AutoModelForSeq2SeqLM).from_pretrained(GOLDEN / name).eval()
    ids = START if is_decoder else TEXT
    begin = {} if is_decoder else {"decoder_start_token_id": model.config.decoder_start_token_id}
    inputs = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    length = len(ids) if is_decoder else 1
    model.generation_config = GenerationConfig()
    plain = model.generate(**inputs, **begin, max_new_tokens=12, do_sample=False, eos_token_id=-1, pad_token_id=0)[0, length:].tolist()
    ends = sorted({plain[4], plain[-1]})
    runs = []
    for case, settings in SEQUENCES.items():
        config = {"eos_token_id": ends, "max_new_tokens": 12, **begin, **settings}
        model.generation_config = GenerationConfig(**config, pad_token_id=ends[0])
        out = model.generate(**inputs, return_dict_in_generate=True, output_scores=True)
        texts = [cut(row, ends) | {"score": score} for row, score in zip(out.sequences[:, length:].tolist(), floats(out.sequences_scores))]
        runs.append({"name": f"{name}, {case}", "kind": "sequences", "model": name, "config": config, "ids": ids, "texts": texts})
    return runs


def lookups() -> list:
    """Texts of few different tokens; 0 ends a text, and of some 1 is forbidden."""
    rng = np.random.default_rng(3)
    runs = []
    for i in range(60):
        ids = rng.integers(0, 3 + i % 7, size=1 + i % 23).tolist()
        count, size, forbidden = 1 + i % 6, 1 + i % 4, [1] if i % 3 == 0 else []
        processors = LogitsProcessorList([SuppressTokensLogitsProcessor(forbidden)]) if forbidden else None
        lookup = PromptLookupCandidateGenerator(torch.tensor([0]), count, size, 99, processors, 12)
        proposed = lookup.get_candidates(torch.tensor([ids]))[0][0, len(ids) :].tolist()
        runs.append({"ids": ids, "numTokens": count, "ngramSize": size, "forbidden": forbidden, "proposed": proposed})
    return runs


def main() -> None:
    drawn = [mirostat(2.0, 0.3, 1.0), mirostat(0.5, 1.0, 1.3), mirostat(5.0, 0.1, 1.0)]
    parts = {"processed": processed(), "warped": warped(), "mirostat": drawn, "logprobs": logprobs()}
    parts["sequences"] = [run for name in ENCODER_DECODERS + DECODERS for run in sequences(name)]
    parts["lookups"] = lookups()
    write_json(GOLDEN / "decoding.json", {"madeBy": made_by(__file__), **parts})


main()

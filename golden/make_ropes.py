"""Makes golden/ropes.json: what transformers makes of the rotary parameters of config.json, and what it warns of.

Each case has the "json" of a config.json and either "refused": true, or "warnings", the keys that are named as not used ("unused"), and
"frequencies" and "scaling" of each of the model's rotary embeddings by its name ("" where there is one).

    python golden/make_ropes.py
"""

import copy
import logging
import re

import torch
import transformers

from common import GOLDEN, floats, made_by, write_json

SIZES = dict(vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32)
WITHIN = dict(original_max_position_embeddings=8)
YARN = dict(rope_type="yarn", factor=4.0, **WITHIN)
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, **WITHIN)
LONG = dict(short_factor=[1.0, 1.3, 1.7, 2.2], long_factor=[1.5, 3.0, 6.0, 12.0])
THETA = dict(rope_theta=500.0)


def scaled(model_type, scaling, **others):
    return dict(model_type=model_type, **SIZES, **others, rope_scaling=scaling)


def stated(model_type, parameters, **others):
    return dict(model_type=model_type, **SIZES, **others, rope_parameters=parameters)


def without(parameters, *keys):
    return {key: value for key, value in parameters.items() if key not in keys}


CASES = [
    dict(model_type="llama", **SIZES),
    dict(model_type="llama", **SIZES, **THETA),
    scaled("llama", None, **THETA),
    scaled("llama", {}, **THETA),
    scaled("llama", dict(type="default")),
    scaled("llama", dict(rope_type="default", factor=2.0)),
    scaled("llama", dict(rope_type="default", mrope_section=[1, 1, 2])),
    scaled("llama", dict(type="linear", factor=2)),
    scaled("llama", dict(rope_type="linear", factor=2.0, note="x")),
    scaled("llama", dict(rope_type="linear")),
    scaled("llama", dict(rope_type="linear", factor=None)),
    scaled("llama", dict(rope_type="linear", factor="2")),
    scaled("llama", dict(rope_type="linear", factor=0.5)),
    scaled("llama", dict(factor=2.0)),
    scaled("llama", dict(type="dynamic", factor=2.0, alpha=1000)),
    scaled("llama", dict(type="dynamic", alpha=1000)),
    scaled("llama", dict(type="yarn", factor=4.0, finetuned=True, **WITHIN)),
    scaled("llama", dict(type="linear", rope_type="yarn", factor=4.0, **WITHIN)),
    scaled("llama", dict(rope_type="foo", factor=4.0)),
    scaled("llama", dict(type="ntk", factor=4.0)),
    scaled("llama", dict(type="mrope", mrope_section=[1, 1, 2])),
    scaled("llama", dict(YARN, rope_theta=100.0), **THETA),
    scaled("llama", without(YARN, "factor")),
    scaled("llama", dict(YARN, factor=None)),
    scaled("llama", without(YARN, "original_max_position_embeddings")),
    scaled("llama", without(YARN, "original_max_position_embeddings"), **WITHIN),
    scaled("llama", dict(YARN, attention_factor=None, beta_fast=None, beta_slow=None)),
    scaled("llama", dict(YARN, attention_factor=1.5, beta_fast=16, beta_slow=2, truncate=False)),
    scaled("llama", dict(YARN, mscale=0.7, mscale_all_dim=1.0)),
    scaled("llama", dict(YARN, mscale=0.7)),
    scaled("llama", dict(YARN, factor=3.0)),
    scaled("llama", dict(YARN, beta_fast=1, beta_slow=32)),
    scaled("llama", dict(YARN, extrapolation_factor=1, attn_factor=1, low_freq_factor=1)),
    scaled("llama", LLAMA3),
    scaled("llama", dict(LLAMA3, note=1)),
    scaled("llama", without(LLAMA3, "low_freq_factor")),
    scaled("llama", without(LLAMA3, "high_freq_factor")),
    scaled("llama", without(LLAMA3, "factor")),
    scaled("llama", without(LLAMA3, "original_max_position_embeddings")),
    scaled("llama", dict(LLAMA3, high_freq_factor=1.0, low_freq_factor=4.0)),
    scaled("llama", dict(LLAMA3, original_max_position_embeddings=64)),
    scaled("llama", dict(rope_type="longrope", **LONG, **WITHIN)),
    scaled("llama", dict(rope_type="longrope", factor=2.0, attention_factor=1.25, **LONG, **WITHIN)),
    scaled("llama", dict(rope_type="longrope", short_mscale=1.1, long_mscale=1.2, **LONG, **WITHIN)),
    scaled("llama", dict(rope_type="longrope", **without(LONG, "long_factor"), **WITHIN)),
    stated("llama", dict(rope_type="default", **THETA), rope_theta=100.0),
    stated("llama", dict(rope_type="default", **THETA), rope_scaling=dict(rope_type="linear", factor=2.0)),
    stated("llama", dict(rope_type="default", **THETA), partial_rotary_factor=0.5),
    stated("llama", dict(rope_type="default", partial_rotary_factor=0.5, **THETA)),
    scaled("qwen3", dict(YARN, attn_factor=0.8782488562869419), head_dim=8),
    stated("qwen3", dict(YARN, **THETA), head_dim=8, partial_rotary_factor=0.5),
    stated("mistral", dict(rope_type="linear", factor=2.0, partial_rotary_factor=0.5, **THETA)),
    stated("qwen2", dict(rope_type="default", **THETA), partial_rotary_factor=0.5),
    stated("olmo2", dict(rope_type="default", **THETA), partial_rotary_factor=0.5),
    stated("smollm3", dict(rope_type="default", **THETA), partial_rotary_factor=0.5, pad_token_id=0, bos_token_id=1, eos_token_id=2),
    stated("gemma", dict(rope_type="linear", factor=8.0, note=1), head_dim=8),
    stated("gemma2", dict(rope_type="default", partial_rotary_factor=0.5), head_dim=8),
    scaled("mixtral", dict(rope_type="linear", factor=2.0)),
    scaled("qwen3_moe", YARN, head_dim=8),
    scaled("phi3", dict(type="su", **LONG), pad_token_id=0, **WITHIN),
    scaled("phi3", dict(type="yarn", **LONG), pad_token_id=0, **WITHIN),
    scaled("phi3", dict(type="longrope", short_mscale=1.1, long_mscale=1.2, **LONG), pad_token_id=0, **WITHIN),
    scaled("phi3", dict(type="linear", factor=2.0), pad_token_id=0),
    scaled("phi3", None, pad_token_id=0, partial_rotary_factor=0.5, **THETA),
    scaled("glm", None, pad_token_id=0, head_dim=8, partial_rotary_factor=0.25, **THETA),
    stated("glm4", dict(rope_type="default"), pad_token_id=0, head_dim=8),
    dict(model_type="gpt_neox", **SIZES, rotary_pct=0.5, rotary_emb_base=500),
    dict(model_type="gpt_neox", **SIZES, rotary_pct=0.5, rotary_emb_base=500, rope_theta=100.0, partial_rotary_factor=0.25),
    scaled("gpt_neox", dict(type="linear", factor=2.0, note=1), rotary_pct=0.5, rotary_emb_base=500),
    stated("gpt_neox", dict(rope_type="default", partial_rotary_factor=1.0, **THETA), rotary_pct=0.5, rotary_emb_base=100),
    scaled("gemma3_text", dict(rope_type="linear", factor=8.0), head_dim=8, sliding_window_pattern=2),
    stated("gemma3_text", dict(full_attention=dict(rope_type="linear", factor=8.0), sliding_attention=None), head_dim=8, sliding_window_pattern=2),
    scaled("gemma3_text", dict(rope_type="linear", factor=8.0, note=1), head_dim=8, rope_theta=500.0, rope_local_base_freq=50.0, sliding_window_pattern=2),
    stated(
        "gemma3_text",
        dict(full_attention=dict(rope_type="linear", factor=8.0, note=1), sliding_attention=dict(rope_type="default", **THETA)),
        head_dim=8, sliding_window_pattern=2,
    ),
    stated("gemma3_text", dict(full_attention=dict(rope_type="linear"), sliding_attention=dict(rope_type="default", **THETA)), head_dim=8, sliding_window_pattern=2),
    scaled("olmo3", dict(YARN, note=1), layer_types=["sliding_attention", "full_attention"], pad_token_id=0),
    stated(
        "olmo3",
        dict(full_attention=dict(YARN, **THETA), sliding_attention=dict(rope_type="default", **THETA)),
        layer_types=["sliding_attention", "full_attention"], pad_token_id=0,
    ),
    dict(model_type="modernbert", **SIZES, pad_token_id=0, global_rope_theta=500.0, local_rope_theta=50.0),
    stated(
        "modernbert", dict(full_attention=dict(rope_type="default", **THETA), sliding_attention=dict(rope_type="linear", factor=2.0, note=1)),
        pad_token_id=0,
    ),
]


class Listener(logging.Handler):
    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def rotaries(model):
    found = {}
    for _, module in model.named_modules():
        for name, buffer in module.named_buffers(recurse=False):
            if name.endswith("inv_freq") and not name.endswith("original_inv_freq"):
                kind = name.removesuffix("inv_freq").removesuffix("_")
                scaling = getattr(module, f"{kind}_attention_scaling" if kind else "attention_scaling")
                found[kind] = {"frequencies": floats(buffer), "scaling": float(scaling)}
    return found


def describe(case):
    case = copy.deepcopy(case)
    given = copy.deepcopy(case)
    listener = Listener()
    logger = logging.getLogger("transformers.modeling_rope_utils")
    logger.addHandler(listener)
    type(logger).warning_once.cache_clear()
    try:
        options = {key: value for key, value in case.items() if key != "model_type"}
        config = transformers.AutoConfig.for_model(case["model_type"], **options)
        kind = transformers.AutoModelForMaskedLM if case["model_type"] == "modernbert" else transformers.AutoModelForCausalLM
        found = rotaries(kind.from_config(config))
    except Exception as error:
        return {"json": given, "refused": True, "error": f"{type(error).__name__}: {str(error)[:160]}"}
    finally:
        logger.removeHandler(listener)
    unused = [key for message in listener.messages if "Unrecognized keys" in message for key in re.findall(r"'(\w+)'", message.split("}")[0].split("{")[1])]
    others = [message.split(".")[0][:160] for message in listener.messages if "Unrecognized keys" not in message]
    return {"json": given, "unused": sorted(set(unused)), "warnings": sorted(set(others)), "rotary": found}


if __name__ == "__main__":
    torch.manual_seed(0)
    write_json(GOLDEN / "ropes.json", {"madeBy": made_by(__file__), "cases": [describe(case) for case in CASES]})

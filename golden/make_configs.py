"""Makes golden/configs.json: what the config classes of transformers read of config.json.

"common" lists the keys that every class knows. For each model_type: "keys" with their defaults, "aliases" (other names of keys, which
count where both are there), "legacy" (keys of older files, which the class reads and does not keep), and "parts", the same for the
configs inside of it.

    python golden/make_configs.py
"""

import dataclasses
import inspect
import json
import re

from transformers import AutoConfig, GenerationConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from common import GOLDEN, made_by, write_json

MODEL_TYPES = """
llama mistral qwen2 qwen3 olmo2 smollm3 gemma gemma2 gemma3_text phi3 glm glm4 gpt_neox gpt2 mixtral qwen3_moe olmo3 deepseek_v3
bert roberta xlm-roberta distilbert albert electra deberta-v2 modernbert t5 mt5 bart marian whisper
resnet convnext mobilenet_v2 vit deit dinov2 swin segformer clip siglip clip_text_model clip_vision_model yolos detr llava qwen2_vl blip
""".split()

base = {field.name for field in dataclasses.fields(PreTrainedConfig)}


def popped(text):
    return {name for _, name in re.findall(r"kwargs\.(pop|get)\(\s*[\"'](\w+)[\"']", text)}


def plain(value):
    """A value as JSON has it; objects as null."""
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        return None


def describe(config_class):
    own = config_class()
    fields = [field.name for field in dataclasses.fields(config_class) if field.name not in base]
    parts = {key: type(getattr(own, key)) for key in config_class.sub_configs if getattr(own, key, None) is not None}
    legacy = set().union(*(popped(inspect.getsource(part)) for part in config_class.__mro__ if part.__module__.startswith("transformers.models")))
    if hasattr(own, "rope_parameters"):
        legacy |= {"rope_scaling", "rope_theta", "partial_rotary_factor"}
    return {
        "keys": {key: plain(getattr(own, key)) for key in sorted(fields) if key not in parts},
        "aliases": dict(config_class.attribute_map),
        "legacy": sorted(legacy - set(fields) - base),
        **({"parts": {key: describe(part) for key, part in parts.items()}} if parts else {}),
    }


if __name__ == "__main__":
    generation = set(GenerationConfig._get_default_generation_params())
    common = {"keys": sorted(base), "legacy": sorted(popped(inspect.getsource(PreTrainedConfig)) - base), "generation": sorted(generation)}
    families = {name: describe(CONFIG_MAPPING[name]) for name in MODEL_TYPES}
    write_json(GOLDEN / "configs.json", {"madeBy": made_by(__file__), "common": common, "families": families})

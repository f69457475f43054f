"""Makes golden/processors.json: the keys of preprocessor_config.json that the image processors and the feature extractor of Whisper know.

For each class "keys" with their defaults (null where a class has none). The classes are those that work with Pillow and NumPy.

    python golden/make_processors.py
"""

import dataclasses
import inspect
import json

import transformers
from transformers.feature_extraction_sequence_utils import SequenceFeatureExtractor

from common import GOLDEN, made_by, write_json

NAMES = "ViT DeiT Bit ConvNext MobileNetV2 Segformer CLIP Siglip Blip Detr Yolos Qwen2VL".split()


def plain(value):
    if dataclasses.is_dataclass(value):  # a size
        value = {key: part for key, part in dataclasses.asdict(value).items() if part is not None}
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        return None


def describe(name):
    processor = getattr(transformers, f"{name}ImageProcessorPil")()
    return {"keys": {key: plain(getattr(processor, key, None)) for key in sorted(processor.valid_kwargs.__annotations__)}}


def parameters(*functions):
    found = {}
    for function in functions:
        for name, parameter in inspect.signature(function).parameters.items():
            if name not in ("self", "kwargs"):
                found.setdefault(name, None if parameter.default is inspect.Parameter.empty else plain(parameter.default))
    return found


if __name__ == "__main__":
    classes = {f"{name}ImageProcessor": describe(name) for name in NAMES}
    whisper = {"keys": parameters(transformers.WhisperFeatureExtractor.__init__, SequenceFeatureExtractor.__init__)}
    write_json(GOLDEN / "processors.json", {"madeBy": made_by(__file__), "classes": classes | {"WhisperFeatureExtractor": whisper}})

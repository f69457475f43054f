"""Makes golden/pipelines/: what the pipelines of transformers answer with tiny random models.

<task>.json has "cases", each with "model", a folder under golden/, perhaps "processor", another folder with a
preprocessor_config.json, and "calls": "inputs", "options" and the "output". Pictures and sounds are named by their path
under golden/. In an output {"size": [H, W], "runs": [...]} is a mask: how many places are 0, then 255, then 0, ... row by
row. A number is written as the shortest decimal of its float32.

qwen2-vl-pixels.safetensors has pixel_values and image_grid_thw under a picture's name. Models and tokenizers in models/
come from pipeline_models.py; image processors are those that resize with PIL. Tasks that transformers 5 no longer has
are in make_pipelines_4.py.

    python golden/make_pipelines.py [task ...]
"""

import sys
from copy import deepcopy

import transformers
from safetensors.torch import save_file
from transformers import AutoImageProcessor, AutoProcessor, pipeline

import pipeline_models
from common import GOLDEN, made_by, write_json
from pipeline_common import FOLDER, INN, LONG, NIGHT, SAILOR, call, loaded, plain

TEXT_CLASSIFICATION = [
    ("bert-sequence-classification", [
        call(SAILOR), call([SAILOR, NIGHT]), call(SAILOR, top_k=None), call([SAILOR, NIGHT], top_k=2), call(SAILOR, top_k=1),
        call({"text": SAILOR, "text_pair": NIGHT}, top_k=None), call(SAILOR, top_k=None, function_to_apply="sigmoid"),
        call(SAILOR, top_k=None, function_to_apply="none"), call(LONG, truncation=True, max_length=16),
    ]),
    ("bert-multi-label", [call(SAILOR), call(SAILOR, top_k=None), call(NIGHT, top_k=None, function_to_apply="softmax")]),
    ("bert-regression", [call(SAILOR), call(SAILOR, top_k=None), call(NIGHT, function_to_apply="sigmoid")]),
    # its tokenizer_config.json has model_input_names without token_type_ids: all tokens are of type 0
    ("bert-token-types", [call({"text": "john", "text_pair": "paris"}, top_k=None)]),
]  # fmt: skip

STRATEGIES = ["none", "simple", "first", "average", "max"]
WORDS = ["Queequeg", "and", "I", "sailed", "to", "Nantucket"]
UNKNOWN = "Ahab's ☃ ship; harpooneers re-harpooned the “landlord”"
TOKEN_CLASSIFICATION = [
    ("bert-token-classification", [
        *(call(NIGHT + " " + WORDS[-1] + "!", aggregation_strategy=strategy) for strategy in STRATEGIES),
        *(call(UNKNOWN, aggregation_strategy=strategy, ignore_labels=[]) for strategy in ["none", "simple", "first"]),
        *(call(LONG, aggregation_strategy=strategy, stride=6) for strategy in ["simple", "average"]),
        call(LONG, aggregation_strategy="max"), call([NIGHT, INN], aggregation_strategy="simple", ignore_labels=["PLACE"]),
        call(WORDS, is_split_into_words=True, aggregation_strategy="first"), call(WORDS, is_split_into_words=True, delimiter="_", aggregation_strategy="none"),
    ]),
    ("roberta-token-classification", [*(call(UNKNOWN, aggregation_strategy=strategy, ignore_labels=[]) for strategy in STRATEGIES)]),
]  # fmt: skip

FILL_MASK = [
    ("bert-masked-lm", [
        call("Call me [MASK]."), call(["Call me [MASK].", "The [MASK] of the inn was old"], top_k=3),
        call("It was a [MASK] night", targets=["dark", "old", "little"]), call("It was a [MASK] night", targets=["landlord", "stormy"], top_k=1),
        call("The [MASK] [MASK] was for the harpooneer", top_k=2), call("[MASK] " + LONG, top_k=2, tokenizer_kwargs={"truncation": True}),
    ]),
]  # fmt: skip

TOPICS = ["whales", "the sea", "beds"]
ZERO_SHOT = [
    ("bert-nli", [
        call(SAILOR, candidate_labels=TOPICS), call(SAILOR, candidate_labels=TOPICS, multi_label=True), call(SAILOR, candidate_labels="whales, the sea,beds ,"),
        call([NIGHT, INN], candidate_labels=TOPICS, hypothesis_template="It is about {}!"), call(NIGHT, candidate_labels=["night"]), call(LONG, candidate_labels=TOPICS),
    ]),
    ("bert-nli-entailment-first", [call(SAILOR, candidate_labels=TOPICS), call(SAILOR, candidate_labels=TOPICS, multi_label=True)]),
]  # fmt: skip

FEATURES = [("bert-multi-label", [call(NIGHT), call(["Call me", "Ishmael"]), call(LONG, tokenize_kwargs={"truncation": True, "max_length": 6})])]

GREEDY = dict(do_sample=False, max_new_tokens=10)
QUESTION = [{"role": "user", "content": "Who is he?"}]
STARTED = [*QUESTION, {"role": "assistant", "content": "Queequeg, the"}]
TEXT_GENERATION = [
    ("gpt2", [
        call("Call me", **GREEDY), call("Call me", **GREEDY, return_full_text=False), call(["Call me", "The old landlord"], **GREEDY), call("Call me", **GREEDY, return_tensors=True),
        call(QUESTION, **GREEDY), call(QUESTION, **GREEDY, return_full_text=False), call(STARTED, **GREEDY), call([QUESTION, STARTED], **GREEDY),
        call("Call me", do_sample=False, num_beams=3, num_return_sequences=2, max_new_tokens=4), call("the sea", **GREEDY, prefix="I sailed "),
        call(LONG, **GREEDY, handle_long_generation="hole"), call("", **GREEDY),
    ]),
]  # fmt: skip

PICTURES = ["images/tall.png", "images/photo.jpg"]
IMAGE_CLASSIFICATION = [
    ("models/vit-image-classification", [
        call(PICTURES[0]), call(PICTURES, top_k=2), call(PICTURES[1], function_to_apply="sigmoid"), call(PICTURES[1], function_to_apply="none"), call("images/gray.png"),
    ], "images/vit"),
]  # fmt: skip

THINGS = ["a whale", "the sea", "a little old landlord!"]
ZERO_SHOT_IMAGE = [
    ("clip", [call(PICTURES[0], candidate_labels=THINGS), call(PICTURES, candidate_labels=THINGS[:2], hypothesis_template="{}, by night"), call("images/alpha.png", candidate_labels=THINGS)]),
    ("siglip", [call(PICTURES[0], candidate_labels=THINGS), call(PICTURES, candidate_labels=THINGS[:1])]),
]  # fmt: skip

DETECTION = [
    ("models/yolos", [call(PICTURES[0], threshold=0.3), call(PICTURES, threshold=0.35), call(PICTURES[1]), call(PICTURES[1], threshold=0.99)], "images/yolos"),
    ("models/detr", [call(PICTURES[0], threshold=0.3), call("images/wide.png", threshold=0.2)], "images/detr"),
]  # fmt: skip

SEGMENTATION = [
    ("models/segformer-semantic-segmentation", [call(PICTURES[0]), call(PICTURES[1:], subtask="semantic")], "images/segformer"),
]  # fmt: skip


def see(picture, text):
    return [{"role": "user", "content": [{"type": "image", "url": picture}, {"type": "text", "text": text}]}]


CAPTION = dict(generate_kwargs={"do_sample": False}, max_new_tokens=10)
IMAGE_TEXT = [
    ("blip", [call({"images": PICTURES[0], "text": "a little"}, **CAPTION), call({"images": PICTURES[1], "text": "the"}, **CAPTION, return_full_text=False)]),
    ("llava", [
        call(see(PICTURES[0], "What is it?"), **CAPTION), call(see(PICTURES[1], "What is it?"), **CAPTION, return_full_text=False),
        call({"images": PICTURES[0], "text": "<image> is"}, **CAPTION),
        call([*see(PICTURES[0], "And?"), {"role": "assistant", "content": [{"type": "text", "text": "The old"}]}], **CAPTION),
    ]),
    ("qwen2-vl", [call(see(PICTURES[0], "What is it?"), **CAPTION), call(see("images/wide.png", "Who?"), **CAPTION, return_full_text=False)]),
]  # fmt: skip

SOUND = "audio/mono-16.wav"
HEAR = {"do_sample": False, "num_beams": 1, "max_new_tokens": 16, "language": "en", "task": "transcribe"}
SPEECH = [
    ("whisper", [
        call(SOUND, generate_kwargs=HEAR), call(SOUND, generate_kwargs=HEAR, return_timestamps=True), call(SOUND, generate_kwargs={**HEAR, "language": "fr"}, return_language=True),
        call(SOUND, generate_kwargs=HEAR, chunk_length_s=0.8), call(SOUND, generate_kwargs=HEAR, chunk_length_s=0.8, stride_length_s=[0.2, 0.1], return_timestamps=True),
    ]),
]  # fmt: skip

TASKS = {
    "text-classification": TEXT_CLASSIFICATION,
    "token-classification": TOKEN_CLASSIFICATION,
    "fill-mask": FILL_MASK,
    "zero-shot-classification": ZERO_SHOT,
    "feature-extraction": FEATURES,
    "text-generation": TEXT_GENERATION,
    "image-classification": IMAGE_CLASSIFICATION,
    "zero-shot-image-classification": ZERO_SHOT_IMAGE,
    "object-detection": DETECTION,
    "image-segmentation": SEGMENTATION,
    "image-text-to-text": IMAGE_TEXT,
    "automatic-speech-recognition": SPEECH,
}


def parts(task, folder, processor):
    """What the pipeline shall not choose itself: image processors that resize with PIL (use_fast=False)."""
    if task == "image-text-to-text":
        return {"processor": AutoProcessor.from_pretrained(folder, use_fast=False)}
    if processor or task == "zero-shot-image-classification":
        return {"image_processor": AutoImageProcessor.from_pretrained(GOLDEN / processor if processor else folder, use_fast=False)}
    return {}


def run(task, name, calls, processor=None):
    model = name if name.startswith("models/") else f"pipelines/models/{name}"
    runner = pipeline(task, model=str(GOLDEN / model), device="cpu", **parts(task, GOLDEN / model, processor))
    written = []
    for inputs, options in calls:
        given, kept = loaded(inputs), deepcopy(options)  # some pipelines change what they get
        output = runner(text=given, **kept) if task == "image-text-to-text" and isinstance(given, list) else runner(given, **kept)
        written.append({"inputs": inputs, "options": options, "output": plain(output)})
    return {"model": model} | ({"processor": processor} if processor else {}) | {"calls": written}


def write_pixels():
    """What the image processor of models/qwen2-vl makes of two pictures."""
    processor = AutoProcessor.from_pretrained(pipeline_models.FOLDER / "qwen2-vl", use_fast=False).image_processor
    found = {name: processor(loaded(f"images/{name}.png"), return_tensors="pt") for name in ["tall", "wide"]}
    tensors = {f"{name}.{key}": value.contiguous() for name, values in found.items() for key, value in values.items()}
    save_file(tensors, FOLDER / "qwen2-vl-pixels.safetensors", metadata={"madeBy": made_by(__file__)})


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    for name in pipeline_models.MODELS:
        pipeline_models.make(name)
    write_pixels()
    for task in sys.argv[1:] or TASKS:
        write_json(FOLDER / f"{task}.json", {"madeBy": made_by(__file__), "task": task, "cases": [run(task, *case) for case in TASKS[task]]})
        print(task)

"""Makes golden/audio/long-form.json: Whisper on a sound longer than its window, and the times of words.

    python golden/make_speech.py

Needs golden/pipelines/models/whisper, of make_pipelines.py. The sound is made of pieces, each mono-16.wav times a factor.
"""

import numpy as np
import torch
from transformers import AutomaticSpeechRecognitionPipeline, AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.models.whisper import tokenization_whisper

from common import GOLDEN, made_by, write_json
from pipeline_common import plain, sound

FOLDER = GOLDEN / "pipelines" / "models" / "whisper"
FACTORS = [1, -0.5, 0.25, 1, -1, 0.125]
HEADS = [[0, 1], [0, 0]]
GREEDY = {"do_sample": False, "num_beams": 1, "max_new_tokens": 14, "language": "en", "task": "transcribe"}
PROMPT = [306, 40, 41, 42]  # <|startofprev|> and a text

model = WhisperForConditionalGeneration.from_pretrained(FOLDER).eval()
extractor = WhisperFeatureExtractor.from_pretrained(FOLDER)
tokenizer = AutoTokenizer.from_pretrained(FOLDER)
model.generation_config.alignment_heads = HEADS
# the pipeline finds out where a window ended by the length of the published models' windows; this one's are shorter
tokenization_whisper._decode_asr.__kwdefaults__["segment_size"] = model.config.max_source_positions

samples = np.concatenate([sound(GOLDEN / "audio/mono-16.wav") * np.float32(factor) for factor in FACTORS])
calls = {
    "plain": {},
    "conditioned": {"condition_on_prev_tokens": True},
    "prompt": {"prompt_ids": PROMPT},
    "prompt for all": {"prompt_ids": PROMPT, "condition_on_prev_tokens": True, "prompt_condition_type": "all-segments"},
    "detected language": {"language": None},
    "silence": {"temperature": 0.0, "logprob_threshold": -2.6, "no_speech_threshold": 5e-5},
}


def numbers(value):
    return {key: value[key].item() if key != "tokens" else value[key].tolist() for key in ["start", "end", "tokens"]}


def generated(options):
    given = {key: torch.tensor(value) if key == "prompt_ids" else value for key, value in (GREEDY | options).items() if value is not None}
    features = extractor(samples, sampling_rate=16000, truncation=False, padding="longest", return_tensors="pt", return_attention_mask=True)
    made = model.generate(**features, return_timestamps=True, return_segments=True, **given)
    return {"options": options, "segments": [numbers(segment) for segment in made["segments"][0] if "start" in segment]}


def heard(seconds, **options):
    runner = AutomaticSpeechRecognitionPipeline(model, tokenizer=tokenizer, feature_extractor=extractor)
    part = samples[: round(seconds * 16000)]
    return {"seconds": seconds, "options": options, "output": plain(runner({"raw": part.copy(), "sampling_rate": 16000}, generate_kwargs=dict(GREEDY), **options))}


TEXTS = {
    "english": ' It\'s "quoted" (so to say), 3.5% of naïve café-goers: ¿qué? Well... [end] - ok!',
    "chinese": "你好，世界。“引用”（括号）！ 123",
}


def words(language, text):
    ids = tokenizer(text, add_special_tokens=False).input_ids
    found, _, indices = tokenization_whisper._combine_tokens_into_words(tokenizer, list(ids), language)
    return {"language": language, "ids": ids, "words": found, "indices": indices}


def overlapping(seed):
    """Texts of pieces that overlap, with a wrong token now and then, and how they are joined."""
    random = np.random.default_rng(seed)
    whole = random.integers(0, 6, 40)
    runs, start = [], 0
    while start < 34:
        run = whole[start : start + int(random.integers(6, 14))].copy()
        run[random.random(len(run)) < 0.1] = 9
        runs.append(run.tolist())
        start += int(random.integers(3, 8))
    return {"runs": runs, "joined": plain(tokenization_whisper._find_longest_common_sequence(runs))}


write_json(
    GOLDEN / "audio" / "long-form.json",
    {
        "madeBy": made_by(__file__),
        "factors": FACTORS,
        "alignmentHeads": HEADS,
        "generate": {name: generated(options) for name, options in calls.items()},
        "words": [words(*entry) for entry in TEXTS.items()],
        "overlapping": [overlapping(seed) for seed in range(20)],
        "pipeline": [
            heard(7.8, return_timestamps=True),
            heard(7.8, return_timestamps=True, return_language=True),
            heard(7.8, chunk_length_s=2),
            heard(7.8, chunk_length_s=2, return_timestamps=True),
            heard(5, chunk_length_s=1.5, stride_length_s=[0.5, 0.25], return_timestamps=True, return_language=True),
            heard(1.3, return_timestamps="word"),
            heard(1.9, return_timestamps="word"),
            heard(7.8, return_timestamps="word"),
        ],
    },
)

"""Makes the files of golden/pipelines/ for tasks that transformers 5 no longer has; as make_pipelines.py, with transformers 4.

The models are those that make_pipelines.py wrote. Runs in an environment of its own (golden/requirements-4.txt).

    python golden/make_pipelines_4.py [task ...]
"""

import sys
from copy import deepcopy

import transformers
from transformers import BlipImageProcessor, PreTrainedTokenizerFast, pipeline

from common import made_by, write_json
from pipeline_common import FOLDER, INN, LONG, NIGHT, SAILOR, call, loaded, plain

WHO, WHAT = "Who sailed from Nantucket?", "What is little?"


def ask(question, context, **options):
    return {"question": question, "context": context}, options


QUESTION_ANSWERING = [
    ("bert-question-answering", [
        ask(WHO, SAILOR), ask(WHO, SAILOR, top_k=3), ask(WHAT, INN, top_k=3, align_to_words=False), ask(WHAT, INN, max_answer_len=2, top_k=4),
        ask(WHO, LONG, top_k=3), ask(WHO, LONG, doc_stride=4, max_seq_len=24, top_k=3), ask(WHAT, LONG, doc_stride=10, max_seq_len=32, handle_impossible_answer=True, top_k=5),
        ask(WHAT, LONG, max_seq_len=40, padding="max_length"), ask(WHO, "Call me Ishmael.", handle_impossible_answer=True, top_k=11), ask([WHO, WHAT], [SAILOR, INN]),
    ]),
    ("roberta-question-answering", [ask(WHO, SAILOR, top_k=3), ask(WHAT, LONG, doc_stride=8, max_seq_len=40, top_k=3, handle_impossible_answer=True)]),
]  # fmt: skip

GREEDY = dict(do_sample=False, num_beams=1, max_new_tokens=10)
TEXT_TO_TEXT = [("bart", [call(SAILOR, **GREEDY), call([SAILOR, NIGHT], **GREEDY), call(NIGHT, **GREEDY, return_tensors=True), call(LONG, **GREEDY, truncation=True)])]
PICTURE, SHORT = "images/tall.png", dict(max_new_tokens=10)
BEAMS = dict(num_beams=2, max_new_tokens=6, min_length=3)

TASKS = {
    "question-answering": QUESTION_ANSWERING,
    "text2text-generation": TEXT_TO_TEXT,
    "summarization": [("bart", [call(INN, **GREEDY), call(INN, **BEAMS)])],
    "translation": [("bart", [call(INN, **GREEDY)])],
    "image-to-text": [("blip", [call(PICTURE, **SHORT), call([PICTURE, "images/photo.jpg"], **SHORT), call("images/photo.jpg", **SHORT, prompt="a little")])],
}


def run(task, name, calls):
    folder = FOLDER / "models" / name
    options = {}
    if name == "blip":  # transformers 4 reads other keys of tokenizer_config.json
        names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]", "additional_special_tokens": ["[DEC]"]}
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), model_input_names=["input_ids", "attention_mask"], **names)
        options = {"tokenizer": tokenizer, "image_processor": BlipImageProcessor.from_pretrained(folder)}
    runner = pipeline(task, model=str(folder), device="cpu", **options)
    written = []
    for inputs, options in calls:
        given, kept = loaded(inputs), deepcopy(options)
        output = runner(**given, **kept) if task == "question-answering" else runner(given, **kept)
        written.append({"inputs": inputs, "options": options, "output": plain(output)})
    return {"model": f"pipelines/models/{name}", "calls": written}


if __name__ == "__main__":
    assert transformers.__version__.startswith("4."), "this script needs golden/requirements-4.txt"
    transformers.logging.set_verbosity_error()
    for task in sys.argv[1:] or TASKS:
        write_json(FOLDER / f"{task}.json", {"madeBy": made_by(__file__), "task": task, "cases": [run(task, *case) for case in TASKS[task]]})
        print(task)

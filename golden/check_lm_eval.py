"""Asks lm-evaluation-harness for scores of one model by its own backend and by `kindling serve`: they must be equal.

    python golden/check_lm_eval.py [FOLDER]    # in an environment with requirements-clients.txt, after npm run build

FOLDER is a model with its tokenizer, in f32; without one a small Llama of random weights is made. Three tasks of local
files: choices (log likelihoods), a text (rolling log likelihoods, in windows) and continuations (greedy). Exits with 1
when a log likelihood differs by more than 1e-3, or anything else differs.
"""

import json
import os
import random
import sys
import tempfile
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import lm_eval
import torch
from lm_eval.tasks import TaskManager
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from check_server import ROOT, serving

WINDOW = 64  # tokens of a rolling window
TOLERANCE = 1e-3
WORDS = "It was a dark and stormy night; the landlord of the inn had gone to bed, and the whale swam on.".split()


def random_model(folder):
    """A Llama that is sure of some tokens, over the tokenizer of a golden GPT-2; its texts end now and then."""
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "golden" / "pipelines" / "models" / "gpt2")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= 3
    model.save_pretrained(folder)


def write_tasks(folder):
    """The files of the three tasks, and their names."""
    draw = random.Random(1)
    text = lambda least, most: " ".join(draw.choices(WORDS, k=draw.randint(least, most)))
    rows = {
        "choices": [
            {"question": text(3, 20), "choices": [text(1, 4) for _ in range(4)], "answer": draw.randrange(4)}
            for _ in range(40)
        ],
        "rolling": [{"text": text(20, 120)} for _ in range(8)],
        "continuations": [{"question": text(3, 12), "answer": text(1, 3)} for _ in range(12)],
    }
    settings = {
        "choices": """output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list:
  - metric: acc
  - metric: acc_norm
""",
        "rolling": """output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - metric: word_perplexity
  - metric: byte_perplexity
  - metric: bits_per_byte
""",
        "continuations": """output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs:
  until: [" night"]
  max_gen_toks: 24
  do_sample: false
metric_list:
  - metric: exact_match
""",
    }
    for name, list_ in rows.items():
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in list_))
        (folder / f"{name}.yaml").write_text(
            f"task: {name}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {data}\n"
            f"test_split: test\n{settings[name]}"
        )
    return list(rows)


def evaluate(model, arguments, folder, tasks, **options):
    return lm_eval.simple_evaluate(
        model=model,
        model_args=arguments,
        tasks=tasks,
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        **options,
    )


def compare(ours, theirs):
    """The largest difference of a log likelihood. Raises AssertionError for whatever else differs."""
    largest = 0.0
    for task, samples in theirs["samples"].items():
        by_id = {sample["doc_id"]: sample for sample in ours["samples"][task]}
        assert len(by_id) == len(samples), task
        for sample in samples:
            pairs = zip(sample["resps"], by_id[sample["doc_id"]]["resps"], strict=True)
            for [expected], [received] in pairs:
                if isinstance(expected, str):
                    assert received == expected, f"{task}: {received!r} is not {expected!r}"
                    continue
                expected, received = ([value] if isinstance(value, float) else value for value in (expected, received))
                largest = max(largest, abs(expected[0] - received[0]))
                assert expected[1:] == received[1:], f"{task}: is_greedy of {sample['doc_id']}"
        for metric, value in theirs["results"][task].items():
            if not isinstance(value, float):
                continue  # names, and errors that are not estimated
            other = ours["results"][task][metric]
            print(f"{task} {metric}: {other} by the server, {value} by transformers")
            isclose = "perplexity" in metric or "bits" in metric
            assert abs(other - value) < TOLERANCE * value if isclose else other == value, f"{task} {metric}"
    return largest


def main(folder=None):
    with tempfile.TemporaryDirectory() as temporary:
        temporary = Path(temporary)
        if folder is None:
            random_model(folder := temporary / "random-llama")
        tasks = write_tasks(temporary)
        shared = {"pretrained": str(folder), "dtype": "float32", "max_length": WINDOW}
        theirs = evaluate("hf", shared, temporary, tasks, device="cpu", batch_size=1)
        with serving(f"model={folder}") as url:
            for batch, concurrent in [(1, 1), (4, 4)]:
                arguments = {
                    "base_url": f"{url}/v1/completions",
                    "model": "model",
                    "tokenizer": str(folder),
                    "tokenizer_backend": "huggingface",
                    "num_concurrent": concurrent,
                    # it takes one off for the token that it has to ask for, and one for what stands before a window
                    "max_length": WINDOW + 2,
                }
                ours = evaluate("local-completions", arguments, temporary, tasks, batch_size=batch)
                largest = compare(ours, theirs)
                print(f"batches of {batch}, {concurrent} at once: log likelihoods differ by {largest:.1e} at most")
                assert largest < TOLERANCE


if __name__ == "__main__":
    main(*sys.argv[1:])

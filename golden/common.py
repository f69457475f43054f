"""Small helpers that the golden scripts share; makes nothing when run."""

import json
from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers

GOLDEN = Path(__file__).resolve().parent
torch.set_num_threads(1)


def made_by(script):
    """The "madeBy" line of a JSON file: the script and the versions it ran with."""
    return (
        f"golden/{Path(script).name}, torch {torch.__version__.split('+')[0]}, "
        f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}"
    )


def floats(values):
    """A flat list of numbers, each the shortest decimal that reads back as the same float32."""
    array = torch.as_tensor(values).detach().numpy().astype(np.float32)
    return [float(str(value)) for value in array.ravel()]


def tensor_json(tensor):
    """A tensor as {"shape", "data"}."""
    return {"shape": list(tensor.shape), "data": floats(tensor)}


def write_json(path, value):
    """Writes compact UTF-8 JSON with one line end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


@torch.no_grad()
def greedy(model, input_ids, count):
    """(the ids with `count` argmax ids after them, the least lead of a chosen logit over the next)."""
    ids, lead = list(input_ids), float("inf")
    for _ in range(count):
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        top = logits.topk(2)
        lead = min(lead, (top.values[0] - top.values[1]).item())
        ids.append(top.indices[0].item())
    return ids, lead


NEW_TOKENS = 20
LEAST_LEAD = 0.01  # a greedy run with a closer choice than this would be a poor test


def greedy_runs(model, vocab_size):
    """Two greedy continuations of random prompts in which no choice is close."""
    runs = []
    while len(runs) < 2:
        ids = torch.randint(vocab_size, (6,)).tolist()
        output, lead = greedy(model, ids, NEW_TOKENS)
        if lead > LEAST_LEAD:
            runs.append({"inputIds": ids, "maxNewTokens": NEW_TOKENS, "outputIds": output})
    return runs

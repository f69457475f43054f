"""What the peers of the recipes share: the training loop of a recipe in PyTorch and transformers."""

import json
import random
import time
from pathlib import Path

import torch
from transformers import get_linear_schedule_with_warmup, set_seed


def rows(path):
    """The rows of a JSONL file."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def padded(lists, filling, length):
    """Lists filled up to a length."""
    return torch.tensor([list(row) + [filling] * (length - len(row)) for row in lists])


def batch_of(examples, padding):
    """Inputs of a batch, and labels where they are lists, one for each token."""
    longest = max(len(example["ids"]) for example in examples)
    batch = {
        "input_ids": padded([example["ids"] for example in examples], padding, longest),
        "attention_mask": padded([[1] * len(example["ids"]) for example in examples], 0, longest),
    }
    labels = [example["labels"] for example in examples]
    is_each = isinstance(labels[0], list)
    batch["labels"] = padded(labels, -100, longest) if is_each else torch.tensor(labels)
    return batch


def grouped(examples, size):
    """Batches of an epoch in a new order, of examples of like length."""
    order = list(range(len(examples)))
    random.shuffle(order)
    groups = [order[i : i + 50 * size] for i in range(0, len(order), 50 * size)]
    order = [i for group in groups for i in sorted(group, key=lambda i: -len(examples[i]["ids"]))]
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    random.shuffle(batches)
    return [[examples[i] for i in batch] for batch in batches]


def train(model, examples, *, padding, epochs, batch_size, rate, seed=0, steps=None):
    """AdamW with a linear schedule, decay of matrices alone and clipping, as config.yaml has them -> seconds."""
    set_seed(seed)
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    total = steps or epochs * -(-len(examples) // batch_size)
    schedule = get_linear_schedule_with_warmup(optimizer, round(0.1 * total), total)
    model.train()
    done, begun = 0, time.perf_counter()
    while done < total:
        for batch in grouped(examples, batch_size)[: total - done]:
            loss = model(**batch_of(batch, padding)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            done += 1
            if done % 50 == 0:
                print(f"step {done} of {total}: loss {loss.item():.4f}", flush=True)
    return time.perf_counter() - begun


@torch.no_grad()
def guesses(model, examples, *, padding, batch_size):
    """For each example the likeliest class, or the likeliest class of each token."""
    model.eval()
    result = []
    for i in range(0, len(examples), batch_size):
        batch = batch_of(examples[i : i + batch_size], padding)
        batch.pop("labels")
        result += model(**batch).logits.argmax(-1).tolist()
    return result

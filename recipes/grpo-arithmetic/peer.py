"""The recipe in PyTorch: the same data (data.mjs writes it), model, batches in size, losses and numbers of steps.

python recipes/grpo-arithmetic/peer.py [--seed 0] [--sft-steps 500] [--steps 500]   # torch, transformers
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, get_cosine_schedule_with_warmup

DATA = Path(__file__).resolve().parent / "data"
CHARACTERS = ".0123456789+="  # the first ends a text
END, NEW_TOKENS, GROUP = 0, 4, 8
parser = argparse.ArgumentParser()
for name, value in (("--seed", 0), ("--sft-steps", 500), ("--steps", 500)):
    parser.add_argument(name, type=int, default=value)
options = parser.parse_args()
torch.manual_seed(options.seed)
encode = lambda text: [CHARACTERS.index(character) for character in text]
rows_of = lambda name: [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]
first, train, test = rows_of("first"), rows_of("train"), rows_of("test")
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=len(CHARACTERS),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=32,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END,
    )
)


def padded(rows, left=False):
    width = max(map(len, rows))
    pad = lambda row, value: [value] * (width - len(row)) + row if left else row + [value] * (width - len(row))
    return torch.tensor([pad(row, END) for row in rows]), torch.tensor([pad([1] * len(row), 0) for row in rows])


def batches(rows, size):
    """Without end, each epoch in an order of its own."""
    left = []
    while True:
        if len(left) < size:
            left += torch.randperm(len(rows)).tolist()
        yield [rows[i] for i in left[:size]]
        left = left[size:]


def step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


@torch.no_grad()
def write(prompts, drawn):
    """What the model writes after prompts, with the end."""
    ids, mask = padded([encode(prompt) for prompt in prompts], left=True)
    written, past, new = [[] for _ in prompts], None, ids
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    for _ in range(NEW_TOKENS):
        output = model(new, attention_mask=mask, position_ids=positions, past_key_values=past, use_cache=True)
        past, logits = output.past_key_values, output.logits[:, -1]
        new = torch.multinomial(logits.softmax(-1), 1) if drawn else logits.argmax(-1, keepdim=True)
        for row, token in zip(written, new[:, 0].tolist()):
            if not row or row[-1] != END:
                row.append(token)
        mask = torch.cat([mask, torch.ones_like(new)], 1)
        positions = mask.sum(1, keepdim=True) - 1
        if all(row[-1] == END for row in written):
            break
    return written


text_of = lambda ids: "".join(CHARACTERS[token] for token in ids if token != END)


def exact_match():
    share = lambda drawn: sum(
        text_of(ids) == row["answer"] for ids, row in zip(write([row["prompt"] for row in test], drawn), test)
    ) / len(test)
    return {"greedy": share(False), "drawn": share(True)}


def sft():
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, round(0.03 * options.sft_steps), options.sft_steps)
    source = batches(first, 64)
    for _ in range(options.sft_steps):
        rows = next(source)
        ids, mask = padded([encode(row["prompt"] + row["completion"]) + [END] for row in rows])
        labels = ids.masked_fill(mask == 0, -100)
        for label, row in zip(labels, rows):
            label[: len(row["prompt"])] = -100
        step(optimizer, model(ids, attention_mask=mask, labels=labels).loss)
        schedule.step()


def grpo():
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.0)
    source = batches(train, 32)
    for number in range(1, options.steps + 1):
        rows = [row for row in next(source) for _ in range(GROUP)]
        written = write([row["prompt"] for row in rows], True)
        rewards = torch.tensor([float(text_of(ids) == row["answer"]) for ids, row in zip(written, rows)])
        groups = rewards.view(-1, GROUP)
        advantages = ((groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)).flatten()
        ids, mask = padded([encode(row["prompt"]) + text for row, text in zip(rows, written)])
        counts = torch.zeros_like(ids)
        for row, (prompt, text) in enumerate(zip(rows, written)):
            counts[row, len(prompt["prompt"]) : len(prompt["prompt"]) + len(text)] = 1
        logs = model(ids, attention_mask=mask).logits[:, :-1].log_softmax(-1)
        logs = logs.gather(-1, ids[:, 1:, None])[..., 0]
        counts = counts[:, 1:]
        ratio = (logs - logs.detach()).exp()  # one update: 1, with the gradient of the log
        losses = -ratio * advantages[:, None]
        step(optimizer, ((losses * counts).sum(1) / counts.sum(1)).mean())
        if number % 50 == 0:
            print(f"grpo {number}: reward {rewards.mean():.3f}", file=sys.stderr, flush=True)


result = {"seed": options.seed, "sftSteps": options.sft_steps, "steps": options.steps}
for name, training in (("sft", sft), ("grpo", grpo)):
    started = time.perf_counter()
    training()
    result[f"{name}Seconds"] = time.perf_counter() - started
    result["start" if name == "sft" else "end"] = exact_match()
print(json.dumps(result))

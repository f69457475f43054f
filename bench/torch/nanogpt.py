"""Trains on given windows of a token file and prints a JSON line for each evaluation: {"step", "validationLoss", "seconds"}."""
import argparse
import json
import math
import time

import numpy as np
import torch

from gpt import adamw, load

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True, help="folder with the initial weights in Hugging Face layout")
parser.add_argument("--batches", required=True, help="int32 file: inputs then targets of each step")
parser.add_argument("--validation", required=True, help="int32 file: inputs then targets of each validation batch")
for name in ("steps", "batch", "context", "warmup", "eval-interval"):
    parser.add_argument(f"--{name}", type=int, required=True)
parser.add_argument("--learning-rate", type=float, required=True)
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()

torch.set_num_threads(args.threads)
model = load(args.model)
optimizer = adamw(model, args.learning_rate)


def read(path: str) -> torch.Tensor:
    """[number of batches, inputs or targets, batch, context]"""
    return torch.from_numpy(np.fromfile(path, dtype=np.int32).astype(np.int64)).view(-1, 2, args.batch, args.context)


def learning_rate(step: int) -> float:
    lowest = args.learning_rate / 10
    if step < args.warmup:
        return args.learning_rate * (step + 1) / (args.warmup + 1)
    progress = (step - args.warmup) / (args.steps - args.warmup)
    return lowest + 0.5 * (1 + math.cos(math.pi * progress)) * (args.learning_rate - lowest)


@torch.no_grad()
def validation_loss() -> float:
    return float(np.mean([model(inputs, targets).item() for inputs, targets in read(args.validation)]))


batches = read(args.batches)
seconds = 0.0
for step in range(args.steps):
    started = time.perf_counter()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step)
    loss = model(batches[step, 0], batches[step, 1])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    loss.item()
    seconds += time.perf_counter() - started
    if (step + 1) % args.eval_interval == 0 or step + 1 == args.steps:
        print(json.dumps({"step": step + 1, "validationLoss": validation_loss(), "seconds": seconds}), flush=True)

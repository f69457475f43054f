"""Times training steps on request, so that another program can interleave its own: lines in, JSON lines out.

Requests: "step N" runs N steps and gives {"times_ms": [...]}; "memory" gives {"peakRssBytes": n}; "quit".
"""
import argparse
import json
import resource
import sys
import time

import torch

from gpt import GPT, adamw

parser = argparse.ArgumentParser()
for name in ("vocab", "width", "heads", "layers", "batch", "context"):
    parser.add_argument(f"--{name}", type=int, required=True)
parser.add_argument("--optimizer", choices=["default", "fused"], default="default")
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(0)
model = GPT(args.vocab, args.context, args.width, args.heads, args.layers)
optimizer = adamw(model, 1e-3, fused=args.optimizer == "fused")


def step() -> float:
    inputs = torch.randint(args.vocab, (args.batch, args.context))
    targets = torch.randint(args.vocab, (args.batch, args.context))
    started = time.perf_counter()
    loss = model(inputs, targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    loss.item()
    return (time.perf_counter() - started) * 1000


def answer(value: dict) -> None:
    print(json.dumps(value), flush=True)


answer({"ready": True, "parameters": sum(p.numel() for p in model.parameters()), "torch": torch.__version__})
for line in sys.stdin:
    words = line.split()
    if words[0] == "step":
        answer({"times_ms": [step() for _ in range(int(words[1]))]})
    elif words[0] == "memory":
        answer({"peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})
    else:
        break

"""Times steps of a workload on request, so that another program can interleave its own: lines in, JSON lines out.

A step is forward, backward, clip and optimizer, or for bert the forward. The first step of a compiled mode includes compiling.
Requests: "step N" runs N steps and gives {"times_ms": [...]}; "memory" gives {"peakRssBytes": n}; "quit".
"""
import argparse
import json
import resource
import sys
import time

import torch

from workloads import WORKLOADS

parser = argparse.ArgumentParser()
parser.add_argument("--workload", choices=list(WORKLOADS), required=True)
parser.add_argument("--mode", choices=["eager", "compile", "bf16", "compile+bf16"], default="eager", help="bf16 is autocast")
parser.add_argument("--optimizer", choices=["default", "fused"], default="default")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--batch", type=int, help="another batch than the workload's own")
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(0)
workload = WORKLOADS[args.workload]
batch = args.batch or workload.batch
model = workload.model()
parameters = sum(p.numel() for p in model.parameters())
optimizer = workload.optimizer(model, args.optimizer == "fused") if workload.optimizer else None
forward = torch.compile(model) if "compile" in args.mode else model
bf16 = torch.autocast("cpu", dtype=torch.bfloat16, enabled="bf16" in args.mode)


def train(data: tuple[torch.Tensor, ...]) -> None:
    with bf16:
        loss = forward(*data)
    loss.backward()
    if workload.clip:
        torch.nn.utils.clip_grad_norm_(model.parameters(), workload.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    loss.item()


@torch.inference_mode()
def infer(data: tuple[torch.Tensor, ...]) -> None:
    with bf16:
        forward(*data)


def step() -> float:
    data = workload.data(batch)
    started = time.perf_counter()
    if optimizer:
        train(data)
    else:
        infer(data)
    return (time.perf_counter() - started) * 1000


def answer(value: dict) -> None:
    print(json.dumps(value), flush=True)


model.train(optimizer is not None)
answer({"ready": True, "parameters": parameters, "batch": batch, "mode": args.mode, "torch": torch.__version__})
for line in sys.stdin:
    words = line.split()
    if words[0] == "step":
        answer({"times_ms": [step() for _ in range(int(words[1]))]})
    elif words[0] == "memory":
        answer({"peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})
    else:
        break

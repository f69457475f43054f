"""The step times of PyTorch eager on the card, for the workloads of step.mjs: f32 without TF32, and autocast to bf16.

Writes lines that begin with "@result ", as parts/part.mjs does.
"""
import json
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "bench" / "torch"))
from workloads import WORKLOADS, gpt  # noqa: E402

SMALLEST = "--smallest" in sys.argv
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu" and not SMALLEST:
    raise SystemExit("this PyTorch sees no card")
torch.set_default_device(DEVICE)
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
MOST_STEPS, MOST_SECONDS = (1, 1) if SMALLEST else (50, 1.5)

workloads = {**WORKLOADS, "gpt2": gpt(vocab=50257, width=768, heads=12, layers=12, batch=4, context=512)}
names = ["gpt-S"] if SMALLEST else ["gpt-S", "gpt-M", "gpt-L", "gpt2", "resnet18", "lstm", "bert"]
result = {"torch": torch.__version__, "device": torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"}


def finish() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def measure(name: str, bf16: bool) -> dict:
    torch.manual_seed(0)
    workload = workloads[name]
    model = workload.model()
    model.train(workload.optimizer is not None)
    optimizer = workload.optimizer(model, False) if workload.optimizer else None

    def step() -> float:
        data = workload.data(workload.batch)
        finish()
        started = time.perf_counter()
        with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=bf16):
            if optimizer is None:
                with torch.inference_mode():
                    model(*data).float().cpu()
                return time.perf_counter() - started
            loss = model(*data)
        loss.backward()
        if workload.clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), workload.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        return time.perf_counter() - started

    for _ in range(1 if SMALLEST else 5):
        step()
    times = []
    begun = time.perf_counter()
    while len(times) < MOST_STEPS and time.perf_counter() - begun < MOST_SECONDS:
        times.append(step() * 1000)
    peak = torch.cuda.max_memory_allocated() / 2**20 if DEVICE == "cuda" else None
    return {"ms": statistics.median(times), "steps": len(times), "cardMiB": peak}


for name in names:
    result[name] = {}
    for kind, bf16 in (("f32", False), ("bf16", True)):
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            result[name][kind] = measure(name, bf16)
        except Exception as cause:  # one that fails leaves the others
            result[name][kind] = {"failure": str(cause)[:300]}
        print("@result " + json.dumps(result), flush=True)
print("@result " + json.dumps({**result, "isComplete": True}), flush=True)
